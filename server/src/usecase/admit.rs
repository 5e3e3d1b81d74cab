//! Letting a machine in that asks for no value.

use std::sync::Arc;

use super::source::Source;
use crate::app::App;
use crate::ledger::ActivityKind;
use crate::model::machine::Machine;
use crate::refusal::Refusal;
use crate::verify::Verified;
use crate::writer::{Claim, Files, ReadRequest, Standing};

/// Burns the nonce, looks at the machine's standing and counts the request.
pub(super) async fn admit(
    app: &App,
    request: Verified<Arc<Machine>>,
    activity: ActivityKind,
) -> Result<(Arc<Machine>, Source), Refusal> {
    let (machine, spend, source) = request.into_parts();
    let request = ReadRequest {
        claim: Claim::Fresh(spend),
        machine: Arc::clone(&machine),
        source,
        standing: Standing::Whole,
        attempts: Vec::new(),
        activity: Some(activity),
        files: Files::None,
    };
    app.writer.read(request).await?;
    Ok((machine, source))
}
