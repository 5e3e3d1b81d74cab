use sikkerkey_protocol::id::ProjectId;
use sikkerkey_protocol::kubernetes::Kind;

use super::*;
use crate::audit::entry::Action;
use crate::usecase::admin;
use crate::usecase::fixture::*;
use crate::usecase::management::office::*;

fn named(name: &str) -> CreateProject {
    CreateProject { name: name.into(), description: None }
}

fn confirm(name: &str) -> DeleteProject {
    DeleteProject { preview: false, confirm_name: Some(name.into()) }
}

impl Office {
    fn names(&mut self) -> Vec<String> {
        let projects = self.ask(|it, manager| list(it, manager, [])).unwrap().projects;
        projects.into_iter().map(|it| it.name).collect()
    }

    fn remove(&mut self, project: &ProjectId, name: &str) -> Result<ProjectDeletion, Refusal> {
        self.ask(|it, manager| delete(it, manager, [project.as_str()], confirm(name)))
    }
}

#[test]
fn a_project_is_made_changed_and_listed() {
    let mut office = Office::open();
    let wanted = CreateProject { description: Some("where it is sold".into()), ..named("market") };
    let made = office.ask(|it, manager| create(it, manager, [], wanted)).unwrap();
    assert_eq!((made.name.as_str(), made.description.as_str()), ("market", "where it is sold"));
    assert_eq!(made.created_at, Some(office.bench.now.0));
    office.wrote(Action::ProjectCreate, "project market");
    assert_eq!(office.names(), ["bank", "market", "shop"]);

    let id = made.id.to_string();
    let to = UpdateProject { name: Some("bazaar".into()), description: None };
    let changed = office.ask(|it, manager| update(it, manager, [&id], to)).unwrap();
    assert_eq!((changed.name.as_str(), changed.description.as_str()), ("bazaar", "where it is sold"));
    office.ask(|it, manager| update(it, manager, [&id], UpdateProject::default())).unwrap();
    assert_eq!((office.bench.changes, office.bench.actions()), (0, vec![Action::ManagementRead]));

    let held = format!("vault vault_v has a project shop already: {}", office.shop);
    let to = UpdateProject { name: Some("shop".into()), description: None };
    refused(office.ask(|it, manager| update(it, manager, [&id], to)), RefusalKind::Conflict, None, &held);
    refused(office.ask(|it, manager| create(it, manager, [], named("shop"))), RefusalKind::Conflict, None, &held);
    let text = "the name of a project has at most 100 characters";
    let long = named(&"x".repeat(101));
    refused(office.ask(|it, manager| create(it, manager, [], long)), RefusalKind::Invalid, None, text);
    let text = "the description must be at most 1024 printable characters";
    let to = UpdateProject { name: None, description: Some("a\nb".into()) };
    refused(office.ask(|it, manager| update(it, manager, [&id], to)), RefusalKind::Invalid, None, text);
}

#[test]
fn a_project_that_an_agent_makes_is_on_its_list() {
    let mut office = Office::open();
    let shop = office.shop.clone();
    office.sees(&[&shop]);
    assert_eq!(office.names(), ["shop"]);
    let made = office.ask(|it, manager| create(it, manager, [], named("market"))).unwrap();
    assert_eq!(office.names(), ["market", "shop"]);
    office.ask(|it, manager| delete(it, manager, [made.id.as_str()], confirm("market"))).unwrap();

    let bank = office.bank.clone();
    let text = "this vault has no project of that id";
    for id in [bank.as_str(), office.theirs.clone().as_str(), "proj_nowhere", "nothing"] {
        let to = UpdateProject::default();
        refused(office.ask(|it, manager| update(it, manager, [id], to)), RefusalKind::NotFound, None, text);
        let wanted = confirm("bank");
        refused(office.ask(|it, manager| delete(it, manager, [id], wanted)), RefusalKind::NotFound, None, text);
    }
}

#[test]
fn a_project_goes_with_everything_in_it_when_its_name_is_said_once_more() {
    use Action::{GrantDelete, PolicyDelete, ProjectDelete, SecretDelete};
    let mut office = Office::open();
    let shop = office.shop.clone();
    let machine = office.member("nas", 1, &shop);
    let secrets = ["one", "two"].map(|it| office.secret(&shop, it));
    office.bench.run(|it| admin::grant::create(it, &machine, &secrets, None)).unwrap();
    office.bench.run(|it| admin::canary::arm(it, &secrets[1], true, false)).unwrap();
    office.bench.run(|it| admin::secret::delete(it, &secrets[0])).unwrap();
    let policy = sikkerkey_protocol::policy::PolicyDocument {
        ip_allowlist: Some(vec!["10.0.0.0/8".into()]),
        ..Default::default()
    };
    office.bench.run(|it| admin::policy::set(it, shop.as_str(), "office", policy.clone())).unwrap();

    let preview = DeleteProject { preview: true, confirm_name: None };
    let told = office.ask(|it, manager| delete(it, manager, [shop.as_str()], preview)).unwrap();
    assert_eq!((told.secrets, told.grants, told.policies, told.canaries, told.memberships), (2, 1, 1, 1, 1));
    assert_eq!(office.bench.changes, 0);
    let text = "give confirmName, the project's exact name, or preview: true, which only tells what would fall";
    let nothing = office.ask(|it, manager| delete(it, manager, [shop.as_str()], DeleteProject::default()));
    refused(nothing, RefusalKind::Invalid, None, text);
    let text =
        format!("the name to confirm with is not that of project {shop}: everything in it would be gone for good");
    refused(office.remove(&shop, "Shop"), RefusalKind::Conflict, None, &text);

    let gone = office.remove(&shop, "shop").unwrap();
    assert_eq!(gone, ProjectDeletion { preview: false, ..told });
    assert_eq!(office.bench.actions(), [SecretDelete, SecretDelete, GrantDelete, PolicyDelete, ProjectDelete]);
    let state = &office.bench.state;
    assert!(!state.projects.contains_key(&shop) && state.grants.is_empty() && state.policies.is_empty());
    assert!(state.canaries.is_empty() && state.memberships_of(&machine).next().is_none());
    assert!(secrets.iter().all(|id| !state.secrets.contains_key(id) && state.value(id).is_none()));
    // What is elsewhere stays, the machine among it.
    assert_eq!((state.secrets.len(), state.machines.len()), (4, 1));
    assert_eq!(office.names(), ["bank"]);
}

