use std::net::IpAddr;

use sikkerkey_protocol::id::MachineId;
use sikkerkey_protocol::kubernetes::Approval;
use sikkerkey_protocol::management::SortDirection::{Asc, Desc};

use super::*;
use crate::ledger::Seen;
use crate::model::Entity;
use crate::usecase::admin;
use crate::usecase::fixture::*;
use crate::usecase::management::machine as manage;
use crate::usecase::management::office::*;

fn ask(office: &mut Office, wanted: Wanted) -> Table {
    ask_with(office, &Locks::new(), wanted)
}

fn ask_with(office: &mut Office, locks: &Locks, wanted: Wanted) -> Table {
    let question = office.ask(|it, manager| query(it, manager, [], wanted)).unwrap();
    table(&office.bench.context(), locks, &question)
}

fn names(table: &Table) -> Vec<&str> {
    table.rows.iter().map(|it| it.row.name.as_str()).collect()
}

fn search(text: &str) -> Wanted {
    Wanted { q: Some(text.into()), ..Wanted::default() }
}

fn sorted(column: Column, order: SortDirection) -> Wanted {
    Wanted { sort: Some(column), order: Some(order), ..Wanted::default() }
}

/// Hosts `alpha`, `Beta` and `gamma` (which waits), a temporary one, a fleet with two pods.
fn furnished() -> Office {
    let mut office = Office::open();
    let (shop, bank) = (office.shop.clone(), office.bank.clone());
    office.member("alpha", 1, &shop);
    office.member("Beta", 2, &bank);
    office.host(&vault(), "gamma", 3);
    let temporary = office.temporary("delta", 4, 3600);
    office.bench.run(|it| admin::machine::approve(it, temporary.as_str())).unwrap();
    office.bench.apply_machine(workload("web")).unwrap();
    office.bench.enrol("u1", 5);
    office.bench.enrol("u2", 6);
    office
}

fn id(office: &Office, name: &str) -> MachineId {
    office.bench.state.machines.values().find(|it| it.name == name).unwrap().id.clone()
}

fn is_seen(office: &mut Office, name: &str, minutes: u64, address: &str) {
    let (id, at) = (id(office, name), office.bench.now.plus_seconds(minutes * 60));
    office.bench.ledger.record_seen(&id, Seen { at, address: Some(address.parse::<IpAddr>().unwrap()) });
}

#[test]
fn what_waits_for_approval_stands_first_and_the_oldest_of_it_before_the_others() {
    let mut office = furnished();
    office.bench.now = office.bench.now.plus_seconds(60);
    office.host(&vault(), "aaa", 7);
    let table = ask(&mut office, Wanted::default());
    let pods = ["shop/web", "shop/web-u1", "shop/web-u2"];
    let rest: Vec<&str> = ["gamma", "aaa", "Beta", "alpha", "delta"].into_iter().chain(pods).collect();
    assert_eq!(names(&table), rest);
    assert_eq!((table.total, table.all, table.waiting, table.page), (8, 8, 2, 1));
    assert!(table.rows[0].waits && table.rows[0].row.fingerprint.is_some() && !table.rows[2].waits);
    assert_eq!(table.projects.iter().map(|it| it.1.as_str()).collect::<Vec<_>>(), ["bank", "shop", "shop"]);
}

#[test]
fn machines_of_another_vault_and_of_projects_that_are_not_seen_are_none() {
    let mut office = furnished();
    office.host(&other_vault(), "theirs", 9);
    let shop = office.shop.clone();
    assert_eq!(ask(&mut office, search("theirs")).total, 0);
    office.sees(&[&shop]);
    let table = ask(&mut office, Wanted::default());
    assert_eq!(names(&table), ["gamma", "alpha", "delta"]);
    assert_eq!(table.all, 3);
}

