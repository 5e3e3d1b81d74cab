//! What to do with a Machine. Pure.

use sikkerkey_crds::condition::{PROBLEM_MESSAGE_LIMIT, clipped};
use sikkerkey_crds::machine::{Machine, MachineProblem};
use sikkerkey_crds::reason::Reason;
use sikkerkey_crds::received::Received;
use sikkerkey_protocol::kubernetes::{ApplyMachine, ObjectMeta};

use super::convert::convert;
use super::gather::{Facts, FileProblem};
use crate::controller::conditions::{Verdict, listed};
use crate::controller::plan::{Action, Plan};

/// Decides.
pub fn plan(object: &Received<Machine>, meta: ObjectMeta, facts: &Facts) -> Plan<ApplyMachine> {
    if let Some(finding) = object.refusal() {
        return Plan::Reject { reason: finding.reason(), what: finding.to_string() };
    }
    let namespace = meta.key.namespace.clone();
    match convert(meta, &object.spec) {
        Err(error) => Plan::Reject { reason: Reason::InvalidSpec, what: error.to_string() },
        Ok(apply) => Plan::Act { resolved: resolved(object, facts, &namespace), action: Action::Apply(apply) },
    }
}

fn resolved(machine: &Machine, facts: &Facts, namespace: &str) -> Verdict {
    let Facts { missing_accounts, problems, .. } = facts;
    if !missing_accounts.is_empty() {
        let named = machine.spec.workload.as_ref().map_or(0, |workload| workload.service_account_names.len());
        let end = match missing_accounts.len() {
            all if all >= named => "",
            1 => " with it",
            _ => " with them",
        };
        return Verdict::fails(
            Reason::ServiceAccountNotFound,
            format!(
                "ServiceAccount {} does not exist in namespace {namespace}: no pod can assume this Machine{end}.",
                listed(missing_accounts)
            ),
        );
    }
    match problems.first() {
        Some(problem) => Verdict::fails(reason(problem), message(problem, namespace)),
        None => Verdict::holds(Reason::ResolvedRefs),
    }
}

fn reason(problem: &FileProblem) -> Reason {
    match problem {
        FileProblem::NotGranted { .. } => Reason::SecretNotGranted,
        FileProblem::NoField { .. } => Reason::FieldNotFound,
    }
}

/// The sentence about it.
pub fn message(problem: &FileProblem, own: &str) -> String {
    match problem {
        FileProblem::NotGranted { path, secret } => {
            let shown = if secret.namespace == own { secret.name.clone() } else { secret.to_string() };
            format!(
                "File {path} needs Secret {shown}, which is not granted to this Machine: add it to a Grant in namespace {}.",
                secret.namespace
            )
        }
        FileProblem::NoField { path, secret, field, fields } => {
            let has = if fields.is_empty() { "no fields".to_owned() } else { listed(fields) };
            format!("File {path} needs field {field} of Secret {}, which has {has}.", secret.name)
        }
    }
}

/// The list of problems, as the status holds it.
pub fn problems(facts: &Facts, own: &str) -> Vec<MachineProblem> {
    const LIMIT: usize = 16;
    let problem = |problem: &FileProblem| {
        let (FileProblem::NotGranted { path, .. } | FileProblem::NoField { path, .. }) = problem;
        MachineProblem {
            path: Some(path.clone()),
            reason: reason(problem).to_string(),
            message: clipped(&message(problem, own), PROBLEM_MESSAGE_LIMIT),
            ..MachineProblem::default()
        }
    };
    facts.problems.iter().take(LIMIT).map(problem).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use sikkerkey_protocol::kubernetes::ObjectKey;

    use super::*;
    use crate::controller::fixture::{machine, meta};

    fn workload(accounts: &[&str]) -> Received<Machine> {
        machine(json!({"workload": {"serviceAccountNames": accounts}}))
    }

    fn verdict(object: &Received<Machine>, facts: &Facts) -> (Reason, String) {
        match plan(object, meta("shop", "web"), facts) {
            Plan::Act { resolved, action: Action::Apply(_) } => (resolved.reason, resolved.message),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_machine_whose_references_resolve_is_applied() {
        let object = workload(&["web"]);
        assert_eq!(verdict(&object, &Facts::default()), (Reason::ResolvedRefs, String::new()));
    }

    #[test]
    fn missing_service_accounts_are_named() {
        for (named, missing, message) in [
            (
                vec!["web"],
                vec!["web"],
                "ServiceAccount web does not exist in namespace shop: no pod can assume this Machine.",
            ),
            (
                vec!["web", "api"],
                vec!["api"],
                "ServiceAccount api does not exist in namespace shop: no pod can assume this Machine with it.",
            ),
            (
                vec!["web", "api"],
                vec!["web", "api"],
                "ServiceAccount web, api does not exist in namespace shop: no pod can assume this Machine.",
            ),
        ] {
            let missing_accounts = missing.into_iter().map(str::to_owned).collect();
            let facts = Facts { missing_accounts, ..Facts::default() };
            assert_eq!(verdict(&workload(&named), &facts), (Reason::ServiceAccountNotFound, message.to_owned()));
        }
    }

    #[test]
    fn what_a_file_lacks_is_named_with_what_to_do() {
        let key = |namespace: &str, name: &str| ObjectKey { namespace: namespace.into(), name: name.into() };
        let field = |fields: Vec<String>| FileProblem::NoField {
            path: "db/user".into(),
            secret: key("shop", "db"),
            field: "user".into(),
            fields,
        };
        for (problem, reason, message) in [
            (
                FileProblem::NotGranted { path: "a".into(), secret: key("shop", "db") },
                Reason::SecretNotGranted,
                "File a needs Secret db, which is not granted to this Machine: add it to a Grant in namespace shop.",
            ),
            (
                FileProblem::NotGranted { path: "a".into(), secret: key("pay", "t") },
                Reason::SecretNotGranted,
                "File a needs Secret pay/t, which is not granted to this Machine: add it to a Grant in namespace pay.",
            ),
            (
                field(vec!["host".into(), "password".into()]),
                Reason::FieldNotFound,
                "File db/user needs field user of Secret db, which has host, password.",
            ),
            (field(vec![]), Reason::FieldNotFound, "File db/user needs field user of Secret db, which has no fields."),
        ] {
            let facts = Facts { problems: vec![problem], ..Facts::default() };
            assert_eq!(verdict(&workload(&["web"]), &facts), (reason, message.to_owned()));
            let [listed] = problems(&facts, "shop").try_into().unwrap();
            assert_eq!((listed.reason.as_str(), listed.message.as_str()), (reason.as_str(), message));
        }
    }

    #[test]
    fn an_unknown_key_a_null_and_an_impossible_spec_change_nothing_at_the_server() {
        let accounts = json!({"serviceAccountNames": ["web"]});
        for (spec, reason, what) in [
            (
                json!({"workload": accounts, "suspended": true}),
                Reason::UnknownField,
                "spec.suspended is not a field: did you mean spec.suspend?",
            ),
            (
                json!({"workload": accounts, "suspend": null}),
                Reason::InvalidSpec,
                "spec.suspend is null: remove the key or give it a value",
            ),
            (json!({}), Reason::InvalidSpec, "spec: give exactly one of workload, host"),
        ] {
            match plan(&machine(spec), meta("shop", "web"), &Facts::default()) {
                Plan::Reject { reason: given, what: said } => assert_eq!((given, said.as_str()), (reason, what)),
                other => panic!("{other:?}"),
            }
        }
    }
}
