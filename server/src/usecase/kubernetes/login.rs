//! An operator's replica logs in with a token of its cluster.

use std::collections::BTreeSet;

use sikkerkey_protocol::kubernetes::{LoggedIn, Login};

use crate::decision::{Context, Decided};
use crate::model::agent::Agent;
use crate::oidc;
use crate::refusal::unauthenticated;
use crate::usecase::fresh_id::fresh_uuid;
use crate::usecase::source::Source;
use crate::usecase::token_login;

/// Makes an agent that ends with the token. Each token is accepted once: whoever finds one that was used has nothing.
#[expect(clippy::needless_pass_by_value, reason = "a route hands its request over")]
pub fn login(context: &Context<'_>, source: Source, request: Login) -> Decided<LoggedIn> {
    let token = request.token.expose();
    let verified = oidc::verify(context.state.clusters.values(), token, context.public_url, context.now)
        .map_err(|error| unauthenticated(error.to_string()))?;
    let hash = token_login::require_new(context, token, &request.public_key, &request.proof)?;

    let cluster = verified.cluster;
    // What it may do follows from its cluster.
    let agent = Agent {
        id: fresh_uuid(context)?,
        vault: cluster.vault.clone(),
        name: format!("operator {} of cluster {}", verified.pod, cluster.name),
        public_key: request.public_key,
        cluster: Some(cluster.name.clone()),
        approved: true,
        enabled: true,
        expires_at: Some(verified.expires_at),
        pod: Some(verified.pod),
        scopes: Some(BTreeSet::new()),
        projects: None,
        created_at: Some(context.now),
        earlier_names: Vec::new(),
        workload: None,
    };
    let steps = token_login::let_in(&agent, source, hash, verified.expires_at);
    let answer = LoggedIn {
        agent_id: agent.id,
        vault_id: agent.vault,
        cluster: cluster.name.clone(),
        expires_at: verified.expires_at.0,
    };
    Ok(steps.decide(move |_| answer))
}
