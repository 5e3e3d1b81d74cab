//! Policies that the API server itself applies (`ValidatingAdmissionPolicy`): they hold with our webhooks down, missing
//! or narrowed by mistake.
//!
//! * One for each kind refuses keys that are no fields, and nulls, under `spec` ([`fields`]).
//! * `sikkerkey-pods`: a labelled pod was injected, keeps its label, and its volumes are used as injection meant them.
//! * `sikkerkey-ephemeral`: a debugging container of a labelled pod stays away from the sidecar and its volumes.
//! * `sikkerkey-keys`: a pod whose label is misspelt, and which no webhook of ours hears of, does not start without its files.
//! * `sikkerkey-questions`: a question is never stored, also where no operator is there to answer it.
//! * `sikkerkey-templates` warns where the label stands on a workload instead of its pod template.
//!
//! `sikkerkey-keys` alone looks at pods without our label, so it alone lets pass what it cannot check: no other pod of the
//! cluster ever depends on us.

pub mod fields;

use k8s_openapi::{
    api::admissionregistration::v1::{
        MatchResources, NamedRuleWithOperations, ValidatingAdmissionPolicy, ValidatingAdmissionPolicyBinding,
        ValidatingAdmissionPolicyBindingSpec, ValidatingAdmissionPolicySpec, Validation,
    },
    apimachinery::pkg::apis::meta::v1::{LabelSelector, LabelSelectorRequirement, ObjectMeta},
};

use crate::{
    access_policy::AccessPolicy,
    grant::Grant,
    machine::Machine,
    names::{
        CONTAINER, CONTAINERS_ANNOTATION, FILES_VOLUME, GROUP, INJECTED_ANNOTATION, MACHINE_LABEL, PREFIX,
        TOKEN_VOLUME, VERSION,
    },
    secret::Secret,
};

/// A policy and what puts it into force. Both have the same name.
#[derive(Clone, Debug, PartialEq)]
pub struct BoundPolicy {
    /// What is checked.
    pub policy: ValidatingAdmissionPolicy,
    /// Whether a failed check refuses or warns.
    pub binding: ValidatingAdmissionPolicyBinding,
}

/// What a failed check does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Effect {
    /// The request is refused; also when the check itself cannot be made.
    Deny,
    /// The request is refused; it passes when the check itself cannot be made.
    DenyIfChecked,
    /// The request passes with a warning.
    Warn,
}

/// Every policy, in the order in which to print them.
pub fn admission_policies() -> Vec<BoundPolicy> {
    vec![
        fields::policy::<Machine>(),
        fields::policy::<Secret>(),
        fields::policy::<Grant>(),
        fields::policy::<AccessPolicy>(),
        pods(),
        ephemeral_containers(),
        keys(),
        questions(),
        pod_templates(),
    ]
}

/// Every policy with its binding as one YAML stream, ready to apply.
pub fn to_yaml() -> Result<String, serde_yaml::Error> {
    let mut documents = Vec::new();
    for bound in admission_policies() {
        documents.push(serde_yaml::to_string(&bound.policy)?);
        documents.push(serde_yaml::to_string(&bound.binding)?);
    }
    Ok(documents.join("---\n"))
}

fn bind(name: &str, effect: Effect, spec: ValidatingAdmissionPolicySpec) -> BoundPolicy {
    let metadata = ObjectMeta { name: Some(name.to_owned()), ..ObjectMeta::default() };
    let (failure, action) = match effect {
        Effect::Deny => ("Fail", "Deny"),
        Effect::DenyIfChecked => ("Ignore", "Deny"),
        Effect::Warn => ("Ignore", "Warn"),
    };
    BoundPolicy {
        policy: ValidatingAdmissionPolicy {
            metadata: metadata.clone(),
            spec: Some(ValidatingAdmissionPolicySpec { failure_policy: Some(failure.to_owned()), ..spec }),
            status: None,
        },
        binding: ValidatingAdmissionPolicyBinding {
            metadata,
            spec: Some(ValidatingAdmissionPolicyBindingSpec {
                policy_name: Some(name.to_owned()),
                validation_actions: Some(vec![action.to_owned()]),
                ..ValidatingAdmissionPolicyBindingSpec::default()
            }),
        },
    }
}

