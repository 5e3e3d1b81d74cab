//! All values that a machine may read.

use std::sync::Arc;

use sikkerkey_protocol::denial::DenialReason;
use sikkerkey_protocol::id::SecretId;
use sikkerkey_protocol::machine_plane::{Export, ExportItem, Selection, field_names_text};

use super::read_secret::damaged;
use super::reading;
use crate::app::App;
use crate::model::machine::Machine;
use crate::refusal::Refusal;
use crate::verify::Verified;
use crate::writer::{Attempt, Claim, Files, Outcome, ReadRequest, Standing};

/// Reads every value that the machine is granted. A denied one is left out: one secret never fails the whole export. Only
/// when everything that is selected is frozen, which is what a frozen project that is asked for by its id looks like, the
/// answer is 423: an empty export would look as if there were nothing.
pub async fn export_secrets(
    app: &App,
    request: Verified<Arc<Machine>>,
    selection: Selection,
) -> Result<Export, Refusal> {
    let (machine, spend, source) = request.into_parts();
    let (granted, lost) = {
        let world = app.live.read();
        let granted = reading::granted(&world.state, &machine, app.clock.now());
        let granted: Vec<_> =
            granted.into_iter().filter(|secret| reading::selected(&world.state, secret, &selection)).collect();
        let is_granted = |id: &SecretId| granted.iter().any(|secret| &secret.id == id);
        // What was delivered once and is not granted any more is attempted as well. The denial is audited, and the next
        // poll does not report it again, after which a client would export for ever.
        let lost = world.ledger.delivered_to(&machine.id).map(|(id, _)| id).filter(|id| !is_granted(id));
        let lost = lost
            .filter(|id| world.state.secrets.get(id).is_some_and(|it| reading::selected(&world.state, it, &selection)));
        let lost: Vec<_> = lost.cloned().collect();
        let granted: Vec<_> =
            granted.iter().map(|it| (it.id.clone(), it.name.clone(), field_names_text(&it.field_names))).collect();
        (granted, lost)
    };
    let mut attempts: Vec<Attempt> =
        granted.iter().map(|(id, ..)| reading::attempt(app, &machine, source, id)).collect();
    attempts.extend(lost.into_iter().map(|id| Attempt::Known(id, None)));
    let request = ReadRequest {
        claim: Claim::Fresh(spend),
        machine,
        source,
        standing: Standing::Whole,
        attempts,
        activity: None,
        files: Files::None,
    };
    let receipt = app.writer.read(request).await?;
    let (asked, mut denied_as_frozen) = (granted.len(), 0);
    let (mut secrets, mut frozen) = (Vec::with_capacity(asked), None);
    for ((id, name, field_names), outcome) in granted.into_iter().zip(receipt.outcomes) {
        let value = match outcome {
            Outcome::Denied(denial) if denial.reason == DenialReason::ProjectFrozen => {
                denied_as_frozen += 1;
                frozen = Some(denial);
                continue;
            }
            Outcome::Denied(_) => continue,
            Outcome::Damaged => return Err(damaged()),
            Outcome::Released(it) => it.withheld.release(&it.permit, &receipt.committed).ok_or_else(damaged)?,
        };
        secrets.push(ExportItem { id, name, value, field_names });
    }
    match frozen {
        Some(denial) if denied_as_frozen == asked => Err(reading::refusal(denial, true, app.clock.now())),
        _ => Ok(Export { secrets }),
    }
}
