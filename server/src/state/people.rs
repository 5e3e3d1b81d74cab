//! What people arrange at the server itself: memberships, applications, enrolment tokens.

use sikkerkey_protocol::id::{MachineId, ProjectId};

use super::State;
use crate::model::application::Application;
use crate::model::enrolment::EnrolmentToken;
use crate::model::machine::Machine;
use crate::model::membership::Membership;

impl State {
    /// The membership of a machine in a project.
    pub fn membership(&self, machine: &MachineId, project: &ProjectId) -> Option<&Membership> {
        self.memberships.get(machine)?.get(project)
    }

    /// The memberships of a machine.
    pub fn memberships_of(&self, machine: &MachineId) -> impl Iterator<Item = &Membership> {
        self.memberships.get(machine).into_iter().flat_map(|it| it.values())
    }

    /// The machines that were made members of a project; those of fleets are none of them.
    pub fn members_of(&self, project: &ProjectId) -> impl Iterator<Item = &MachineId> {
        self.members.get(project).into_iter().flatten()
    }

    /// Whether a grant in this project may let the machine read. A machine of a fleet needs no membership of its own.
    pub fn may_be_granted(&self, machine: &Machine, project: &ProjectId) -> bool {
        machine.fleet.is_some() || self.membership(&machine.id, project).is_some()
    }

    /// The application that a project is in.
    pub fn application_of(&self, project: &ProjectId) -> Option<&Application> {
        self.applications.get(self.application_of_project.get(project)?)
    }

    /// The enrolment token with this hash.
    pub fn enrolment_token(&self, hash: &str) -> Option<&EnrolmentToken> {
        self.enrolment_tokens.get(self.enrolment_token_of_hash.get(hash)?)
    }

    pub(super) fn membership_of_id(&self, id: &str) -> Option<&Membership> {
        let (project, machine) = id.split_once('/')?;
        self.membership(&machine.parse().ok()?, &project.parse().ok()?)
    }

    pub(super) fn put_membership(&mut self, it: Membership) {
        self.members.entry(it.project.clone()).or_default().insert(it.machine.clone());
        self.memberships.entry(it.machine.clone()).or_default().insert(it.project.clone(), it);
    }

    pub(super) fn remove_membership(&mut self, id: &str) {
        let Some(gone) = self.membership_of_id(id).cloned() else { return };
        super::forget_member(&mut self.members, &gone.project, &gone.machine);
        if let Some(projects) = self.memberships.get_mut(&gone.machine) {
            projects.remove(&gone.project);
            if projects.is_empty() {
                self.memberships.remove(&gone.machine);
            }
        }
    }

    pub(super) fn put_application(&mut self, it: Application) {
        for project in &it.projects {
            self.application_of_project.insert(project.clone(), it.id.clone());
        }
        self.applications.insert(it.id.clone(), it);
    }

    pub(super) fn remove_application(&mut self, id: &str) {
        let Some(gone) = self.applications.remove(id) else { return };
        for project in &gone.projects {
            super::remove_if(&mut self.application_of_project, project, |it| it == id);
        }
    }

    pub(super) fn put_enrolment_token(&mut self, it: EnrolmentToken) {
        self.enrolment_token_of_hash.insert(it.hash.clone(), it.id.clone());
        self.enrolment_tokens.insert(it.id.clone(), it);
    }

