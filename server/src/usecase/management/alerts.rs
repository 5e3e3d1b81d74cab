//! What the people of a vault are told of: in the server's log, and by the webhooks that name no actions of their own.

use sikkerkey_protocol::management::{AlertActions, Alerts, SetAlerts};

use super::Manager;
use super::audit::every_action;
use super::webhook::sees_all;
use crate::decision::{Context, Decided};
use crate::usecase::steps::Steps;
use crate::usecase::webhook::{names, set_alerts};

/// Which actions.
pub fn get(context: &Context<'_>, manager: &Manager<'_>, []: [&str; 0]) -> Decided<Alerts> {
    let enabled_actions = names(&context.state.alerts_of(manager.vault));
    let mut steps = Steps::default();
    steps.audit.push(manager.looked_at_vault("the alerts".to_owned()));
    Ok(steps.decide(move |_| Alerts { enabled_actions }))
}

/// Every action that people can be told of.
pub fn actions(_: &Context<'_>, manager: &Manager<'_>, []: [&str; 0]) -> Decided<AlertActions> {
    let mut steps = Steps::default();
    steps.audit.push(manager.looked_at_vault("the actions of alerts".to_owned()));
    Ok(steps.decide(|_| AlertActions { actions: every_action() }))
}

/// Says which.
#[expect(clippy::needless_pass_by_value, reason = "a route hands its request over")]
pub fn set(context: &Context<'_>, manager: &Manager<'_>, []: [&str; 0], wanted: SetAlerts) -> Decided<Alerts> {
    sees_all(manager)?;
    let (actions, steps) = set_alerts(context, manager.author(), manager.vault, &wanted.enabled_actions)?;
    Ok(steps.decide(move |_| Alerts { enabled_actions: names(&actions) }))
}
