//! States of an access policy.

use sikkerkey_protocol::kubernetes::PolicyState;

use super::*;
use crate::controller::access_policy::gather::Facts;
use crate::controller::grant::gather::Referred;

fn hours(more: Value) -> Value {
    let window = json!({"days": ["Mon", "Tue", "Wed", "Thu", "Fri"], "start": "06:00", "end": "20:00"});
    let mut spec = json!({"timeZone": "Europe/Oslo", "timeWindow": window, "rateCap": {"perMinute": 600}});
    spec.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    spec
}

fn state(more: Value) -> PolicyState {
    let mut state = json!({
        "secrets": 1, "window": "Open", "windowChangesAt": now().as_millisecond() + 3_600_000,
        "usage": {"reads": 1204, "denied": 3}, "deniedBy": {"OutsideTimeWindow": 3},
    });
    state.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    serde_json::from_value(state).unwrap()
}

impl States for AccessPolicy {
    fn plain() -> Value {
        hours(json!({}))
    }

    fn facts() -> Facts {
        Facts { approver: None, bound: 1 }
    }

    fn state() -> PolicyState {
        state(json!({}))
    }

    fn invalid() -> Value {
        hours(json!({"timeZone": "Europe/Olso"}))
    }

    fn own(gallery: &mut Gallery<Self>) {
        let in_force = |more: Value| Outcome::InForce(state(more));
        gallery.shows("closed", Self::plain(), Self::facts(), in_force(json!({"window": "Closed"})));
        let co_signed = |machine: Value| json!({"coSign": {"machineRef": machine, "window": "8h"}});
        let by = |approver| Facts { approver: Some(approver), bound: 1 };
        let always =
            || in_force(json!({"window": "Always", "windowChangesAt": null, "deniedBy": {"CoSignMissing": 3}}));
        gallery.shows("approver-not-found", co_signed(json!({"name": "boss"})), by(Referred::Missing), always());
        let foreign = co_signed(json!({"name": "boss", "namespace": "hq"}));
        gallery.shows("ref-not-permitted", foreign, by(Referred::NotPermitted), Outcome::Withdrawn);
        let ttl = |instant: &str| hours(json!({"ttl": {"expiresAt": instant}}));
        let ended = in_force(json!({"window": "Ended", "windowChangesAt": null}));
        gallery.shows("ended", ttl("2026-05-01T00:00:00Z"), Self::facts(), ended);
        let never = in_force(json!({"window": "Closed", "windowChangesAt": now().as_millisecond() + 2 * 86_400_000}));
        gallery.shows("never-opens", ttl("2026-06-02T00:00:00Z"), Self::facts(), never);
        let unused = json!({"usage": {"reads": 0, "denied": 0}, "deniedBy": {}});
        gallery.shows("not-bound", Self::plain(), Facts { approver: None, bound: 0 }, in_force(unused));
    }
}
