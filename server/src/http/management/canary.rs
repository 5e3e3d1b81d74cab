//! Canaries, and projects that they froze.

use sikkerkey_protocol::management::ConfigureCanary;
use sikkerkey_protocol::management::Scope::{PoliciesRead, PoliciesWrite};

use super::secret::or_empty;
use super::{Route, filled, plain};
use crate::http::agent::parse;
use crate::usecase::management::canary;

pub(super) fn routes() -> [Route; 7] {
    [
        plain(PoliciesRead, "GET /v1/ai/projects/{project}/canaries", canary::list),
        filled(PoliciesWrite, "POST /v1/ai/canaries", parse, canary::create),
        plain(PoliciesRead, "GET /v1/ai/canaries/{canary}", canary::get),
        filled(PoliciesWrite, "POST /v1/ai/canaries/{canary}/config", or_empty, canary::configure)
            .may_take::<ConfigureCanary>(),
        plain(PoliciesWrite, "POST /v1/ai/canaries/{canary}/enable", canary::enable),
        plain(PoliciesWrite, "POST /v1/ai/canaries/{canary}/disable", canary::disable),
        plain(PoliciesWrite, "POST /v1/ai/projects/{project}/unfreeze", canary::unfreeze),
    ]
}
