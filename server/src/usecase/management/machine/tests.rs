use sikkerkey_protocol::denial::DenialReason;
use sikkerkey_protocol::id::MachineId;
use sikkerkey_protocol::management::MachineKind;
use sikkerkey_protocol::policy::{Day, TimeWindow};

use super::*;
use crate::audit::entry::{Action, Actor};
use crate::model::Entity;
use crate::model::millis::Millis;
use crate::refusal::RefusalKind;
use crate::usecase::fixture::*;
use crate::usecase::management::explain;
use crate::usecase::management::office::*;
use crate::usecase::{admin, authenticate, housekeeping, renew};

fn approve_as(office: &mut Office, id: &MachineId, fingerprint: &str) -> Result<MachineApproval, Refusal> {
    let wanted = ApproveMachine { fingerprint: Some(fingerprint.into()), preview: false };
    office.ask(|it, manager| approve(it, manager, [id.as_str()], wanted))
}

#[test]
fn a_machine_is_approved_by_the_fingerprint_of_its_key_alone() {
    let mut office = Office::open();
    let id = office.host(&vault(), "nas", 1);
    let key = office.machine(&id).public_key.fingerprint();
    let text = format!(
        "the key of machine nas has the fingerprint {key} and not SHA256:other: it is not the one that was looked at; deny it unless you know better"
    );
    refused(approve_as(&mut office, &id, "SHA256:other"), RefusalKind::Conflict, None, &text);
    assert_eq!(office.machine(&id).approval, Approval::Pending);

    let preview = ApproveMachine { fingerprint: None, preview: true };
    let told = office.ask(|it, manager| approve(it, manager, [id.as_str()], preview)).unwrap();
    assert_eq!((told.approved, told.preview, told.fingerprint.as_ref()), (false, true, Some(&key)));
    assert_eq!(office.machine(&id).approval, Approval::Pending);
    office.wrote(Action::ManagementRead, "approval of machine nas");

    let done = approve_as(&mut office, &id, &format!(" {key} ")).unwrap();
    assert!(done.approved && !done.preview);
    office.wrote(Action::MachineApprove, &format!("machine nas approved, key {key}"));
    // An agent's word is no person's: it makes nobody a co-signer of what a person protects.
    assert_eq!((office.machine(&id).approval, office.machine(&id).approved_by_person), (Approval::Approved, false));
    approve_as(&mut office, &id, &key).unwrap();
    assert_eq!((office.bench.changes, office.bench.actions()), (0, vec![Action::ManagementRead]));
    office.bench.run(|it| admin::machine::approve(it, id.as_str())).unwrap();
    assert!(office.machine(&id).approved_by_person);
}

#[test]
fn a_machine_that_waits_is_denied_and_gone() {
    let mut office = Office::open();
    let id = office.host(&vault(), "nas", 1);
    let done = office.ask(|it, manager| deny(it, manager, [id.as_str()])).unwrap();
    assert_eq!((done.approval, done.name.as_str()), (Approval::Denied, "nas"));
    assert_eq!(office.bench.actions(), [Action::MachineDeny]);
    assert!(office.bench.state.machines.is_empty());

    // What it was given while it waited goes with it.
    let id = office.host(&vault(), "mail", 3);
    let shop = office.shop.clone();
    office.bench.run(|it| admin::project::add_machine(it, shop.as_str(), &id)).unwrap();
    let secret = office.secret(&shop, "one");
    office.bench.run(|it| admin::grant::create(it, &id, &[secret], None)).unwrap();
    office.ask(|it, manager| deny(it, manager, [id.as_str()])).unwrap();
    assert_eq!(office.bench.actions(), [Action::MachineDeny, Action::GrantDelete]);
    let state = &office.bench.state;
    assert!(state.grants.is_empty() && state.memberships_of(&id).next().is_none());

    let id = office.approved("nas", 2);
    let text = "machine nas is approved: revoke it, or switch it off";
    refused(office.ask(|it, manager| deny(it, manager, [id.as_str()])), RefusalKind::Conflict, None, text);
}

