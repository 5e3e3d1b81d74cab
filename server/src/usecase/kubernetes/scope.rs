//! For which cluster an agent speaks, and which objects are objects.

use sikkerkey_protocol::error_body::ErrorCode;
use sikkerkey_protocol::id::ProjectId;
use sikkerkey_protocol::kubernetes::{ObjectIdentity, ObjectKey, ObjectMeta};

use crate::audit::entry::{Action, Entry};
use crate::decision::Context;
use crate::model::agent::Agent;
use crate::model::cluster::Cluster;
use crate::model::fleet::Fleet;
use crate::model::grant::Grant;
use crate::model::managed::Managed;
use crate::model::policy::Policy;
use crate::model::secret::{Secret, SecretPhase};
use crate::refusal::{Refusal, RefusalKind, invalid};
use crate::usecase::author::Author;
use crate::usecase::source::Source;

/// A request on behalf of a cluster.
pub(super) struct Scope<'a> {
    pub(super) context: Context<'a>,
    pub(super) agent: &'a Agent,
    pub(super) cluster: &'a Cluster,
    source: Source,
}

impl<'a> Scope<'a> {
    /// The cluster of an agent that is authenticated.
    pub(super) fn of(context: &Context<'a>, agent: &'a Agent, source: Source) -> Result<Self, Refusal> {
        let Some(name) = &agent.cluster else {
            let text = "this agent speaks for no cluster: log in with a token of a cluster, or make an agent token with --cluster";
            return Err(Refusal::new(RefusalKind::Forbidden, text));
        };
        // The cluster may have been moved to another vault, or its trust withdrawn, since the agent logged in.
        let cluster = context.state.clusters.get(name).filter(|it| it.vault == agent.vault).ok_or_else(|| {
            let text = format!("cluster {name} is no longer trusted here: sikkerkey-server admin cluster trust --name {name} trusts it again");
            Refusal::new(RefusalKind::Forbidden, text)
        })?;
        Ok(Self { context: *context, agent, cluster, source })
    }

    /// A row for the audit by this agent.
    pub(super) fn entry(&self, action: Action, project: Option<&ProjectId>, detail: String) -> Entry {
        Entry { project: project.cloned(), ..self.author().entry(action, &self.agent.vault, detail) }
    }

    /// On whose behalf something is changed.
    pub(super) fn author(&self) -> Author<'a> {
        Author::Agent(self.agent, self.source)
    }

    pub(super) fn managed(&self, object: &ObjectMeta) -> Managed {
        Managed { cluster: self.cluster.name.clone(), object: object.clone() }
    }

    /// The fleet of this very `Machine`.
    pub(super) fn fleet(&self, object: &ObjectIdentity) -> Option<&'a Fleet> {
        let found = self.context.state.fleet_of(&self.cluster.name, &object.key);
        found.filter(|it| it.vault == self.agent.vault && it.managed.object.uid == object.uid)
    }

    /// What this very `Secret` stands for, unless it is only kept for another.
    pub(super) fn secret(&self, object: &ObjectIdentity) -> Option<&'a Secret> {
        let found = self.context.state.secret_of(&self.cluster.name, &object.key);
        let found = found.filter(|it| it.vault == self.agent.vault && it.phase == SecretPhase::Active);
        found.filter(|it| is_it(it.managed.as_ref(), object))
    }

    /// What this very `Grant` gives.
    pub(super) fn grant(&self, object: &ObjectIdentity) -> Option<&'a Grant> {
        let found = self.context.state.grant_of(&self.cluster.name, &object.key);
        found.filter(|it| it.vault == self.agent.vault && is_it(it.managed.as_ref(), object))
    }

    /// What this very `AccessPolicy` says, unless it is only kept in its place.
    pub(super) fn policy(&self, object: &ObjectIdentity) -> Option<&'a Policy> {
        let found = self.context.state.policy_of(&self.cluster.name, &object.key);
        let found = found.filter(|it| it.vault == self.agent.vault && !it.withdrawn);
        found.filter(|it| is_it(it.managed.as_ref(), object))
    }
}

/// The longest name of a person, in bytes: longer ones are cut by the operator.
const MAX_ASKER: usize = 256;

/// Who asks, for the audit, in a form that commands nobody's terminal.
pub(super) fn asker(name: &str) -> Result<String, Refusal> {
    if name.is_empty() || name.len() > MAX_ASKER {
        return Err(invalid(format!("askedBy is from 1 to {MAX_ASKER} bytes")));
    }
    Ok(format!("{name:?}"))
}

fn is_it(managed: Option<&Managed>, object: &ObjectIdentity) -> bool {
    managed.is_some_and(|it| it.object.uid == object.uid)
}

/// The names must be ones that Kubernetes allows, and the uid one that it gives.
pub(super) fn check_identity(object: &ObjectIdentity) -> Result<(), Refusal> {
    check_key(&object.key)?;
    check_uid("uid", &object.uid, &object.key)
}

fn check_uid(what: &str, uid: &str, key: &ObjectKey) -> Result<(), Refusal> {
    if uid.is_empty() || uid.len() > 64 || !uid.bytes().all(|b| b.is_ascii_graphic()) {
        return Err(invalid(format!("{what} of {key} is not a uid")));
    }
    Ok(())
}

/// The object must have names and uids that Kubernetes gives.
pub(super) fn check_object(object: &ObjectMeta) -> Result<(), Refusal> {
    check_key(&object.key)?;
    check_uid("uid", &object.uid, &object.key)?;
    check_uid("namespaceUid", &object.namespace_uid, &object.key)
}

/// The names must be ones that Kubernetes allows: they stand in messages, in the audit and in machine names.
pub(super) fn check_key(key: &ObjectKey) -> Result<(), Refusal> {
    let plain = |text: &str, more: &[u8], longest: usize| {
        let edge = |b: Option<u8>| b.is_some_and(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
        text.len() <= longest
            && edge(text.bytes().next())
            && edge(text.bytes().last())
            && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || more.contains(&b))
    };
    if !plain(&key.namespace, b"-", 63) {
        return Err(invalid("namespace is not the name of a Kubernetes namespace".to_owned()));
    }
    if !plain(&key.name, b"-.", 253) {
        return Err(invalid("name is not the name of a Kubernetes object".to_owned()));
    }
    Ok(())
}

/// An older generation of the same object never replaces a newer one: a request that was held up does no harm.
pub(super) fn check_generation(held: Option<&Managed>, object: &ObjectMeta) -> Result<(), Refusal> {
    match held {
        Some(held) if held.object.uid == object.uid && object.generation < held.object.generation => {
            let text = format!(
                "generation {} of {} is in force already: generation {} is older",
                held.object.generation, object.key, object.generation
            );
            Err(Refusal::new(RefusalKind::Conflict, text).code(ErrorCode::Superseded))
        }
        _ => Ok(()),
    }
}
