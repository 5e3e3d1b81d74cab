//! What people are told of.

use sikkerkey_protocol::management::Scope;

use super::lists::bounded;
use super::{Route, filled, plain};
use crate::usecase::management::alerts;

pub(super) fn routes() -> [Route; 3] {
    [
        plain(Scope::AlertsRead, "GET /v1/ai/alerts", alerts::get),
        plain(Scope::AlertsRead, "GET /v1/ai/alerts/actions", alerts::actions),
        filled(Scope::AlertsWrite, "POST /v1/ai/alerts", bounded, alerts::set),
    ]
}