fn rule(group: &str, version: &str, resources: &[&str], operations: &[&str]) -> NamedRuleWithOperations {
    let owned = |words: &[&str]| Some(words.iter().map(|&word| word.to_owned()).collect());
    NamedRuleWithOperations {
        api_groups: owned(&[group]),
        api_versions: owned(&[version]),
        resources: owned(resources),
        operations: owned(operations),
        ..NamedRuleWithOperations::default()
    }
}

fn check(expression: String, message: String) -> Validation {
    Validation { expression, message: Some(message), ..Validation::default() }
}

/// Objects of which the old or the new form has the label: a request about any other object never waits for us.
fn labelled(rules: Vec<NamedRuleWithOperations>, validations: Vec<Validation>) -> ValidatingAdmissionPolicySpec {
    let has_label = LabelSelectorRequirement {
        key: MACHINE_LABEL.to_owned(),
        operator: "Exists".to_owned(),
        ..LabelSelectorRequirement::default()
    };
    ValidatingAdmissionPolicySpec {
        match_constraints: Some(MatchResources {
            object_selector: Some(LabelSelector {
                match_expressions: Some(vec![has_label]),
                ..LabelSelector::default()
            }),
            resource_rules: Some(rules),
            ..MatchResources::default()
        }),
        validations: Some(validations),
        ..ValidatingAdmissionPolicySpec::default()
    }
}

fn pods() -> BoundPolicy {
    // Every container but the injected one.
    let others_mount = |condition: &str| {
        let mounts = format!("c.?volumeMounts.orValue([]).all(m, {condition})");
        format!(
            "request.operation != 'CREATE' || (object.spec.containers.all(c, {mounts}) && \
             object.spec.?initContainers.orValue([]).all(c, c.name == '{CONTAINER}' || {mounts}))"
        )
    };
    let validations = vec![
        check(
            format!(
                "request.operation != 'CREATE' || \
                 object.spec.?initContainers.orValue([]).exists(c, c.name == '{CONTAINER}')"
            ),
            "the pod names a Machine but was not injected: is the MutatingWebhookConfiguration of SikkerKey installed, \
             and does it cover this namespace? It never covers kube-system nor the namespace of the operator: such a pod \
             has to be elsewhere"
                .to_owned(),
        ),
        check(
            format!(
                "request.operation != 'UPDATE' || object.metadata.?labels['{MACHINE_LABEL}'] == \
                 oldObject.metadata.?labels['{MACHINE_LABEL}']"
            ),
            format!("the label {MACHINE_LABEL} is fixed once the pod exists: change the pod template"),
        ),
        check(
            others_mount(&format!("m.name != '{TOKEN_VOLUME}'")),
            format!("volume {TOKEN_VOLUME} is for the container {CONTAINER} alone: remove the other mount of it"),
        ),
        check(
            others_mount(&format!("m.name != '{FILES_VOLUME}' || m.?readOnly.orValue(false)")),
            format!("volume {FILES_VOLUME} is written by the container {CONTAINER} alone: mount it read-only"),
        ),
    ];
    bind("sikkerkey-pods", Effect::Deny, labelled(vec![rule("", "v1", &["pods"], &["CREATE", "UPDATE"])], validations))
}

fn ephemeral_containers() -> BoundPolicy {
    let containers = "object.spec.?ephemeralContainers.orValue([])";
    let validations = vec![
        check(
            format!(
                "{containers}.all(c, c.?volumeMounts.orValue([]).all(m, \
                 !(m.name in ['{FILES_VOLUME}', '{TOKEN_VOLUME}'])))"
            ),
            format!("an ephemeral container may not mount {FILES_VOLUME} or {TOKEN_VOLUME}: they hold secrets"),
        ),
        check(
            format!("{containers}.all(c, c.?targetContainerName.orValue('') != '{CONTAINER}')"),
            format!("an ephemeral container may not target {CONTAINER}, which holds the pod's key in memory"),
        ),
    ];
    let rules = vec![rule("", "v1", &["pods/ephemeralcontainers"], &["UPDATE"])];
    bind("sikkerkey-ephemeral", Effect::Deny, labelled(rules, validations))
}

