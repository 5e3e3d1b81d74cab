//! Machines that were let in for a time, and how they get more of it.

use super::super::author::Author;
use super::super::steps::{Steps, describe};
use super::{about, conflict};
use crate::audit::entry::Action;
use crate::decision::Context;
use crate::model::Entity;
use crate::model::machine::{Extension, HostOf, Machine};
use crate::model::millis::Millis;
use crate::policy::window::instant;
use crate::refusal::{Refusal, invalid};

/// How long a temporary machine lasts, in seconds: from an hour to 12 months. The same is the most that remains after an
/// extension.
pub(crate) const LIFETIME: std::ops::RangeInclusive<u64> = 3600..=366 * 24 * 3600;
/// How many extensions are remembered; another is refused.
const EXTENSIONS: usize = 200;
const MAX_REASON: usize = 255;

/// Gives a temporary machine more time.
pub(crate) fn extend(
    context: &Context<'_>,
    author: Author<'_>,
    machine: &Machine,
    seconds: u64,
    reason: &str,
) -> Result<Steps, Refusal> {
    let (host, from) = running(context, machine)?;
    let reason = reason.trim();
    if reason.is_empty() || reason.len() > MAX_REASON || reason.chars().any(char::is_control) {
        return Err(invalid(format!("the reason must be from 1 to {MAX_REASON} printable characters")));
    }
    if seconds == 0 {
        return Err(invalid("an extension is of at least one second: say how much longer".to_owned()));
    }
    let to = from.plus_seconds(seconds);
    let latest = context.now.plus_seconds(*LIFETIME.end());
    if to > latest {
        let most = (latest.0 - from.0) / 1000;
        return Err(invalid(format!(
            "what remains is at most 12 months (366 days): it ends at {}, so extend it by at most {most} seconds",
            instant(from)
        )));
    }
    if host.extensions.len() >= EXTENSIONS {
        return Err(conflict(format!(
            "machine {} was extended {EXTENSIONS} times: let it register anew",
            machine.name
        )));
    }
    let mut steps = Steps::default();
    let detail = format!("{}, from {} to {}: {reason}", describe(machine), instant(from), instant(to));
    steps.audit.push(about(author, Action::MachineExtend, machine, detail));
    let mut host = host.clone();
    let (at, by, reason) = (context.now, author.name(), reason.to_owned());
    host.extensions.push(Extension { at, by, reason, from, to, reverted_at: None });
    steps.put(Entity::Machine(Machine { expires_at: Some(to), host: Some(Box::new(host)), ..machine.clone() }));
    Ok(steps)
}

/// Takes the last extension back: the machine ends when it would have ended without it, which may be at once.
pub(crate) fn revert(context: &Context<'_>, author: Author<'_>, machine: &Machine) -> Result<Steps, Refusal> {
    let (host, _) = running(context, machine)?;
    let mut host = host.clone();
    let Some(last) = host.extensions.last_mut() else {
        return Err(conflict(format!("machine {} was never extended: there is nothing to take back", machine.name)));
    };
    if last.reverted_at.is_some() {
        let text = format!(
            "the last extension of machine {} is taken back already, and only the last one can be",
            machine.name
        );
        return Err(conflict(text));
    }
    last.reverted_at = Some(context.now);
    let end = last.from;
    let mut steps = Steps::default();
    let detail = format!("{}, back from {} to {}", describe(machine), instant(last.to), instant(end));
    steps.audit.push(about(author, Action::MachineExtend, machine, detail));
    steps.put(Entity::Machine(Machine { expires_at: Some(end), host: Some(Box::new(host)), ..machine.clone() }));
    Ok(steps)
}

/// A temporary machine whose time runs, and its end.
fn running<'a>(context: &Context<'_>, machine: &'a Machine) -> Result<(&'a HostOf, Millis), Refusal> {
    let host = machine.host.as_deref().filter(|it| it.temporary.is_some());
    let Some(host) = host else {
        let text = format!("machine {} is no temporary machine: it has no end that could be moved", machine.name);
        return Err(conflict(text));
    };
    match machine.expires_at {
        None => {
            Err(conflict(format!("machine {} waits for approval: its time begins when it is approved", machine.name)))
        }
        Some(end) if end <= context.now => {
            Err(conflict(format!("the time of machine {} is over: let it register anew", machine.name)))
        }
        Some(end) => Ok((host, end)),
    }
}
