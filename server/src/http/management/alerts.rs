//! What people are told of.

use sikkerkey_protocol::management::Scope;

use super::{Route, filled, plain};
use crate::http::agent::parse;
use crate::usecase::management::alerts;

pub(super) fn routes() -> [Route; 3] {
    [
        plain(Scope::AlertsRead, "GET /v1/ai/alerts", alerts::get),
        plain(Scope::AlertsRead, "GET /v1/ai/alerts/actions", alerts::actions),
        filled(Scope::AlertsWrite, "POST /v1/ai/alerts", parse, alerts::set),
    ]
}
