//! What an operator can do to a policy that a person has marked, and what it cannot.

use std::net::IpAddr;

use sikkerkey_protocol::denial::DenialReason;
use sikkerkey_protocol::kubernetes::{ApplyMachine, ApplyPolicy, ApplySecret, Kind, Subject};
use sikkerkey_protocol::policy::{Approver, CoSign, PolicyDocument};

use crate::audit::entry::Action;
use crate::model::Entity;
use crate::model::machine::is_vouched;
use crate::model::policy::Policy;
use crate::policy::{Guard, Verdict};
use crate::refusal::RefusalKind;
use crate::usecase::admin;
use crate::usecase::author::Author;
use crate::usecase::fence;
use crate::usecase::fixture::*;
use crate::usecase::reading::{self, Asking};

/// Secret `db` under policy `hours`, which lets 10.0.0.0/8 in and is protected; a Machine `web` that is granted it.
fn protected() -> Bench {
    let mut bench = Bench::new();
    bench.apply_policy(allowlist("hours", "10.0.0.0/8")).unwrap();
    bench.apply_secret(under("db", Some("hours"))).unwrap();
    bench.apply_machine(workload("web")).unwrap();
    bench.apply_grant(grant("g", "web", &["db"])).unwrap();
    bench.run(|it| admin::policy::protect(it, "shop", "hours")).unwrap();
    assert_eq!(bench.actions(), [Action::PolicyProtect]);
    bench
}

fn under(name: &str, policy: Option<&str>) -> ApplySecret {
    ApplySecret { policy: policy.map(str::to_owned), ..generated(name) }
}

/// `hours` as a later generation says it.
fn changed(range: &str) -> ApplyPolicy {
    let mut policy = allowlist("hours", range);
    policy.object.generation = 2;
    policy
}

/// `hours` as an object of the same name that was made anew.
fn anew(range: &str) -> ApplyPolicy {
    let mut policy = allowlist("hours", range);
    policy.object.uid = "hours-2".into();
    policy
}

fn hours(bench: &Bench) -> &Policy {
    bench.state.policies.values().find(|it| it.name == "hours").unwrap()
}

fn lift(bench: &Bench, why: &str) -> String {
    format!(
        "policy hours is protected until a person lifts that with sikkerkey-server admin policy unprotect --project {} --name hours: {why}",
        hours(bench).project
    )
}

/// What a read of `db` from inside the range meets.
fn read(bench: &mut Bench) -> Result<(), DenialReason> {
    let pod = if bench.state.machines.is_empty() {
        bench.enrol("pod-1", 1).machine_id
    } else {
        bench.state.machines.keys().next().unwrap().clone()
    };
    let address: IpAddr = "10.0.0.7".parse().unwrap();
    let (machine, secret) = (&bench.state.machines[&pod], bench.secret("db"));
    match reading::decide(&bench.state, &bench.ledger, Asking { machine, address, now: bench.now }, secret) {
        Verdict::Permit(_) => Ok(()),
        Verdict::Deny(denial) => Err(denial.reason),
    }
}

#[test]
fn an_operator_tightens_and_does_not_loosen() {
    let mut bench = protected();
    bench.apply_policy(changed("10.1.0.0/16")).unwrap();
    assert_eq!((hours(&bench).revision, hours(&bench).protected), (2, true));
    let why = "an agent may tighten it and not loosen it (ipAllowlist would have 10.0.0.0/8, which is not in the present ranges)";
    let text = lift(&bench, why);
    refused(bench.apply_policy(changed("10.0.0.0/8")), RefusalKind::Conflict, None, &text);
    assert_eq!(hours(&bench).document.ip_allowlist, Some(vec!["10.1.0.0/16".to_owned()]));
    bench.run(|it| admin::policy::unprotect(it, "shop", "hours")).unwrap();
    bench.apply_policy(changed("10.0.0.0/8")).unwrap();
}

#[test]
fn a_secret_stays_under_its_protected_policy_whatever_becomes_of_its_object() {
    let mut bench = protected();
    bench.apply_policy(allowlist("other", "10.0.0.0/8")).unwrap();
    let refuse = |bench: &mut Bench| {
        for (policy, why) in
            [(None, "an agent may not take it off db"), (Some("other"), "an agent may not put another policy on db")]
        {
            let text = lift(bench, why);
            refused(bench.apply_secret(under("db", policy)), RefusalKind::Conflict, None, &text);
        }
    };
    refuse(&mut bench);
    // Its value is kept, and so is what guards it.
    bench.delete(deleted(Kind::Secret, "db")).unwrap();
    refuse(&mut bench);
    bench.delete(deleted(Kind::AccessPolicy, "hours")).unwrap();
    refuse(&mut bench);
    bench.apply_secret(under("db", Some("hours"))).unwrap();
    assert_eq!(bench.secret("db").policy.as_deref(), Some("hours"));
    // What goes to the trash takes its value along: a new secret of the name has another.
    let value = bench.value("db");
    bench.delete(sikkerkey_protocol::kubernetes::Delete { trash: true, ..deleted(Kind::Secret, "db") }).unwrap();
    bench.apply_secret(under("db", None)).unwrap();
    assert_ne!(bench.value("db"), value);
}

