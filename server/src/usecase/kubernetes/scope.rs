//! For which cluster an agent speaks, and which objects are objects.

use sikkerkey_protocol::error_body::ErrorCode;
use sikkerkey_protocol::id::ProjectId;
use sikkerkey_protocol::kubernetes::{ObjectKey, ObjectMeta};

use crate::audit::entry::{Action, Entry};
use crate::decision::Context;
use crate::model::agent::Agent;
use crate::model::cluster::Cluster;
use crate::model::managed::Managed;
use crate::refusal::{Refusal, RefusalKind};
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
}

/// The object must have names and uids that Kubernetes gives.
pub(super) fn check_object(object: &ObjectMeta) -> Result<(), Refusal> {
    check_key(&object.key)?;
    for (what, uid) in [("uid", &object.uid), ("namespaceUid", &object.namespace_uid)] {
        if uid.is_empty() || uid.len() > 64 || !uid.bytes().all(|b| b.is_ascii_graphic()) {
            return Err(invalid(format!("{what} of {} is not a uid", object.key)));
        }
    }
    Ok(())
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

pub(super) fn invalid(text: String) -> Refusal {
    Refusal::new(RefusalKind::Invalid, text)
}
