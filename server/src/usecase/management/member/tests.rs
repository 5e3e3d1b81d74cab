use sikkerkey_protocol::id::MachineId;

use super::*;
use crate::audit::entry::Action;
use crate::usecase::admin;
use crate::usecase::fixture::*;
use crate::usecase::management::office::*;

impl Office {
    fn set(&mut self, machine: &MachineId, ids: Option<&[&str]>) -> Result<Vec<String>, Refusal> {
        let shop = self.shop.clone();
        let wanted = SetGrants { secret_ids: ids.map(|it| it.iter().map(|it| (*it).to_owned()).collect()) };
        let granted = self.ask(|it, manager| set_grants(it, manager, [shop.as_str(), machine.as_str()], wanted))?;
        Ok(granted.secret_ids.iter().map(ToString::to_string).collect())
    }

    fn page_of(&mut self, query: QueryMembers) -> Result<(Vec<String>, usize), Refusal> {
        let shop = self.shop.clone();
        let page = self.ask(|it, manager| super::query(it, manager, [shop.as_str()], query))?;
        Ok((page.machines.into_iter().map(|it| it.name).collect(), page.total))
    }
}

#[test]
fn a_machine_becomes_a_member_is_granted_and_goes() {
    let mut office = Office::open();
    let shop = office.shop.clone();
    let id = office.approved("nas", 1);
    let one = office.secret(&shop, "one");
    let text = format!("machine nas is no member of project shop: add it with POST /v1/ai/projects/{shop}/machines");
    refused(office.set(&id, Some(&[one.as_str()])), RefusalKind::Conflict, None, &text);

    let wanted = || AttachMachine { machine_id: id.clone() };
    let done = office.ask(|it, manager| attach(it, manager, [shop.as_str()], wanted())).unwrap();
    assert!(done.member);
    office.wrote(Action::ProjectMachineAdd, "machine nas to shop");
    office.ask(|it, manager| attach(it, manager, [shop.as_str()], wanted())).unwrap();
    assert_eq!((office.bench.changes, office.bench.actions()), (0, vec![Action::ManagementRead]));

    assert_eq!(office.set(&id, Some(&[one.as_str()])).unwrap(), [one.as_str()]);
    let told = office.ask(|it, manager| secrets(it, manager, [shop.as_str(), id.as_str()])).unwrap();
    assert_eq!(told.secret_ids, [one]);
    let gone = office.ask(|it, manager| detach(it, manager, [shop.as_str(), id.as_str()])).unwrap();
    assert_eq!((gone.member, gone.revoked_grants), (false, 1));
    assert_eq!(office.bench.actions(), [Action::GrantDelete, Action::ProjectMachineRemove]);
    assert!(office.bench.state.grants.is_empty());
    let text = "this project has no machine of that id";
    let told = office.ask(|it, manager| secrets(it, manager, [shop.as_str(), id.as_str()]));
    refused(told, RefusalKind::NotFound, None, text);
}

#[test]
fn a_set_of_grants_replaces_the_one_before() {
    let mut office = Office::open();
    let (shop, bank) = (office.shop.clone(), office.bank.clone());
    let id = office.member("nas", 1, &shop);
    office.bench.run(|it| admin::project::add_machine(it, bank.as_str(), &id)).unwrap();
    let [one, two] = ["one", "two"].map(|it| office.secret(&shop, it).to_string());
    let foreign = office.secret(&bank, "one").to_string();
    let mut both = vec![one.as_str(), two.as_str()];
    both.sort_unstable();

    // What is of another project, or nothing at all, is left out.
    let mixed = [&*one, &*foreign, &*two, "sk_nowhere", "nothing"];
    assert_eq!(office.set(&id, Some(&mixed)).unwrap(), both);
    assert_eq!(office.set(&id, Some(&[&*two])).unwrap(), [two.as_str()]);
    office.wrote(Action::GrantDelete, "one from machine nas");
    assert_eq!(office.set(&id, Some(&[&*two])).unwrap(), [two.as_str()]);
    assert_eq!(office.bench.changes, 0);

    // The other project's grants are none of this one's business.
    let theirs = office.secret(&bank, "one");
    office.bench.run(|it| admin::grant::create(it, &id, &[theirs], None)).unwrap();
    assert!(office.set(&id, None).unwrap().is_empty());
    assert!(office.set(&id, Some(&[])).unwrap().is_empty());
    assert_eq!(office.bench.state.grants.len(), 1);
}

