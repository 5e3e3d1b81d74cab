//! Enrolment tokens.

use sikkerkey_protocol::management::Scope::{EnrolmentRead, EnrolmentWrite};

use super::lists::bounded;
use super::{Route, filled, perhaps, plain};
use crate::usecase::management::enrolment;

pub(super) fn routes() -> [Route; 4] {
    [
        plain(EnrolmentRead, "GET /v1/ai/enrollment-tokens", enrolment::list),
        plain(EnrolmentRead, "GET /v1/ai/enrollment-tokens/{token}", enrolment::get),
        filled(EnrolmentWrite, "POST /v1/ai/enrollment-tokens", bounded, enrolment::create),
        perhaps(EnrolmentWrite, "POST /v1/ai/enrollment-tokens/{token}/revoke", enrolment::revoke),
    ]
}