#[test]
fn a_machine_is_found_by_a_part_of_whatever_names_it() {
    let mut office = furnished();
    is_seen(&mut office, "alpha", 1, "2001:db8::7");
    let mut renamed = office.machine(&id(&office, "Beta")).clone();
    renamed.name = "Bærbar".into();
    office.bench.put(Entity::Machine(renamed));
    let key = office.machine(&id(&office, "gamma")).public_key.fingerprint();
    let of_gamma = id(&office, "gamma").to_string();
    for (text, found) in [
        ("ALPHA", vec!["alpha"]),
        ("bÆr", vec!["Bærbar"]),
        ("delta.example", vec!["delta"]),
        (of_gamma.as_str(), vec!["gamma"]),
        ("2001:DB8", vec!["alpha"]),
        (" web-u1 ", vec!["shop/web-u1"]),
        ("node-1", vec!["shop/web-u1", "shop/web-u2"]),
        (key.as_str(), vec!["gamma"]),
        (&key.to_lowercase()[7..20], vec!["gamma"]),
        ("no such", vec![]),
    ] {
        assert_eq!(names(&ask(&mut office, search(text))), found, "{text}");
    }
    assert_eq!(ask(&mut office, search("  ")).total, 7);
}

#[test]
fn filters_hold_together() {
    let mut office = furnished();
    let (shop, fleet) = (office.shop.clone(), office.bench.state.fleets.keys().next().unwrap().clone());
    let of = |kind| Wanted { kind: Some(kind), ..Wanted::default() };
    assert_eq!(names(&ask(&mut office, of(Sort::Standard))), ["gamma", "Beta", "alpha"]);
    assert_eq!(names(&ask(&mut office, of(Sort::Temporary))), ["delta"]);
    assert_eq!(names(&ask(&mut office, of(Sort::Fleet))), ["shop/web"]);
    assert_eq!(names(&ask(&mut office, of(Sort::Pod))), ["shop/web-u1", "shop/web-u2"]);
    assert_eq!(ask(&mut office, of(Sort::Ephemeral)).total, 0);
    let of_project = Wanted { project: Some(shop.clone()), ..Wanted::default() };
    let table = ask(&mut office, of_project.clone());
    assert_eq!((names(&table), &table.rows[0].projects), (vec!["alpha"], &vec!["shop".to_owned()]));
    let both = Wanted { kind: Some(Sort::Temporary), ..of_project };
    assert_eq!(ask(&mut office, both).total, 0);
    let of_fleet = Wanted { fleet: Some(fleet), ..Wanted::default() };
    let table = ask(&mut office, of_fleet);
    assert_eq!((names(&table), table.fleet.as_deref()), (vec!["shop/web-u1", "shop/web-u2"], Some("shop/web")));
    assert_eq!(table.rows[0].pod.as_ref().unwrap().node, "node-1");
    let pending = Wanted { status: Some(Status::Pending), ..Wanted::default() };
    assert_eq!(names(&ask(&mut office, pending)), ["gamma"]);
}

#[test]
fn a_machine_stands_as_the_first_of_the_reasons_for_which_it_would_be_refused() {
    let mut office = furnished();
    let alpha = id(&office, "alpha");
    let status = |office: &mut Office, locks: &Locks| {
        let table = ask_with(office, locks, search("alpha"));
        (table.rows[0].status, table.rows[0].locked_until)
    };
    let until = office.bench.now.plus_seconds(600);
    let locks = Locks::from([(alpha.to_string(), until)]);
    assert_eq!(status(&mut office, &Locks::new()), (Status::Approved, None));
    assert_eq!(status(&mut office, &locks), (Status::LockedOut, Some(until.0)));
    let locked = Wanted { status: Some(Status::LockedOut), ..Wanted::default() };
    assert_eq!(names(&ask_with(&mut office, &locks, locked)), ["alpha"]);
    office.ask(|it, manager| manage::disable(it, manager, [alpha.as_str()])).unwrap();
    assert_eq!(status(&mut office, &locks).0, Status::Disabled);
    let mut ended = office.machine(&alpha).clone();
    ended.expires_at = Some(office.bench.now);
    office.bench.put(Entity::Machine(ended.clone()));
    assert_eq!(status(&mut office, &locks).0, Status::Expired);
    office.bench.put(Entity::Machine(crate::model::machine::Machine { approval: Approval::Pending, ..ended }));
    assert_eq!(status(&mut office, &locks).0, Status::Pending);

    // Pods stand as their fleet does.
    for (approval, suspended, of_pod) in [
        (Approval::Approved, true, Status::Disabled),
        (Approval::Pending, true, Status::Pending),
        (Approval::Denied, false, Status::Denied),
    ] {
        let fleet = office.bench.state.fleets.values().next().unwrap().clone();
        office.bench.put(Entity::Fleet(crate::model::fleet::Fleet { approval, suspended, ..fleet }));
        let table = ask(&mut office, search("web"));
        assert!(table.rows.iter().all(|it| it.status == of_pod), "{of_pod:?}");
        // The fleet is what is approved, and no pod by itself.
        let waiting: Vec<_> = table.rows.iter().filter(|it| it.waits).map(|it| it.sort).collect();
        assert_eq!(waiting, if of_pod == Status::Pending { vec![Sort::Fleet] } else { vec![] });
    }
}

