//! What the operator needs in the cluster beside the four kinds: its account, its rights, and the webhook
//! configurations. Pure.
//!
//! Least privilege: no right on core Secrets but on its own two by name (creation cannot be limited by name, so it is
//! limited to the operator's namespace), unless values are to be taken over from them; tokens only for its own account; of pods it may only read.

use clap::Args;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, LabelSelectorRequirement};
use serde_json::{Value, json};
use sikkerkey_crds::names::{GROUP, MACHINE_LABEL, VERSION};
use thiserror::Error;

use crate::ca::ca_bundle::CONFIGURATION;
use crate::ca::store::{CA_SECRET, SERVER_SECRET};
use crate::leader::LEASE;
use crate::namespaces::NamespaceSelector;

/// Path of the webhook for pods.
pub const MUTATE_PATH: &str = "/mutate-pods";
/// Path of the webhook for our own kinds.
pub const VALIDATE_PATH: &str = "/validate";
/// Path of the webhook that answers questions.
pub const QUESTION_PATH: &str = "/answer-questions";
/// Name of everything that belongs to the operator.
const OPERATOR: &str = "sikkerkey-operator";
/// Name of the role that reads core Secrets.
const ORIGINALS: &str = "sikkerkey-operator-kubernetes-secrets";
/// Name of the role that may ask, and of the one that may also ask who read what.
const ASK: &str = "sikkerkey-ask";
const AUDIT: &str = "sikkerkey-audit";
/// The verb, on one of the four kinds, that lets a person ask who read what an object is about. `get` is needed as well.
pub const AUDIT_VERB: &str = "audit";
/// Name of the role that may ask for the command with which a host begins.
const BOOTSTRAP: &str = "sikkerkey-bootstrap";
/// The verb, on machines, that lets a person ask for that command. `get` is needed as well. It gives no secret: what registers
/// waits for approval.
pub const BOOTSTRAP_VERB: &str = "bootstrap";
/// Plurals of the four kinds.
const PLURALS: [&str; 4] = ["machines", "secrets", "grants", "accesspolicies"];

/// Where the operator is, for those that must reach it.
#[derive(Args, Clone, Debug, PartialEq, Eq)]
pub struct ManifestOptions {
    /// Origin at which the API server reaches the webhook, for example `https://10.0.0.7:9443`
    #[arg(long, value_name = "URL", required_unless_present = "webhook_service", conflicts_with = "webhook_service")]
    pub webhook_url: Option<String>,
    /// Service of the webhook in the operator's namespace, with its port: NAME or NAME:PORT
    #[arg(long, value_name = "NAME[:PORT]")]
    pub webhook_service: Option<String>,
    /// Namespace of the operator
    #[arg(long, value_name = "NAMESPACE", default_value = "sikkerkey-system")]
    pub namespace: String,
    /// Service account of the operator
    #[arg(long, value_name = "NAME", default_value = OPERATOR)]
    pub service_account: String,
    /// Call the webhooks only for namespaces with these labels, for operators that run with the same flag
    #[arg(long, value_name = "LABELS")]
    pub namespace_selector: Option<NamespaceSelector>,
    /// Add the right to read core Secrets by name and to delete them, for operators that run with the same flag
    #[arg(long)]
    pub kubernetes_secret_source: bool,
}

/// The options do not say where the webhook is.
#[derive(Debug, Error)]
pub enum ManifestError {
    /// Neither was given.
    #[error("give --webhook-url or --webhook-service")]
    NoWebhook,
    /// Not an `https` origin.
    #[error(
        "--webhook-url {0} is not an https origin such as https://10.0.0.7:9443: the API server calls webhooks by TLS only"
    )]
    Url(String),
    /// Not a port.
    #[error("--webhook-service {0}: write NAME or NAME:PORT")]
    Service(String),
    /// YAML refused.
    #[error("could not write YAML")]
    Yaml(#[from] serde_saphyr::ser::Error),
}