/// What begins with our prefix and is none of ours. A pod that has the right label is told by the webhook, which comes first.
fn keys() -> BoundPolicy {
    let unknown = |place: &str, known: &[&str], suggestion: &str| {
        let keys = format!("object.metadata.?{place}.orValue({{}})");
        let foreign = format!("k.startsWith('{PREFIX}') && !(k in {known:?})");
        let meaning = format!(" has no meaning: did you mean the {suggestion}?");
        Validation {
            expression: format!("!{keys}.exists(k, {foreign})"),
            message: Some(format!("one of the {place}{meaning}")),
            message_expression: Some(format!("{keys}.filter(k, {foreign})[0] + '{meaning}'")),
            ..Validation::default()
        }
    };
    let validations = vec![
        unknown("labels", &[MACHINE_LABEL], &format!("label {MACHINE_LABEL}")),
        unknown(
            "annotations",
            &[CONTAINERS_ANNOTATION, INJECTED_ANNOTATION],
            &format!("label {MACHINE_LABEL}, or the annotation {CONTAINERS_ANNOTATION} beside it"),
        ),
    ];
    let rules = MatchResources {
        resource_rules: Some(vec![rule("", "v1", &["pods"], &["CREATE"])]),
        ..MatchResources::default()
    };
    let spec = ValidatingAdmissionPolicySpec {
        match_constraints: Some(rules),
        validations: Some(validations),
        ..ValidatingAdmissionPolicySpec::default()
    };
    bind("sikkerkey-keys", Effect::DenyIfChecked, spec)
}

fn questions() -> BoundPolicy {
    let validations = vec![check(
        "request.?dryRun.orValue(false)".to_owned(),
        "a Question is never stored: ask with --dry-run=server, as kubectl sikkerkey explain does".to_owned(),
    )];
    let rules = MatchResources {
        resource_rules: Some(vec![rule(GROUP, VERSION, &["questions"], &["CREATE", "UPDATE"])]),
        ..MatchResources::default()
    };
    let spec = ValidatingAdmissionPolicySpec {
        match_constraints: Some(rules),
        validations: Some(validations),
        ..ValidatingAdmissionPolicySpec::default()
    };
    bind("sikkerkey-questions", Effect::Deny, spec)
}

fn pod_templates() -> BoundPolicy {
    let operations = ["CREATE", "UPDATE"];
    let rules = vec![
        rule("apps", "v1", &["deployments", "statefulsets", "daemonsets"], &operations),
        rule("batch", "v1", &["jobs", "cronjobs"], &operations),
    ];
    let stands_in = |parent: &str, template: &str| {
        check(
            format!(
                "!has(object.spec.{parent}) || object.spec.{template}.?metadata.?labels['{MACHINE_LABEL}'].hasValue()"
            ),
            format!(
                "the label {MACHINE_LABEL} stands on the workload, not on spec.{template}.metadata.labels: its pods will get \
                 no secrets"
            ),
        )
    };
    let validations = vec![stands_in("template", "template"), stands_in("jobTemplate", "jobTemplate.spec.template")];
    bind("sikkerkey-templates", Effect::Warn, labelled(rules, validations))
}

#[cfg(test)]
mod tests {
    use kube::Resource;

    use super::*;

    fn name_of(object: &impl Resource) -> &str {
        object.meta().name.as_deref().unwrap()
    }

    #[test]
    fn every_policy_is_bound_under_its_own_name() {
        let policies = admission_policies();
        let names: Vec<_> = policies.iter().map(|bound| name_of(&bound.policy)).collect();
        assert_eq!(
            names,
            [
                "sikkerkey-machines",
                "sikkerkey-secrets",
                "sikkerkey-grants",
                "sikkerkey-accesspolicies",
                "sikkerkey-pods",
                "sikkerkey-ephemeral",
                "sikkerkey-keys",
                "sikkerkey-questions",
                "sikkerkey-templates",
            ]
        );
        for bound in &policies {
            let spec = bound.binding.spec.as_ref().unwrap();
            assert_eq!(spec.policy_name.as_deref(), Some(name_of(&bound.policy)));
            assert_eq!(name_of(&bound.binding), name_of(&bound.policy));
        }
    }

    #[test]
    fn only_what_looks_at_others_objects_may_be_skipped_and_only_that_about_templates_warns() {
        for bound in admission_policies() {
            let failure = bound.policy.spec.clone().unwrap().failure_policy.unwrap();
            let actions = bound.binding.spec.clone().unwrap().validation_actions.unwrap();
            let expected = match name_of(&bound.policy) {
                "sikkerkey-templates" => ("Ignore", "Warn"),
                "sikkerkey-keys" => ("Ignore", "Deny"),
                _ => ("Fail", "Deny"),
            };
            assert_eq!((failure.as_str(), actions.join(",").as_str()), expected, "{}", name_of(&bound.policy));
        }
    }
}
