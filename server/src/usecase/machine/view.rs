//! Machines and fleets for whoever looks at them, as far as he sees the projects they have to do with.

use sikkerkey_protocol::id::ProjectId;
use sikkerkey_protocol::key::PublicKey;
use sikkerkey_protocol::management::{
    ExtensionView, FirstContactView, FormerName, MachineDetail, MachineKind, MachineMembership, MachineRevocation,
    MachineRow, NameHistory, PodView,
};

use super::{Falls, falls, replaced};
use crate::ledger::Ledger;
use crate::model::fleet::{Fleet, FleetSubject};
use crate::model::machine::{EarlierName, Grantee, Machine, PodOf};
use crate::model::secret::SecretPhase;
use crate::state::State;

/// What there is to look at, and which projects are seen.
pub(crate) struct Viewer<'a, S> {
    pub(crate) state: &'a State,
    pub(crate) ledger: &'a Ledger,
    pub(crate) sees: S,
}

/// What sort of machine it is.
pub(crate) fn kind(machine: &Machine) -> MachineKind {
    if machine.pod.is_some() || machine.enrolled_by.is_some() {
        MachineKind::Ephemeral
    } else if machine.host.as_ref().is_some_and(|it| it.temporary.is_some()) {
        MachineKind::Temp
    } else {
        MachineKind::Standard
    }
}

impl<S: Fn(&ProjectId) -> bool> Viewer<'_, S> {
    /// A machine among others.
    pub(crate) fn row(&self, machine: &Machine) -> MachineRow {
        let seen = self.ledger.seen(&machine.id);
        let contact = machine.host.as_ref().and_then(|it| it.first_contact.as_ref());
        MachineRow {
            id: machine.id.to_string(),
            name: machine.name.clone(),
            kind: kind(machine),
            approval: machine.approval,
            enabled: machine.enabled,
            last_seen: seen.map(|it| it.at.0),
            address: seen.and_then(|it| it.address).or_else(|| contact.map(|it| it.address)),
            os: contact.and_then(|it| it.os.clone()),
            hostname: machine.hostname.clone(),
            project_count: self.memberships(machine).count(),
            grant_count: self.granted(&machine.grantee()),
            created_at: Some(machine.created_at.0),
            expires_at: machine.expires_at.map(|it| it.0),
            fingerprint: Some(machine.public_key.fingerprint()),
            fleet_id: machine.fleet.clone(),
            managed_by: machine.fleet.as_ref().and_then(|it| self.state.fleets.get(it)).map(object),
            replaces: replaced(self.state, machine).map(|it| it.id.clone()),
        }
    }

    /// A fleet among the machines.
    pub(crate) fn fleet_row(&self, fleet: &Fleet) -> MachineRow {
        let machines = || self.state.machines_in(&fleet.id);
        let pinned = match &fleet.subject {
            FleetSubject::Host { public_key, .. } => public_key.as_ref(),
            FleetSubject::Workload { .. } => None,
        };
        let last = machines().filter_map(|it| self.ledger.seen(&it.id)).max_by_key(|it| it.at);
        MachineRow {
            id: fleet.id.to_string(),
            name: fleet.managed.object.key.to_string(),
            kind: MachineKind::Fleet,
            approval: fleet.approval,
            enabled: !fleet.suspended,
            last_seen: last.map(|it| it.at.0),
            address: last.and_then(|it| it.address),
            os: None,
            hostname: None,
            project_count: usize::from((self.sees)(&fleet.project)),
            grant_count: self.granted(&Grantee::Fleet(fleet.id.clone())),
            created_at: None,
            expires_at: None,
            fingerprint: pinned.map(PublicKey::fingerprint),
            fleet_id: None,
            managed_by: Some(object(fleet)),
            replaces: None,
        }
    }

    /// One machine.
    pub(crate) fn detail(&self, machine: &Machine) -> MachineDetail {
        let host = machine.host.as_deref();
        let mut memberships: Vec<_> = self.memberships(machine).collect();
        memberships.sort_by(|a, b| (&a.project_name, &a.project_id).cmp(&(&b.project_name, &b.project_id)));
        let contact = host.and_then(|it| it.first_contact.as_ref());
        let extensions = host.into_iter().flat_map(|it| &it.extensions).map(|it| ExtensionView {
            at: it.at.0,
            by: it.by.clone(),
            reason: it.reason.clone(),
            from: it.from.0,
            to: it.to.0,
            reverted_at: it.reverted_at.map(|it| it.0),
        });
        MachineDetail {
            machine: self.row(machine),
            memberships,
            enrollment_token_id: machine.enrolled_by.clone(),
            approved_by_person: machine.approved_by_person,
            first_contact: contact.map(|it| FirstContactView {
                at: it.at.0,
                address: it.address,
                os: it.os.clone(),
                hostname: machine.hostname.clone(),
            }),
            pod: machine.pod.as_ref().map(pod_view),
            extensions: extensions.collect(),
            guardrails: host.and_then(|it| it.guardrails.clone()).unwrap_or_default(),
        }
    }

    /// One fleet.
    pub(crate) fn fleet_detail(&self, fleet: &Fleet) -> MachineDetail {
        let project = self.state.projects.get(&fleet.project).filter(|it| (self.sees)(&it.id));
        MachineDetail {
            machine: self.fleet_row(fleet),
            memberships: project
                .into_iter()
                .map(|it| MachineMembership {
                    project_id: it.id.clone(),
                    project_name: it.name.clone(),
                    added_at: it.created_at.map_or(0, |it| it.0),
                })
                .collect(),
            enrollment_token_id: None,
            approved_by_person: false,
            first_contact: None,
            pod: None,
            extensions: Vec::new(),
            guardrails: sikkerkey_protocol::management::Guardrails::default(),
        }
    }

    fn memberships<'m>(&'m self, machine: &'m Machine) -> impl Iterator<Item = MachineMembership> + 'm {
        let seen = self.state.memberships_of(&machine.id).filter(|it| (self.sees)(&it.project));
        seen.map(|it| MachineMembership {
            project_id: it.project.clone(),
            project_name: self.state.projects.get(&it.project).map(|it| it.name.clone()).unwrap_or_default(),
            added_at: it.since.0,
        })
    }

    fn granted(&self, grantee: &Grantee) -> usize {
        let secrets = self.state.secrets_granted_to(grantee);
        secrets.filter(|it| it.phase == SecretPhase::Active && (self.sees)(&it.project)).count()
    }
}

/// Where a pod runs.
pub(crate) fn pod_view(it: &PodOf) -> PodView {
    PodView {
        cluster: it.cluster.to_string(),
        namespace: it.pod.namespace.to_string(),
        name: it.pod.name.to_string(),
        uid: it.pod.uid.to_string(),
        node: it.pod.node.to_string(),
        service_account: it.pod.service_account.to_string(),
    }
}

/// What falls with a machine's identity.
pub(crate) fn revocation(state: &State, machine: &Machine, preview: bool) -> MachineRevocation {
    let Falls { memberships, grants, secrets } = falls(state, machine);
    MachineRevocation { id: machine.id.to_string(), name: machine.name.clone(), preview, memberships, grants, secrets }
}

/// What something was called.
pub(crate) fn history(id: String, name: String, names: &[EarlierName]) -> NameHistory {
    let former = |it: &EarlierName| FormerName { name: it.name.clone(), until: it.until.0 };
    NameHistory { id, name, history: names.iter().map(former).collect() }
}

/// The object that speaks for a fleet.
pub(crate) fn object(fleet: &Fleet) -> String {
    format!("Machine {} of cluster {}", fleet.managed.object.key, fleet.managed.cluster)
}