#[test]
fn each_column_sorts_upwards_and_downwards_and_by_name_where_it_leaves_that_open() {
    let mut office = furnished();
    is_seen(&mut office, "alpha", 5, "10.0.0.9");
    is_seen(&mut office, "Beta", 9, "10.0.0.8");
    is_seen(&mut office, "shop/web-u2", 7, "10.0.0.10");
    let (shop, alpha) = (office.shop.clone(), id(&office, "alpha"));
    let secrets = ["one", "two"].map(|name| office.secret(&shop, name));
    office.bench.run(|it| admin::grant::create(it, &alpha, &secrets, None)).unwrap();
    let mut first = |column, order| {
        let table = ask(&mut office, sorted(column, order));
        names(&table).into_iter().take(3).map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(first(Column::Name, Asc), ["alpha", "Beta", "delta"]);
    assert_eq!(first(Column::Name, Desc), ["shop/web-u2", "shop/web-u1", "shop/web"]);
    assert_eq!(first(Column::Status, Asc), ["gamma", "Beta", "alpha"]);
    assert_eq!(first(Column::Kind, Desc), ["shop/web", "shop/web-u1", "shop/web-u2"]);
    assert_eq!(first(Column::Secrets, Desc), ["alpha", "Beta", "delta"]);
    assert_eq!(first(Column::LastSeen, Desc), ["Beta", "shop/web", "shop/web-u2"]);
    assert_eq!(first(Column::LastSeen, Asc), ["delta", "gamma", "shop/web-u1"]);
    // By number, and not by letter; that of a fleet is its last pod's.
    assert_eq!(first(Column::Address, Desc), ["shop/web", "shop/web-u2", "alpha"]);
    assert_eq!(first(Column::Project, Asc), ["delta", "gamma", "Beta"]);
    assert_eq!(first(Column::Node, Desc), ["shop/web-u2", "shop/web-u1", "Beta"]);
}

#[test]
fn a_page_has_fifty_rows_and_one_behind_the_last_is_the_last() {
    let mut office = Office::open();
    for n in 0..60u8 {
        office.host(&vault(), &format!("host-{n:02}"), n + 1);
    }
    let page = |page| Wanted { page: Some(page), sort: Some(Column::Name), ..Wanted::default() };
    let table = ask(&mut office, page(1));
    assert_eq!((table.rows.len(), table.total, names(&table)[0]), (50, 60, "host-00"));
    let table = ask(&mut office, page(2));
    assert_eq!((table.rows.len(), table.page, names(&table)[0]), (10, 2, "host-50"));
    for beyond in [3, usize::MAX] {
        assert_eq!(ask(&mut office, page(beyond)).page, 2);
    }
    assert_eq!(ask(&mut office, page(0)).page, 1);
}

#[test]
fn what_is_looked_for_stands_in_an_address_as_short_as_it_can_be() {
    assert_eq!(serde_html_form::to_string(Wanted::default()).unwrap(), "");
    let wanted = Wanted {
        q: Some("a b".into()),
        status: Some(Status::LockedOut),
        kind: Some(Sort::Pod),
        page: Some(3),
        ..sorted(Column::LastSeen, SortDirection::Desc)
    };
    let text = "q=a+b&status=locked-out&kind=pod&sort=last-seen&order=desc&page=3";
    assert_eq!(serde_html_form::to_string(&wanted).unwrap(), text);
    assert_eq!(serde_html_form::from_str::<Wanted>(text).unwrap(), wanted);
    for status in Status::ALL {
        let text = format!("status={}", status.as_str());
        assert_eq!(serde_html_form::from_str::<Wanted>(&text).unwrap().status, Some(status));
    }
    for kind in Sort::ALL {
        assert_eq!(serde_html_form::from_str::<Wanted>(&format!("kind={}", kind.as_str())).unwrap().kind, Some(kind));
    }
}