#[test]
fn the_machine_that_takes_anothers_place_revokes_it_when_it_is_approved() {
    let mut office = Office::open();
    let shop = office.shop.clone();
    let old = office.member("nas", 1, &shop);
    let secret = office.secret(&shop, "one");
    office.bench.run(|it| admin::grant::create(it, &old, &[secret], None)).unwrap();
    let new = office.host(&vault(), "nas-2", 2);
    office.change_host(&new, |it| it.replaces = Some(old.clone()));
    let mut waiting = office.machine(&new).clone();
    waiting.name = "nas".into();
    office.bench.put(Entity::Machine(waiting));

    let preview = ApproveMachine { fingerprint: None, preview: true };
    let told = office.ask(|it, manager| approve(it, manager, [new.as_str()], preview)).unwrap().replaces.unwrap();
    assert_eq!((told.id.as_str(), told.memberships, told.grants, told.secrets), (old.as_str(), 1, 1, 1));
    let listed = office.ask(|it, manager| list(it, manager, [])).unwrap().machines;
    assert_eq!(listed.iter().find(|it| it.id == new.as_str()).unwrap().replaces.as_ref(), Some(&old));

    let wanted = ApproveMachine::default();
    let done = office.ask(|it, manager| approve(it, manager, [new.as_str()], wanted)).unwrap();
    assert_eq!(done.replaces.unwrap().id, old.as_str());
    assert_eq!(office.bench.actions(), [Action::MachineApprove, Action::MachineRevoke, Action::GrantDelete]);
    assert!(!office.bench.state.machines.contains_key(&old) && office.bench.state.grants.is_empty());
    assert_eq!(office.machine(&new).host.as_ref().unwrap().replaces, None);

    // A third of the name, which waited for the first one's place, does not push the second aside unseen.
    let third = office.host(&vault(), "nas-3", 3);
    let mut waiting = office.machine(&third).clone();
    waiting.name = "nas".into();
    office.bench.put(Entity::Machine(waiting));
    let text = format!("the vault has an approved machine nas already: rename one of the two, or revoke {new}");
    let refusal = office.ask(|it, manager| approve(it, manager, [third.as_str()], ApproveMachine::default()));
    refused(refusal, RefusalKind::Conflict, None, &text);
}

#[test]
fn a_machine_is_switched_off_and_on_and_renamed() {
    let mut office = Office::open();
    let id = office.approved("nas", 1);
    assert!(!office.ask(|it, manager| disable(it, manager, [id.as_str()])).unwrap().enabled);
    office.wrote(Action::MachineUpdate, "machine nas disabled");
    let (state, now) = (&office.bench.state, office.bench.now);
    let refusal = authenticate::may_ask(state, &state.machines[&id], now).unwrap_err();
    assert_eq!((refusal.kind, refusal.denial), (RefusalKind::Forbidden, Some(DenialReason::MachineSuspended)));
    assert!(office.ask(|it, manager| enable(it, manager, [id.as_str()])).unwrap().enabled);

    office.approved("mail", 2);
    let to = |name: &str| Rename { name: name.into() };
    let held = office.ask(|it, manager| rename(it, manager, [id.as_str()], to("mail"))).unwrap_err();
    assert!(held.kind == RefusalKind::Conflict && held.message.starts_with("the vault has a machine mail already: "));
    let text = "the name must be from 1 to 255 printable characters";
    refused(office.ask(|it, manager| rename(it, manager, [id.as_str()], to(""))), RefusalKind::Invalid, None, text);
    for name in ["store", "store", "vault"] {
        office.ask(|it, manager| rename(it, manager, [id.as_str()], to(name))).unwrap();
    }
    office.wrote(Action::MachineRename, "machine store is called \"vault\"");
    let history = office.ask(|it, manager| name_history(it, manager, [id.as_str()])).unwrap();
    let names: Vec<_> = history.history.iter().map(|it| it.name.as_str()).collect();
    assert_eq!((history.name.as_str(), names), ("vault", vec!["nas", "store"]));
}

#[test]
fn revoking_tells_what_falls_before_it_does() {
    let mut office = Office::open();
    let shop = office.shop.clone();
    let id = office.member("nas", 1, &shop);
    let secrets = ["one", "two"].map(|it| office.secret(&shop, it));
    office.bench.run(|it| admin::grant::create(it, &id, &secrets, None)).unwrap();
    let told = office.ask(|it, manager| revoke(it, manager, [id.as_str()], Preview { preview: true })).unwrap();
    assert_eq!((told.preview, told.memberships, told.grants, told.secrets), (true, 1, 1, 2));
    assert_eq!((office.bench.changes, office.bench.actions()), (0, vec![Action::ManagementRead]));
    let done = office.ask(|it, manager| revoke(it, manager, [id.as_str()], Preview::default())).unwrap();
    assert_eq!(done, MachineRevocation { preview: false, ..told });
    assert_eq!(office.bench.actions(), [Action::MachineRevoke, Action::GrantDelete]);
    let state = &office.bench.state;
    assert!(state.machines.is_empty() && state.grants.is_empty() && state.memberships_of(&id).next().is_none());
}