#[test]
fn a_set_of_grants_prolongs_nothing() {
    let mut office = Office::open();
    let shop = office.shop.clone();
    let id = office.member("nas", 1, &shop);
    let one = office.secret(&shop, "one");
    let end = office.bench.now.plus_seconds(600);
    office.bench.run(|it| admin::grant::create(it, &id, std::slice::from_ref(&one), Some(end))).unwrap();
    office.set(&id, Some(&[one.as_str()])).unwrap();
    assert_eq!(office.bench.changes, 0);
    office.bench.now = end;
    let told = office.ask(|it, manager| secrets(it, manager, [shop.as_str(), id.as_str()])).unwrap();
    assert!(told.secret_ids.is_empty());
    // Said again when it has ended, it is given anew.
    assert_eq!(office.set(&id, Some(&[one.as_str()])).unwrap(), [one.as_str()]);
    assert_eq!(office.bench.state.grants.len(), 1);
}

#[test]
fn members_are_found_sorted_and_paged() {
    let mut office = Office::open();
    let shop = office.shop.clone();
    for (name, n) in [("web-1", 1), ("mail", 2), ("web-2", 3)] {
        office.bench.now = office.bench.now.plus_seconds(1);
        office.member(name, n, &shop);
    }
    let first = office.bench.state.machines.values().find(|it| it.name == "web-2").unwrap().id.clone();
    let one = office.secret(&shop, "one").to_string();
    office.set(&first, Some(&[&*one])).unwrap();

    let all = || QueryMembers::default();
    assert_eq!(office.page_of(all()).unwrap(), (vec!["mail".into(), "web-1".into(), "web-2".into()], 3));
    let found = QueryMembers { search: Some("WEB".into()), sort_dir: Some(SortDirection::Desc), ..all() };
    assert_eq!(office.page_of(found).unwrap(), (vec!["web-2".into(), "web-1".into()], 2));
    let added = QueryMembers { sort_by: Some(MemberOrder::Added), page_size: Some(2), ..all() };
    assert_eq!(office.page_of(added.clone()).unwrap(), (vec!["web-1".into(), "mail".into()], 3));
    assert_eq!(office.page_of(QueryMembers { page: Some(2), ..added.clone() }).unwrap(), (vec!["web-2".into()], 3));
    assert_eq!(office.page_of(QueryMembers { page: Some(usize::MAX), ..added }).unwrap(), (vec![], 3));
    let most = QueryMembers {
        sort_by: Some(MemberOrder::SecretCount),
        sort_dir: Some(SortDirection::Desc),
        page_size: Some(1),
        ..all()
    };
    assert_eq!(office.page_of(most).unwrap(), (vec!["web-2".into()], 3));
    for wrong in [QueryMembers { page: Some(0), ..all() }, QueryMembers { page_size: Some(201), ..all() }] {
        let text = "page is from 1 on, and pageSize from 1 to 200";
        refused(office.page_of(wrong), RefusalKind::Invalid, None, text);
    }
}

#[test]
fn members_and_grants_of_a_namespace_come_from_objects() {
    let mut office = Office::open();
    office.bench.apply_secret(generated("db")).unwrap();
    office.bench.apply_machine(workload("web")).unwrap();
    let pod = office.bench.enrol("uid-1", 9).machine_id;
    let namespace = office.bench.secret("db").project.clone();
    let id = office.approved("nas", 1);
    let wanted = AttachMachine { machine_id: id.clone() };
    let text = "project shop is namespace shop of cluster prod: apply a Grant object there";
    let refusal = office.ask(|it, manager| attach(it, manager, [namespace.as_str()], wanted));
    refused(refusal, RefusalKind::Conflict, None, text);
    let shop = office.shop.clone();
    let wanted = AttachMachine { machine_id: pod };
    let text = "it belongs to Machine shop/web: grant to that by a Grant object";
    let refusal = office.ask(|it, manager| attach(it, manager, [shop.as_str()], wanted));
    refused(refusal, RefusalKind::Conflict, None, text);
}

#[test]
fn what_is_not_on_the_list_and_what_is_of_another_vault_is_nowhere() {
    let mut office = Office::open();
    let (shop, bank, theirs) = (office.shop.clone(), office.bank.clone(), office.theirs.clone());
    let alien = office.member("alien", 1, &bank);
    let stranger = office.host(&other_vault(), "stranger", 2);
    office.sees(&[&shop]);
    let no_project = "this vault has no project of that id";
    for project in [&bank, &theirs] {
        let ids = [project.as_str(), alien.as_str()];
        refused(office.ask(|it, manager| secrets(it, manager, ids)), RefusalKind::NotFound, None, no_project);
        refused(office.ask(|it, manager| detach(it, manager, ids)), RefusalKind::NotFound, None, no_project);
        let all = QueryMembers::default();
        let asked = office.ask(|it, manager| super::query(it, manager, [project.as_str()], all));
        refused(asked, RefusalKind::NotFound, None, no_project);
    }
    for machine in [&alien, &stranger] {
        let text = "this vault has no machine of that id";
        let wanted = AttachMachine { machine_id: machine.clone() };
        let asked = office.ask(|it, manager| attach(it, manager, [shop.as_str()], wanted));
        refused(asked, RefusalKind::NotFound, None, text);
        refused(office.set(machine, None), RefusalKind::NotFound, None, text);
    }
}
