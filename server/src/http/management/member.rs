//! Which machines are members of projects, and what they are granted.

use sikkerkey_protocol::management::Scope::{MembersRead, MembersWrite};

use super::lists::bounded;
use super::{Route, filled, perhaps, plain};
use crate::http::agent::parse;
use crate::usecase::management::member;

pub(super) fn routes() -> [Route; 5] {
    [
        perhaps(MembersRead, "POST /v1/ai/projects/{project}/machines/query", member::query),
        filled(MembersWrite, "POST /v1/ai/projects/{project}/machines", parse, member::attach),
        plain(MembersWrite, "POST /v1/ai/projects/{project}/machines/{machine}/detach", member::detach),
        plain(MembersRead, "GET /v1/ai/projects/{project}/machines/{machine}/secrets", member::secrets),
        filled(MembersWrite, "POST /v1/ai/projects/{project}/machines/{machine}/grants", bounded, member::set_grants),
    ]
}
