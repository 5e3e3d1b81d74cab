//! States of a Secret.

use sikkerkey_crds::secret::SecretStatus;
use sikkerkey_protocol::kubernetes::SecretState;

use super::*;
use crate::controller::secret::gather::{Facts, Policy};
use crate::controller::secret::original::{Disabled, Flaw, Found, Keeper, Marks, Original, Taking};
use crate::index::Given;

fn state(more: Value) -> SecretState {
    let mut state = json!({
        "secretId": "sk_a1b2", "projectId": "proj_c3d4", "version": 7, "versionTime": now().as_millisecond(),
        "nextRotation": null, "fieldNames": ["password", "username"], "grants": 1, "policyInForce": true, "podsTotal": 3,
        "podsCurrent": 3,
    });
    state.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    serde_json::from_value(state).unwrap()
}

fn facts(policy: Policy) -> Facts {
    Facts { policy, grants: Given { count: 1, changes_at: None }, original: Original::NotLooked, look_at: None }
}

/// What a look at the core Secret finds.
fn found(value: Result<Taking, Flaw>, kept_by: Option<Keeper>) -> Facts {
    let marks = Marks { uid: "u".into(), version: "7".into() };
    let original = Original::Found(Found { marks, value, kept_by, is_going: false });
    Facts { original, ..facts(Policy::Fine) }
}

impl States for Secret {
    fn plain() -> Value {
        let fields = json!([{"name": "username", "literal": "shop"}, {"name": "password", "length": 40}]);
        json!({"source": {"generate": {"fields": fields}}, "policyRef": {"name": "working-hours"}})
    }

    fn facts() -> Facts {
        facts(Policy::Fine)
    }

    fn state() -> SecretState {
        state(json!({}))
    }

    fn invalid() -> Value {
        json!({"source": {"external": {}}, "policyRef": null})
    }

    fn own(gallery: &mut Gallery<Self>) {
        let in_force = |more: Value| Outcome::InForce(state(more));
        let locked = || in_force(json!({"policyInForce": false}));
        gallery.shows("policy-not-found", Self::plain(), facts(Policy::Missing), locked());
        let not_accepted = Policy::NotAccepted { reason: Reason::UnknownField.to_string() };
        gallery.shows("policy-not-accepted", Self::plain(), facts(not_accepted), locked());
        let external = || json!({"source": {"external": {}}});
        let none = json!({"version": 0, "versionTime": null, "fieldNames": [], "podsTotal": 0, "podsCurrent": 0});
        gallery.shows("value-missing", external(), Self::facts(), in_force(none));
        let sealed = || json!({"source": {"sealed": {"keyID": "seal-2026-11", "ciphertext": "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8gISIjJCUmJygpKissLS4vMDEyMzQ1Njc4OTo7PD0+Pw=="}}});
        for (name, code) in [
            ("sealed-key-unknown", ErrorCode::SealedKeyUnknown),
            ("unseal-failed", ErrorCode::UnsealFailed),
            ("sealed-value-outdated", ErrorCode::SealedValueOutdated),
            ("value-too-large", ErrorCode::ValueTooLarge),
        ] {
            gallery.push(name, sealed(), 1, Self::facts(), refused(code), SecretStatus::default());
        }
        let taken = || json!({"source": {"kubernetesSecret": {"name": "old", "key": "password", "onTaken": "Delete"}}});
        let off = Facts { original: Original::Disabled(Disabled::SwitchedOff), ..Self::facts() };
        gallery.shows("source-disabled", taken(), off, Outcome::NotAsked);
        let gone = Facts { original: Original::Missing, ..Self::facts() };
        gallery.shows("kubernetes-secret-not-found", taken(), gone, in_force(json!({})));
        let no_key = Flaw::NoKey { keys: vec!["token".into()] };
        gallery.shows("kubernetes-secret-key-not-found", taken(), found(Err(no_key), None), in_force(json!({})));
        let not_text = Flaw::NotText { key: "password".into() };
        gallery.shows("kubernetes-secret-invalid", taken(), found(Err(not_text), None), in_force(json!({})));
        let from_old = || in_force(json!({"takenFrom": {"name": "old", "key": "password"}}));
        let kept = found(Ok(Taking::Known), Some(Keeper::Manager("Helm".into())));
        gallery.shows("original-kept", taken(), kept, from_old());
        let due = in_force(json!({"rotationDueSince": now().as_millisecond()}));
        gallery.shows("rotation-due", external(), Self::facts(), due);
        let nothing =
            in_force(json!({"version": 0, "versionTime": null, "fieldNames": [], "podsTotal": 0, "podsCurrent": 0}));
        gallery.edited("value-lost", Self::plain(), nothing);
    }
}
