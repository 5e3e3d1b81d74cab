//! Rotation schedules.

use sikkerkey_protocol::management::Scope::{SecretsRead, SecretsWrite};
use sikkerkey_protocol::management::UpdateSchedule;

use super::secret::or_empty;
use super::{Route, filled, plain};
use crate::http::agent::parse;
use crate::usecase::management::schedule;

pub(super) fn routes() -> [Route; 5] {
    [
        plain(SecretsRead, "GET /v1/ai/dynamic-secrets", schedule::list),
        filled(SecretsWrite, "POST /v1/ai/dynamic-secrets", parse, schedule::create),
        plain(SecretsRead, "GET /v1/ai/dynamic-secrets/{schedule}", schedule::get),
        filled(SecretsWrite, "POST /v1/ai/dynamic-secrets/{schedule}/update", or_empty, schedule::update)
            .may_take::<UpdateSchedule>(),
        plain(SecretsWrite, "POST /v1/ai/dynamic-secrets/{schedule}/delete", schedule::delete),
    ]
}
