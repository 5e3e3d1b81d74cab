//! Rotation schedules.

use sikkerkey_protocol::management::Scope::{SecretsRead, SecretsWrite};
use sikkerkey_protocol::management::UpdateSchedule;

use super::lists::{bounded, bounded_or_empty};
use super::{Route, filled, plain};
use crate::usecase::management::schedule;

pub(super) fn routes() -> [Route; 5] {
    [
        plain(SecretsRead, "GET /v1/ai/dynamic-secrets", schedule::list),
        filled(SecretsWrite, "POST /v1/ai/dynamic-secrets", bounded, schedule::create),
        plain(SecretsRead, "GET /v1/ai/dynamic-secrets/{schedule}", schedule::get),
        filled(SecretsWrite, "POST /v1/ai/dynamic-secrets/{schedule}/update", bounded_or_empty, schedule::update)
            .may_take::<UpdateSchedule>(),
        plain(SecretsWrite, "POST /v1/ai/dynamic-secrets/{schedule}/delete", schedule::delete),
    ]
}
