use k8s_openapi::api::admissionregistration::v1::{MutatingWebhookConfiguration, ValidatingWebhookConfiguration};
use k8s_openapi::api::core::v1::ServiceAccount;
use k8s_openapi::api::rbac::v1::{ClusterRole, ClusterRoleBinding, PolicyRule, Role, RoleBinding};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::*;

fn options() -> ManifestOptions {
    ManifestOptions {
        webhook_url: Some("https://10.0.0.7:9443".into()),
        webhook_service: None,
        namespace: "sikkerkey-system".into(),
        service_account: "sikkerkey-operator".into(),
        namespace_selector: None,
        kubernetes_secret_source: false,
    }
}

fn typed<T: DeserializeOwned + Serialize>(object: &Value) -> T {
    let typed: T = serde_json::from_value(object.clone()).unwrap();
    assert_eq!(&serde_json::to_value(&typed).unwrap(), object, "a field that the API does not have");
    typed
}

#[test]
fn every_object_is_exactly_what_the_api_knows() {
    let objects = objects(&options()).unwrap();
    let kinds: Vec<&str> = objects.iter().map(|object| object["kind"].as_str().unwrap()).collect();
    assert_eq!(
        kinds,
        [
            "ServiceAccount",
            "ClusterRole",
            "ClusterRoleBinding",
            "Role",
            "RoleBinding",
            "ClusterRole",
            "ClusterRole",
            "ClusterRole",
            "MutatingWebhookConfiguration",
            "ValidatingWebhookConfiguration"
        ]
    );
    typed::<ServiceAccount>(&objects[0]);
    typed::<ClusterRole>(&objects[1]);
    typed::<ClusterRoleBinding>(&objects[2]);
    typed::<Role>(&objects[3]);
    typed::<RoleBinding>(&objects[4]);
    let mutating: MutatingWebhookConfiguration = typed(&objects[8]);
    let validating: ValidatingWebhookConfiguration = typed(&objects[9]);
    let configs = mutating.webhooks.unwrap().into_iter().map(|webhook| webhook.client_config);
    let configs: Vec<_> = configs.map(|config| (config.url.unwrap(), config.ca_bundle)).collect();
    let urls = ["mutate-pods", "answer-questions"].map(|path| format!("https://10.0.0.7:9443/{path}"));
    assert_eq!(configs, urls.map(|url| (url, None)), "an absent field is nobody's");
    assert_eq!(validating.webhooks.unwrap()[0].client_config.url.as_deref(), Some("https://10.0.0.7:9443/validate"));
}

#[test]
fn nothing_that_the_cluster_or_the_operator_needs_to_start_waits_for_the_operator() {
    let objects = objects(&ManifestOptions { namespace: "vaults".into(), ..options() }).unwrap();
    let expected = json!({"matchExpressions": [{
        "key": "kubernetes.io/metadata.name", "operator": "NotIn", "values": ["kube-system", "vaults"],
    }]});
    let webhooks = objects.iter().filter_map(|object| object["webhooks"].as_array()).flatten();
    // Nothing but a question ever waits for an answer to it.
    let webhooks: Vec<&Value> = webhooks.filter(|webhook| webhook["name"] != "questions.sikkerkey.com").collect();
    assert_eq!(webhooks.len(), 2);
    for webhook in webhooks {
        assert_eq!(webhook["namespaceSelector"], expected, "{}", webhook["name"]);
    }
}

/// Every right, one a line: group, resource, names, verbs. A reviewer reads this list and nothing else.
#[test]
fn the_operator_has_these_rights_and_no_other() {
    let objects = objects(&options()).unwrap();
    let lines = |rules: Option<Vec<PolicyRule>>, scope: &str| -> Vec<String> {
        let rule = |rule: PolicyRule| {
            let group = rule.api_groups.unwrap().join(",");
            let names = rule.resource_names.map_or_else(|| "*".to_owned(), |names| names.join(","));
            let resources = rule.resources.unwrap().join(",");
            format!("{scope} {group}/{resources} [{names}] {}", rule.verbs.join(","))
        };
        rules.unwrap().into_iter().map(rule).collect()
    };
    let mut rights = lines(typed::<ClusterRole>(&objects[1]).rules, "cluster");
    rights.extend(lines(typed::<Role>(&objects[3]).rules, "own"));
    assert_eq!(
        rights,
        [
            "cluster sikkerkey.com/machines,secrets,grants,accesspolicies [*] get,list,watch",
            "cluster sikkerkey.com/machines,secrets,grants,accesspolicies [*] patch",
            "cluster sikkerkey.com/machines/status,secrets/status,grants/status,accesspolicies/status [*] patch",
            "cluster /namespaces,pods [*] get,list,watch",
            "cluster /serviceaccounts [*] list,watch",
            "cluster authentication.k8s.io/tokenreviews [*] create",
            "cluster authorization.k8s.io/subjectaccessreviews [*] create",
            "cluster events.k8s.io/events [*] create",
            "cluster admissionregistration.k8s.io/mutatingwebhookconfigurations [sikkerkey] get,patch",
            "cluster admissionregistration.k8s.io/validatingwebhookconfigurations [sikkerkey] get,patch",
            "cluster apiextensions.k8s.io/customresourcedefinitions [machines.sikkerkey.com,secrets.sikkerkey.com,grants.sikkerkey.com,accesspolicies.sikkerkey.com] get",
            "own /secrets [sikkerkey-ca,sikkerkey-server-tls] get,update",
            "own /secrets [*] create",
            "own /serviceaccounts/token [sikkerkey-operator] create",
            "own coordination.k8s.io/leases [sikkerkey-operator] get,update",
            "own coordination.k8s.io/leases [*] create",
            "own apps/deployments,replicasets [*] get",
        ]
    );
}

