use sikkerkey_protocol::canonical::{Purpose, possession};
use sikkerkey_protocol::enrolment::Register;
use sikkerkey_protocol::error_body::ErrorCode;
use sikkerkey_protocol::kubernetes::{ApplyMachine, Approval};
use sikkerkey_protocol::secret_text::SecretText;

use super::register;
use crate::audit::entry::Action;
use crate::model::millis::Millis;
use crate::refusal::{Refusal, RefusalKind};
use crate::usecase::admin::{agent, machine};
use crate::usecase::fixture::*;

fn ready() -> Bench {
    let mut bench = Bench::new();
    bench.apply_machine(workload("web")).unwrap();
    bench
}

fn host_token(bench: &mut Bench, name: Option<&str>) -> SecretText {
    bench.run(|it| machine::bootstrap(it, &"vault_v".parse().unwrap(), name.map(str::to_owned))).unwrap().0
}

/// A host's script makes no proof.
fn host(token: &SecretText, n: u8, hostname: Option<&str>) -> Register {
    Register {
        token: token.clone(),
        public_key: key(n).public_key(),
        proof: None,
        hostname: hostname.map(str::to_owned),
        os: Some("Linux 6.1 x86_64".into()),
    }
}

fn refused_text<T>(result: Result<T, Refusal>, text: &str) {
    refused(result, RefusalKind::Unauthenticated, None, text);
}

#[test]
fn a_pod_becomes_a_machine_of_its_fleet() {
    let mut bench = ready();
    let registered = bench.enrol("pod-1", 1);
    assert_eq!(bench.actions(), [Action::MachineRegister]);
    assert_eq!((registered.machine_name.as_str(), registered.api_url.as_str()), ("shop/web-pod-1", URL));
    assert_eq!(registered.expires_at, bench.now.plus_seconds(3600).0);
    let machine = bench.machine(&registered).unwrap();
    assert_eq!(
        (machine.approval, machine.enabled, machine.public_key),
        (Approval::Approved, true, key(1).public_key())
    );
    assert_eq!(machine.fleet.as_ref(), bench.state.fleets.keys().next());
    assert_eq!(machine.pod.as_ref().unwrap().pod, pod("pod-1").into());
    assert_eq!(
        bench.audit[0].detail,
        format!(
            "machine shop/web-pod-1 (pod shop/web-pod-1, uid pod-1, node node-1, service account web), of Machine shop/web, key {}",
            key(1).public_key().fingerprint()
        )
    );
}

#[test]
fn the_same_token_with_the_same_key_gives_the_same_answer_and_no_other_key_gets_one() {
    let mut bench = ready();
    let voucher = bench.voucher(pod("pod-1"), 1).unwrap().voucher;
    let first = bench.register(voucher.expose(), 1).unwrap();
    let second = bench.register(voucher.expose(), 1).unwrap();
    assert_eq!((&first, bench.changes, bench.audit.len()), (&second, 0, 0));
    let unknown = "the token is not known here, or ended some time ago: ask for a new one";
    refused_text(bench.register(voucher.expose(), 2), unknown);
    bench.now = bench.now.plus_seconds(60);
    refused_text(bench.register(voucher.expose(), 1), "the token has expired: ask for a new one");

    let voucher = bench.voucher(pod("pod-4"), 4).unwrap().voucher;
    refused_text(bench.register(voucher.expose(), 2), "the voucher is for another key: attest the key that registers");
    let voucher = bench.voucher(pod("pod-2"), 2).unwrap().voucher;
    let second = bench.register(voucher.expose(), 2).unwrap();
    let other = bench.voucher(pod("pod-3"), 3).unwrap().voucher;
    bench.register(other.expose(), 3).unwrap();
    refused_text(bench.register(other.expose(), 2), unknown);
    bench.run(|it| machine::revoke(it, second.machine_id.as_str())).unwrap();
    refused_text(bench.register(voucher.expose(), 2), unknown);

    let token = host_token(&mut bench, Some("nas"));
    let first = bench.run(|it| register(it, source(), host(&token, 5, None))).unwrap();
    assert_eq!(bench.run(|it| register(it, source(), host(&token, 5, None))).unwrap(), first);
    let other = bench.run(|it| register(it, source(), host(&token, 6, None)));
    refused_text(other, "the token was used by another key: ask for a new one");
    bench.run(|it| machine::revoke(it, first.machine_id.as_str())).unwrap();
    let again = bench.run(|it| register(it, source(), host(&token, 5, None)));
    refused_text(again, "the token was used, and its machine is revoked since: ask for a new one");
}