/// All of it as one YAML text.
pub fn yaml(options: &ManifestOptions) -> Result<String, ManifestError> {
    let documents = objects(options)?.iter().map(crate::yaml::printed).collect::<Result<Vec<_>, _>>()?;
    Ok(documents.join("---\n"))
}

/// All of it, in the order in which it is applied.
pub fn objects(options: &ManifestOptions) -> Result<Vec<Value>, ManifestError> {
    let mut objects = access(options);
    if options.kubernetes_secret_source {
        objects.extend(originals(options));
    }
    objects.extend(asking());
    objects.push(mutating(options, &client_config(options, MUTATE_PATH)?, &client_config(options, QUESTION_PATH)?));
    objects.push(validating(options, &client_config(options, VALIDATE_PATH)?));
    Ok(objects)
}

/// For values that are taken over from core Secrets. A role of its own: whoever wants this in some namespaces only binds it
/// there, and whoever wants nothing deleted takes the verb out.
fn originals(options: &ManifestOptions) -> [Value; 2] {
    let ManifestOptions { namespace, service_account, .. } = options;
    let rbac = "rbac.authorization.k8s.io";
    [
        json!({
            "apiVersion": format!("{rbac}/v1"), "kind": "ClusterRole",
            "metadata": {"name": ORIGINALS, "labels": labels()},
            "rules": [rule("", &["secrets".to_owned()], &["get", "delete"])],
        }),
        json!({
            "apiVersion": format!("{rbac}/v1"), "kind": "ClusterRoleBinding",
            "metadata": {"name": ORIGINALS, "labels": labels()},
            "roleRef": {"apiGroup": rbac, "kind": "ClusterRole", "name": ORIGINALS},
            "subjects": [{"kind": "ServiceAccount", "name": service_account, "namespace": namespace}],
        }),
    ]
}

/// The service account, the roles and their bindings.
pub fn access(options: &ManifestOptions) -> Vec<Value> {
    let ManifestOptions { namespace, service_account, .. } = options;
    let subjects = json!([{"kind": "ServiceAccount", "name": service_account, "namespace": namespace}]);
    let rbac = "rbac.authorization.k8s.io";
    vec![
        json!({
            "apiVersion": "v1", "kind": "ServiceAccount",
            "metadata": {"name": service_account, "namespace": namespace, "labels": labels()},
        }),
        json!({
            "apiVersion": format!("{rbac}/v1"), "kind": "ClusterRole",
            "metadata": {"name": OPERATOR, "labels": labels()},
            "rules": cluster_rules(),
        }),
        json!({
            "apiVersion": format!("{rbac}/v1"), "kind": "ClusterRoleBinding",
            "metadata": {"name": OPERATOR, "labels": labels()},
            "roleRef": {"apiGroup": rbac, "kind": "ClusterRole", "name": OPERATOR},
            "subjects": subjects,
        }),
        json!({
            "apiVersion": format!("{rbac}/v1"), "kind": "Role",
            "metadata": {"name": OPERATOR, "namespace": namespace, "labels": labels()},
            "rules": own_rules(service_account),
        }),
        json!({
            "apiVersion": format!("{rbac}/v1"), "kind": "RoleBinding",
            "metadata": {"name": OPERATOR, "namespace": namespace, "labels": labels()},
            "roleRef": {"apiGroup": rbac, "kind": "Role", "name": OPERATOR},
            "subjects": subjects,
        }),
    ]
}

/// For people. That somebody may ask gives them nothing: what they hear they may `get`. Who read what, with pods and addresses,
/// is more than an object tells, and a verb of its own: `admin` has it.
fn asking() -> [Value; 3] {
    let role = |name: &str, to: &[&str], rules: Value| {
        let to = to.iter().map(|role| (format!("rbac.authorization.k8s.io/aggregate-to-{role}"), json!("true")));
        let mut labels = labels();
        labels.as_object_mut().into_iter().for_each(|labels| labels.extend(to.clone()));
        json!({
            "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole",
            "metadata": {"name": name, "labels": labels},
            "rules": rules,
        })
    };
    [
        role(ASK, &["view", "edit", "admin"], json!([rule(GROUP, &["questions".to_owned()], &["create"])])),
        role(AUDIT, &["admin"], json!([rule(GROUP, &PLURALS.map(str::to_owned), &[AUDIT_VERB])])),
        role(BOOTSTRAP, &["admin"], json!([rule(GROUP, &["machines".to_owned()], &[BOOTSTRAP_VERB])])),
    ]
}

