//! What the operator manages in a vault: clusters, namespaces, and the objects of each kind, as the server holds them.

use std::collections::BTreeSet;

use sikkerkey_protocol::id::{ProjectId, SecretId};
use sikkerkey_protocol::kubernetes::{GrantState, Kind, MachineState, PolicyState, SecretState};
use sikkerkey_protocol::policy::PolicyDocument;

use super::Manager;
use super::policy::shown::object_label;
use crate::decision::{Context, Decided};
use crate::model::fleet::{Fleet, FleetSubject};
use crate::model::grant::Grant;
use crate::model::machine::Grantee;
use crate::model::managed::Managed;
use crate::model::millis::Millis;
use crate::model::policy::Policy;
use crate::model::secret::{Secret, SecretPhase};
use crate::state::State;
use crate::usecase::co_sign::reader;
use crate::usecase::kubernetes::standing;
use crate::usecase::steps::Steps;

/// Rows of a page.
pub const PAGE: usize = 50;
/// The kinds, in the order in which they are listed.
pub const KINDS: [Kind; 4] = [Kind::Machine, Kind::Secret, Kind::Grant, Kind::AccessPolicy];

/// Which objects are asked for.
#[derive(Clone, Debug, Default)]
pub struct Asked {
    /// What stands in the name; empty: anything.
    pub text: String,
    /// Of this cluster; none: of any.
    pub cluster: Option<String>,
    /// Of this namespace; none: of any.
    pub namespace: Option<String>,
    /// Of this kind; none: of any.
    pub kind: Option<Kind>,
    /// Which page, from 1.
    pub page: usize,
}

/// A page of objects.
#[derive(Debug)]
pub struct Objects {
    /// The clusters that the vault trusts.
    pub clusters: Vec<ClusterRow>,
    /// The namespaces that have objects.
    pub namespaces: BTreeSet<String>,
    /// The objects, by cluster, namespace, kind and name.
    pub rows: Vec<Row>,
    /// Which page it is.
    pub page: usize,
    /// How many are found.
    pub total: usize,
    /// How many there are.
    pub all: usize,
}

/// A cluster that the vault trusts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClusterRow {
    /// Its name.
    pub name: String,
    /// Who its service accounts' tokens are by.
    pub issuer: String,
    /// The operator's service account.
    pub subject: String,
    /// How many objects it has here, in the order of [`KINDS`].
    pub counts: [usize; 4],
    /// How many namespaces have objects.
    pub namespaces: usize,
}

/// An object, as the server holds it.
#[derive(Debug)]
pub struct Row {
    /// The kind.
    pub kind: Kind,
    /// Its cluster.
    pub cluster: String,
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// What it is called in answers.
    pub object: String,
    /// `metadata.generation` of what is held.
    pub generation: i64,
    /// The project of its namespace.
    pub project: ProjectId,
    /// What it stands for here.
    pub held: Held,
}

/// What an object stands for.
#[derive(Debug)]
pub enum Held {
    /// A fleet.
    Machine {
        /// Its id.
        id: String,
        /// How it stands.
        state: MachineState,
        /// Whether it is one host.
        is_host: bool,
        /// The service accounts of its pods.
        service_accounts: Vec<String>,
    },
    /// A secret.
    Secret {
        /// Its id.
        id: SecretId,
        /// How it stands.
        state: SecretState,
        /// The policy that it names.
        policy: Option<String>,
    },
    /// A grant.
    Grant {
        /// Who reads.
        grantee: Grantee,
        /// What that is called.
        reader: String,
        /// The machine's own object, where it has one.
        machine: Option<(String, String)>,
        /// How it stands.
        state: GrantState,
        /// When it ends.
        expires_at: Option<Millis>,
    },
    /// A policy.
    Policy {
        /// Its id.
        id: String,
        /// How it stands.
        state: PolicyState,
        /// What it says.
        document: PolicyDocument,
        /// Whether its object is gone.
        withdrawn: bool,
    },
}

