//! What to do with a policy. Pure.

use sikkerkey_crds::access_policy::AccessPolicy;
use sikkerkey_crds::reason::Reason;
use sikkerkey_crds::received::Received;
use sikkerkey_protocol::kubernetes::{ApplyPolicy, ObjectMeta};

use super::convert::convert;
use super::gather::Facts;
use crate::controller::conditions::Verdict;
use crate::controller::grant::gather::Referred;
use crate::controller::plan::{Action, Plan};
use crate::webhook::validate::policy::refuse_flaws;

/// Decides.
pub fn plan(object: &Received<AccessPolicy>, meta: ObjectMeta, facts: &Facts) -> Plan<ApplyPolicy> {
    if let Some(finding) = object.refusal() {
        return Plan::Reject { reason: finding.reason(), what: finding.to_string() };
    }
    // Of an object that the webhook has not seen.
    if let Err(flaw) = refuse_flaws(&object.spec) {
        return Plan::Reject { reason: Reason::InvalidSpec, what: flaw.to_string() };
    }
    let own = meta.key.namespace.clone();
    let apply = match convert(meta, &object.spec) {
        Ok(apply) => apply,
        Err(error) => return Plan::Reject { reason: Reason::InvalidSpec, what: error.to_string() },
    };
    let Some((approver, co_sign)) = facts.approver.as_ref().zip(object.spec.co_sign.as_ref()) else {
        return Plan::Act { resolved: Verdict::holds(Reason::ResolvedRefs), action: Action::Apply(apply) };
    };
    let name = &co_sign.machine_ref.name;
    let approver_not_found = |what: String| Verdict::fails(Reason::ApproverNotFound, what);
    let resolved = match approver {
        Referred::Pending => return Plan::Wait,
        Referred::Fine { .. } => Verdict::holds(Reason::ResolvedRefs),
        // The server knows no such machine either: nobody can approve.
        Referred::Missing => approver_not_found(format!(
            "Machine {name}, the co-signer, does not exist in namespace {own}: reads that need its approval are denied."
        )),
        Referred::NotAccepted { reason } => approver_not_found(format!(
            "Machine {name}, the co-signer, is not accepted ({reason}): reads that need its approval may be denied."
        )),
        // The machine may well exist at the server, and it must not approve without the consent of its own namespace: without
        // the policy its Secrets are locked.
        Referred::NotPermitted => {
            let verdict = Verdict::fails(
                Reason::RefNotPermitted,
                format!(
                    "Machine {namespace}/{name} cannot co-sign for this namespace: it does not exist, or its allowFrom does \
                     not list namespace {own} with kind AccessPolicy.",
                    namespace = co_sign.machine_ref.namespace_or(&own),
                ),
            );
            return Plan::Act { resolved: verdict, action: Action::Withdraw };
        }
    };
    Plan::Act { resolved, action: Action::Apply(apply) }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::controller::fixture::{meta, policy};

    fn co_signed(machine: &Value) -> Received<AccessPolicy> {
        policy(json!({"coSign": {"machineRef": machine, "window": "10m"}}))
    }

    fn facts(approver: Option<Referred>) -> Facts {
        Facts { approver, bound: 1 }
    }

    #[test]
    fn each_way_in_which_the_co_signer_does_not_resolve_has_its_reason_and_its_effect() {
        let foreign = "Machine hq/boss cannot co-sign for this namespace: it does not exist, or its allowFrom does not list \
                       namespace shop with kind AccessPolicy.";
        let own = json!({"name": "boss"});
        for (machine, approver, reason, message, applied) in [
            (&own, Referred::Fine { suspended: false }, Reason::ResolvedRefs, "", true),
            (
                &own,
                Referred::Missing,
                Reason::ApproverNotFound,
                "Machine boss, the co-signer, does not exist in namespace shop: reads that need its approval are denied.",
                true,
            ),
            (
                &own,
                Referred::NotAccepted { reason: "InvalidSpec".into() },
                Reason::ApproverNotFound,
                "Machine boss, the co-signer, is not accepted (InvalidSpec): reads that need its approval may be denied.",
                true,
            ),
            (
                &json!({"name": "boss", "namespace": "hq"}),
                Referred::NotPermitted,
                Reason::RefNotPermitted,
                foreign,
                false,
            ),
        ] {
            match plan(&co_signed(machine), meta("shop", "p"), &facts(Some(approver))) {
                Plan::Act { resolved, action } => {
                    assert_eq!((resolved.reason, resolved.message.as_str()), (reason, message));
                    assert_eq!(matches!(action, Action::Apply(_)), applied, "{reason}");
                    assert_eq!(matches!(action, Action::Withdraw), !applied, "{reason}");
                }
                other => panic!("{other:?}"),
            }
        }
    }

    #[test]
    fn a_policy_without_a_co_signer_is_applied_and_a_pending_co_signer_waited_for() {
        let plain = plan(&policy(json!({"rateCap": {"perMinute": 1}})), meta("shop", "p"), &facts(None));
        assert!(matches!(plain, Plan::Act { action: Action::Apply(_), .. }));
        let waits = plan(&co_signed(&json!({"name": "boss"})), meta("shop", "p"), &facts(Some(Referred::Pending)));
        assert!(matches!(waits, Plan::Wait));
    }

    #[test]
    fn an_unknown_key_a_null_and_an_impossible_spec_change_nothing_at_the_server() {
        for (spec, reason, what) in [
            (
                json!({"rateCap": {"perMinute": 1}, "ipAllowList": {"cidrs": ["10.0.0.0/8"]}}),
                Reason::UnknownField,
                "spec.ipAllowList is not a field: did you mean spec.ipAllowlist?",
            ),
            (
                json!({"rateCap": {"perMinute": 1}, "ttl": null}),
                Reason::InvalidSpec,
                "spec.ttl is null: remove the key or give it a value",
            ),
            (json!({}), Reason::InvalidSpec, "spec: a policy without an axis restricts nothing, give at least one"),
            (
                json!({"timeZone": "Europe/Olso", "timeWindow": {"start": "06:00", "end": "20:00"}}),
                Reason::InvalidSpec,
                "spec.timeZone: Europe/Olso is not a time zone of the IANA database: did you mean Europe/Oslo?",
            ),
            (
                json!({"rateCap": {"perMinute": 0}}),
                Reason::InvalidSpec,
                "spec.rateCap.perMinute: give a number of at least 1",
            ),
        ] {
            match plan(&policy(spec), meta("shop", "p"), &facts(None)) {
                Plan::Reject { reason: given, what: said } => assert_eq!((given, said.as_str()), (reason, what)),
                other => panic!("{other:?}"),
            }
        }
    }
}
