//! What to do with a Secret. Pure.

use sikkerkey_crds::condition::ConditionType;
use sikkerkey_crds::reason::Reason;
use sikkerkey_crds::received::Received;
use sikkerkey_crds::secret::{OnTaken, Secret};
use sikkerkey_protocol::kubernetes::{ApplySecret, ObjectMeta};

use super::convert::{ConvertError, convert, expected};
use super::gather::{Facts, Policy};
use super::original::{Found, Original};
use super::status::said_before;
use super::take::source;
use crate::controller::conditions::Verdict;
use crate::controller::plan::{Action, Plan};

/// Decides.
pub fn plan(object: &Received<Secret>, meta: ObjectMeta, facts: &Facts) -> Plan<ApplySecret> {
    if let Some(finding) = object.refusal() {
        return Plan::Reject { reason: finding.reason(), what: finding.to_string() };
    }
    let namespace = meta.key.namespace.clone();
    let Some(resolved) = resolved(object, facts, &namespace) else { return Plan::Wait };
    let action = match convert(meta, &object.spec, &facts.original, expected(object.status.as_ref())) {
        Ok(apply) => Action::Apply(apply),
        Err(error @ ConvertError::InvalidSpec { .. }) => {
            return Plan::Reject { reason: Reason::InvalidSpec, what: error.to_string() };
        }
        Err(ConvertError::SourceDisabled(why)) => Action::Cannot(why.verdict(&namespace)),
    };
    Plan::Act { resolved, action }
}

/// None while the policy has not been looked at. The name is sent whatever becomes of it: a Secret is locked until its
/// policy is in force.
fn resolved(secret: &Secret, facts: &Facts, namespace: &str) -> Option<Verdict> {
    let name = secret.spec.policy_ref.as_ref().map(|policy| policy.name.as_str()).unwrap_or_default();
    match &facts.policy {
        Policy::Pending => None,
        Policy::Fine => Some(original(secret, facts, namespace)),
        Policy::Missing => Some(Verdict::fails(
            Reason::PolicyNotFound,
            format!("AccessPolicy {name} does not exist in namespace {namespace}: every read is denied until it does."),
        )),
        Policy::NotAccepted { reason } => Some(Verdict::fails(
            Reason::PolicyNotAccepted,
            format!("AccessPolicy {name} is not accepted ({reason}): every read is denied until it is."),
        )),
    }
}

/// How the core Secret resolves that the spec names, if it names one.
fn original(secret: &Secret, facts: &Facts, namespace: &str) -> Verdict {
    let named = source(secret).and_then(|source| match &facts.original {
        Original::Missing if source.on_taken() == OnTaken::Keep => Some(missing(&source.name, namespace)),
        Original::Found(Found { value: Err(flaw), .. }) => flaw.unresolved(&source.name, source.key.as_deref()),
        Original::NotLooked => said_before(secret, ConditionType::ResolvedRefs),
        // One that is to be deleted may be missing: whether its value was taken before, the server knows.
        Original::Missing | Original::Found(_) | Original::Disabled(_) => None,
    });
    named.unwrap_or_else(|| Verdict::holds(Reason::ResolvedRefs))
}

/// For a core Secret that is not there.
pub(super) fn missing(name: &str, namespace: &str) -> Verdict {
    let message = format!("Kubernetes Secret {name} does not exist in namespace {namespace}.");
    Verdict::fails(Reason::KubernetesSecretNotFound, message)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::controller::fixture::{meta, secret};
    use crate::controller::secret::original::Disabled;
    use crate::index::Given;

    fn facts(policy: Policy) -> Facts {
        Facts { policy, grants: Given::default(), original: Original::NotLooked, look_at: None }
    }

    #[test]
    fn a_policy_that_is_not_in_force_is_named_and_still_sent() {
        let object = secret(json!({"source": {"external": {}}, "policyRef": {"name": "hours"}}));
        for (policy, reason, message) in [
            (Policy::Fine, Reason::ResolvedRefs, ""),
            (
                Policy::Missing,
                Reason::PolicyNotFound,
                "AccessPolicy hours does not exist in namespace shop: every read is denied until it does.",
            ),
            (
                Policy::NotAccepted { reason: "UnknownField".into() },
                Reason::PolicyNotAccepted,
                "AccessPolicy hours is not accepted (UnknownField): every read is denied until it is.",
            ),
        ] {
            match plan(&object, meta("shop", "db"), &facts(policy)) {
                Plan::Act { resolved, action: Action::Apply(apply) } => {
                    assert_eq!((resolved.reason, resolved.message.as_str()), (reason, message));
                    assert_eq!(apply.policy.as_deref(), Some("hours"));
                }
                other => panic!("{other:?}"),
            }
        }
    }

    #[test]
    fn a_policy_that_nobody_has_looked_at_is_waited_for() {
        let object = secret(json!({"source": {"external": {}}, "policyRef": {"name": "hours"}}));
        assert!(matches!(plan(&object, meta("shop", "db"), &facts(Policy::Pending)), Plan::Wait));
    }

    #[test]
    fn a_core_secret_that_may_not_be_read_stops_the_object_with_what_to_do() {
        let object = secret(json!({"source": {"kubernetesSecret": {"name": "old"}}}));
        for (why, message) in [
            (
                Disabled::SwitchedOff,
                "Taking over Kubernetes Secrets is switched off: set kubernetesSecretSource.enabled in the chart.",
            ),
            (
                Disabled::NoRight,
                "The operator may not read Kubernetes Secrets of namespace shop: apply the role that sikkerkey-operator \
                 manifests --kubernetes-secret-source prints.",
            ),
            (
                Disabled::OwnNamespace,
                "Kubernetes Secrets of namespace shop are not taken over: the operator's own keys are there. Use another \
                 namespace.",
            ),
        ] {
            let facts = Facts { original: Original::Disabled(why), ..facts(Policy::Fine) };
            match plan(&object, meta("shop", "db"), &facts) {
                Plan::Act { action: Action::Cannot(verdict), .. } => {
                    assert_eq!((verdict.reason, verdict.message.as_str()), (Reason::SourceDisabled, message));
                }
                other => panic!("{other:?}"),
            }
        }
    }

    #[test]
    fn an_unknown_key_a_null_and_an_impossible_spec_change_nothing_at_the_server() {
        for (spec, reason, what) in [
            (
                json!({"source": {"external": {}}, "policyref": {"name": "p"}}),
                Reason::UnknownField,
                "spec.policyref is not a field: did you mean spec.policyRef?",
            ),
            (
                json!({"source": {"external": {}}, "policyRef": null}),
                Reason::InvalidSpec,
                "spec.policyRef is null: remove the key or name a policy",
            ),
            (
                json!({"source": {}}),
                Reason::InvalidSpec,
                "spec.source: give exactly one of generate, sealed, kubernetesSecret, external",
            ),
        ] {
            match plan(&secret(spec), meta("shop", "db"), &facts(Policy::Fine)) {
                Plan::Reject { reason: given, what: said } => assert_eq!((given, said.as_str()), (reason, what)),
                other => panic!("{other:?}"),
            }
        }
    }
}
