use sikkerkey_protocol::id::ProjectId;

use super::*;
use crate::audit::entry::Action;
use crate::model::membership::Membership;
use crate::model::{Change, Entity, EntityKey, EntityKind};
use crate::refusal::RefusalKind;
use crate::usecase::fixture::*;
use crate::usecase::management::office::*;
use crate::usecase::{admin, member as members};

impl Office {
    fn save_access(&mut self, machine: &MachineId, add: &[&SecretId], take: &[&SecretId]) -> Result<Saved, Refusal> {
        let ids = |it: &[&SecretId]| it.iter().map(ToString::to_string).collect();
        let wanted = SaveAccess { project: self.shop.to_string(), add: ids(add), take: ids(take), joins: Vec::new() };
        self.ask(|it, manager| save_machine(it, manager, [machine.as_str()], wanted))
    }

    fn access_held(&self, machine: &MachineId) -> Vec<String> {
        let held = members::granted(&self.bench.state, &self.shop, self.machine(machine), self.bench.now);
        let mut names: Vec<_> = held.iter().map(|it| self.bench.state.secrets[it].name.clone()).collect();
        names.sort();
        names
    }

    fn one_and_two(&self) -> [SecretId; 2] {
        ["one", "two"].map(|it| self.secret(&self.shop, it))
    }
}

#[test]
fn what_is_moved_is_granted_and_taken_away_and_what_another_changed_stays() {
    let mut office = Office::open();
    let shop = office.shop.clone();
    let host = office.member("nas", 1, &shop);
    let [one, two] = office.one_and_two();
    assert_eq!(office.save_access(&host, &[&one], &[]).unwrap().done_by_others, 0);
    office.wrote(Action::GrantApply, "one to machine nas");
    // Somebody else grants another meanwhile; this page still shows that it is not.
    office.save_access(&host, &[&two], &[]).unwrap();
    assert_eq!(office.save_access(&host, &[], &[&one]).unwrap().done_by_others, 0);
    office.wrote(Action::GrantDelete, "one from machine nas");
    assert_eq!(office.access_held(&host), ["two"]);
    // What both did is told.
    assert_eq!(office.save_access(&host, &[&two], &[&one]).unwrap().done_by_others, 2);
    assert_eq!((office.bench.changes, office.bench.actions()), (0, vec![Action::ManagementRead]));
    assert_eq!(office.access_held(&host), ["two"]);
}

#[test]
fn a_grant_of_what_is_in_the_trash_is_still_there_when_it_comes_back() {
    let mut office = Office::open();
    let shop = office.shop.clone();
    let host = office.member("nas", 1, &shop);
    let [one, two] = office.one_and_two();
    office.save_access(&host, &[&one, &two], &[]).unwrap();
    let secret = office.bench.state.secrets[&one].clone();
    office.bench.put(Entity::Secret(Secret { phase: SecretPhase::Trashed(office.bench.now), ..secret.clone() }));
    office.save_access(&host, &[], &[&two]).unwrap();
    office.bench.put(Entity::Secret(secret));
    assert_eq!(office.access_held(&host), ["one"]);
}

#[test]
fn a_grant_with_an_end_stays_as_long_and_can_be_taken_away() {
    let mut office = Office::open();
    let shop = office.shop.clone();
    let host = office.member("nas", 1, &shop);
    let [one, _] = office.one_and_two();
    let end = office.bench.now.plus_seconds(60);
    let names = std::slice::from_ref(&one);
    office.bench.run(|it| admin::grant::create(it, &host, names, Some(end))).unwrap();
    assert_eq!(office.save_access(&host, &[&one], &[]).unwrap().done_by_others, 1);
    let shown = office.ask(|it, manager| of_machine(it, manager, [host.as_str()], PanelsQuery::default())).unwrap();
    assert_eq!(shown.panels.granted.rows[0].notes, [Note::Until(end.0)]);
    office.save_access(&host, &[], &[&one]).unwrap();
    assert_eq!(office.access_held(&host), Vec::<String>::new());
}

