//! Machines.

use sikkerkey_protocol::management::Scope::{MachinesRead, MachinesWrite};

use super::{Route, filled, perhaps, plain};
use crate::http::agent::parse;
use crate::usecase::management::machine;

pub(super) fn routes() -> [Route; 12] {
    [
        plain(MachinesRead, "GET /v1/ai/machines", machine::list),
        plain(MachinesRead, "GET /v1/ai/machines/{machine}", machine::get),
        plain(MachinesRead, "GET /v1/ai/machines/{machine}/name-history", machine::name_history),
        perhaps(MachinesWrite, "POST /v1/ai/machines/{machine}/approve", machine::approve),
        plain(MachinesWrite, "POST /v1/ai/machines/{machine}/deny", machine::deny),
        plain(MachinesWrite, "POST /v1/ai/machines/{machine}/disable", machine::disable),
        plain(MachinesWrite, "POST /v1/ai/machines/{machine}/enable", machine::enable),
        perhaps(MachinesWrite, "POST /v1/ai/machines/{machine}/revoke", machine::revoke),
        filled(MachinesWrite, "POST /v1/ai/machines/{machine}/rename", parse, machine::rename),
        filled(MachinesWrite, "POST /v1/ai/machines/{machine}/extend", parse, machine::extend),
        plain(MachinesWrite, "POST /v1/ai/machines/{machine}/revert-extension", machine::revert_extension),
        filled(MachinesWrite, "POST /v1/ai/machines/{machine}/guardrails", parse, machine::set_guardrails),
    ]
}
