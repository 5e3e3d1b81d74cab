//! A vault as tests of the management plane find it: who manages it, and what is in it and elsewhere.

use std::collections::BTreeSet;

use sikkerkey_protocol::enrolment::Register;
use sikkerkey_protocol::id::{MachineId, ProjectId, SecretId, VaultId};
use sikkerkey_protocol::kubernetes::{Charset, Generator};
use sikkerkey_protocol::management::Scope;
use sikkerkey_protocol::secret_text::SecretText;

use super::Manager;
use crate::audit::entry::{Action, Actor};
use crate::decision::{Context, Decided};
use crate::model::Entity;
use crate::model::account::Vault;
use crate::model::agent::Agent;
use crate::model::machine::{HostOf, Machine, Temporary};
use crate::refusal::Refusal;
use crate::usecase::fixture::*;
use crate::usecase::{admin, register};

/// Vault `vault_v` with projects `shop` and `bank`, each with secrets `one` and `two`; vault `vault_w` with a project
/// `theirs`. Whoever manages has every scope and sees every project.
pub(in crate::usecase) struct Office {
    pub(in crate::usecase) bench: Bench,
    pub(in crate::usecase) agent: Agent,
    pub(in crate::usecase) shop: ProjectId,
    pub(in crate::usecase) bank: ProjectId,
    pub(in crate::usecase) theirs: ProjectId,
}

pub(in crate::usecase) fn vault() -> VaultId {
    "vault_v".parse().unwrap()
}

pub(in crate::usecase) fn other_vault() -> VaultId {
    "vault_w".parse().unwrap()
}

impl Office {
    pub(in crate::usecase) fn open() -> Self {
        let mut bench = Bench::new();
        bench.put(Entity::Vault(Vault { id: other_vault(), account: "account".into(), name: "others".into() }));
        let [shop, bank, theirs] =
            [("shop", vault()), ("bank", vault()), ("theirs", other_vault())].map(|(name, vault)| {
                let project = bench.run(|it| admin::project::create(it, &vault, name)).unwrap();
                for name in ["one", "two"] {
                    let content =
                        admin::secret::Content::Made(Generator { length: 20, charset: Charset::Alphanumeric });
                    bench.run(|it| admin::secret::create(it, project.as_str(), name, content)).unwrap();
                }
                project
            });
        let agent = Agent {
            cluster: None,
            pod: None,
            name: "assistant".into(),
            scopes: Some(Scope::ALL.iter().copied().collect()),
            ..Bench::agent("prod")
        };
        bench.put(Entity::Agent(agent.clone()));
        Self { bench, agent, shop, bank, theirs }
    }

    /// Whoever manages sees these projects alone.
    pub(in crate::usecase) fn sees(&mut self, projects: &[&ProjectId]) {
        self.agent.projects = Some(projects.iter().map(|it| (*it).clone()).collect::<BTreeSet<_>>());
        self.bench.put(Entity::Agent(self.agent.clone()));
    }

    pub(in crate::usecase) fn ask<T>(
        &mut self,
        ask: impl FnOnce(&Context<'_>, &Manager<'_>) -> Decided<T>,
    ) -> Result<T, Refusal> {
        let agent = self.bench.state.agents.get(&self.agent.id).unwrap_or(&self.agent).clone();
        let manager = Manager::admit(&agent, source(), None)?;
        let answer = self.bench.run(|context| ask(context, &manager))?;
        // Every request leaves a row of whoever asked.
        let own = |it: &&crate::audit::entry::Entry| it.actor == Actor::Agent(self.agent.id.clone());
        assert!(!self.bench.audit.is_empty() && self.bench.audit.iter().all(|it| own(&it)), "{:?}", self.bench.audit);
        Ok(answer)
    }

    /// A host that registered and waits.
    pub(in crate::usecase) fn host(&mut self, vault: &VaultId, name: &str, n: u8) -> MachineId {
        let (token, _) = self.bench.run(|it| admin::machine::bootstrap(it, vault, Some(name.into()))).unwrap();
        let request = Register {
            token: SecretText::new(token.expose().to_owned()),
            public_key: key(n).public_key(),
            proof: None,
            hostname: Some(format!("{name}.example.com")),
            os: Some("Debian 13".into()),
        };
        self.bench.run(|it| register::register(it, source(), request)).unwrap().machine_id
    }

    /// A host that a person approved.
    pub(in crate::usecase) fn approved(&mut self, name: &str, n: u8) -> MachineId {
        let id = self.host(&vault(), name, n);
        self.bench.run(|it| admin::machine::approve(it, id.as_str())).unwrap();
        id
    }

    /// A host that a person approved, as a member of a project.
    pub(in crate::usecase) fn member(&mut self, name: &str, n: u8, project: &ProjectId) -> MachineId {
        let id = self.approved(name, n);
        self.bench.run(|it| admin::project::add_machine(it, project.as_str(), &id)).unwrap();
        id
    }

    pub(in crate::usecase) fn machine(&self, id: &MachineId) -> &Machine {
        &self.bench.state.machines[id]
    }

    /// A machine with what is known of hosts changed.
    pub(in crate::usecase) fn change_host(&mut self, id: &MachineId, change: impl FnOnce(&mut HostOf)) {
        let mut machine = self.machine(id).clone();
        let mut host = machine.host.take().unwrap_or_default();
        change(&mut host);
        machine.host = Some(host);
        self.bench.put(Entity::Machine(machine));
    }

    /// A temporary host of so many seconds that waits.
    pub(in crate::usecase) fn temporary(&mut self, name: &str, n: u8, lifetime_seconds: u64) -> MachineId {
        let id = self.host(&vault(), name, n);
        self.change_host(&id, |it| it.temporary = Some(Temporary { lifetime_seconds }));
        id
    }

    pub(in crate::usecase) fn secret(&self, project: &ProjectId, name: &str) -> SecretId {
        self.bench.state.secret_named(project, name).unwrap().id.clone()
    }

    /// What the last decision's first row is, and says.
    #[track_caller]
    pub(in crate::usecase) fn wrote(&self, action: Action, detail: &str) {
        let row = &self.bench.audit[0];
        assert_eq!((row.action, row.detail.as_str()), (action, detail));
    }
}
