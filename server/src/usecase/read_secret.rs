//! One value.

use std::sync::Arc;

use sikkerkey_protocol::id::SecretId;
use sikkerkey_protocol::secret_text::SecretText;

use super::reading;
use crate::app::App;
use crate::model::machine::Machine;
use crate::model::secret::SecretPhase;
use crate::refusal::{Refusal, RefusalKind};
use crate::verify::Verified;
use crate::writer::{Attempt, Claim, Files, Outcome, ReadRequest, Standing};

/// Reads one value. `id` is what the client wrote.
pub async fn read_secret(app: &App, request: Verified<Arc<Machine>>, id: &str) -> Result<SecretText, Refusal> {
    let (machine, spend, source) = request.into_parts();
    let known = id.parse::<SecretId>();
    let attempt = match &known {
        Ok(id) => reading::attempt(app, &machine, source, id),
        // What is no id is as unknown as one that nobody has. Not repeated: it may be a value, in a place where none
        // belongs, and would stand in the audit for ever.
        Err(_) => Attempt::Unknown { namespace: None, name: "something that is no id of a secret".to_owned() },
    };
    let request = ReadRequest {
        claim: Claim::Fresh(spend),
        machine: Arc::clone(&machine),
        source,
        standing: Standing::Each,
        attempts: vec![attempt],
        activity: None,
        files: Files::None,
    };
    let receipt = app.writer.read(request).await?;
    match receipt.outcomes.into_iter().next() {
        Some(Outcome::Released(released)) => {
            released.withheld.release(&released.permit, &receipt.committed).ok_or_else(damaged)
        }
        Some(Outcome::Denied(denial)) => {
            let world = app.live.read();
            let secret = known.ok().and_then(|id| world.state.secrets.get(&id));
            // Who is told that a deleted one is not granted looks for a grant that would not help.
            let secret = secret.filter(|it| it.phase == SecretPhase::Active);
            let is_there = secret.is_some_and(|it| reading::is_member(&world.state, &machine, &it.project));
            Err(reading::refusal(denial, is_there, app.clock.now()))
        }
        Some(Outcome::Damaged) | None => Err(damaged()),
    }
}

/// The refusal of a value that is stored and does not open.
pub(super) fn damaged() -> Refusal {
    Refusal::new(
        RefusalKind::Unavailable,
        "the stored value cannot be opened: an administrator finds the cause in the log",
    )
}
