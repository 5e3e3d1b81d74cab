#![expect(clippy::needless_pass_by_value, reason = "tests hand over JSON literals")]

use serde_json::{Value, json};
use sikkerkey_crds::condition::ConditionStatus;
use sikkerkey_crds::received::Received;

use super::*;
use crate::controller::access_policy::gather::Facts;
use crate::controller::fixture::{Pass, away, now, policy};
use crate::controller::grant::gather::Referred;
use crate::controller::plan::{Outcome, Reconciled};

fn state(more: Value) -> PolicyState {
    let mut state = json!({
        "secrets": 1, "window": "Always", "windowChangesAt": null, "usage": {"reads": 0, "denied": 0}, "deniedBy": {},
    });
    state.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    serde_json::from_value(state).unwrap()
}

fn pass(object: &Received<AccessPolicy>, outcome: Outcome<PolicyState>) -> Pass<'_, AccessPolicy> {
    let facts = Facts { approver: None, bound: 1 };
    Pass { object, facts, outcome, previous: AccessPolicyStatus::default(), is_absent: false }
}

const WINDOW: &str = r#"{"timeZone": "UTC", "timeWindow": {"days": ["Mon"], "start": "06:00", "end": "20:00"},
                         "ttl": {"expiresAt": "2026-06-03T00:00:00Z"}}"#;

#[test]
fn ready_is_true_also_when_the_policy_lets_nobody_in() {
    let (window, cap) = (policy(serde_json::from_str(WINDOW).unwrap()), policy(json!({"rateCap": {"perMinute": 1}})));
    let hour = 3_600_000;
    let ends: i64 = 1_780_444_800_000;
    for (object, bound, more, reason, message) in [
        (&cap, 1, json!({}), "Ready", ""),
        (&cap, 0, json!({}), "NotBound", "No Secret names this policy in policyRef."),
        (&window, 1, json!({"window": "Open", "windowChangesAt": ends + hour}), "Ready", ""),
        (&window, 1, json!({"window": "Closed", "windowChangesAt": ends - hour}), "Ready", ""),
        (
            &window,
            1,
            json!({"window": "Closed", "windowChangesAt": ends + hour}),
            "NeverOpens",
            "The axes together never allow a read: timeWindow and ttl.",
        ),
        (&window, 0, json!({"window": "Ended"}), "Ended", "ttl ended: every read of the bound Secrets is denied."),
    ] {
        let facts = Facts { approver: None, bound };
        let found = Pass { facts, ..pass(object, Outcome::InForce(state(more.clone()))) };
        assert_eq!(found.ready(), (ConditionStatus::True, reason.into(), message.into()), "{more}");
    }
}

#[test]
fn a_co_signer_that_does_not_consent_shows() {
    let object = policy(json!({"coSign": {"machineRef": {"name": "boss", "namespace": "hq"}, "window": "10m"}}));
    let facts = Facts { approver: Some(Referred::NotPermitted), bound: 1 };
    assert_eq!(Pass { facts, ..pass(&object, Outcome::Withdrawn) }.ready().1, "RefNotPermitted");
}

#[test]
fn axes_window_and_figures_stand_in_the_status() {
    let object = policy(json!({
        "timeZone": "UTC", "timeWindow": {"start": "06:00", "end": "20:00"}, "ipAllowlist": {"cidrs": ["10.0.0.0/8"]},
        "rateCap": {"perMinute": 1}, "coSign": {"machineRef": {"name": "boss"}, "window": "10m"},
        "ttl": {"maxReads": 3}, "rotateAfterReads": 9,
    }));
    let facts = Facts { approver: Some(Referred::Fine { suspended: false }), bound: 2 };
    let state = state(json!({
        "window": "Closed", "windowChangesAt": now().as_millisecond(), "usage": {"reads": 9, "denied": 6},
        "deniedBy": {"OutsideTimeWindow": 1, "RateCapReached": 2, "PolicyEnded": 3, "NotGranted": 4, "CoSignMissing": 5,
                     "CoSignRefused": 6},
        "pendingCoSigns": 2, "remainingReads": 1,
    }));
    let mut shown = serde_json::to_value(Pass { facts, ..pass(&object, Outcome::InForce(state)) }.status()).unwrap();
    shown.as_object_mut().unwrap().remove("conditions");
    assert_eq!(
        shown,
        json!({
            "observedGeneration": 3, "axes": "TimeWindow,IPAllowlist,RateCap,CoSign,TTL,RotateAfterReads", "secrets": 2,
            "window": {"state": "Closed", "changeTime": "2026-06-01T12:00:00Z"},
            "usage": {"reads": 9, "denied": 6, "asOf": "2026-06-01T12:00:00Z", "deniedBy": [
                {"axis": "TimeWindow", "count": 1}, {"axis": "RateCap", "count": 2}, {"axis": "CoSign", "count": 11},
                {"axis": "TTL", "count": 3}], "pendingCoSigns": 2, "remainingReads": 1},
        })
    );
}

#[test]
fn what_waits_and_what_remains_shows_before_the_first_read_and_nothing_else_does() {
    let cap = policy(json!({"rateCap": {"perMinute": 1}}));
    let signed = policy(json!({"coSign": {"machineRef": {"name": "boss"}, "window": "10m"}}));
    let ends = policy(json!({"ttl": {"maxReads": 3}}));
    for (object, more, expected) in [
        (&cap, json!({}), json!(null)),
        (&signed, json!({}), json!(null)),
        (&signed, json!({"pendingCoSigns": 1}), json!({"pendingCoSigns": 1})),
        (&ends, json!({}), json!(null)),
        (&ends, json!({"remainingReads": 3}), json!({"remainingReads": 3})),
    ] {
        let facts = Facts { approver: Some(Referred::Fine { suspended: false }), bound: 1 };
        let status = Pass { facts, ..pass(object, Outcome::InForce(state(more.clone()))) }.status();
        let mut usage = serde_json::to_value(&status.usage).unwrap();
        if let Some(usage) = usage.as_object_mut() {
            assert_eq!((usage.remove("reads"), usage.remove("denied")), (Some(json!(0)), Some(json!(0))));
            assert_eq!(usage.remove("asOf"), Some(json!("2026-06-01T12:00:00Z")));
        }
        assert_eq!(usage, expected, "{more}");
    }
}

#[test]
fn a_policy_is_looked_at_again_when_its_window_changes_from_the_first_pass_on() {
    let object = policy(serde_json::from_str(WINDOW).unwrap());
    let change = now().as_millisecond() + 8 * 3_600_000;
    let found = pass(&object, Outcome::InForce(state(json!({"window": "Open", "windowChangesAt": change}))));
    let (end, change) = ("2026-06-03T00:00:00Z".parse().unwrap(), "2026-06-01T20:00:00Z".parse().unwrap());
    assert_eq!(object.changes_at(&found.facts, &found.status()), [Some(end), Some(change)]);
}

#[test]
fn the_server_being_away_changes_nothing_on_a_policy_that_is_in_force() {
    let object = policy(serde_json::from_str(WINDOW).unwrap());
    for more in [json!({"window": "Open"}), json!({"window": "Ended"}), json!({"window": "Closed"})] {
        let before = pass(&object, Outcome::InForce(state(more.clone()))).status();
        let after = Pass { previous: before.clone(), ..pass(&object, away()) }.status();
        assert_eq!(after, before, "{more}");
    }
}