#[test]
fn a_policy_whose_object_is_deleted_denies_and_measures_what_comes_after_it() {
    let mut bench = protected();
    assert_eq!(read(&mut bench), Ok(()));
    bench.delete(deleted(Kind::AccessPolicy, "hours")).unwrap();
    assert_eq!(bench.actions(), [Action::PolicyDelete]);
    let detail = "AccessPolicy shop/hours: protected, so it stays, withdrawn: 1 secrets that name it are locked";
    assert_eq!(bench.audit[0].detail, detail);
    assert!(hours(&bench).withdrawn);
    assert!(matches!(reading::guard(&bench.state, bench.secret("db")), Guard::Missing));
    assert_eq!(read(&mut bench), Err(DenialReason::PolicyMissing));
    // An operator that compares finds nothing to delete, and a secret that is locked.
    let all = bench.inventory("prod");
    assert_eq!((all.policies.len(), all.secrets[0].state.policy_in_force), (0, false));
    bench.delete(deleted(Kind::AccessPolicy, "hours")).unwrap();
    assert_eq!((bench.changes, bench.audit.len()), (0, 0));

    let why = "an agent may tighten it and not loosen it (ipAllowlist would have 0.0.0.0/0, which is not in the present ranges)";
    let text = lift(&bench, why);
    refused(bench.apply_policy(anew("0.0.0.0/0")), RefusalKind::Conflict, None, &text);
    assert_eq!(read(&mut bench), Err(DenialReason::PolicyMissing));
    bench.apply_policy(anew("10.0.0.0/16")).unwrap();
    assert_eq!((hours(&bench).withdrawn, hours(&bench).protected, hours(&bench).revision), (false, true, 3));
    assert_eq!(read(&mut bench), Ok(()));
    assert_eq!(bench.inventory("prod").policies.len(), 1);
}

#[test]
fn a_withdrawn_policy_goes_when_a_person_lifts_the_fence_or_becomes_that_persons() {
    let mut bench = protected();
    bench.delete(deleted(Kind::AccessPolicy, "hours")).unwrap();
    assert!(bench.run(|it| admin::policy::unprotect(it, "shop", "hours")).unwrap());
    assert_eq!(bench.actions(), [Action::PolicyUnprotect, Action::PolicyDelete]);
    assert_eq!(bench.audit[1].detail, "policy hours, withdrawn before: 1 secrets that name it stay locked");
    assert!(bench.state.policies.is_empty());
    assert_eq!(read(&mut bench), Err(DenialReason::PolicyMissing));
    bench.apply_policy(anew("0.0.0.0/0")).unwrap();
    assert_eq!(read(&mut bench), Ok(()));

    let mut bench = protected();
    bench.delete(deleted(Kind::AccessPolicy, "hours")).unwrap();
    let document = PolicyDocument { ip_allowlist: Some(vec!["0.0.0.0/0".into()]), ..Default::default() };
    bench.run(|it| admin::policy::set(it, "shop", "hours", document)).unwrap();
    let policy = hours(&bench);
    assert_eq!((policy.managed.is_none(), policy.withdrawn, policy.protected), (true, false, true));
    assert_eq!(read(&mut bench), Ok(()));
}

fn co_signed(approver: Approver) -> PolicyDocument {
    PolicyDocument { co_sign: Some(CoSign { approver, window_seconds: 600 }), ..Default::default() }
}

/// Puts it as a document that is in force already.
fn put_document(bench: &mut Bench, document: PolicyDocument) {
    let policy = Policy { document, ..hours(bench).clone() };
    bench.put(Entity::Policy(policy));
}

fn boss(n: u8) -> ApplyMachine {
    let subject = Subject::Host { public_key: Some(key(n).public_key()), lifetime_seconds: None };
    ApplyMachine { subject, ..workload("boss") }
}