fn labels() -> Value {
    json!({"app.kubernetes.io/name": OPERATOR, "app.kubernetes.io/part-of": "sikkerkey"})
}

fn rule(group: &str, resources: &[String], verbs: &[&str]) -> Value {
    json!({"apiGroups": [group], "resources": resources, "verbs": verbs})
}

fn named(group: &str, resource: &str, names: &[&str], verbs: &[&str]) -> Value {
    json!({"apiGroups": [group], "resources": [resource], "resourceNames": names, "verbs": verbs})
}

fn cluster_rules() -> Vec<Value> {
    let kinds = PLURALS.map(str::to_owned);
    let one = |resource: &str| [resource.to_owned()];
    let definitions = PLURALS.map(|plural| format!("{plural}.{GROUP}"));
    let definitions = definitions.each_ref().map(String::as_str);
    let read = ["get", "list", "watch"];
    vec![
        // The group sikkerkey.com, not core: these are not Kubernetes Secrets.
        rule(GROUP, &kinds, &read),
        // Finalizers stand in metadata, which only a patch of the object reaches; spec is never written.
        rule(GROUP, &kinds, &["patch"]),
        rule(GROUP, &PLURALS.map(|plural| format!("{plural}/status")), &["patch"]),
        rule("", &["namespaces", "pods"].map(str::to_owned), &read),
        rule("", &one("serviceaccounts"), &["list", "watch"]),
        rule("authentication.k8s.io", &one("tokenreviews"), &["create"]),
        // Whether a person who asks may get what they ask about.
        rule("authorization.k8s.io", &one("subjectaccessreviews"), &["create"]),
        rule("events.k8s.io", &one("events"), &["create"]),
        named("admissionregistration.k8s.io", "mutatingwebhookconfigurations", &[CONFIGURATION], &["get", "patch"]),
        named("admissionregistration.k8s.io", "validatingwebhookconfigurations", &[CONFIGURATION], &["get", "patch"]),
        // To see that we are being uninstalled, and then to leave no finalizer behind.
        named("apiextensions.k8s.io", "customresourcedefinitions", &definitions, &["get"]),
    ]
}

fn own_rules(service_account: &str) -> Vec<Value> {
    let leases = "coordination.k8s.io";
    vec![
        named("", "secrets", &[CA_SECRET, SERVER_SECRET], &["get", "update"]),
        rule("", &["secrets".to_owned()], &["create"]),
        named("", "serviceaccounts/token", &[service_account], &["create"]),
        named(leases, "leases", &[LEASE], &["get", "update"]),
        rule(leases, &["leases".to_owned()], &["create"]),
        rule("apps", &["deployments", "replicasets"].map(str::to_owned), &["get"]),
    ]
}

/// Where the API server finds `path`. No `caBundle`: the operator is the only writer of it, and a field that is absent
/// here is nobody else's.
fn client_config(options: &ManifestOptions, path: &str) -> Result<Value, ManifestError> {
    if let Some(url) = &options.webhook_url {
        let origin = url.trim_end_matches('/');
        let uri: Option<http::Uri> = origin.parse().ok();
        let is_origin = uri.is_some_and(|uri| {
            uri.scheme_str() == Some("https") && uri.host().is_some() && uri.path() == "/" && uri.query().is_none()
        });
        return if is_origin {
            Ok(json!({"url": format!("{origin}{path}")}))
        } else {
            Err(ManifestError::Url(url.clone()))
        };
    }
    let given = options.webhook_service.as_deref().ok_or(ManifestError::NoWebhook)?;
    let (name, port) = given.split_once(':').unwrap_or((given, "443"));
    let port: u16 = port.parse().map_err(|_| ManifestError::Service(given.to_owned()))?;
    if name.is_empty() || port == 0 {
        return Err(ManifestError::Service(given.to_owned()));
    }
    Ok(json!({"service": {"namespace": options.namespace, "name": name, "path": path, "port": port}}))
}