#[test]
fn what_a_machine_object_says_is_said_there() {
    let mut office = Office::open();
    office.bench.apply_machine(workload("web")).unwrap();
    let pod = office.bench.enrol("uid-1", 1).machine_id;
    let rows = office.ask(|it, manager| list(it, manager, [])).unwrap().machines;
    let kinds: Vec<_> = rows.iter().map(|it| (it.kind, it.name.as_str())).collect();
    assert_eq!(kinds, [(MachineKind::Fleet, "shop/web"), (MachineKind::Ephemeral, "shop/web-uid-1")]);
    let fleet = rows[0].id.clone();
    assert_eq!(rows[1].managed_by.as_deref(), Some("Machine shop/web of cluster prod"));
    let detail = office.ask(|it, manager| get(it, manager, [pod.as_str()])).unwrap();
    assert_eq!((detail.pod.unwrap().node.as_str(), detail.machine.fleet_id.unwrap().as_str()), ("node-1", &*fleet));

    let of_pod =
        "it belongs to Machine shop/web: set spec.suspend there, or take one pod its identity with machine revoke";
    refused(office.ask(|it, manager| disable(it, manager, [pod.as_str()])), RefusalKind::Conflict, None, of_pod);
    let of_pod = "it belongs to Machine shop/web: its name is the object's";
    let to = Rename { name: "x".into() };
    refused(office.ask(|it, manager| rename(it, manager, [pod.as_str()], to)), RefusalKind::Conflict, None, of_pod);
    let of_pod =
        "it belongs to Machine shop/web: approval is said there (spec.approval), and by sikkerkey-server admin";
    let wanted = ApproveMachine::default();
    refused(
        office.ask(|it, manager| approve(it, manager, [pod.as_str()], wanted)),
        RefusalKind::Conflict,
        None,
        of_pod,
    );

    let of_fleet = "Machine shop/web of cluster prod says so: set spec.suspend there";
    refused(office.ask(|it, manager| enable(it, manager, [&*fleet])), RefusalKind::Conflict, None, of_fleet);
    for what in ["approves it", "denies it"] {
        let text = format!(
            "Machine shop/web asks for a person's word (spec.approval): a person {what} with sikkerkey-server admin machine, by its id {fleet}"
        );
        let asked = match what {
            "approves it" => {
                office.ask(|it, manager| approve(it, manager, [&*fleet], ApproveMachine::default())).map(drop)
            }
            _ => office.ask(|it, manager| revoke(it, manager, [&*fleet], Preview::default())).map(drop),
        };
        refused(asked, RefusalKind::Conflict, None, &text);
    }
    // One pod loses its identity, and gets no other.
    office.ask(|it, manager| revoke(it, manager, [pod.as_str()], Preview::default())).unwrap();
    assert!(office.bench.state.machines.is_empty());
    assert!(office.bench.state.gone_pods.values().next().unwrap().revoked);
}

#[test]
fn a_temporary_machine_gets_more_time_and_gives_it_back() {
    let mut office = Office::open();
    let id = office.temporary("contractor", 1, 7200);
    let by = |seconds, reason: &str| ExtendMachine { seconds, reason: reason.into() };
    let text = "machine contractor waits for approval: its time begins when it is approved";
    let early = office.ask(|it, manager| extend(it, manager, [id.as_str()], by(60, "more")));
    refused(early, RefusalKind::Conflict, None, text);

    office.ask(|it, manager| approve(it, manager, [id.as_str()], ApproveMachine::default())).unwrap();
    let (start, end) = (office.bench.now, office.bench.now.plus_seconds(7200));
    assert_eq!(office.machine(&id).expires_at, Some(end));
    assert_eq!(office.ask(|it, manager| list(it, manager, [])).unwrap().machines[0].kind, MachineKind::Temp);

    let year = 366 * 24 * 3600;
    let long = office.ask(|it, manager| extend(it, manager, [id.as_str()], by(year, "for good")));
    let text = "what remains is at most 12 months (366 days): it ends at 2026-03-04T14:00:00Z, so extend it by at most 31615200 seconds";
    refused(long, RefusalKind::Invalid, None, text);
    let mute = office.ask(|it, manager| extend(it, manager, [id.as_str()], by(60, "  ")));
    refused(mute, RefusalKind::Invalid, None, "the reason must be from 1 to 255 printable characters");

    let most = office.ask(|it, manager| extend(it, manager, [id.as_str()], by(year - 7200, "audit"))).unwrap();
    assert_eq!(most.expires_at, Some(start.plus_seconds(year).0));
    assert_eq!(office.bench.actions(), [Action::MachineExtend]);
    let back = office.ask(|it, manager| revert_extension(it, manager, [id.as_str()])).unwrap();
    assert_eq!(back.expires_at, Some(end.0));
    let text = "the last extension of machine contractor is taken back already, and only the last one can be";
    let twice = office.ask(|it, manager| revert_extension(it, manager, [id.as_str()]));
    refused(twice, RefusalKind::Conflict, None, text);
    let kept = office.ask(|it, manager| get(it, manager, [id.as_str()])).unwrap().extensions;
    assert_eq!((kept.len(), kept[0].reason.as_str(), kept[0].reverted_at), (1, "audit", Some(start.0)));
    assert!(kept[0].by.starts_with("agent \"assistant\" ("), "{}", kept[0].by);
}

