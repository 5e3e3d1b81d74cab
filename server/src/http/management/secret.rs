//! Secrets by hand.

use sikkerkey_protocol::id::SecretId;
use sikkerkey_protocol::management::{RollBackSecret, RotateSecret, Scope};

use super::lists::{bounded, bounded_or_empty};
use super::{Route, fetched, filled, nothing, plain};
use crate::http::agent::parse;
use crate::refusal::{Refusal, RefusalKind};
use crate::store::StoreError;
use crate::usecase::management::secret;

pub(super) fn routes() -> [Route; 10] {
    use Scope::{SecretsRead, SecretsWrite};
    [
        plain(SecretsRead, "GET /v1/ai/projects/{project}/secrets", secret::list),
        filled(SecretsWrite, "POST /v1/ai/projects/{project}/secrets", bounded, secret::create),
        plain(SecretsRead, "GET /v1/ai/projects/{project}/secrets/{secret}", secret::get),
        filled(SecretsWrite, "POST /v1/ai/projects/{project}/secrets/{secret}/update", parse, secret::update),
        plain(SecretsWrite, "POST /v1/ai/projects/{project}/secrets/{secret}/delete", secret::delete),
        filled(SecretsWrite, "POST /v1/ai/projects/{project}/secrets/{secret}/name", parse, secret::rename),
        filled(SecretsWrite, "POST /v1/ai/projects/{project}/secrets/{secret}/note", parse, secret::annotate),
        filled(
            SecretsWrite,
            "POST /v1/ai/projects/{project}/secrets/{secret}/rotate",
            bounded_or_empty,
            secret::rotate,
        )
        .may_take::<RotateSecret>(),
        fetched(
            SecretsWrite,
            "POST /v1/ai/projects/{project}/secrets/{secret}/rollback",
            parse,
            async |app, ids, request: RollBackSecret| {
                let Some(id) = id(&ids) else { return Ok((request, None)) };
                let stored = app.records.version(&id, request.version).await.map_err(|it| unread(&it))?;
                Ok((request, stored))
            },
            secret::roll_back,
        ),
        fetched(
            SecretsRead,
            "GET /v1/ai/projects/{project}/secrets/{secret}/versions",
            nothing,
            async |app, ids, ()| match id(&ids) {
                Some(id) => app.records.kept(&id).await.map_err(|it| unread(&it)),
                None => Ok(Vec::new()),
            },
            secret::versions,
        )
        .takes_nothing(),
    ]
}

/// A client sends no body where it has no fields to send.
pub(super) fn or_empty<B: Default + serde::de::DeserializeOwned>(body: &[u8]) -> Result<B, Refusal> {
    if body.is_empty() { Ok(B::default()) } else { parse(body) }
}

/// The secret that the path ends with; none: what stands there is no id.
fn id(ids: &[String]) -> Option<SecretId> {
    ids.last()?.parse().ok()
}

fn unread(error: &StoreError) -> Refusal {
    tracing::error!(error = error as &dyn std::error::Error, "the versions of a secret cannot be read");
    Refusal::new(RefusalKind::Unavailable, "the server cannot read its database: try again")
}
