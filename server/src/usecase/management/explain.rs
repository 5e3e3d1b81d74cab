//! Why a machine may read a secret or not.

use std::net::IpAddr;

use sikkerkey_protocol::explain::Explanation;

use super::Manager;
use crate::decision::{Context, Decided};
use crate::refusal::{Refusal, RefusalKind};
use crate::usecase::explain::{Question, explain as answer};
use crate::usecase::steps::Steps;

/// Whether a machine may read a secret from where it was seen last.
pub fn explain(context: &Context<'_>, manager: &Manager<'_>, [machine, secret]: [&str; 2]) -> Decided<Explanation> {
    told(context, manager, machine, secret, None)
}

/// Whether a machine may read a secret from this address.
pub fn explain_from(
    context: &Context<'_>,
    manager: &Manager<'_>,
    [machine, secret, address]: [&str; 3],
) -> Decided<Explanation> {
    let refused = |_| Refusal::new(RefusalKind::Invalid, "the last part of the path is no address, such as 10.1.2.3");
    told(context, manager, machine, secret, Some(address.parse().map_err(refused)?))
}

fn told(
    context: &Context<'_>,
    manager: &Manager<'_>,
    machine: &str,
    secret: &str,
    address: Option<IpAddr>,
) -> Decided<Explanation> {
    // By its id alone: what else is typed into a path may be anything.
    let secret = manager.secret(context, secret)?;
    let vault = Some(&secret.vault);
    let question = Question { machine, secret: secret.id.as_str(), address, vault };
    let explanation = answer(context.state, context.ledger, context.now, &question)?;
    let mut steps = Steps::default();
    let detail = format!("why {} may read {} or not", explanation.machine, explanation.secret);
    let mut entry = manager.looked(&secret.project, detail);
    entry.secret = Some(secret.id.clone());
    steps.audit.push(entry);
    Ok(steps.decide(move |_| explanation))
}