#[test]
fn a_temporary_machine_is_refused_from_its_end_on_and_its_row_stays() {
    let mut office = Office::open();
    let id = office.temporary("contractor", 1, 3600);
    office.ask(|it, manager| approve(it, manager, [id.as_str()], ApproveMachine::default())).unwrap();
    let may_ask = |office: &Office| authenticate::may_ask(&office.bench.state, office.machine(&id), office.bench.now);
    office.bench.now = Millis(office.bench.now.0 + 3_599_999);
    may_ask(&office).unwrap();
    office.bench.now = Millis(office.bench.now.0 + 1);
    assert_eq!(may_ask(&office).unwrap_err().denial, Some(DenialReason::MachineExpired));
    office.bench.run(housekeeping::run).unwrap();
    office.wrote(Action::MachineUpdate, "machine contractor disabled: its time is over");
    assert!(!office.machine(&id).enabled);
    office.bench.now = office.bench.now.plus_seconds(30 * 24 * 3600);
    office.bench.run(housekeeping::run).unwrap();
    assert_eq!((office.bench.actions(), office.machine(&id).enabled), (vec![], false));
    let text = "the time of machine contractor is over: let it enrol again";
    refused(office.ask(|it, manager| enable(it, manager, [id.as_str()])), RefusalKind::Conflict, None, text);
    let by = ExtendMachine { seconds: 3600, reason: "late".into() };
    let text = "the time of machine contractor is over: let it register anew";
    refused(office.ask(|it, manager| extend(it, manager, [id.as_str()], by)), RefusalKind::Conflict, None, text);
}

#[test]
fn a_host_has_no_end_that_could_be_moved_and_renewing_moves_none() {
    let mut office = Office::open();
    let id = office.approved("nas", 1);
    let by = ExtendMachine { seconds: 3600, reason: "why not".into() };
    let text = "machine nas is no temporary machine: it has no end that could be moved";
    refused(office.ask(|it, manager| extend(it, manager, [id.as_str()], by)), RefusalKind::Conflict, None, text);

    let id = office.temporary("contractor", 2, 3600);
    office.ask(|it, manager| approve(it, manager, [id.as_str()], ApproveMachine::default())).unwrap();
    let end = office.machine(&id).expires_at;
    office.bench.now = office.bench.now.plus_seconds(600);
    let (machine, public_key) = (office.machine(&id).clone(), key(3).public_key());
    let message = sikkerkey_protocol::canonical::possession(
        sikkerkey_protocol::canonical::Purpose::Renew,
        id.as_str(),
        &public_key,
    );
    let request = sikkerkey_protocol::enrolment::Renew { public_key, proof: key(3).sign(&message) };
    office.bench.run(|it| renew::renew(it, &machine, source(), request)).unwrap();
    assert_eq!(office.machine(&id).expires_at, end);
}

#[test]
fn a_page_approves_no_key_that_it_did_not_show() {
    let mut office = Office::open();
    let id = office.host(&vault(), "nas", 1);
    let text = "the form does not say which key of machine nas was looked at: open the page again and compare it";
    let answer = office.ask(|it, manager| approve_seen(it, manager, [id.as_str()], None));
    refused(answer, RefusalKind::Invalid, None, text);
    assert_eq!(office.machine(&id).approval, Approval::Pending);
    let key = office.machine(&id).public_key.fingerprint();
    office.ask(|it, manager| approve_seen(it, manager, [id.as_str()], Some(key))).unwrap();
    assert_eq!(office.machine(&id).approval, Approval::Approved);
}

