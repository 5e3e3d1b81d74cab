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