#[test]
fn who_may_look_may_ask_and_who_administers_a_namespace_sees_who_read() {
    let objects = objects(&options()).unwrap();
    let roles: Vec<ClusterRole> = objects[5..8].iter().map(typed).collect();
    let lines = roles.into_iter().map(|role| {
        let labels = role.metadata.labels.unwrap();
        let to = labels.keys().filter_map(|key| key.strip_prefix("rbac.authorization.k8s.io/aggregate-to-"));
        let given = role.rules.unwrap();
        let [rule] = given.as_slice() else { panic!("{given:?}") };
        let resources = rule.resources.as_ref().unwrap().join(",");
        let name = role.metadata.name.unwrap();
        format!("{name}: {} on {resources}, to {}", rule.verbs.join(","), to.collect::<Vec<_>>().join(","))
    });
    assert_eq!(
        lines.collect::<Vec<_>>(),
        [
            "sikkerkey-ask: create on questions, to admin,edit,view",
            "sikkerkey-audit: audit on machines,secrets,grants,accesspolicies, to admin",
            "sikkerkey-bootstrap: bootstrap on machines, to admin",
        ]
    );
}

/// No list and no watch: what is not named by a Secret (sks) is never seen.
#[test]
fn core_secrets_are_read_and_deleted_by_name_where_that_is_asked_for_and_in_a_role_of_its_own() {
    let without = objects(&options()).unwrap();
    let with = objects(&ManifestOptions { kubernetes_secret_source: true, ..options() }).unwrap();
    let more: Vec<&Value> = with.iter().filter(|object| !without.contains(object)).collect();
    assert_eq!((more.len(), with.len()), (2, without.len() + 2));
    let role: ClusterRole = typed(more[0]);
    let expected = PolicyRule {
        api_groups: Some(vec![String::new()]),
        resources: Some(vec!["secrets".into()]),
        verbs: vec!["get".into(), "delete".into()],
        ..PolicyRule::default()
    };
    assert_eq!(role.rules, Some(vec![expected]));
    let binding: ClusterRoleBinding = typed(more[1]);
    assert_eq!(Some(binding.role_ref.name), role.metadata.name);
    assert_eq!(binding.subjects.unwrap()[0].name, "sikkerkey-operator");
}

#[test]
fn a_service_is_named_with_its_port() {
    let service = |given: &str| {
        let options = ManifestOptions { webhook_url: None, webhook_service: Some(given.into()), ..options() };
        objects(&options).map(|objects| objects[8]["webhooks"][0]["clientConfig"]["service"].clone())
    };
    let expected =
        |port: u16| json!({"namespace": "sikkerkey-system", "name": "op", "path": "/mutate-pods", "port": port});
    assert_eq!(service("op").unwrap(), expected(443));
    assert_eq!(service("op:9443").unwrap(), expected(9443));
    for bad in ["op:", "op:0", "op:http", ":443"] {
        assert_eq!(service(bad).unwrap_err().to_string(), format!("--webhook-service {bad}: write NAME or NAME:PORT"));
    }
}

#[test]
fn a_webhook_without_tls_or_with_a_path_is_refused() {
    for bad in ["http://10.0.0.7", "10.0.0.7:9443", "https://x/y", "https://x?y", ""] {
        let options = ManifestOptions { webhook_url: Some(bad.into()), ..options() };
        assert!(matches!(objects(&options), Err(ManifestError::Url(url)) if url == bad), "{bad}");
    }
    let neither = ManifestOptions { webhook_url: None, ..options() };
    assert_eq!(objects(&neither).unwrap_err().to_string(), "give --webhook-url or --webhook-service");
}

#[test]
fn the_yaml_reads_back_as_the_objects() {
    let text = yaml(&options()).unwrap();
    let documents: Vec<Value> = text.split("---\n").map(|document| serde_yaml::from_str(document).unwrap()).collect();
    assert_eq!(documents, objects(&options()).unwrap());
}

#[test]
fn both_webhooks_are_called_for_the_namespaces_that_are_managed_and_for_no_others() {
    let own = json!({"key": "kubernetes.io/metadata.name", "operator": "NotIn", "values": ["kube-system", "sikkerkey-system"]});
    let given = json!({"key": "sandbox", "operator": "DoesNotExist"});
    for (selector, expected) in [
        (None, json!({"matchExpressions": [own]})),
        (
            Some("team=shop,!sandbox".parse().unwrap()),
            json!({"matchLabels": {"team": "shop"}, "matchExpressions": [given, own]}),
        ),
    ] {
        let objects = objects(&ManifestOptions { namespace_selector: selector, ..options() }).unwrap();
        typed::<MutatingWebhookConfiguration>(&objects[8]);
        typed::<ValidatingWebhookConfiguration>(&objects[9]);
        let found = [8, 9].map(|index: usize| objects[index]["webhooks"][0]["namespaceSelector"].clone());
        assert_eq!(found, [expected.clone(), expected]);
    }
}