#[test]
fn an_old_page_takes_no_guardrails_back_that_it_did_not_show() {
    let mut office = Office::open();
    let id = office.approved("nas", 1);
    let from = |range: &str| Guardrails { ip_allowlist: Some(vec![range.into()]), ..Guardrails::default() };
    let (none, strict) = (Guardrails::default(), from("10.0.0.0/8"));
    let save = |office: &mut Office, rails: &Guardrails, shown: &Guardrails| {
        let wanted = (rails.clone(), guardrails::mark(shown));
        office.ask(|it, manager| replace_guardrails(it, manager, [id.as_str()], wanted))
    };
    save(&mut office, &strict, &none).unwrap();
    let text = "it has other guardrails meanwhile: open the page again";
    refused(save(&mut office, &none, &none), RefusalKind::Conflict, None, text);
    refused(save(&mut office, &from("192.0.2.0/24"), &none), RefusalKind::Conflict, None, text);
    assert_eq!(office.machine(&id).host.as_ref().unwrap().guardrails.as_ref(), Some(&strict));
    save(&mut office, &none, &strict).unwrap();
}

#[test]
fn guardrails_hold_for_whatever_a_machine_asks() {
    let mut office = Office::open();
    let id = office.approved("nas", 1);
    let come = |office: &Office, from: &str| {
        let (state, now) = (&office.bench.state, office.bench.now);
        authenticate::may_come(state, office.machine(&id), from.parse().unwrap(), now).map_err(|it| it.denial)
    };
    assert_eq!(come(&office, "192.0.2.1"), Ok(()));
    // Noon on a Wednesday.
    let window = |start: &str, end: &str| TimeWindow { days: vec![Day::Wed], start: start.into(), end: end.into() };
    let rails = Guardrails {
        ip_allowlist: Some(vec!["10.0.0.0/8".into()]),
        time_zone: Some("UTC".into()),
        time_window: Some(window("11:00", "13:00")),
    };
    let set = |office: &mut Office, rails: &Guardrails| {
        let rails = rails.clone();
        office.ask(|it, manager| set_guardrails(it, manager, [id.as_str()], rails))
    };
    set(&mut office, &rails).unwrap();
    office.wrote(Action::MachineUpdate, "machine nas, guardrails: timeWindow, ipAllowlist");
    assert_eq!(come(&office, "10.1.2.3"), Ok(()));
    assert_eq!(come(&office, "192.0.2.1"), Err(Some(DenialReason::AddressNotAllowed)));
    let shop = office.shop.clone();
    let secret = office.secret(&shop, "one").to_string();
    let mut told = |address: &str| {
        let ids = [id.as_str(), secret.as_str(), address];
        let told = office.ask(|it, manager| explain::explain_from(it, manager, ids)).unwrap();
        (told.allowed, told.rules[0].reason)
    };
    assert_eq!(told("192.0.2.1"), (false, Some(DenialReason::AddressNotAllowed)));
    // There it is the machine's own rule no more that denies, but the grant that is missing.
    assert_eq!(told("10.1.2.3"), (false, None));
    office.bench.now = office.bench.now.plus_seconds(3600);
    assert_eq!(come(&office, "10.1.2.3"), Err(Some(DenialReason::OutsideTimeWindow)));

    for (rails, text) in [
        (
            Guardrails { ip_allowlist: Some(vec!["10.0.0.1/8".into()]), ..Guardrails::default() },
            "10.0.0.1/8 is not a CIDR in its shortest form: write 10.0.0.0/8",
        ),
        (
            Guardrails { time_zone: Some("UTC".into()), ..Guardrails::default() },
            "timeZone says nothing without timeWindow: give both, or neither",
        ),
        (
            Guardrails { time_window: Some(window("25:00", "26:00")), ..rails.clone() },
            "timeWindow.start 25:00 is not a time such as 06:00",
        ),
    ] {
        refused(set(&mut office, &rails), RefusalKind::Invalid, None, text);
    }
    set(&mut office, &Guardrails::default()).unwrap();
    assert_eq!(come(&office, "192.0.2.1"), Ok(()));
}

