//! An operator's replica logs in with a token of its cluster.

use std::collections::BTreeSet;

use sikkerkey_protocol::canonical::{Purpose, possession};
use sikkerkey_protocol::kubernetes::{LoggedIn, Login};

use crate::audit::entry::{Action, Actor, Entry};
use crate::decision::{Context, Decided};
use crate::model::Entity;
use crate::model::agent::Agent;
use crate::model::cluster::SpentLogin;
use crate::oidc;
use crate::refusal::{Refusal, RefusalKind};
use crate::usecase::fresh_id::fresh_uuid;
use crate::usecase::key_owner::require_unused;
use crate::usecase::source::Source;
use crate::usecase::steps::Steps;

/// Makes an agent that ends with the token. Each token is accepted once: whoever finds one that was used has nothing.
#[expect(clippy::needless_pass_by_value, reason = "a route hands its request over")]
pub fn login(context: &Context<'_>, source: Source, request: Login) -> Decided<LoggedIn> {
    let token = request.token.expose();
    let verified = oidc::verify(context.state.clusters.values(), token, context.public_url, context.now)
        .map_err(|error| unauthenticated(error.to_string()))?;
    let proof = possession(Purpose::Login, token, &request.public_key);
    request.public_key.verify(&proof, &request.proof).map_err(|_| {
        unauthenticated("the proof of possession does not verify: sign it with the key that logs in".to_owned())
    })?;
    let hash = oidc::unspent(&context.state.spent_logins, token)
        .ok_or_else(|| unauthenticated("the token was used before: ask for a new one for each login".to_owned()))?;
    require_unused(context.state, &request.public_key)?;

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
    let mut steps = Steps::default();
    steps.audit.push(Entry {
        vault: Some(agent.vault.clone()),
        source_ip: Some(source.address),
        detail: format!("{}, key {}", agent.name, agent.public_key.fingerprint()),
        ..Entry::new(Action::AgentLogin, Actor::Agent(agent.id.clone()))
    });
    steps.put(Entity::SpentLogin(SpentLogin { hash, expires_at: oidc::forget_at(verified.expires_at) }));
    steps.put(Entity::Agent(agent.clone()));
    let answer = LoggedIn {
        agent_id: agent.id,
        vault_id: agent.vault,
        cluster: cluster.name.clone(),
        expires_at: verified.expires_at.0,
    };
    Ok(steps.decide(move |_| answer))
}

fn unauthenticated(text: String) -> Refusal {
    Refusal::new(RefusalKind::Unauthenticated, text)
}