#[test]
fn a_voucher_is_worth_nothing_without_its_key() {
    let mut bench = ready();
    let voucher = bench.voucher(pod("pod-1"), 1).unwrap().voucher;
    let token = voucher.expose();
    let public_key = key(1).public_key();
    let with = |proof| Register { token: SecretText::new(token.into()), public_key, proof, hostname: None, os: None };
    let foreign = key(2).sign(&possession(Purpose::Register, token, &public_key));
    let text = "the proof of possession does not verify: sign it with the key that registers";
    // A proof that was made for the operator is none here.
    let attest = key(1).sign(&possession(Purpose::Attest, token, &public_key));
    // Neither before it was used, nor afterwards.
    for _ in 0..2 {
        refused_text(
            bench.run(|it| register(it, source(), with(None))),
            "a voucher needs a proof of possession of its key",
        );
        refused_text(bench.run(|it| register(it, source(), with(Some(foreign)))), text);
        refused_text(bench.run(|it| register(it, source(), with(Some(attest)))), text);
        bench.register(token, 1).unwrap();
    }
}

#[test]
fn a_pod_that_enrols_anew_ends_its_earlier_machine() {
    let mut bench = ready();
    let first = bench.enrol("pod-1", 1);
    let second = bench.enrol("pod-1", 2);
    assert_eq!(bench.actions(), [Action::MachineRevoke, Action::MachineRegister]);
    assert_eq!(bench.audit[0].machine, Some(first.machine_id.clone()));
    assert!(bench.audit[0].detail.ends_with("its pod enrolled anew"));
    assert!(bench.machine(&first).is_none() && bench.machine(&second).is_some());
}

#[test]
fn a_fleet_that_was_closed_after_the_voucher_takes_nobody_in() {
    let mut bench = ready();
    let voucher = bench.voucher(pod("pod-1"), 1).unwrap().voucher;
    let mut suspended = ApplyMachine { suspended: true, ..workload("web") };
    suspended.object.generation = 2;
    bench.apply_machine(suspended).unwrap();
    refused(
        bench.register(voucher.expose(), 1),
        RefusalKind::Forbidden,
        Some(ErrorCode::MachineNotActive),
        "Machine shop/web is suspended: set spec.suspend to false",
    );
}

#[test]
fn a_host_waits_for_a_person_under_a_name_of_its_own() {
    let mut bench = Bench::new();
    let token = host_token(&mut bench, None);
    assert_eq!(token.expose().len(), 64);
    for hostname in [None, Some(""), Some("a\u{1b}[2J")] {
        refused(
            bench.run(|it| register(it, source(), host(&token, 1, hostname))),
            RefusalKind::Invalid,
            None,
            "hostname must be from 1 to 255 printable characters: the token names no machine",
        );
    }
    for (hostname, code) in [("x\u{202e}y", "U+202E"), ("na\u{200b}s", "U+200B")] {
        let text = format!(
            "hostname must not contain {code}, a character that is invisible or turns the direction of text: the token names no \
             machine"
        );
        let hidden = bench.run(|it| register(it, source(), host(&token, 1, Some(hostname))));
        refused(hidden, RefusalKind::Invalid, None, &text);
    }
    let registered = bench.run(|it| register(it, source(), host(&token, 1, Some("nas")))).unwrap();
    assert_eq!((registered.machine_name.as_str(), registered.expires_at), ("nas", 0));
    assert_eq!(bench.machine(&registered).unwrap().approval, Approval::Pending);

    let first_contact = bench.machine(&registered).unwrap().host.clone().unwrap().first_contact.unwrap();
    assert_eq!((first_contact.at, first_contact.address), (bench.now, source().address));
    assert_eq!(first_contact.os.as_deref(), Some("Linux 6.1 x86_64"));
    let token = host_token(&mut bench, Some("nas2"));
    refused(
        bench.run(|it| register(it, source(), host(&token, 1, None))),
        RefusalKind::Conflict,
        Some(ErrorCode::KeyInUse),
        "the key is in use already: make a new one, and keep it for one machine alone",
    );
    bench.now = Millis(bench.now.0 + 600_000);
    refused_text(
        bench.run(|it| register(it, source(), host(&token, 3, None))),
        "the token has expired: ask for a new one",
    );
}

