//! How the host of a `Machine` begins: a command by way of the operator.

use sikkerkey_protocol::canonical::sha256_hex;
use sikkerkey_protocol::enrolment::{Register, Registered};
use sikkerkey_protocol::kubernetes::{ApplyMachine, Approval, BootstrapHost, HostBootstrap, ObjectIdentity};
use sikkerkey_protocol::secret_text::SecretText;

use super::super::bootstrap;
use super::machines::host;
use crate::audit::entry::Action;
use crate::model::Entity;
use crate::model::machine::Machine;
use crate::refusal::{Refusal, RefusalKind};
use crate::usecase::admin::machine;
use crate::usecase::author::Author;
use crate::usecase::fixture::*;
use crate::usecase::register::register;

fn of(request: &ApplyMachine) -> ObjectIdentity {
    ObjectIdentity { key: request.object.key.clone(), uid: request.object.uid.clone() }
}

fn asks(bench: &mut Bench, machine: ObjectIdentity, token: &str) -> Result<HostBootstrap, Refusal> {
    let asked = BootstrapHost { machine, token_hash: sha256_hex(token.as_bytes()), asked_by: "jane".into() };
    bench.run(|it| bootstrap::bootstrap(it, &Bench::agent("prod"), source(), asked))
}

fn begins(bench: &mut Bench, token: &str, n: u8) -> Result<Registered, Refusal> {
    let register_host = Register {
        token: SecretText::new(token.into()),
        public_key: key(n).public_key(),
        proof: None,
        hostname: Some("nas".into()),
        os: None,
    };
    bench.run(|it| register(it, source(), register_host))
}

fn token(n: u8) -> String {
    format!("{n:064x}")
}

#[test]
fn the_host_of_a_machine_registers_for_it_and_a_person_approves_its_key() {
    let mut bench = Bench::new();
    let object = host("backup", None);
    bench.apply_machine(object.clone()).unwrap();
    let answer = asks(&mut bench, of(&object), &token(1)).unwrap();
    assert_eq!((answer.url.as_str(), answer.expires_at, answer.is_pinned), (URL, bench.now.plus_seconds(600).0, false));
    assert_eq!(bench.actions(), [Action::BootstrapTokenCreate]);
    assert_eq!(bench.audit[0].detail, "for the host of Machine shop/backup, asked by \"jane\"");

    let registered = begins(&mut bench, &token(1), 1).unwrap();
    assert_eq!(registered.machine_name, "shop/backup");
    let held = bench.machine(&registered).unwrap().clone();
    assert_eq!((held.approval, held.fleet.as_ref()), (Approval::Pending, bench.state.fleets.keys().next()));
    let state = bench.apply_machine(object.clone()).unwrap();
    assert_eq!((state.approval, state.machine_id), (Approval::Pending, Some(registered.machine_id.to_string())));
    assert_eq!(state.fingerprint, Some(key(1).public_key().fingerprint()));

    bench.run(|it| machine::approve(it, registered.machine_id.as_str())).unwrap();
    let state = bench.apply_machine(object.clone()).unwrap();
    assert_eq!((state.approval, state.alive), (Approval::Approved, 1));

    // Begun again, a new key waits, and the one before it goes on.
    asks(&mut bench, of(&object), &token(2)).unwrap();
    let second = begins(&mut bench, &token(2), 2).unwrap();
    let replaces = bench.machine(&second).unwrap().host.clone().unwrap().replaces;
    assert_eq!(replaces, Some(registered.machine_id));
    let state = bench.apply_machine(object).unwrap();
    assert_eq!(
        (state.approval, state.alive, state.machine_id),
        (Approval::Pending, 1, Some(second.machine_id.to_string()))
    );
}

#[test]
fn naming_the_key_that_waits_in_the_object_is_its_approval() {
    let mut bench = Bench::new();
    let object = host("backup", None);
    bench.apply_machine(object.clone()).unwrap();
    asks(&mut bench, of(&object), &token(1)).unwrap();
    let registered = begins(&mut bench, &token(1), 7).unwrap();
    let mut named = host("backup", Some(7));
    named.object.generation = 2;
    let state = bench.apply_machine(named).unwrap();
    assert_eq!((state.approval, state.machine_id), (Approval::Approved, Some(registered.machine_id.to_string())));
    assert_eq!(bench.actions(), [Action::FleetApply, Action::MachineApprove]);
}

