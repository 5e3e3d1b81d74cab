use std::collections::BTreeSet;

use sikkerkey_protocol::id::{MachineId, ProjectId, SecretId};

use super::*;
use crate::audit::entry::Severity;
use crate::model::millis::Millis;
use crate::usecase::admin::{canary as arming, grant, machine, project, secret};
use crate::usecase::fixture::*;

/// Projects `a`, `b` and `c` with a secret each; hosts 5 in `a` and `b`, 6 in `c` alone.
struct Yard {
    bench: Bench,
    projects: Vec<ProjectId>,
    secrets: Vec<SecretId>,
    hosts: Vec<MachineId>,
}

fn yard() -> Yard {
    let mut bench = Bench::new();
    let vault = "vault_v".parse().unwrap();
    let (mut projects, mut secrets, mut hosts) = (Vec::new(), Vec::new(), Vec::new());
    for name in ["a", "b", "c"] {
        projects.push(bench.run(|it| project::create(it, &vault, name)).unwrap());
        let content = secret::Content::Given(sikkerkey_protocol::secret_text::SecretText::new("v".into()), vec![]);
        secrets.push(bench.run(|it| secret::create(it, name, "trap", content)).unwrap());
    }
    for n in [5, 6] {
        let token = bench.run(|it| machine::bootstrap(it, &vault, Some(format!("host-{n}")))).unwrap().0;
        hosts.push(bench.register(token.expose(), n).unwrap().machine_id);
    }
    for (project, host) in [("a", 0), ("b", 0), ("c", 1)] {
        bench.run(|it| project::add_machine(it, project, &hosts[host])).unwrap();
    }
    Yard { bench, projects, secrets, hosts }
}

impl Yard {
    /// The names of the projects that a read of the secret of project `a` freezes, and the row.
    fn springs(&self) -> Option<(BTreeSet<String>, Entry)> {
        let state = &self.bench.state;
        let host = &state.machines[&self.hosts[0]];
        let (changes, entry) = spring(state, host, source(), &self.secrets[0], self.bench.now)?;
        let frozen = changes.into_iter().filter_map(|change| match change {
            Change::Put(it) => match *it {
                Entity::Project(it) if it.frozen => Some(it.name),
                Entity::Canary(it) if it.trips == 1 => None,
                other => panic!("{other:?}"),
            },
            other => panic!("{other:?}"),
        });
        Some((frozen.collect(), entry))
    }

    fn arm(&mut self, freeze_project: bool, freeze_related: bool) {
        let id = self.secrets[0].clone();
        self.bench.run(|it| arming::arm(it, &id, freeze_project, freeze_related)).unwrap();
    }
}

#[test]
fn an_ordinary_secret_springs_nothing() {
    assert!(yard().springs().is_none());
}

#[test]
fn a_canary_freezes_what_it_is_told_to() {
    for (freeze_project, freeze_related, frozen) in
        [(false, false, &[] as &[&str]), (true, false, &["a"]), (true, true, &["a", "b"]), (false, true, &["b"])]
    {
        let mut yard = yard();
        yard.arm(freeze_project, freeze_related);
        let (names, entry) = yard.springs().unwrap();
        assert_eq!(names.iter().map(String::as_str).collect::<Vec<_>>(), frozen);
        assert_eq!((entry.action, entry.action.severity()), (Action::CanaryTriggered, Severity::Critical));
        assert_eq!((entry.machine.as_ref(), entry.source_ip), (Some(&yard.hosts[0]), Some(source().address)));
        assert_eq!(entry.project.as_ref(), Some(&yard.projects[0]));
        assert!(entry.detail.starts_with("canary trap was read by machine host-5: "), "{}", entry.detail);
    }
}

#[test]
fn a_fleet_that_is_granted_something_shares_machines_too() {
    let mut yard = yard();
    yard.arm(true, true);
    yard.bench.apply_machine(workload("web")).unwrap();
    yard.bench.apply_secret(generated("db")).unwrap();
    yard.bench.apply_grant(super::super::fixture::grant("g", "web", &["db"])).unwrap();
    assert!(!yard.springs().unwrap().0.contains("shop"));
    // A grant by hand of the canary's project to the fleet ties the two together.
    let fleet = yard.bench.state.fleets.keys().next().unwrap().clone();
    yard.bench.put(Entity::Grant(crate::model::grant::Grant {
        id: "by-hand".into(),
        vault: "vault_v".parse().unwrap(),
        project: yard.projects[0].clone(),
        grantee: Grantee::Fleet(fleet),
        secrets: vec![yard.secrets[0].clone()],
        expires_at: None,
        managed: None,
    }));
    assert!(yard.springs().unwrap().0.contains("shop"));
}

#[test]
fn what_is_frozen_already_is_not_frozen_again_and_the_read_is_told_all_the_same() {
    let mut yard = yard();
    yard.arm(true, false);
    yard.bench.run(|it| project::set_frozen(it, "a", true)).unwrap();
    let (names, entry) = yard.springs().unwrap();
    assert!(names.is_empty());
    assert!(entry.detail.ends_with("nothing was frozen"), "{}", entry.detail);
    // Unfreezing leaves it armed; disarming makes it an ordinary secret.
    yard.bench.run(|it| project::set_frozen(it, "a", false)).unwrap();
    assert_eq!(yard.springs().unwrap().0.len(), 1);
    let id = yard.secrets[0].clone();
    yard.bench.run(|it| arming::disarm(it, &id)).unwrap();
    assert!(yard.springs().is_none());
}

#[test]
fn a_canary_in_the_trash_goes_with_its_secret() {
    let mut yard = yard();
    yard.arm(true, false);
    let id = yard.secrets[0].clone();
    yard.bench.run(|it| grant::create(it, &yard.hosts[0], std::slice::from_ref(&id), None)).unwrap();
    yard.bench.run(|it| secret::delete(it, &id)).unwrap();
    yard.bench.now = Millis(yard.bench.now.0 + 30 * 86_400_000);
    yard.bench.run(crate::usecase::housekeeping::run).unwrap();
    assert!(yard.bench.state.canaries.is_empty() && !yard.bench.state.secrets.contains_key(&id));
}