#[test]
fn what_cannot_be_saved_is_refused_with_what_to_do() {
    let mut office = Office::open();
    let shop = office.shop.clone();
    let host = office.approved("nas", 1);
    let [one, two] = office.one_and_two();
    let text = format!("machine nas is no member of project shop: add it with POST /v1/ai/projects/{shop}/machines");
    refused(office.save_access(&host, &[&one], &[]), RefusalKind::Conflict, None, &text);
    office.bench.run(|it| admin::project::add_machine(it, shop.as_str(), &host)).unwrap();
    let secret = office.bench.state.secrets[&one].clone();
    office.bench.put(Entity::Secret(Secret { phase: SecretPhase::Trashed(office.bench.now), ..secret }));
    let text = "secret one is not in project shop any more, so nothing was saved: open the page again and look at what is left";
    refused(office.save_access(&host, &[&one, &two], &[]), RefusalKind::Conflict, None, text);
    assert_eq!(office.access_held(&host), Vec::<String>::new());
    let text = "nothing is changed: move something to the other panel first, then save";
    refused(office.save_access(&host, &[], &[]), RefusalKind::Invalid, None, text);
    let text = "the form grants and takes away the same one: open the page again and move it there";
    refused(office.save_access(&host, &[&two], &[&two]), RefusalKind::Invalid, None, text);
    let both = SaveAccess { add: vec![host.to_string()], take: vec![host.to_string()], ..SaveAccess::default() };
    let answer = office.ask(|it, manager| save_secret(it, manager, [two.as_str()], both));
    refused(answer, RefusalKind::Invalid, None, text);
    let many: Vec<SecretId> = (0..=CHANGES).map(|it| format!("sk_{it}").parse().unwrap()).collect();
    let text = "101 changes are more than one save takes: save 100 of them first";
    refused(office.save_access(&host, &many.iter().collect::<Vec<_>>(), &[]), RefusalKind::Invalid, None, text);
}

#[test]
fn the_machines_of_a_secret_join_its_project_when_that_was_shown() {
    let mut office = Office::open();
    let shop = office.shop.clone();
    let (nas, web) = (office.member("nas", 1, &shop), office.approved("web", 2));
    let [one, two] = office.one_and_two();
    office.save_access(&nas, &[&one, &two], &[]).unwrap();
    let query = PanelsQuery { add: vec![web.to_string()], take: vec![nas.to_string()], ..PanelsQuery::default() };
    let shown = office.ask(|it, manager| of_secret(it, manager, [one.as_str()], query)).unwrap();
    let named = |id: &MachineId, name: &str| Named { name: name.into(), id: id.to_string() };
    assert_eq!(shown.panels.added, [named(&web, "web")]);
    assert_eq!((shown.panels.taken, shown.panels.joins), (vec![named(&nas, "nas")], vec![named(&web, "web")]));
    assert_eq!(shown.panels.granted.rows[0].notes, [Note::NoMember]);

    let wanted = |joins: Vec<String>| SaveAccess {
        project: String::new(),
        add: vec![web.to_string()],
        take: vec![nas.to_string()],
        joins,
    };
    let silent = office.ask(|it, manager| save_secret(it, manager, [one.as_str()], wanted(Vec::new())));
    let text = format!("machine web is no member of project shop: add it with POST /v1/ai/projects/{shop}/machines");
    refused(silent, RefusalKind::Conflict, None, &text);
    assert_eq!(office.access_held(&nas), ["one", "two"]);
    office.ask(|it, manager| save_secret(it, manager, [one.as_str()], wanted(vec![web.to_string()]))).unwrap();
    assert_eq!((office.access_held(&nas), office.access_held(&web)), (vec!["two".to_owned()], vec!["one".to_owned()]));
}

#[test]
fn a_machine_that_is_gone_is_granted_nothing_and_taken_nothing() {
    let mut office = Office::open();
    let shop = office.shop.clone();
    let nas = office.member("nas", 1, &shop);
    let [one, _] = office.one_and_two();
    office.save_access(&nas, &[&one], &[]).unwrap();
    let gone = EntityKey { kind: EntityKind::Machine, id: nas.to_string() };
    office.bench.state.apply(Change::Remove(gone));
    let wanted = |add: bool| {
        let ids = vec![nas.to_string()];
        let (add, take) = if add { (ids, Vec::new()) } else { (Vec::new(), ids) };
        SaveAccess { add, take, ..SaveAccess::default() }
    };
    let text = "this vault has no machine of that id";
    let added = office.ask(|it, manager| save_secret(it, manager, [one.as_str()], wanted(true)));
    refused(added, RefusalKind::NotFound, None, text);
    let taken = office.ask(|it, manager| save_secret(it, manager, [one.as_str()], wanted(false))).unwrap();
    assert_eq!(taken.done_by_others, 1);
}

