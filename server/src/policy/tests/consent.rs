//! The co-signer's axis.

use std::sync::Arc;

use sikkerkey_protocol::co_sign::CoSignVerdict::{self, Approved, Denied};
use sikkerkey_protocol::sync::{Delivery, OnDenied};

use super::*;
use crate::model::co_sign::Answer;
use crate::model::policy::Policy;

const REQUEST: &str = "7a3c1f0e-0000-4000-8000-000000000001";

pub(super) fn boss() -> Fleet {
    let Fleet { vault, project, .. } = world().fleet.unwrap();
    Fleet {
        id: "00000000-0000-0000-0000-0000000000b0".parse().unwrap(),
        vault,
        project,
        managed: managed("hq", "boss"),
        approval: Approval::Approved,
        suspended: false,
        subject: FleetSubject::Host { public_key: None, lifetime_seconds: None },
    }
}

fn workload(accounts: &[&str]) -> FleetSubject {
    FleetSubject::Workload {
        service_accounts: accounts.iter().map(|it| (*it).to_owned()).collect(),
        lifetime_seconds: 3600,
        delivery: Arc::new(Delivery {
            on_revoked: OnDenied::Remove,
            on_closed: OnDenied::Remove,
            max_staleness_seconds: 1,
            on_change: None,
            files: vec![],
        }),
        delivery_revision: String::new(),
    }
}

/// A machine of the co-signer.
pub(super) fn approver() -> Machine {
    Machine {
        id: "00000000-0000-0000-0000-0000000000b1".parse().unwrap(),
        name: "boss-laptop".into(),
        fleet: Some(boss().id),
        ..world().machine
    }
}

pub(super) fn request(world: &World, answer: Option<Answer>) -> CoSignRequest {
    let Policy { id, revision, .. } = world.policy.clone().unwrap();
    CoSignRequest {
        id: REQUEST.into(),
        vault: world.secret.vault.clone(),
        project: world.secret.project.clone(),
        secret: world.secret.id.clone(),
        reader: world.machine.grantee(),
        policy: id,
        revision,
        bindings: world.secret.bindings,
        grants: world.grants.iter().map(|it| it.id.clone()).collect(),
        who: world.fleet.as_ref().map(Fleet::who),
        asked_by: world.machine.id.clone(),
        asked_as: "machine shop/web-1".into(),
        asked_from: world.address,
        asked_at: world.now,
        answer,
    }
}

fn answer(verdict: CoSignVerdict, until: &str) -> Answer {
    Answer { by: approver().id, at: at("2026-03-04T11:59:00Z"), verdict, until: at(until) }
}

fn guarded() -> World {
    let mut world = world().guarded(PolicyDocument { co_sign: Some(co_sign(600)), ..Default::default() });
    world.co_signer = Some(boss());
    world
}

fn answered(verdict: CoSignVerdict, until: &str) -> World {
    let mut world = guarded();
    world.request = Some(request(&world, Some(answer(verdict, until))));
    world.approved_by = Some(approver());
    world
}

/// Denied with this text; whether a request is to be left.
#[track_caller]
fn refused(world: &World, text: &str) -> bool {
    let denial = world.verdict().unwrap_err();
    let reason = if text.contains("refused") { Reason::CoSignRefused } else { Reason::CoSignMissing };
    assert_eq!((denial.reason, denial.message.as_str()), (reason, text));
    denial.asks
}

#[test]
fn a_read_waits_until_somebody_else_has_approved_it() {
    let mut world = guarded();
    assert!(refused(&world, "waits for Machine hq/boss: its next read asks it"), "a first read leaves a request");
    world.request = Some(request(&world, None));
    assert!(!refused(&world, &format!("waits for Machine hq/boss, request {REQUEST}")), "and the next leaves no other");

    answered(Approved, "2026-03-04T12:00:00.001Z").verdict().unwrap();
    let ended = answered(Approved, NOW);
    assert!(
        refused(&ended, "waits for Machine hq/boss again: its next read asks it"),
        "its last instant is not included"
    );
}

#[test]
fn a_refusal_stands_for_its_time_and_then_may_be_asked_again() {
    let world = answered(Denied, "2026-03-04T12:10:00Z");
    let text = format!("Machine hq/boss refused request {REQUEST}: it can be asked again at 2026-03-04T12:10:00Z");
    assert!(!refused(&world, &text));
    assert_eq!(world.verdict().unwrap_err().until, Some(at("2026-03-04T12:10:00Z")));
    assert!(refused(&answered(Denied, NOW), "waits for Machine hq/boss again: its next read asks it"));
}