#[test]
fn what_a_person_protects_does_not_go_with_its_project() {
    let mut office = Office::open();
    let shop = office.shop.clone();
    let policy = sikkerkey_protocol::policy::PolicyDocument {
        ip_allowlist: Some(vec!["10.0.0.0/8".into()]),
        ..Default::default()
    };
    office.bench.run(|it| admin::policy::set(it, shop.as_str(), "office", policy)).unwrap();
    office.bench.run(|it| admin::policy::protect(it, shop.as_str(), "office")).unwrap();
    let refusal = office.remove(&shop, "shop").unwrap_err();
    assert_eq!(refusal.kind, RefusalKind::Conflict);
    assert!(refusal.message.ends_with("an agent may not remove it"), "{}", refusal.message);
    office.bench.run(|it| admin::project::delete(it, shop.as_str(), Some("shop"))).unwrap();
    assert!(!office.bench.state.projects.contains_key(&shop));
}

#[test]
fn a_canary_and_a_frozen_project_go_by_the_hand_alone_that_may_set_canaries_up() {
    use sikkerkey_protocol::management::{RenameSecret, Scope};

    let mut office = Office::open();
    let (shop, bank) = (office.shop.clone(), office.bank.clone());
    let trap = office.secret(&shop, "one");
    office.bench.run(|it| admin::canary::arm(it, &trap, true, false)).unwrap();
    office.bench.run(|it| admin::project::set_frozen(it, bank.as_str(), true)).unwrap();
    let (every, few) = (office.agent.scopes.clone(), [Scope::ProjectsWrite, Scope::SecretsWrite]);
    office.agent.scopes = Some(few.into());
    office.bench.put(crate::model::Entity::Agent(office.agent.clone()));
    let text = "this needs the scope projects.policies.write: a person gives it with sikkerkey-server admin agent";
    let preview = || DeleteProject { preview: true, confirm_name: None };
    for (id, name) in [(&shop, "shop"), (&bank, "bank")] {
        refused(office.remove(id, name), RefusalKind::Forbidden, None, text);
        let told = office.ask(|it, manager| delete(it, manager, [id.as_str()], preview()));
        refused(told, RefusalKind::Forbidden, None, text);
    }
    let ids = [shop.as_str(), trap.as_str()];
    let rename = |office: &mut Office| {
        let to = RenameSecret { name: "other".into() };
        office.ask(|it, manager| crate::usecase::management::secret::rename(it, manager, ids, to))
    };
    refused(rename(&mut office), RefusalKind::Forbidden, None, text);
    let plain = office.ask(|it, manager| create(it, manager, [], named("market"))).unwrap().id;
    office.remove(&plain, "market").unwrap();

    office.agent.scopes = every;
    office.bench.put(crate::model::Entity::Agent(office.agent.clone()));
    rename(&mut office).unwrap();
    office.remove(&shop, "shop").unwrap();
    office.remove(&bank, "bank").unwrap();
}

#[test]
fn what_objects_stand_for_in_a_namespace_is_deleted_there() {
    let mut office = Office::open();
    office.bench.apply_machine(workload("web")).unwrap();
    office.bench.apply_secret(generated("db")).unwrap();
    let project = office.bench.secret("db").project.clone();
    let objects = |what: &str| {
        format!(
            "project shop holds {what} of cluster prod, and what an object stands for is deleted there: delete it first"
        )
    };
    refused(office.remove(&project, "shop"), RefusalKind::Conflict, None, &objects("Machine shop/web"));
    office.bench.delete(deleted(Kind::Machine, "web")).unwrap();
    refused(office.remove(&project, "shop"), RefusalKind::Conflict, None, &objects("Secret shop/db"));
    let to = UpdateProject { name: Some("market".into()), description: None };
    let text = "project shop is namespace shop of cluster prod, and called like it";
    refused(office.ask(|it, manager| update(it, manager, [project.as_str()], to)), RefusalKind::Conflict, None, text);
    let to = UpdateProject { name: None, description: Some("where it is sold".into()) };
    office.ask(|it, manager| update(it, manager, [project.as_str()], to)).unwrap();
    // In the trash it waits for nobody's object.
    let trash = sikkerkey_protocol::kubernetes::Delete { trash: true, ..deleted(Kind::Secret, "db") };
    office.bench.delete(trash).unwrap();
    office.remove(&project, "shop").unwrap();
}
