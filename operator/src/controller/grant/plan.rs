//! What to do with a Grant. Pure.

use std::collections::BTreeSet;

use sikkerkey_crds::grant::{Grant, GrantProblem};
use sikkerkey_crds::reason::Reason;
use sikkerkey_crds::received::Received;
use sikkerkey_protocol::kubernetes::{ApplyGrant, ObjectMeta};

use super::convert::convert;
use super::gather::{Facts, Referred};
use crate::controller::conditions::{Verdict, listed};
use crate::controller::plan::{Action, Plan};

/// Decides.
pub fn plan(object: &Received<Grant>, meta: ObjectMeta, facts: &Facts) -> Plan<ApplyGrant> {
    if let Some(finding) = object.refusal() {
        return Plan::Reject { reason: finding.reason(), what: finding.to_string() };
    }
    let own = meta.key.namespace.clone();
    let machine = &object.spec.machine_ref;
    let name = &machine.name;
    let withdraw = |verdict| Plan::Act { resolved: verdict, action: Action::Withdraw };
    let verdict = match &facts.machine {
        Referred::Missing => {
            let message = format!("Machine {name} does not exist in namespace {own}.");
            return withdraw(Verdict::fails(Reason::MachineNotFound, message));
        }
        Referred::NotPermitted => {
            let message = format!(
                "Machine {namespace}/{name} cannot be granted from here: it does not exist, or its allowFrom does not list \
                 namespace {own} with kind Grant.",
                namespace = machine.namespace_or(&own),
            );
            return withdraw(Verdict::fails(Reason::RefNotPermitted, message));
        }
        Referred::Pending => return Plan::Wait,
        Referred::NotAccepted { reason } => {
            Verdict::fails(Reason::MachineNotAccepted, format!("Machine {name} is not accepted ({reason})."))
        }
        Referred::Fine { .. } if facts.has_pending_secret => return Plan::Wait,
        Referred::Fine { .. } => match facts.missing.as_slice() {
            [] => Verdict::holds(Reason::ResolvedRefs),
            missing => Verdict::fails(Reason::SecretNotFound, secret_not_found(missing, &own, object)),
        },
    };
    // The server takes no Grant of nothing, and must not go on with what this one gave before.
    if facts.missing.len() >= object.spec.secret_refs.len() {
        return withdraw(verdict);
    }
    Plan::Act { resolved: verdict, action: Action::Apply(convert(meta, &object.spec, &facts.missing)) }
}

fn secret_not_found(missing: &[String], own: &str, grant: &Grant) -> String {
    let others = if missing.len() < grant.spec.secret_refs.len() { "; the others are granted" } else { "" };
    format!("Secret {} does not exist in namespace {own}{others}.", listed(missing))
}

/// What is wrong with single Secrets, as the status holds it, the worst first: those that are not granted, then the reads
/// that wait for a co-signer. One entry for each Secret: its name is the key of the list.
pub fn problems(missing: &[String], lacking: &[String], awaited: Vec<GrantProblem>, own: &str) -> Vec<GrantProblem> {
    const LIMIT: usize = 16;
    let problem = |secret: &String, message: String| GrantProblem {
        secret: secret.clone(),
        reason: Reason::SecretNotFound.to_string(),
        message,
    };
    let missing = missing.iter().map(|name| problem(name, format!("Secret {name} does not exist in namespace {own}.")));
    let lacking =
        lacking.iter().map(|name| problem(name, format!("Secret {name} is not in force yet: see its conditions.")));
    let mut named = BTreeSet::new();
    let all = missing.chain(lacking).chain(awaited);
    all.filter(|problem| named.insert(problem.secret.clone())).take(LIMIT).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::controller::fixture::{grant, meta};

    const FINE: Referred = Referred::Fine { suspended: false };

    fn facts(machine: Referred, missing: &[&str]) -> Facts {
        let missing = missing.iter().map(|name| (*name).to_owned()).collect();
        Facts { machine, missing, has_pending_secret: false }
    }

    fn of(namespace: Option<&str>) -> Received<Grant> {
        let mut machine = json!({"name": "web"});
        if let Some(namespace) = namespace {
            machine["namespace"] = namespace.into();
        }
        grant(json!({"machineRef": machine, "secretRefs": [{"name": "a"}, {"name": "b"}]}))
    }

    #[test]
    fn each_way_in_which_references_do_not_resolve_has_its_reason_and_its_effect() {
        let foreign = "Machine front/web cannot be granted from here: it does not exist, or its allowFrom does not list \
                       namespace shop with kind Grant.";
        for (machine_namespace, facts, reason, message, sent) in [
            (None, facts(FINE, &[]), Reason::ResolvedRefs, "", Some(vec!["a", "b"])),
            (
                None,
                facts(FINE, &["a"]),
                Reason::SecretNotFound,
                "Secret a does not exist in namespace shop; the others are granted.",
                Some(vec!["b"]),
            ),
            (
                None,
                facts(FINE, &["a", "b"]),
                Reason::SecretNotFound,
                "Secret a, b does not exist in namespace shop.",
                None,
            ),
            (
                None,
                facts(Referred::Missing, &["a"]),
                Reason::MachineNotFound,
                "Machine web does not exist in namespace shop.",
                None,
            ),
            (Some("front"), facts(Referred::NotPermitted, &[]), Reason::RefNotPermitted, foreign, None),
            (
                None,
                facts(Referred::NotAccepted { reason: "InvalidSpec".into() }, &[]),
                Reason::MachineNotAccepted,
                "Machine web is not accepted (InvalidSpec).",
                Some(vec!["a", "b"]),
            ),
        ] {
            match plan(&of(machine_namespace), meta("shop", "g"), &facts) {
                Plan::Act { resolved, action } => {
                    assert_eq!((resolved.reason, resolved.message.as_str()), (reason, message));
                    match (action, sent) {
                        (Action::Apply(apply), Some(secrets)) => assert_eq!(apply.secrets, secrets),
                        (Action::Withdraw, None) => {}
                        other => panic!("{reason}: {other:?}"),
                    }
                }
                other => panic!("{other:?}"),
            }
        }
    }

    #[test]
    fn what_nobody_has_looked_at_yet_is_waited_for() {
        let pending_secret = Facts { has_pending_secret: true, ..facts(FINE, &[]) };
        for facts in [pending_secret, facts(Referred::Pending, &[])] {
            assert!(matches!(plan(&of(None), meta("shop", "g"), &facts), Plan::Wait), "{facts:?}");
        }
    }

    #[test]
    fn an_unknown_key_changes_nothing_at_the_server() {
        let object = grant(json!({"machineRef": {"name": "w"}, "secretRefs": [{"name": "a"}], "expireAt": "x"}));
        match plan(&object, meta("shop", "g"), &facts(FINE, &[])) {
            Plan::Reject { reason: Reason::UnknownField, what } => {
                assert_eq!(what, "spec.expireAt is not a field: did you mean spec.expiresAt?");
            }
            other => panic!("{other:?}"),
        }
    }
}