#[test]
fn only_the_key_that_the_object_names_registers_for_it() {
    let mut bench = Bench::new();
    let object = host("backup", Some(7));
    let id = bench.apply_machine(object.clone()).unwrap().machine_id;
    assert!(asks(&mut bench, of(&object), &token(1)).unwrap().is_pinned);
    refused(
        begins(&mut bench, &token(1), 8),
        RefusalKind::Forbidden,
        None,
        "Machine shop/backup names another key in spec.host.publicKey: run the command with SIKKERKEY_KEY=FILE and that key, or \
         take spec.host.publicKey away and ask for a new command",
    );
    let registered = begins(&mut bench, &token(1), 7).unwrap();
    assert_eq!(Some(registered.machine_id.to_string()), id);
    assert_eq!(bench.state.machines.len(), 1);
    assert_eq!(bench.machine(&registered).unwrap().approval, Approval::Approved);
}

#[test]
fn a_host_that_a_person_has_revoked_is_not_let_in_again_by_the_key_in_its_object() {
    let mut bench = Bench::new();
    let object = host("backup", Some(7));
    let id = bench.apply_machine(object.clone()).unwrap().machine_id.unwrap();
    let fleet = bench.state.fleets.keys().next().unwrap().clone();

    let agent = Bench::agent("prod");
    let held = bench.state.machines.values().next().unwrap().clone();
    let by_agent = bench.run(|it| {
        let steps = crate::usecase::machine::revoke(it, Author::Agent(&agent, source()), &held)?;
        Ok(steps.decide(|_| ()))
    });
    let text = "Machine shop/backup names its key and lets it in again: take spec.host.publicKey away there";
    refused(by_agent, RefusalKind::Conflict, None, text);

    bench.run(|it| machine::revoke(it, &id)).unwrap();
    assert_eq!(bench.actions(), [Action::MachineRevoke, Action::MachineRevoke]);
    let mut newer = host("backup", Some(8));
    newer.object.generation = 2;
    for object in [object, newer.clone()] {
        let state = bench.apply_machine(object).unwrap();
        assert_eq!((state.approval, state.alive), (Approval::Denied, 0));
        assert!(bench.state.machines.is_empty(), "neither by this key nor by another one");
    }
    bench.run(|it| machine::approve(it, fleet.as_str())).unwrap();
    let state = bench.apply_machine(newer.clone()).unwrap();
    assert_eq!((state.approval, state.fingerprint), (Approval::Approved, Some(key(8).public_key().fingerprint())));

    // One that waits for a person since a restore, and is denied.
    let held = bench.state.machines.values().next().unwrap();
    let waits = Machine { approval: Approval::Pending, ..Machine::clone(held) };
    let id = waits.id.clone();
    bench.put(Entity::Machine(waits));
    bench.run(|it| machine::deny(it, id.as_str())).unwrap();
    assert_eq!(bench.apply_machine(newer).unwrap().approval, Approval::Denied);
    assert!(bench.state.machines.is_empty());
}

#[test]
fn a_newer_command_for_a_machine_ends_the_one_before_it() {
    let mut bench = Bench::new();
    let object = host("backup", None);
    bench.apply_machine(object.clone()).unwrap();
    for n in [1, 2] {
        asks(&mut bench, of(&object), &token(n)).unwrap();
    }
    refused(
        begins(&mut bench, &token(1), 1),
        RefusalKind::Unauthenticated,
        None,
        "the token is not known here, or ended some time ago: ask for a new one",
    );
    bench.delete(deleted(sikkerkey_protocol::kubernetes::Kind::Machine, "backup")).unwrap();
    assert!(bench.state.tokens.is_empty(), "it goes with its object");
}

#[test]
fn a_command_is_refused_where_there_is_no_host_to_be() {
    let mut bench = Bench::new();
    let pods = workload("web");
    bench.apply_machine(pods.clone()).unwrap();
    refused(
        asks(&mut bench, of(&pods), &token(1)),
        RefusalKind::Invalid,
        None,
        "Machine shop/web is for pods, which enrol by themselves: a command is for a Machine with spec.host",
    );
    refused(
        asks(&mut bench, of(&host("backup", None)), &token(1)),
        RefusalKind::NotFound,
        None,
        "Machine shop/backup is not in force at the server: kubectl describe skm backup says why",
    );
    let object = host("backup", None);
    bench.apply_machine(object.clone()).unwrap();
    let another = ObjectIdentity { uid: "made-anew".into(), ..of(&object) };
    assert_eq!(asks(&mut bench, another, &token(1)).unwrap_err().kind, RefusalKind::NotFound);
    asks(&mut bench, of(&object), &token(1)).unwrap();
    refused(
        asks(&mut bench, of(&object), &token(1)),
        RefusalKind::Conflict,
        None,
        "this token is known already: make another, from 32 random bytes",
    );
    let asked =
        BootstrapHost { machine: of(&object), token_hash: token(1).to_uppercase() + "A", asked_by: "jane".into() };
    let wrong = bench.run(|it| bootstrap::bootstrap(it, &Bench::agent("prod"), source(), asked));
    assert_eq!(wrong.unwrap_err().message, "tokenHash is the SHA-256 of the token, in 64 lower-case hex digits");
}
