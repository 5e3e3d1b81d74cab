use sikkerkey_protocol::denial::DenialReason;
use sikkerkey_protocol::kubernetes::{ApplyPolicy, ApplySecret, Kind, LastDenied, WindowState};
use sikkerkey_protocol::policy::{Approver, CoSign, PolicyDocument, Ttl};

use crate::audit::entry::Action;
use crate::model::machine::Grantee;
use crate::refusal::RefusalKind;
use crate::usecase::fixture::*;

fn with(policy: PolicyDocument) -> ApplyPolicy {
    ApplyPolicy { object: object("hours", 1), policy }
}

#[test]
fn a_policy_that_cannot_be_put_in_force_is_refused_as_a_whole() {
    let table = [
        (
            PolicyDocument {
                co_sign: Some(CoSign { approver: Approver::Object(object("boss", 1).key), window_seconds: 5 }),
                ..Default::default()
            },
            "coSign.window is from 30s to 168h",
        ),
        (
            PolicyDocument::default(),
            "a policy without an axis restricts nothing: give at least one of timeWindow, ipAllowlist, rateCap, coSign, \
             ttl and rotateAfterReads",
        ),
    ];
    for (policy, text) in table {
        let mut bench = Bench::new();
        refused(bench.apply_policy(with(policy)), RefusalKind::Invalid, None, text);
        assert!(bench.state.policies.is_empty());
    }
}

#[test]
fn the_revision_counts_changes_of_the_document_alone() {
    let mut bench = Bench::new();
    bench.apply_policy(allowlist("hours", "10.0.0.0/8")).unwrap();
    let mut relabelled = allowlist("hours", "10.0.0.0/8");
    relabelled.object.generation = 2;
    bench.apply_policy(relabelled).unwrap();
    let revision = |bench: &Bench| bench.state.policies.values().next().unwrap().revision;
    assert_eq!(revision(&bench), 1);
    let mut changed = allowlist("hours", "192.0.2.0/24");
    changed.object.generation = 3;
    bench.apply_policy(changed).unwrap();
    assert_eq!((revision(&bench), bench.actions()), (2, vec![Action::PolicyApply]));
}

#[test]
fn a_policy_tells_whom_it_guards_and_what_it_refused() {
    let mut bench = Bench::new();
    bench.apply_machine(workload("web")).unwrap();
    bench.apply_policy(allowlist("hours", "10.0.0.0/8")).unwrap();
    for name in ["a", "b"] {
        bench.apply_secret(ApplySecret { policy: Some("hours".into()), ..generated(name) }).unwrap();
    }
    bench.apply_secret(generated("c")).unwrap();
    let grantee = Grantee::Fleet(bench.state.fleets.keys().next().unwrap().clone());
    let secret = bench.secret("a").id.clone();
    for (time, reason) in [(1, DenialReason::AddressNotAllowed), (2, DenialReason::NotGranted)] {
        let denied = LastDenied { time, secret: "a".into(), reason, message: "no".into() };
        bench.ledger.record_denial(&grantee, &secret, denied);
    }
    let state = bench.inventory("prod").policies.remove(0).state;
    assert_eq!((state.secrets, state.window, state.usage.denied), (2, WindowState::Always, 2));
    assert_eq!(state.denied_by.into_iter().collect::<Vec<_>>(), [(DenialReason::AddressNotAllowed, 1)]);
    assert_eq!(state.usage.last_denied.unwrap().time, 2);

    bench.delete(deleted(Kind::AccessPolicy, "hours")).unwrap();
    assert_eq!(bench.actions(), [Action::PolicyDelete]);
    assert_eq!(bench.audit[0].detail, "AccessPolicy shop/hours: 2 secrets that name it are locked");
    let secrets = bench.inventory("prod").secrets;
    let in_force: Vec<_> = secrets.iter().map(|it| it.state.policy_in_force).collect();
    assert_eq!(in_force, [false, false, true]);
}

#[test]
fn a_policy_ends_with_its_last_day() {
    let mut bench = Bench::new();
    let end = bench.now.0 + 1000;
    let policy = PolicyDocument { ttl: Some(Ttl { expires_at: Some(end), max_reads: None }), ..Default::default() };
    let state = bench.apply_policy(with(policy.clone())).unwrap();
    assert_eq!((state.window, state.window_changes_at), (WindowState::Always, Some(end)));
    bench.now = bench.now.plus_seconds(1);
    let state = bench.apply_policy(with(policy)).unwrap();
    assert_eq!((state.window, state.window_changes_at), (WindowState::Ended, None));
}
