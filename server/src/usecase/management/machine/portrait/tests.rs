use sikkerkey_protocol::denial::DenialReason;
use sikkerkey_protocol::kubernetes::LastDenied;

use super::*;
use crate::ledger::{Counted, Delivered};
use crate::model::Entity;
use crate::model::secret::Secret;
use crate::refusal::RefusalKind;
use crate::usecase::admin;
use crate::usecase::fixture::*;
use crate::usecase::machine::status::{Sort, Status};
use crate::usecase::management::machine::falling;
use crate::usecase::management::office::*;

fn look(office: &mut Office, id: &str, locked: LockedFrom) -> Portrait {
    let question = office.ask(|it, manager| query(it, manager, [id])).unwrap();
    portrait(&office.bench.context(), &question, locked).unwrap()
}

#[test]
fn a_machine_is_shown_with_what_it_is_granted_and_what_it_read() {
    let mut office = Office::open();
    let (shop, bank) = (office.shop.clone(), office.bank.clone());
    let id = office.member("nas", 1, &shop);
    office.bench.run(|it| admin::project::add_machine(it, bank.as_str(), &id)).unwrap();
    let (one, two) = (office.secret(&shop, "one"), office.secret(&bank, "two"));
    let end = office.bench.now.plus_seconds(3600);
    office.bench.run(|it| admin::grant::create(it, &id, std::slice::from_ref(&one), Some(end))).unwrap();
    office.bench.run(|it| admin::grant::create(it, &id, std::slice::from_ref(&two), None)).unwrap();
    let (now, grantee) = (office.bench.now, Grantee::Machine(id.clone()));
    office.bench.ledger.record_delivery(Delivered {
        machine: &id,
        grantee: &grantee,
        secret: &one,
        version: 1,
        in_files: false,
        now,
        counted: Counted::default(),
        at_once: false,
    });
    let denied =
        LastDenied { time: now.0, secret: "two".into(), reason: DenialReason::RateCapReached, message: "later".into() };
    office.bench.ledger.record_denial(&grantee, &two, denied);

    let shown = look(&mut office, id.as_str(), Vec::new());
    let listed: Vec<_> =
        shown.grants.0.iter().map(|it| (it.project_name.as_str(), it.name.as_str(), it.until)).collect();
    assert_eq!(listed, [("bank", "two", None), ("shop", "one", Some(end.0))]);
    let [two, one] = shown.grants.0.as_slice() else { panic!("{:?}", shown.grants) };
    assert_eq!((one.usage.reads, one.usage.last_read, one.version), (1, Some(now.0), (Some(1), 1)));
    assert_eq!((two.usage.denied, two.version), (1, (None, 1)));
    assert_eq!((shown.row.sort, shown.row.status, shown.row.projects.len()), (Sort::Standard, Status::Approved, 2));
    // A grant without end outlasts one with an end.
    let one = one.secret.clone();
    office.bench.run(|it| admin::grant::create(it, &id, &[one], None)).unwrap();
    assert_eq!(look(&mut office, id.as_str(), Vec::new()).grants.0[1].until, None);
}

#[test]
fn of_very_many_grants_the_first_by_project_and_name_are_shown_and_all_are_counted() {
    let mut office = Office::open();
    let shop = office.shop.clone();
    let id = office.member("nas", 1, &shop);
    let project = office.bench.state.projects[&shop].clone();
    let ids: Vec<SecretId> = (0..300).map(|it| format!("sk_m{it:03}").parse().unwrap()).collect();
    for (place, secret) in ids.iter().enumerate() {
        // The names go the other way than the ids.
        let name = format!("m{:03}", 300 - place);
        office.bench.put(Entity::Secret(Secret::without_value(secret.clone(), &project, name, office.bench.now)));
    }
    office.bench.put(Entity::Grant(Grant {
        id: "many".into(),
        vault: vault(),
        project: shop,
        grantee: Grantee::Machine(id.clone()),
        secrets: ids,
        expires_at: None,
        managed: None,
    }));
    let (rows, count) = look(&mut office, id.as_str(), Vec::new()).grants;
    assert_eq!((rows.len(), count), (GRANTS, 300));
    assert_eq!((rows[0].name.as_str(), rows[0].secret.as_str()), ("m001", "sk_m299"));
    assert_eq!(rows[49].name, "m050");
}

#[test]
fn a_lock_is_shown_with_the_address_that_it_shuts_out() {
    let mut office = Office::open();
    let id = office.approved("nas", 1);
    let until = office.bench.now.plus_seconds(60);
    let address: IpAddr = "192.0.2.1".parse().unwrap();
    let shown = look(&mut office, id.as_str(), vec![(None, until), (Some(address), until)]);
    assert_eq!((shown.row.status, shown.row.locked_until), (Status::LockedOut, Some(until.0)));
    assert_eq!(shown.locks, [(None, until.0), (Some(address), until.0)]);
}

#[test]
fn a_fleet_is_shown_with_the_first_of_its_machines_and_each_of_them_with_its_object() {
    let mut office = Office::open();
    office.bench.apply_machine(workload("web")).unwrap();
    office.bench.apply_secret(generated("db")).unwrap();
    office.bench.apply_grant(grant("web-db", "web", &["db"])).unwrap();
    for n in 0..25u8 {
        office.bench.enrol(&format!("u{n:02}"), n + 1);
    }
    let fleet = office.bench.state.fleets.keys().next().unwrap().to_string();
    let shown = look(&mut office, &fleet, Vec::new());
    assert_eq!((shown.machines.0.len(), shown.machines.1), (PODS, 25));
    assert_eq!(shown.machines.0[0].row.name, "shop/web-u00");
    assert_eq!(shown.grants.0[0].managed_by, ["Grant shop/web-db of cluster prod"]);
    let pod = shown.machines.0[0].row.id.clone();
    let shown = look(&mut office, &pod, Vec::new());
    assert_eq!(shown.fleet.as_deref(), Some("Machine shop/web of cluster prod"));
    assert_eq!((shown.row.sort, shown.grants.1), (Sort::Pod, 1));

    // A person alone denies a fleet.
    let refusal = office.ask(|it, manager| falling::preview(it, manager, [fleet.as_str()])).unwrap_err();
    assert!(refusal.message.contains("a person denies it"), "{}", refusal.message);
    let falls = office.ask(|it, manager| falling::preview(it, manager, [pod.as_str()])).unwrap();
    assert_eq!(falls.of_fleet, None);
    assert_eq!(office.bench.state.machines.len(), 25);
}

#[test]
fn a_machine_of_another_vault_is_none() {
    let mut office = Office::open();
    let theirs = office.host(&other_vault(), "theirs", 1);
    let asked = office.ask(|it, manager| query(it, manager, [theirs.as_str()]));
    refused(asked.map(|_| ()), RefusalKind::NotFound, None, "this vault has no machine of that id");
}
