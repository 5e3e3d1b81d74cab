//! Why a machine may read a secret or not.

use std::net::IpAddr;

use sikkerkey_protocol::explain::Explanation;

use super::{Manager, not_found};
use crate::decision::{Context, Decided};
use crate::refusal::{Refusal, RefusalKind};
use crate::usecase::explain::{Question, explain as answer};
use crate::usecase::machine::Found;
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
    let machine = &seen(context, manager, machine)?;
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

/// The id of a machine or fleet that may be looked at, by its id or a machine's name. Of others not even their number is told.
fn seen(context: &Context<'_>, manager: &Manager<'_>, asked: &str) -> Result<String, Refusal> {
    match manager.machine(context, asked) {
        Ok(Found::Machine(it)) => return Ok(it.id.to_string()),
        Ok(Found::Fleet(it)) => return Ok(it.id.to_string()),
        Err(_) => {}
    }
    let (state, sight) = (context.state, manager.sight());
    let is_it = |it: &&_| sight.sees_machine(state, Found::Machine(it));
    let mut named = state.machines.values().map(|it| &**it).filter(|it| it.name == asked).filter(is_it);
    match (named.next(), named.next()) {
        (Some(machine), None) => Ok(machine.id.to_string()),
        (None, _) => Err(not_found("this vault has no machine of that id or name: GET /v1/ai/machines lists them")),
        (Some(_), Some(_)) => {
            let text =
                "this vault has several machines of that name: name one by its id, which GET /v1/ai/machines tells";
            Err(Refusal::new(RefusalKind::Invalid, text))
        }
    }
}
