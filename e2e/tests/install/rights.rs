//! The chart says what the operator prints: the kinds, the policies, the rights, the webhooks.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use sikkerkey_e2e::cargo;
use sikkerkey_e2e::helm::Helm;
use sikkerkey_e2e::yaml;
use sikkerkey_operator::manifests::{self, ManifestOptions};

use crate::variant::{Variant, one};

/// A file of the chart is that one: there is one source. `UPDATE_GOLDEN=1` copies it.
fn assert_copied(source: &Path, copy: &Path) {
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::copy(source, copy).unwrap();
    }
    let [source_text, copy_text] = [source, copy].map(|path| std::fs::read_to_string(path).unwrap_or_default());
    assert!(source_text == copy_text, "{} is not {}: UPDATE_GOLDEN=1 copies it", copy.display(), source.display());
}

fn definitions() -> Vec<PathBuf> {
    let entries = std::fs::read_dir(cargo::workspace().join("crds")).unwrap();
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "yaml"));
    assert_eq!(paths.len(), 5);
    paths
}

#[test]
fn the_definitions_and_policies_of_the_chart_are_the_generated_ones() {
    let files = Helm::chart().join("files");
    for source in definitions() {
        assert_copied(&source, &files.join("crds").join(source.file_name().unwrap()));
    }
    assert_eq!(std::fs::read_dir(files.join("crds")).unwrap().count(), 5, "no definition that is not there any more");
    let policies = cargo::workspace().join("crds/tests/fixtures/admission-policies.yaml");
    assert_copied(&policies, &files.join("admission-policies.yaml"));
}

/// The object without what the chart adds.
fn bare(mut object: Value) -> Value {
    let metadata = object["metadata"].as_object_mut().unwrap();
    metadata.remove("labels");
    metadata.remove("annotations");
    object
}

#[test]
fn definitions_and_policies_reach_the_cluster_unchanged() {
    let objects = Variant::named("sqlite").objects();
    let sources = definitions().into_iter().map(|path| std::fs::read_to_string(path).unwrap());
    let policies = sikkerkey_crds::admission::to_yaml().unwrap();
    let expected: Vec<Value> = sources.chain([policies]).flat_map(|text| yaml::documents(&text).unwrap()).collect();
    assert_eq!(expected.len(), 5 + 18);
    for expected in expected {
        let [kind, name] = [&expected["kind"], &expected["metadata"]["name"]].map(|it| it.as_str().unwrap());
        assert_eq!(bare(one(&objects, kind, name).clone()), bare(expected.clone()), "{kind} {name}");
    }
}

/// Else a `helm uninstall` would take every object of every team along.
#[test]
fn definitions_outlive_the_release() {
    for object in Variant::named("sqlite").objects().iter().filter(|it| it["kind"] == "CustomResourceDefinition") {
        let annotations = &object["metadata"]["annotations"];
        assert_eq!(annotations["helm.sh/resource-policy"], "keep");
        let options = annotations["argocd.argoproj.io/sync-options"].as_str().unwrap();
        assert!(options.starts_with("Prune=false,Delete=false"), "{options}");
    }
}

fn options() -> ManifestOptions {
    ManifestOptions {
        webhook_url: None,
        webhook_service: Some("sikkerkey-operator".into()),
        namespace: "sikkerkey-system".into(),
        service_account: "sikkerkey-operator".into(),
        namespace_selector: None,
        kubernetes_secret_source: false,
    }
}

#[test]
fn rights_and_webhooks_are_those_that_the_operator_prints() {
    let selected = ManifestOptions {
        namespace_selector: Some("team=shop,tier!=test,managed,!sandbox".parse().unwrap()),
        kubernetes_secret_source: true,
        ..options()
    };
    for (variant, options) in [("sqlite", options()), ("postgres", selected)] {
        let rendered = Variant::named(variant).objects();
        let printed = manifests::objects(&options).unwrap();
        for expected in &printed {
            let [kind, name] = [&expected["kind"], &expected["metadata"]["name"]].map(|it| it.as_str().unwrap());
            let mut found = bare(one(&rendered, kind, name).clone());
            let mut expected = bare(expected.clone());
            if kind == "ServiceAccount" {
                // The pod asks for its token by itself.
                assert_eq!(found.as_object_mut().unwrap().remove("automountServiceAccountToken"), Some(json!(false)));
            }
            for object in [&mut found, &mut expected] {
                order_selectors(object);
            }
            assert_eq!(found, expected, "{variant}: {kind} {name}");
        }
        // Those of `helm test` and of the end are there while they run.
        let rights = rendered.iter().filter(|it| it["metadata"]["annotations"]["helm.sh/hook"].is_null());
        let rights = rights.filter(|it| it["apiVersion"] == "rbac.authorization.k8s.io/v1").count();
        let expected = printed.iter().filter(|it| it["apiVersion"] == "rbac.authorization.k8s.io/v1").count();
        assert_eq!(rights, expected, "{variant}: no right that the operator does not ask for");
    }
}

/// All of them must hold: their order says nothing.
fn order_selectors(object: &mut Value) {
    for webhook in object["webhooks"].as_array_mut().into_iter().flatten() {
        if let Some(expressions) = webhook["namespaceSelector"]["matchExpressions"].as_array_mut() {
            expressions.sort_by_key(ToString::to_string);
        }
    }
}

/// A reviewer reads the reason where the rule stands.
#[test]
fn a_reason_stands_beside_each_rule() {
    let text = Variant::named("postgres").text();
    let mut rules = 0;
    let lines: Vec<&str> = text.lines().collect();
    for (index, line) in lines.iter().enumerate().filter(|(_, line)| line.starts_with("- apiGroups:")) {
        rules += 1;
        assert!(lines[index - 1].starts_with("# "), "no reason above line {index}: {line}");
    }
    assert!(rules > 20, "the walk finds the rules: {rules}");
}
