//! What has changed since it was delivered.

use std::sync::Arc;

use sikkerkey_protocol::denial::FileEffect;
use sikkerkey_protocol::id::SecretId;
use sikkerkey_protocol::machine_plane::{Change, ChangeStatus, Changes, Poll};

use super::admit::admit;
use super::reading::{self, Asking};
use crate::app::App;
use crate::ledger::ActivityKind;
use crate::live::World;
use crate::model::machine::Machine;
use crate::model::millis::Millis;
use crate::model::secret::SecretPhase;
use crate::policy::Verdict;
use crate::refusal::{Refusal, RefusalKind};
use crate::usecase::source::Source;
use crate::verify::Verified;

/// The most ids that one poll may watch.
const MAX_WATCHED: usize = 1000;

/// Compares what each watched secret is with what was delivered last.
///
/// Clients take any entry for a reason to restart, so only what reading again would change is reported: a version that
/// may be read now, or an access that is over and has not been told yet. A policy that pauses is no news, and a project that
/// is frozen neither. How often a client polls is its own affair: an answer costs less than a refusal that it retries.
pub async fn poll_secrets(app: &App, request: Verified<Arc<Machine>>, poll: Poll) -> Result<Changes, Refusal> {
    if poll.watch.len() > MAX_WATCHED {
        let now = app.clock.now();
        app.floods.count(ActivityKind::Malformed, now, &request.source().address.to_string());
        return Err(Refusal::new(RefusalKind::Invalid, format!("a poll watches at most {MAX_WATCHED} secrets")));
    }
    let (machine, source) = admit(app, request, ActivityKind::Poll).await?;
    let now = app.clock.now();
    let world = app.live.read();
    let changes = poll.watch.into_iter().filter_map(|text| {
        let id = text.parse().ok()?;
        let status = status(&world, &machine, source, now, &id)?;
        Some((text, Change { status }))
    });
    Ok(Changes { changes: changes.collect() })
}

fn status(world: &World, machine: &Machine, source: Source, now: Millis, id: &SecretId) -> Option<ChangeStatus> {
    let delivered = world.ledger.delivered(&machine.id, id);
    let secret = world.state.secrets.get(id)?;
    let asking = Asking { machine, address: source.address, now };
    match reading::decide(&world.state, &world.ledger, asking, secret) {
        Verdict::Permit(permit) => (permit.version() > delivered.unwrap_or(0)).then_some(ChangeStatus::Changed),
        Verdict::Deny(denial) => {
            let is_over = |_: &u64| denial.reason.file_effect() == FileEffect::Revoked;
            delivered.filter(is_over)?;
            if reading::stays_read(&world.state, secret, now, &denial) && delivered == Some(secret.version) {
                return None;
            }
            Some(if secret.phase == SecretPhase::Active { ChangeStatus::AccessDenied } else { ChangeStatus::Deleted })
        }
    }
}
