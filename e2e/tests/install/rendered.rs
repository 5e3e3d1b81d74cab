//! What is rendered.

use std::path::PathBuf;

use serde_json::{Value, json};
use sikkerkey_e2e::yaml;

use crate::variant::{VARIANTS, Variant, helm, one, pods};

/// Kinds whose content is compared with what it is generated from; here their names are enough.
const NAMED: [&str; 3] = ["CustomResourceDefinition", "ValidatingAdmissionPolicy", "ValidatingAdmissionPolicyBinding"];

/// Compares with the committed file; `UPDATE_GOLDEN=1` rewrites it.
fn assert_golden(name: &str, text: &str) {
    let path = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/install/golden")).join(name);
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(&path, text).unwrap();
    }
    let golden = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(text == golden, "{} differs: UPDATE_GOLDEN=1 rewrites it\n{text}", path.display());
}

#[test]
fn each_variant_is_what_was_last_looked_at() {
    for variant in VARIANTS {
        let text = variant.text();
        let kept = text.split("\n---\n").map(|document| {
            let object: Value = yaml::documents(document).unwrap().pop().unwrap_or_default();
            let kind = object["kind"].as_str().unwrap_or_default();
            if NAMED.contains(&kind) {
                format!("# {kind} {}", object["metadata"]["name"].as_str().unwrap())
            } else {
                document.lines().map(str::trim_end).collect::<Vec<_>>().join("\n")
            }
        });
        assert_golden(&format!("{}.yaml", variant.name), &(kept.collect::<Vec<_>>().join("\n---\n") + "\n"));
    }
}

/// Argo CD and Flux render again and again, and would apply each difference.
#[test]
fn what_is_rendered_twice_is_the_same() {
    for variant in VARIANTS {
        assert_eq!(variant.text(), variant.text(), "{}", variant.name);
    }
}

#[test]
fn the_linter_has_nothing_to_say() {
    for variant in VARIANTS {
        let chart = sikkerkey_e2e::helm::Helm::chart().display().to_string();
        let said = helm().run(["lint", "--strict", &chart], Some(variant.values), None).unwrap();
        assert!(said.contains("1 chart(s) linted, 0 chart(s) failed"), "{}: {said}", variant.name);
    }
}

/// Pod Security's own words are asked for in the tests with an API server; this holds for what it does not look at as well.
#[test]
fn every_pod_is_as_small_as_it_can_be() {
    for variant in VARIANTS {
        let objects = variant.objects();
        let pods = pods(&objects);
        assert!(pods.len() >= 2, "{}", variant.name);
        for (name, pod) in pods {
            assert_eq!(pod["securityContext"]["runAsNonRoot"], true, "{name}");
            assert_eq!(pod["securityContext"]["seccompProfile"]["type"], "RuntimeDefault", "{name}");
            assert!(pod["automountServiceAccountToken"].is_boolean(), "{name}");
            for container in pod["containers"].as_array().unwrap() {
                let security = &container["securityContext"];
                let expected = json!({
                    "allowPrivilegeEscalation": false, "readOnlyRootFilesystem": true, "capabilities": {"drop": ["ALL"]},
                });
                assert_eq!(security, &expected, "{name}");
                let resources = &container["resources"];
                assert!(resources["requests"]["cpu"].is_string(), "{name}");
                assert!(resources["requests"]["memory"].is_string(), "{name}");
                assert!(resources["limits"]["memory"].is_string(), "{name}");
            }
        }
    }
}

#[test]
fn nothing_secret_is_rendered_and_nothing_of_ours_that_needs_the_kinds() {
    for variant in VARIANTS {
        for object in variant.objects() {
            assert_ne!((&object["kind"], &object["apiVersion"]), (&json!("Secret"), &json!("v1")), "{}", variant.name);
            assert_ne!(
                object["apiVersion"], "sikkerkey.com/v1alpha1",
                "an object in the release of its own definition"
            );
        }
    }
}

/// Server and operator are started with arguments that they know.
#[test]
fn every_argument_is_one_that_the_program_takes() {
    use clap::Parser as _;
    for variant in VARIANTS {
        for (name, pod) in pods(&variant.objects()) {
            let container = &pod["containers"][0];
            let Some(args) = container["args"].as_array() else { continue };
            let words = |program: &str| -> Vec<String> {
                let args = args.iter().map(|arg| arg.as_str().unwrap().to_owned());
                std::iter::once(program.to_owned()).chain(args).collect()
            };
            if container["name"] == "operator" {
                let more = ["--pod-name=p".to_owned(), "--pod-uid=u".to_owned()];
                let words = words("sikkerkey-operator").into_iter().chain(more);
                sikkerkey_operator::cli::Cli::try_parse_from(words).unwrap_or_else(|error| panic!("{name}: {error}"));
            } else {
                let words = words("sikkerkey-server");
                sikkerkey_server::cli::Cli::try_parse_from(words).unwrap_or_else(|error| panic!("{name}: {error}"));
            }
        }
    }
}

/// The server verifies that the operator's token is for it by its own origin.
#[test]
fn operator_and_server_know_the_server_by_the_same_origin() {
    for (variant, origin) in [
        ("sqlite", "https://sikkerkey-server.sikkerkey-system.svc"),
        ("postgres", "https://sikkerkey.example.com:8443"),
    ] {
        let objects = Variant::named(variant).objects();
        let pods = pods(&objects);
        let args = |container: &str| -> Vec<Value> {
            let (_, pod) = pods.iter().find(|(_, pod)| pod["containers"][0]["name"] == container).unwrap();
            pod["containers"][0]["args"].as_array().unwrap().clone()
        };
        assert!(args("operator").contains(&json!(format!("--server-url={origin}"))), "{variant}");
        assert!(args("server").contains(&json!(format!("--public-url={origin}"))), "{variant}");
    }
}

#[test]
fn the_data_outlives_the_release_and_a_database_elsewhere_needs_no_volume() {
    let objects = Variant::named("sqlite").objects();
    let claim = one(&objects, "PersistentVolumeClaim", "sikkerkey-server-data");
    assert_eq!(claim["metadata"]["annotations"]["helm.sh/resource-policy"], "keep");
    let objects = Variant::named("postgres").objects();
    assert!(objects.iter().all(|object| object["kind"] != "PersistentVolumeClaim"));
    let server = one(&objects, "Deployment", "sikkerkey-server");
    let environment = &server["spec"]["template"]["spec"]["containers"][0]["env"];
    let secret = json!({"secretKeyRef": {"name": "sikkerkey-postgres", "key": "url"}});
    assert_eq!(environment[1], json!({"name": "SIKKERKEY_DATABASE_URL", "valueFrom": secret}));
}
