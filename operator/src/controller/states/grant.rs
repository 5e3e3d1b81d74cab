//! States of a Grant.

use sikkerkey_protocol::kubernetes::GrantState;

use super::*;
use crate::controller::grant::gather::{Facts, Referred};

const FINE: Referred = Referred::Fine { suspended: false };

fn grant(more: Value) -> Value {
    let mut spec = json!({"machineRef": {"name": "web"}, "secretRefs": [{"name": "db"}, {"name": "stripe-key"}]});
    spec.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    spec
}

fn facts(machine: Referred, missing: &[&str]) -> Facts {
    let missing = missing.iter().map(|name| (*name).to_owned()).collect();
    Facts { machine, missing, has_pending_secret: false }
}

fn state(more: Value) -> GrantState {
    let mut state = json!({
        "machineId": "67e55044-10b1-426f-9247-bb680e5fe0c8", "granted": ["db", "stripe-key"], "missing": [],
        "usage": {"reads": 1204, "denied": 3, "lastRead": now().as_millisecond()},
    });
    state.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    serde_json::from_value(state).unwrap()
}

impl States for Grant {
    fn plain() -> Value {
        grant(json!({}))
    }

    fn facts() -> Facts {
        facts(FINE, &[])
    }

    fn state() -> GrantState {
        state(json!({}))
    }

    fn invalid() -> Value {
        grant(json!({"expiresAt": null}))
    }

    fn own(gallery: &mut Gallery<Self>) {
        let in_force = |more: Value| Outcome::InForce(state(more));
        gallery.shows("machine-not-found", Self::plain(), facts(Referred::Missing, &[]), Outcome::Withdrawn);
        let foreign = grant(json!({"machineRef": {"name": "web", "namespace": "front"}}));
        gallery.shows("ref-not-permitted", foreign, facts(Referred::NotPermitted, &[]), Outcome::Withdrawn);
        let half = in_force(json!({"granted": ["stripe-key"], "usage": {"reads": 0, "denied": 0}}));
        gallery.shows("secret-not-found", Self::plain(), facts(FINE, &["db"]), half);
        let not_accepted = Referred::NotAccepted { reason: Reason::InvalidSpec.to_string() };
        gallery.shows("machine-not-accepted", Self::plain(), facts(not_accepted, &[]), in_force(json!({})));
        let ended = grant(json!({"expiresAt": "2026-05-01T00:00:00Z"}));
        gallery.shows("expired", ended, Self::facts(), in_force(json!({})));
        let suspended = facts(Referred::Fine { suspended: true }, &[]);
        gallery.shows("suspended", Self::plain(), suspended, in_force(json!({})));
        let waits = json!([{"secret": "db", "reason": "CoSignMissing", "message": "waits for Machine hq/boss, request 6f1c2b3a"}]);
        gallery.shows("ready-awaited", Self::plain(), Self::facts(), in_force(json!({"awaiting": waits})));
    }
}