/// Namespaces that are managed, but never where what the cluster and the operator itself need is started: that must not wait for
/// the operator. By the label that the API server keeps itself: nobody can give a namespace another's.
fn managed(options: &ManifestOptions) -> LabelSelector {
    let mut selector = options.namespace_selector.clone().unwrap_or_default().to_label_selector();
    selector.match_expressions.get_or_insert_default().push(LabelSelectorRequirement {
        key: "kubernetes.io/metadata.name".to_owned(),
        operator: "NotIn".to_owned(),
        values: Some(vec!["kube-system".to_owned(), options.namespace.clone()]),
    });
    selector
}

/// Called for pods that carry our label and for no others: nobody else's pods ever depend on the operator. The name comes
/// after those of meshes, so that their proxies are there when ours is placed.
///
/// A question is a kind of its own that nothing else is made of: with the operator away nobody can ask, and that is all.
fn mutating(options: &ManifestOptions, client_config: &Value, of_questions: &Value) -> Value {
    json!({
        "apiVersion": "admissionregistration.k8s.io/v1", "kind": "MutatingWebhookConfiguration",
        "metadata": {"name": CONFIGURATION, "labels": labels()},
        "webhooks": [{
            "name": "pods.sikkerkey.com",
            "admissionReviewVersions": ["v1"],
            "clientConfig": client_config,
            "failurePolicy": "Fail",
            "matchPolicy": "Equivalent",
            "namespaceSelector": managed(options),
            "objectSelector": {"matchExpressions": [{"key": MACHINE_LABEL, "operator": "Exists"}]},
            "reinvocationPolicy": "IfNeeded",
            "rules": [{"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["pods"], "scope": "Namespaced"}],
            "sideEffects": "None",
            "timeoutSeconds": 5,
        }, {
            "name": "questions.sikkerkey.com",
            "admissionReviewVersions": ["v1"],
            "clientConfig": of_questions,
            "failurePolicy": "Fail",
            "matchPolicy": "Equivalent",
            "rules": [{"apiGroups": [GROUP], "apiVersions": [VERSION], "operations": ["CREATE"], "resources": ["questions"], "scope": "Namespaced"}],
            "sideEffects": "None",
            "timeoutSeconds": 10,
        }],
    })
}

/// Whether an update touches what is checked. The finalizer must come off when there is nobody left to ask.
const CHANGES: &str = "request.operation == 'CREATE' || object.?spec != oldObject.?spec || \
                       object.metadata.?labels != oldObject.metadata.?labels || \
                       object.metadata.?annotations != oldObject.metadata.?annotations";

/// Never a DELETE, never an object that is being deleted, never a subresource, never a finalizer: with the operator away our
/// kinds cannot be edited, but nothing hangs.
fn validating(options: &ManifestOptions, client_config: &Value) -> Value {
    json!({
        "apiVersion": "admissionregistration.k8s.io/v1", "kind": "ValidatingWebhookConfiguration",
        "metadata": {"name": CONFIGURATION, "labels": labels()},
        "webhooks": [{
            "name": "objects.sikkerkey.com",
            "admissionReviewVersions": ["v1"],
            "clientConfig": client_config,
            "failurePolicy": "Fail",
            "matchConditions": [
                {"name": "not-being-deleted", "expression": "!has(object.metadata.deletionTimestamp)"},
                {"name": "changes-what-is-checked", "expression": CHANGES},
            ],
            "matchPolicy": "Equivalent",
            "namespaceSelector": managed(options),
            "rules": [{
                "apiGroups": [GROUP], "apiVersions": [VERSION], "operations": ["CREATE", "UPDATE"],
                "resources": PLURALS, "scope": "Namespaced",
            }],
            "sideEffects": "None",
            "timeoutSeconds": 5,
        }],
    })
}

#[cfg(test)]
mod tests;
