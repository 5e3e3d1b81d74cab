//! States of a Secret.

use sikkerkey_crds::secret::SecretStatus;
use sikkerkey_protocol::kubernetes::SecretState;

use super::*;
use crate::controller::secret::gather::{Facts, Policy};
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
    Facts { policy, grants: Given { count: 1, changes_at: None } }
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
            ("value-too-large", ErrorCode::ValueTooLarge),
        ] {
            gallery.push(name, sealed(), 1, Self::facts(), refused(code), SecretStatus::default());
        }
        let taken = || json!({"source": {"kubernetesSecret": {"name": "old"}}});
        gallery.shows("source-disabled", taken(), Self::facts(), Outcome::NotAsked);
        let due = in_force(json!({"rotationDueSince": now().as_millisecond()}));
        gallery.shows("rotation-due", external(), Self::facts(), due);
        gallery.said(
            "kubernetes-secret-not-found",
            taken(),
            Says::Resolved(Verdict::fails(
                Reason::KubernetesSecretNotFound,
                "Kubernetes Secret old does not exist in namespace shop.",
            )),
        );
        gallery.said(
            "kubernetes-secret-key-not-found",
            taken(),
            Says::Resolved(Verdict::fails(
                Reason::KubernetesSecretKeyNotFound,
                "Kubernetes Secret old has no key password; it has token.",
            )),
        );
        gallery.said(
            "original-kept",
            taken(),
            Says::Own(Verdict::holds_with(
                Reason::OriginalKept,
                "Kubernetes Secret old was not deleted: helm manages it. Remove it there.",
            )),
        );
        gallery.said(
            "value-lost",
            Self::plain(),
            Says::Programmed(Verdict::fails(
                Reason::ValueLost,
                "The server has lost the value that it had generated: restore it, or have another one made.",
            )),
        );
    }
}