#[test]
fn what_was_approved_of_something_else_is_no_approval() {
    type Spoil = fn(&mut World);
    let table: [(&str, Spoil); 6] = [
        ("another revision", |it| it.policy.as_mut().unwrap().revision += 1),
        ("another policy", |it| it.policy.as_mut().unwrap().id = "p2".into()),
        ("the secret was bound anew", |it| it.secret.bindings += 1),
        ("another grant", |it| it.grants[0].id = "g2".into()),
        ("others may be the reader", |it| it.fleet.as_mut().unwrap().subject = workload(&["evil"])),
        ("of two grants the one that is left is the newer", |it| {
            let newer = Grant { id: "g2".into(), ..it.grants[0].clone() };
            it.grants = vec![Grant { expires_at: Some(it.now), ..it.grants[0].clone() }, newer];
        }),
    ];
    for (what, spoil) in table {
        let mut world = answered(Approved, "2026-03-04T12:10:00Z");
        world.verdict().unwrap();
        spoil(&mut world);
        assert!(refused(&world, "waits for Machine hq/boss: its next read asks it"), "{what}");
    }
}

#[test]
fn an_approval_is_worth_what_its_signer_is_worth_now() {
    type Spoil = fn(&mut World);
    let table: [(&str, Spoil); 7] = [
        ("revoked", |it| it.approved_by = None),
        ("disabled", |it| it.approved_by.as_mut().unwrap().enabled = false),
        ("denied", |it| it.approved_by.as_mut().unwrap().approval = Approval::Denied),
        ("expired", |it| it.approved_by.as_mut().unwrap().expires_at = Some(at(NOW))),
        ("suspended", |it| it.co_signer.as_mut().unwrap().suspended = true),
        ("its fleet is not approved", |it| it.co_signer.as_mut().unwrap().approval = Approval::Pending),
        ("of another fleet", |it| it.approved_by.as_mut().unwrap().fleet = None),
    ];
    for (what, spoil) in table {
        let mut world = answered(Approved, "2026-03-04T12:10:00Z");
        spoil(&mut world);
        let text = "waits for Machine hq/boss again: the machine that approved may no longer approve";
        assert!(refused(&world, text), "{what}");
    }
}

#[test]
fn nobody_approves_for_themselves_and_nobody_is_not_somebody() {
    let mut world = answered(Approved, "2026-03-04T12:10:00Z");
    world.co_signer.clone_from(&world.fleet);
    world.approved_by = Some(world.machine.clone());
    let text = "Machine shop/web would approve its own reads: name another in coSign";
    assert!(!refused(&world, text));

    // Whoever may be a pod of the one may be a pod of the other.
    let mut world = answered(Approved, "2026-03-04T12:10:00Z");
    let shared = |fleet: &Fleet| Fleet { subject: workload(&["web", "both"]), ..fleet.clone() };
    world.fleet = world.fleet.as_ref().map(shared);
    world.request = Some(request(&world, Some(answer(Approved, "2026-03-04T12:10:00Z"))));
    world.verdict().unwrap();
    world.co_signer = world.co_signer.as_ref().map(|it| Fleet { subject: workload(&["boss", "both"]), ..it.clone() });
    assert!(!refused(&world, "Machine hq/boss would approve its own reads: name another in coSign"));

    world.co_signer = None;
    let text = "Machine hq/boss does not exist, and its approval is needed: apply it, or name another in coSign";
    assert!(!refused(&world, text));
}

#[test]
fn nobody_is_asked_for_a_read_that_something_else_denies() {
    let mut world = guarded();
    world.policy.as_mut().unwrap().document.ip_allowlist = Some(vec!["192.0.2.0/24".into()]);
    let denial = world.verdict().unwrap_err();
    assert_eq!((denial.reason, denial.asks), (Reason::AddressNotAllowed, false));
}

#[test]
fn a_protected_policy_takes_the_answer_of_a_machine_that_a_person_knows() {
    let mut world = answered(Approved, "2026-03-04T12:10:00Z");
    world.policy.as_mut().unwrap().protected = true;
    let text = "waits for Machine hq/boss again: the machine that approved may no longer approve";
    assert!(refused(&world, text), "its object let it in");
    let vouched = Machine { approved_by_person: true, ..approver() };
    world.approved_by = Some(Machine { enrolled_by: Some("token".into()), ..vouched.clone() });
    assert!(refused(&world, text), "whoever has the token makes as many as he likes");
    world.approved_by = Some(vouched);
    world.verdict().unwrap();
}
