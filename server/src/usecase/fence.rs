//! What no agent does to a protected policy: loosen it, rename it, take it off a secret, remove it.
//!
//! An agent decides for whole clusters and may be taken over. A policy that a person has marked stays as tight as that
//! person left it, and its co-signer is a machine that a person knows. Tightening is let through: it gives nobody anything.

use sikkerkey_protocol::policy::{Approver, CoSign, PolicyDocument};

use super::author::Author;
use crate::model::machine::{Machine, is_vouched};
use crate::model::policy::Policy;
use crate::model::project::Project;
use crate::model::secret::Secret;
use crate::policy::loosens;
use crate::refusal::{Refusal, RefusalKind};
use crate::shell;
use crate::state::State;

/// Whether a policy may say this from now on.
pub(crate) fn may_change(
    state: &State,
    author: Author<'_>,
    policy: &Policy,
    document: &PolicyDocument,
) -> Result<(), Refusal> {
    if !policy.protected {
        return Ok(());
    }
    if !author.is_person()
        && let Some(axis) = loosens(&policy.document, document)
    {
        return Err(refused(policy, &format!("an agent may tighten it and not loosen it ({axis})")));
    }
    match &document.co_sign {
        Some(co_sign) if policy.document.co_sign.as_ref().map(|it| &it.approver) != Some(&co_sign.approver) => {
            require_vouched(state, policy, co_sign)
        }
        _ => Ok(()),
    }
}

/// Whether a policy may go, or have another name.
pub(crate) fn may_remove(author: Author<'_>, policy: &Policy, what: &str) -> Result<(), Refusal> {
    if policy.protected && !author.is_person() {
        return Err(refused(policy, &format!("an agent may not {what} it")));
    }
    Ok(())
}

/// Whether another policy than the present one, or none, may guard a secret, whatever has become of its object.
pub(crate) fn may_rebind(
    state: &State,
    author: Author<'_>,
    secret: &Secret,
    policy: Option<&str>,
) -> Result<(), Refusal> {
    if author.is_person() || secret.policy.as_deref() == policy {
        return Ok(());
    }
    let present = secret.policy.as_ref().and_then(|name| state.policy_named(&secret.project, name));
    let Some(present) = present.filter(|it| it.protected) else { return Ok(()) };
    let what = if policy.is_some() { "may not put another policy on" } else { "may not take it off" };
    Err(refused(present, &format!("an agent {what} {}", secret.name)))
}

/// Whether the co-signer of a protected policy is a machine that a person vouches for.
pub(crate) fn require_vouched(state: &State, policy: &Policy, co_sign: &CoSign) -> Result<(), Refusal> {
    let (who, is_known) = match &co_sign.approver {
        Approver::Machine(id) => {
            let machine = state.machines.get(id).filter(|it| it.vault == policy.vault);
            let who = machine.map_or_else(|| format!("{id}, which is not here"), |it| it.name.clone());
            (format!("machine {who}"), machine.is_some_and(|it| is_vouched(it)))
        }
        Approver::Object(key) => {
            let fleet = cluster_of(state, policy).and_then(|cluster| state.fleet_of(cluster, key));
            let machines = fleet.into_iter().flat_map(|it| state.machines_in(&it.id)).map(|it| -> &Machine { it });
            (format!("Machine {key}"), machines.into_iter().any(is_vouched))
        }
    };
    if is_known {
        return Ok(());
    }
    let text = format!(
        "policy {}: the co-signer of a protected policy is a host that a person approved, and {who} is none: approve it \
         by its own id with sikkerkey-server admin machine approve, or name another",
        policy.name
    );
    Err(Refusal::new(RefusalKind::Conflict, text))
}

/// The cluster whose objects a policy means.
pub(crate) fn cluster_of<'a>(state: &'a State, policy: &'a Policy) -> Option<&'a str> {
    let of_object = policy.managed.as_ref().map(|it| it.cluster.as_str());
    of_object.or_else(|| state.projects.get(&policy.project).and_then(namespace_cluster))
}

fn namespace_cluster(project: &Project) -> Option<&str> {
    project.namespace.as_ref().map(|it| it.cluster.as_str())
}

fn refused(policy: &Policy, why: &str) -> Refusal {
    // By its id: several clusters may have a namespace of one name.
    let text = format!(
        "policy {label} is protected until a person lifts that with sikkerkey-server admin policy unprotect --project \
         {project} --name {name}: {why}",
        label = policy.name,
        name = shell::word(&policy.name),
        project = policy.project,
    );
    Refusal::new(RefusalKind::Conflict, text)
}
