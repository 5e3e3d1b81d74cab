//! Agents.

use sikkerkey_protocol::management::Scope::{AgentsRead, AgentsWrite};

use super::{Route, acting, filled, nothing, perhaps, plain};
use crate::http::agent::parse;
use crate::usecase::management::agent;

pub(super) fn routes() -> [Route; 10] {
    [
        acting(
            None,
            "GET /v1/ai/whoami",
            nothing,
            |it, manager, ids, ()| agent::whoami(it, manager, ids),
            agent::with_activity,
        )
        .takes_nothing(),
        plain(AgentsRead, "GET /v1/ai/ai-agents", agent::list),
        plain(AgentsRead, "GET /v1/ai/ai-agents/{agent}", agent::get),
        plain(AgentsRead, "GET /v1/ai/ai-agents/{agent}/name-history", agent::name_history),
        perhaps(AgentsWrite, "POST /v1/ai/ai-agents/{agent}/approve", agent::approve),
        plain(AgentsWrite, "POST /v1/ai/ai-agents/{agent}/deny", agent::deny),
        plain(AgentsWrite, "POST /v1/ai/ai-agents/{agent}/disable", agent::disable),
        plain(AgentsWrite, "POST /v1/ai/ai-agents/{agent}/enable", agent::enable),
        filled(AgentsWrite, "POST /v1/ai/ai-agents/{agent}/rename", parse, agent::rename),
        plain(AgentsWrite, "POST /v1/ai/ai-agents/{agent}/revoke", agent::revoke),
    ]
}