    pub(super) fn remove_enrolment_token(&mut self, id: &str) {
        if let Some(gone) = self.enrolment_tokens.remove(id) {
            self.enrolment_token_of_hash.remove(&gone.hash);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use sikkerkey_protocol::id::VaultId;

    use super::*;
    use crate::model::millis::Millis;
    use crate::model::{Change, Entity, EntityKey, EntityKind};

    fn vault() -> VaultId {
        "vault_v".parse().unwrap()
    }

    fn project(n: u8) -> ProjectId {
        format!("proj_{n}").parse().unwrap()
    }

    fn machine(n: u8) -> MachineId {
        format!("00000000-0000-4000-8000-0000000000{n:02x}").parse().unwrap()
    }

    fn token(id: u8, hash: u8) -> EnrolmentToken {
        EnrolmentToken {
            id: format!("t{id}"),
            hash: format!("h{hash}"),
            vault: vault(),
            name: "jobs".into(),
            description: String::new(),
            projects: vec![],
            secrets: vec![],
            created_at: Millis(0),
            expires_at: Millis(1),
            machine_lifetime_seconds: 60,
            max_uses: 1,
            uses: 0,
            source_cidr: None,
            hostname_pattern: None,
            name_pattern: None,
            revoked_at: None,
            revoked_because: None,
        }
    }

    fn change() -> impl Strategy<Value = Change> {
        let remove = |kind, id: String| Change::Remove(EntityKey { kind, id });
        prop_oneof![
            (0u8..3, 0u8..3).prop_map(|(p, m)| Change::put(Entity::Membership(Membership {
                vault: vault(),
                project: project(p),
                machine: machine(m),
                since: Millis(0),
            }))),
            (0u8..3, 0u8..3)
                .prop_map(move |(p, m)| remove(EntityKind::Membership, Membership::id(&project(p), &machine(m)))),
            // A project is in one application at most: application n has project n or none.
            (0u8..3, any::<bool>()).prop_map(|(n, has)| Change::put(Entity::Application(Application {
                id: format!("app_{n}"),
                vault: vault(),
                name: format!("a{n}"),
                projects: if has { [project(n)].into() } else { [].into() },
            }))),
            (0u8..3).prop_map(move |n| remove(EntityKind::Application, format!("app_{n}"))),
            // A hash is of one token alone: token n has hash n or n + 4.
            (0u8..3, any::<bool>())
                .prop_map(|(n, other)| Change::put(Entity::EnrolmentToken(token(n, if other { n + 4 } else { n })))),
            (0u8..3).prop_map(move |n| remove(EntityKind::EnrolmentToken, format!("t{n}"))),
        ]
    }

    /// Everything that can be asked about these, as text.
    fn seen(state: &State) -> String {
        let mut text = String::new();
        for n in 0..8 {
            let of_machine: Vec<_> = state.memberships_of(&machine(n)).map(|it| &it.project).collect();
            let of_project: Vec<_> = state.members_of(&project(n)).collect();
            let application = state.application_of(&project(n));
            let token = state.enrolment_token(&format!("h{n}"));
            text = format!("{text}{of_machine:?} {of_project:?} {application:?} {token:?}\n");
        }
        text
    }

    proptest! {
        #[test]
        fn indexes_agree_and_what_is_taken_back_leaves_no_trace(
            before in prop::collection::vec(change(), 0..30),
            group in prop::collection::vec(change(), 0..20),
        ) {
            let mut state = State::default();
            for change in before {
                state.apply(change);
            }
            for (p, m) in (0..3).flat_map(|p| (0..3).map(move |m| (p, m))) {
                let is_member = state.membership(&machine(m), &project(p)).is_some();
                prop_assert_eq!(state.members_of(&project(p)).any(|it| *it == machine(m)), is_member);
                prop_assert_eq!(state.memberships_of(&machine(m)).any(|it| it.project == project(p)), is_member);
            }
            for n in 0..3 {
                let scanned = state.applications.values().find(|it| it.projects.contains(&project(n)));
                prop_assert_eq!(state.application_of(&project(n)), scanned);
            }
            for n in 0..8 {
                let hash = format!("h{n}");
                let scanned = state.enrolment_tokens.values().find(|it| it.hash == hash);
                prop_assert_eq!(state.enrolment_token(&hash), scanned);
            }
            let was = seen(&state);
            let undo: Vec<_> = group.into_iter().map(|change| state.apply_with_undo(change)).collect();
            for step in undo.into_iter().rev() {
                state.undo(step);
            }
            prop_assert_eq!(seen(&state), was);
        }
    }
}