#[test]
fn why_a_machine_may_read_is_told_of_machines_that_are_seen_alone() {
    let mut office = Office::open();
    let (shop, bank) = (office.shop.clone(), office.bank.clone());
    let own = office.member("till", 1, &shop);
    let other = office.member("vault-door", 2, &bank);
    let secret = office.secret(&shop, "one").to_string();
    let ask = |office: &mut Office, machine: &str| {
        let ids = [machine, secret.as_str(), "10.1.2.3"];
        office.ask(|it, manager| explain::explain_from(it, manager, ids)).map(|it| it.machine)
    };
    for machine in ["vault-door", other.as_str()] {
        assert_eq!(ask(&mut office, machine).unwrap(), "machine vault-door");
    }
    office.sees(&[&shop]);
    for machine in ["till", own.as_str()] {
        assert_eq!(ask(&mut office, machine).unwrap(), "machine till");
    }
    let text = "this vault has no machine of that id or name: GET /v1/ai/machines lists them";
    for machine in ["vault-door", other.as_str(), "nowhere", "00000000-0000-4000-8000-0000000000ff"] {
        refused(ask(&mut office, machine), RefusalKind::NotFound, None, text);
    }
}

#[test]
fn whoever_has_a_list_of_projects_sees_and_changes_what_is_felt_there_alone() {
    let mut office = Office::open();
    let (shop, bank) = (office.shop.clone(), office.bank.clone());
    let free = office.host(&vault(), "free", 1);
    let ours = office.member("ours", 2, &shop);
    let both = office.member("both", 3, &shop);
    office.bench.run(|it| admin::project::add_machine(it, bank.as_str(), &both)).unwrap();
    let alien = office.member("alien", 4, &bank);
    office.sees(&[&shop]);

    let rows = office.ask(|it, manager| list(it, manager, [])).unwrap().machines;
    let seen: Vec<_> = rows.iter().map(|it| (it.name.as_str(), it.project_count)).collect();
    assert_eq!(seen, [("both", 1), ("free", 0), ("ours", 1)]);
    let detail = office.ask(|it, manager| get(it, manager, [both.as_str()])).unwrap();
    let members: Vec<_> = detail.memberships.iter().map(|it| it.project_name.as_str()).collect();
    assert_eq!(members, ["shop"]);

    let text = "this vault has no machine of that id";
    refused(office.ask(|it, manager| get(it, manager, [alien.as_str()])), RefusalKind::NotFound, None, text);
    refused(office.ask(|it, manager| disable(it, manager, [alien.as_str()])), RefusalKind::NotFound, None, text);
    let text = "machine both is a member of projects that are not on the list of who asks: detach it from those that are, or ask a person";
    refused(office.ask(|it, manager| disable(it, manager, [both.as_str()])), RefusalKind::Forbidden, None, text);
    office.ask(|it, manager| disable(it, manager, [ours.as_str()])).unwrap();
    office.ask(|it, manager| approve(it, manager, [free.as_str()], ApproveMachine::default())).unwrap();

    // What would be revoked with it is felt elsewhere.
    let new = office.host(&vault(), "new", 5);
    office.change_host(&new, |it| it.replaces = Some(both.clone()));
    let refusal = office.ask(|it, manager| approve(it, manager, [new.as_str()], ApproveMachine::default()));
    refused(refusal, RefusalKind::Forbidden, None, text);
}

#[test]
fn what_is_in_another_vault_and_what_is_nowhere_are_the_same() {
    let mut office = Office::open();
    let theirs = office.host(&other_vault(), "theirs", 1);
    assert!(office.ask(|it, manager| list(it, manager, [])).unwrap().machines.is_empty());
    for id in [theirs.as_str(), "00000000-0000-4000-8000-000000000000", "nothing", ".."] {
        let text = "this vault has no machine of that id";
        refused(office.ask(|it, manager| get(it, manager, [id])), RefusalKind::NotFound, None, text);
        let wanted = ApproveMachine::default();
        refused(office.ask(|it, manager| approve(it, manager, [id], wanted)), RefusalKind::NotFound, None, text);
        refused(office.ask(|it, manager| deny(it, manager, [id])), RefusalKind::NotFound, None, text);
        refused(office.ask(|it, manager| name_history(it, manager, [id])), RefusalKind::NotFound, None, text);
        let real = Preview::default();
        refused(office.ask(|it, manager| revoke(it, manager, [id], real)), RefusalKind::NotFound, None, text);
    }
    assert!(office.bench.state.machines.contains_key(&theirs));
}

#[test]
fn a_persons_changes_are_written_as_his() {
    let mut office = Office::open();
    let id = office.approved("nas", 1);
    office.bench.run(|it| admin::machine::set_enabled(it, &id, false)).unwrap();
    assert_eq!(office.bench.audit[0].actor, Actor::Administrator);
}
