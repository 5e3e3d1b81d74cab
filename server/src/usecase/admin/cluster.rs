//! Clusters that are trusted.

use sikkerkey_protocol::id::VaultId;

use super::{by_person, conflict, find_vault, invalid};
use crate::audit::entry::Action;
use crate::decision::{Context, Decided};
use crate::model::cluster::Cluster;
use crate::model::{Entity, EntityKind};
use crate::oidc;
use crate::usecase::steps::Steps;

/// What to trust.
#[derive(Clone, Debug)]
pub struct Trust {
    /// The vault that holds the cluster's projects.
    pub vault: VaultId,
    /// The cluster's name at this server.
    pub name: String,
    /// The `iss` of its tokens.
    pub issuer: String,
    /// Its JWK set.
    pub jwks: String,
    /// The `sub` of its operator.
    pub subject: String,
}

/// Trusts a cluster, or replaces what was trusted under its name. Operators that logged in with a key that is no longer
/// trusted have to log in again.
pub fn trust(context: &Context<'_>, request: Trust) -> Decided<()> {
    let state = context.state;
    find_vault(context, &request.vault)?;
    check_cluster_name(&request.name)?;
    let parts: Vec<&str> = request.subject.split(':').collect();
    if !matches!(parts.as_slice(), ["system", "serviceaccount", namespace, name] if !namespace.is_empty() && !name.is_empty())
    {
        return Err(invalid("--subject is written system:serviceaccount:NAMESPACE:NAME".to_owned()));
    }
    if request.issuer.is_empty() || request.issuer.len() > 2048 {
        return Err(invalid(
            "--issuer is the issuer of the cluster's tokens: kubectl get --raw /.well-known/openid-configuration"
                .to_owned(),
        ));
    }
    let keys = oidc::thumbprints(&request.jwks).map_err(|error| invalid(error.to_string()))?;
    // A key decides which cluster a token is of: one key, one cluster.
    for other in state.clusters.values().filter(|it| it.name != request.name) {
        if oidc::thumbprints(&other.jwks).is_ok_and(|theirs| theirs.iter().any(|it| keys.contains(it))) {
            return Err(conflict(format!(
                "one of the keys is cluster {}'s already: each cluster signs with keys of its own",
                other.name
            )));
        }
    }
    for other in state.agent_trusts.values() {
        if oidc::thumbprints(&other.jwks).is_ok_and(|theirs| theirs.iter().any(|it| keys.contains(it))) {
            return Err(conflict(format!(
                "one of the keys is that of trust {} of vault {} (agent trusts), whose workloads are no operators: each \
                 signs with keys of its own",
                other.name, other.vault
            )));
        }
    }
    let old = state.clusters.get(&request.name);
    if let Some(old) = old.filter(|it| it.vault != request.vault)
        && state.projects.values().any(|it| it.namespace.as_ref().is_some_and(|ns| ns.cluster == old.name))
    {
        return Err(conflict(format!(
            "cluster {} has its projects in vault {}: choose another name",
            old.name, old.vault
        )));
    }
    let cluster = Cluster {
        name: request.name,
        vault: request.vault,
        issuer: request.issuer,
        jwks: request.jwks,
        subject: request.subject,
        logins_after: old.and_then(|it| it.logins_after),
    };
    let mut steps = Steps::default();
    if old != Some(&cluster) {
        // An agent of the cluster stands on what was trusted until now.
        for agent in state
            .agents
            .values()
            .filter(|it| old.is_some() && it.pod.is_some() && it.cluster.as_ref() == Some(&cluster.name))
        {
            steps.remove(EntityKind::Agent, &agent.id);
        }
        let detail =
            format!("cluster {}, issuer {}, {}, {} keys", cluster.name, cluster.issuer, cluster.subject, keys.len());
        steps.audit.push(by_person(Action::ClusterTrust, Some(&cluster.vault), detail));
        steps.put(Entity::Cluster(cluster));
    }
    Ok(steps.decide(|_| ()))
}

fn check_cluster_name(name: &str) -> Result<(), crate::refusal::Refusal> {
    let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'-' | b'.');
    if name.is_empty() || name.len() > 63 || !name.bytes().all(plain) {
        return Err(invalid("the cluster's name is from 1 to 63 small letters, digits, '-' and '.'".to_owned()));
    }
    Ok(())
}
