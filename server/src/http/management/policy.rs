//! Access policies.

use sikkerkey_protocol::management::Scope;

use super::{Route, filled, plain};
use crate::http::agent::parse;
use crate::policy::written::Changes;
use crate::refusal::{Refusal, RefusalKind};
use crate::usecase::management::policy;

pub(super) fn routes() -> [Route; 8] {
    [
        plain(Scope::PoliciesRead, "GET /v1/ai/projects/{project}/policies", policy::list),
        filled(Scope::PoliciesWrite, "POST /v1/ai/projects/{project}/policies", changes, policy::create),
        plain(Scope::PoliciesRead, "GET /v1/ai/projects/{project}/policies/{policy}", policy::get),
        filled(
            Scope::PoliciesWrite,
            "POST /v1/ai/projects/{project}/policies/{policy}/update",
            changes,
            policy::update,
        ),
        plain(Scope::PoliciesWrite, "POST /v1/ai/projects/{project}/policies/{policy}/delete", policy::delete),
        plain(Scope::PoliciesRead, "GET /v1/ai/secrets/{secret}/binding", policy::binding),
        filled(Scope::PoliciesWrite, "POST /v1/ai/secrets/{secret}/binding", parse, policy::bind),
        plain(Scope::PoliciesWrite, "POST /v1/ai/secrets/{secret}/binding/delete", policy::unbind),
    ]
}

/// Looked at here, so that what was typed by mistake is told to whoever typed it and stands nowhere else.
fn changes(body: &[u8]) -> Result<Changes, Refusal> {
    let changes: Changes = parse(body)?;
    changes.check().map_err(|error| Refusal::new(RefusalKind::Invalid, error.to_string()))?;
    Ok(changes)
}