#[test]
fn a_token_is_good_for_what_it_was_made_for() {
    let mut bench = Bench::new();
    let vault = "vault_v".parse().unwrap();
    let (token, _) = bench.run(|it| agent::token(it, &vault, "ci".into(), None)).unwrap();
    refused_text(
        bench.run(|it| register(it, source(), host(&token, 1, Some("nas")))),
        "the token is for an agent: register it at /v1/ai-bootstrap/register",
    );
    refused_text(
        bench.run(|it| register(it, source(), host(&SecretText::new("0".repeat(64)), 1, Some("nas")))),
        "the token is not known here, or ended some time ago: ask for a new one",
    );
}

#[test]
fn a_host_that_begins_again_waits_and_the_one_before_it_goes_on_until_then() {
    let mut bench = Bench::new();
    let mut begins = |n: u8| {
        let token = host_token(&mut bench, Some("nas"));
        let registered = bench.run(|it| register(it, source(), host(&token, n, None))).unwrap();
        if n == 1 {
            bench.run(|it| machine::approve(it, registered.machine_id.as_str())).unwrap();
        }
        bench.now = bench.now.plus_seconds(1);
        registered.machine_id
    };
    let [first, second, third] = [1, 2, 3].map(&mut begins);
    let of = |id| bench.state.machines[id].clone();
    let replaces = |id| of(id).host.as_ref().and_then(|it| it.replaces.clone());
    assert_eq!((of(&first).approval, replaces(&first)), (Approval::Approved, None));
    // The approved one, however many wait for its place.
    assert_eq!((of(&second).approval, replaces(&second)), (Approval::Pending, Some(first.clone())));
    assert_eq!((of(&third).approval, replaces(&third)), (Approval::Pending, Some(first.clone())));
    assert!(bench.audit[0].detail.contains(&format!("waits for approval, in the place of machine {first}")));
}

#[test]
fn a_temporary_machine_lasts_from_its_approval_on() {
    let mut bench = Bench::new();
    let vault = "vault_v".parse().unwrap();
    for seconds in [3599, 366 * 86_400 + 1] {
        refused(
            bench.run(|it| machine::bootstrap_temporary(it, &vault, None, seconds)),
            RefusalKind::Invalid,
            None,
            "a temporary machine lasts from 1 hour to 12 months (366d)",
        );
    }
    let (token, _) = bench.run(|it| machine::bootstrap_temporary(it, &vault, None, 3600)).unwrap();
    assert_eq!(bench.audit[0].detail, "for machine (its host name), temporary, for 3600 s");
    let registered = bench.run(|it| register(it, source(), host(&token, 1, Some("guest")))).unwrap();
    let machine = bench.machine(&registered).unwrap();
    assert_eq!((machine.expires_at, registered.expires_at), (None, 0));
    assert_eq!(machine.host.as_ref().unwrap().temporary.as_ref().unwrap().lifetime_seconds, 3600);
}