#[test]
fn the_co_signer_of_a_protected_policy_is_a_host_that_a_person_approved() {
    let mut bench = Bench::new();
    bench.apply_policy(allowlist("hours", "10.0.0.0/8")).unwrap();
    bench.apply_machine(workload("web")).unwrap();
    bench.apply_machine(boss(7)).unwrap();
    let pod = bench.enrol("pod-1", 1).machine_id;
    let vault = "vault_v".parse().unwrap();
    let (token, _) = bench.run(|it| admin::machine::bootstrap(it, &vault, Some("desk".into()))).unwrap();
    let desk = bench.register(token.expose(), 5).unwrap().machine_id;
    let object = |name: &str| Approver::Object(object(name, 1).key);
    let none = |who: &str| {
        format!(
            "policy hours: the co-signer of a protected policy is a host that a person approved, and {who} is none: approve it by its own id with sikkerkey-server admin machine approve, or name another"
        )
    };
    for (approver, who) in [
        (
            Approver::Machine("00000000-0000-4000-8000-0000000000ff".parse().unwrap()),
            "machine 00000000-0000-4000-8000-0000000000ff, which is not here",
        ),
        (Approver::Machine(pod.clone()), "machine shop/web-pod-1"),
        (Approver::Machine(desk.clone()), "machine desk"),
        (object("web"), "Machine shop/web"),
        (object("boss"), "Machine shop/boss"),
        (object("gone"), "Machine shop/gone"),
    ] {
        put_document(&mut bench, co_signed(approver));
        let protect = bench.run(|it| admin::policy::protect(it, "shop", "hours"));
        refused(protect, RefusalKind::Conflict, None, &none(who));
    }
    // A person's word for the machine itself, whoever let it in first; a pod is nobody's to vouch for.
    let pinned = bench.state.machines.values().find(|it| it.name == "shop/boss").unwrap().id.clone();
    for id in [&desk, &pinned, &pod] {
        bench.run(|it| admin::machine::approve(it, id.as_str())).unwrap();
    }
    assert!(!is_vouched(&bench.state.machines[&pod]));
    bench.run(|it| admin::machine::approve(it, pinned.as_str())).unwrap();
    assert_eq!(bench.changes, 0);
    for approver in [Approver::Machine(desk), object("boss")] {
        put_document(&mut bench, co_signed(approver));
        bench.run(|it| admin::policy::protect(it, "shop", "hours")).unwrap();
        bench.run(|it| admin::policy::unprotect(it, "shop", "hours")).unwrap();
    }
    // Another key in the object is another machine, which nobody knows.
    let mut again = boss(8);
    again.object.generation = 2;
    bench.apply_machine(again).unwrap();
    let protect = bench.run(|it| admin::policy::protect(it, "shop", "hours"));
    refused(protect, RefusalKind::Conflict, None, &none("Machine shop/boss"));
}

#[test]
fn nobody_puts_a_co_signer_that_no_person_knows_into_a_protected_policy() {
    let mut bench = protected();
    bench.apply_machine(boss(7)).unwrap();
    let (policy, agent) = (hours(&bench).clone(), Bench::agent("prod"));
    let tighter = |name: &str| PolicyDocument {
        ip_allowlist: policy.document.ip_allowlist.clone(),
        ..co_signed(Approver::Object(object(name, 1).key))
    };
    for author in [Author::Person, Author::Agent(&agent, source())] {
        let refusal = fence::may_change(&bench.state, author, &policy, &tighter("boss")).unwrap_err();
        assert!(refusal.message.contains("Machine shop/boss is none"), "{}", refusal.message);
    }
    let pinned = bench.state.machines.values().find(|it| it.name == "shop/boss").unwrap().id.clone();
    bench.run(|it| admin::machine::approve(it, pinned.as_str())).unwrap();
    fence::may_change(&bench.state, Author::Agent(&agent, source()), &policy, &tighter("boss")).unwrap();
    // One that is there already, and has lost its standing since, denies by itself and holds up no other change.
    let held = Policy { document: tighter("web"), ..policy };
    fence::may_change(&bench.state, Author::Agent(&agent, source()), &held, &tighter("web")).unwrap();
}

#[test]
fn an_object_that_names_the_key_of_a_host_vouches_for_nothing() {
    let mut bench = Bench::new();
    let vault = "vault_v".parse().unwrap();
    let (token, _) = bench.run(|it| admin::machine::bootstrap(it, &vault, Some("desk".into()))).unwrap();
    let desk = bench.register(token.expose(), 7).unwrap().machine_id;
    // As if a person had approved it once, and a restore had taken that back.
    let held = crate::model::machine::Machine { approved_by_person: true, ..(*bench.state.machines[&desk]).clone() };
    bench.put(Entity::Machine(held));
    bench.apply_machine(boss(7)).unwrap();
    assert!(!is_vouched(&bench.state.machines[&desk]));
    bench.run(|it| admin::machine::approve(it, desk.as_str())).unwrap();
    assert!(is_vouched(&bench.state.machines[&desk]));
    let mut again = boss(7);
    again.object.generation = 2;
    bench.apply_machine(again).unwrap();
    assert!(is_vouched(&bench.state.machines[&desk]), "what a person said stays");
}