#[test]
fn a_machine_in_several_projects_shows_one_and_joins_others_by_their_names() {
    let mut office = Office::open();
    let (shop, bank) = (office.shop.clone(), office.bank.clone());
    let host = office.member("nas", 1, &shop);
    let look = |office: &mut Office, project: Option<&str>| {
        let query = PanelsQuery { project: project.map(str::to_owned), ..PanelsQuery::default() };
        office.ask(|it, manager| of_machine(it, manager, [host.as_str()], query))
    };
    let shown = look(&mut office, None).unwrap();
    assert_eq!((shown.project.unwrap().name, shown.panels.available.total), ("shop".into(), 2));
    assert_eq!(shown.joinable, [Named { name: "bank".into(), id: bank.to_string() }]);
    let text = "this machine is a member of no project of that id or name";
    refused(look(&mut office, Some(bank.as_str())), RefusalKind::NotFound, None, text);
    // Those of another vault are nobody's to join.
    let theirs = office.theirs.to_string();
    for name in ["theirs", &theirs] {
        let text = "this vault has no project of that name: the page Projects lists them";
        let joined = office.ask(|it, manager| join(it, manager, [host.as_str()], name.to_owned()));
        refused(joined, RefusalKind::NotFound, None, text);
    }
    office.ask(|it, manager| join(it, manager, [host.as_str()], "bank".into())).unwrap();
    assert_eq!(look(&mut office, Some(bank.as_str())).unwrap().projects.len(), 2);
    let [one, _] = office.one_and_two();
    office.save_access(&host, &[&one], &[]).unwrap();
    let left = office.ask(|it, manager| leaving(it, manager, [host.as_str(), shop.as_str()])).unwrap();
    assert_eq!(left.secrets, [Named { name: "one".into(), id: one.to_string() }]);
    let id = Membership::id(&shop, &host);
    office.bench.state.apply(Change::Remove(EntityKey { kind: EntityKind::Membership, id }));
    let text = "this machine is a member of no project of that id";
    let left = office.ask(|it, manager| leaving(it, manager, [host.as_str(), shop.as_str()]));
    refused(left, RefusalKind::NotFound, None, text);
}

#[test]
fn of_very_many_projects_the_first_are_offered_and_another_is_named() {
    let mut office = Office::open();
    let (shop, now) = (office.shop.clone(), office.bench.now);
    let host = office.member("nas", 1, &shop);
    let project = office.bench.state.projects[&shop].clone();
    for n in 0..150 {
        let id: ProjectId = format!("proj_m{n:03}").parse().unwrap();
        office.bench.put(Entity::Project(Project { id: id.clone(), name: format!("m{n:03}"), ..project.clone() }));
        let membership = Membership { vault: vault(), project: id, machine: host.clone(), since: now };
        office.bench.put(Entity::Membership(membership));
    }
    for (asked, chosen) in [(None, "m000"), (Some("m149"), "m149"), (Some("proj_m120"), "m120"), (Some("shop"), "shop")]
    {
        let query = PanelsQuery { project: asked.map(str::to_owned), ..PanelsQuery::default() };
        let shown = office.ask(|it, manager| of_machine(it, manager, [host.as_str()], query)).unwrap();
        assert_eq!((shown.projects.len(), shown.more_projects), (CHOICES, 51));
        assert_eq!(shown.project.unwrap().name, chosen);
    }
}

#[test]
fn what_objects_say_is_shown_and_not_changed() {
    let mut office = Office::open();
    office.bench.apply_machine(workload("web")).unwrap();
    office.bench.apply_secret(generated("db")).unwrap();
    office.bench.apply_grant(grant("web", "web", &["db"])).unwrap();
    let fleet = office.bench.state.fleets.values().next().unwrap().id.to_string();
    let shown = office.ask(|it, manager| of_machine(it, manager, [fleet.as_str()], PanelsQuery::default())).unwrap();
    assert_eq!(shown.object.unwrap().0.to_string(), "shop/web");
    let row = &shown.panels.granted.rows[0];
    assert_eq!((row.name.as_str(), row.fixed), ("db", true));
    let db = office.bench.secret("db").id.clone();
    let query = PanelsQuery { one: Some(fleet.clone()), ..PanelsQuery::default() };
    let shown = office.ask(|it, manager| of_secret(it, manager, [db.as_str()], query)).unwrap();
    assert!(shown.panels.taken.is_empty() && shown.panels.granted.rows[0].fixed);
    let wanted = SaveAccess { take: vec![fleet.clone()], ..SaveAccess::default() };
    let saved = office.ask(|it, manager| save_secret(it, manager, [db.as_str()], wanted));
    let text = "Machine shop/web of cluster prod says so: grant to it by a Grant object";
    refused(saved, RefusalKind::Conflict, None, text);
}