/// An object, before its row is made.
#[derive(Clone, Copy)]
enum Found<'a> {
    Machine(&'a Fleet),
    Secret(&'a Secret),
    Grant(&'a Grant),
    Policy(&'a Policy),
}

impl<'a> Found<'a> {
    fn kind(self) -> Kind {
        match self {
            Self::Machine(_) => Kind::Machine,
            Self::Secret(_) => Kind::Secret,
            Self::Grant(_) => Kind::Grant,
            Self::Policy(_) => Kind::AccessPolicy,
        }
    }

    fn managed(self) -> Option<&'a Managed> {
        match self {
            Self::Machine(it) => Some(&it.managed),
            Self::Secret(it) => it.managed.as_ref(),
            Self::Grant(it) => it.managed.as_ref(),
            Self::Policy(it) => it.managed.as_ref(),
        }
    }

    fn project(self) -> &'a ProjectId {
        match self {
            Self::Machine(it) => &it.project,
            Self::Secret(it) => &it.project,
            Self::Grant(it) => &it.project,
            Self::Policy(it) => &it.project,
        }
    }
}

/// What the operator manages.
pub fn list(_: &Context<'_>, manager: &Manager<'_>, []: [&str; 0], asked: Asked) -> Decided<Objects> {
    let (vault, sight) = (manager.vault.clone(), manager.sight());
    let mut steps = Steps::default();
    steps.audit.push(manager.looked_at_vault("what Kubernetes manages".to_owned()));
    Ok(steps.decide(move |context| {
        let state = context.state;
        let seen = |it: &(Found<'_>, &Managed)| {
            let is_ours = state.projects.get(it.0.project()).is_some_and(|it| it.vault == vault);
            is_ours && sight.sees(it.0.project())
        };
        let all: Vec<(Found<'_>, &Managed)> = everything(state).filter(seen).collect();
        let clusters = state.clusters.values().filter(|it| it.vault == vault);
        let mut clusters: Vec<_> = clusters.map(|it| cluster(&it.name, &it.issuer, &it.subject, &all)).collect();
        clusters.sort_by(|a, b| a.name.cmp(&b.name));
        let namespaces: BTreeSet<&str> = all.iter().map(|(_, it)| it.object.key.namespace.as_str()).collect();
        let namespaces = namespaces.into_iter().map(str::to_owned).collect();
        let text = asked.text.trim().to_lowercase();
        let mut found: Vec<_> = all.iter().filter(|it| is_asked_for(it, &asked, &text)).collect();
        found.sort_by_cached_key(|(it, managed)| {
            (&managed.cluster, &managed.object.key.namespace, it.kind(), &managed.object.key.name)
        });
        let total = found.len();
        let page = asked.page.clamp(1, total.div_ceil(PAGE).max(1));
        let rows = found.into_iter().skip((page - 1) * PAGE).take(PAGE).map(|it| row(context, *it)).collect();
        Objects { clusters, namespaces, rows, page, total, all: all.len() }
    }))
}

fn everything(state: &State) -> impl Iterator<Item = (Found<'_>, &Managed)> {
    let machines = state.fleets.values().map(Found::Machine);
    let secrets = state.secrets.values().filter(|it| it.phase == SecretPhase::Active).map(Found::Secret);
    let grants = state.grants.values().map(Found::Grant);
    let policies = state.policies.values().map(Found::Policy);
    let all = machines.chain(secrets).chain(grants).chain(policies);
    all.filter_map(|it| Some((it, it.managed()?)))
}

fn is_asked_for((found, managed): &(Found<'_>, &Managed), asked: &Asked, text: &str) -> bool {
    let key = &managed.object.key;
    asked.kind.is_none_or(|it| it == found.kind())
        && asked.cluster.as_ref().is_none_or(|it| *it == managed.cluster)
        && asked.namespace.as_ref().is_none_or(|it| *it == key.namespace)
        && (text.is_empty() || key.name.to_lowercase().contains(text))
}

fn cluster(name: &str, issuer: &str, subject: &str, all: &[(Found<'_>, &Managed)]) -> ClusterRow {
    let ours = || all.iter().filter(|(_, it)| it.cluster == name);
    let counts = KINDS.map(|kind| ours().filter(|(it, _)| it.kind() == kind).count());
    let namespaces: BTreeSet<&str> = ours().map(|(_, it)| it.object.key.namespace.as_str()).collect();
    ClusterRow {
        name: name.to_owned(),
        issuer: issuer.to_owned(),
        subject: subject.to_owned(),
        counts,
        namespaces: namespaces.len(),
    }
}

fn row(context: &Context<'_>, (found, managed): (Found<'_>, &Managed)) -> Row {
    let key = &managed.object.key;
    let kind = found.kind();
    Row {
        kind,
        cluster: managed.cluster.clone(),
        namespace: key.namespace.clone(),
        name: key.name.clone(),
        object: object_label(&format!("{kind:?}"), Some(managed)).unwrap_or_default(),
        generation: managed.object.generation,
        project: found.project().clone(),
        held: held(context, found),
    }
}

fn held(context: &Context<'_>, found: Found<'_>) -> Held {
    let state = context.state;
    match found {
        Found::Machine(it) => {
            let service_accounts = match &it.subject {
                FleetSubject::Workload { service_accounts, .. } => service_accounts.clone(),
                FleetSubject::Host { .. } => Vec::new(),
            };
            let is_host = matches!(it.subject, FleetSubject::Host { .. });
            Held::Machine { id: it.id.to_string(), state: standing::of_machine(context, it), is_host, service_accounts }
        }
        Found::Secret(it) => {
            Held::Secret { id: it.id.clone(), state: standing::of_secret(context, it), policy: it.policy.clone() }
        }
        Found::Grant(it) => {
            let fleet = match &it.grantee {
                Grantee::Fleet(id) => state.fleets.get(id),
                Grantee::Machine(_) => None,
            };
            Held::Grant {
                grantee: it.grantee.clone(),
                reader: reader(state, &it.grantee),
                machine: fleet.map(|it| &it.managed.object.key).map(|it| (it.namespace.clone(), it.name.clone())),
                state: standing::of_grant(context, it, Vec::new()),
                expires_at: it.expires_at,
            }
        }
        Found::Policy(it) => Held::Policy {
            id: it.id.clone(),
            state: standing::of_policy(context, it),
            document: it.document.clone(),
            withdrawn: it.withdrawn,
        },
    }
}

#[cfg(test)]
mod tests;
