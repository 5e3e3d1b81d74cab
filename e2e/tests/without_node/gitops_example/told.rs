//! What Argo CD and Flux are told: it is in the repository, it fits together, and both are told the same.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};
use sikkerkey_e2e::assets::{Assets, Component};
use sikkerkey_e2e::cargo;
use sikkerkey_e2e::fleet::EXAMPLE;
use sikkerkey_e2e::helm::Helm;
use sikkerkey_e2e::report::Report;
use sikkerkey_e2e::yaml;

const FLEET: &str = "https://git.example.com/fleet.git";
const SIKKERKEY: &str = "https://git.example.com/sikkerkey.git";

/// What Kustomize makes of a folder of the example.
fn rendered(folder: &str) -> Vec<Value> {
    let folder = cargo::workspace().join(EXAMPLE).join(folder);
    let assets = Assets::ensure(&[Component::Kubectl], &Report::silent()).unwrap();
    let output = Command::new(assets.path(Component::Kubectl)).arg("kustomize").arg(&folder).output().unwrap();
    assert!(output.status.success(), "{}: {}", folder.display(), String::from_utf8_lossy(&output.stderr));
    yaml::documents(&String::from_utf8(output.stdout).unwrap()).unwrap()
}

fn of_kind<'a>(objects: &'a [Value], kind: &'a str) -> impl Iterator<Item = &'a Value> {
    objects.iter().filter(move |object| object["kind"] == kind)
}

fn named<'a>(objects: &'a [Value], kind: &str, name: &Value) -> &'a Value {
    let found = objects.iter().find(|object| object["kind"] == kind && object["metadata"]["name"] == *name);
    found.unwrap_or_else(|| panic!("there is no {kind} {name}"))
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_else(|| panic!("not a text: {value}"))
}

/// Group and kind, as an `AppProject` names them.
fn kind_of(object: &Value) -> Value {
    let group = text(&object["apiVersion"]).split_once('/').map_or("", |(group, _)| group);
    json!({"group": group, "kind": object["kind"]})
}

/// Kind, namespace and name.
fn identities(objects: &[Value]) -> BTreeSet<String> {
    let identity = |it: &Value| format!("{} {} {}", kind_of(it), it["metadata"]["namespace"], it["metadata"]["name"]);
    objects.iter().map(identity).collect()
}

fn values_of_the_chart() -> (Value, Value) {
    let argo = rendered("platform/argocd");
    let flux = rendered("platform/flux");
    let (argo, flux) =
        (named(&argo, "Application", &json!("sikkerkey")), named(&flux, "HelmRelease", &json!("sikkerkey")));
    let chart = Path::new(text(&flux["spec"]["chart"]["spec"]["chart"]));
    assert_eq!(argo["spec"]["source"]["path"], flux["spec"]["chart"]["spec"]["chart"]);
    assert!(cargo::workspace().join(chart).join("Chart.yaml").exists(), "{}", chart.display());
    (argo["spec"]["source"]["helm"]["valuesObject"].clone(), flux["spec"]["values"].clone())
}

#[test]
fn argo_cd_finds_every_path_and_a_project_allows_what_is_there_and_no_more() {
    let told = rendered("platform/argocd");
    let applications: Vec<&Value> = of_kind(&told, "Application").collect();
    assert_eq!(applications.len(), 4);
    for application in applications {
        let spec = &application["spec"];
        let project = &named(&told, "AppProject", &spec["project"])["spec"];
        assert!(project["sourceRepos"].as_array().unwrap().contains(&spec["source"]["repoURL"]), "{application}");
        assert_eq!(spec["syncPolicy"]["syncOptions"], json!(["ServerSideApply=true"]));
        if spec["source"]["repoURL"] == SIKKERKEY {
            continue;
        }
        assert_eq!(spec["source"]["repoURL"], FLEET);
        let objects = rendered(text(&spec["source"]["path"]));
        if spec["project"] == "platform" {
            assert!(objects.iter().all(|object| object["kind"] == "Namespace"));
            continue;
        }
        assert_eq!(project["destinations"], json!([spec["destination"]]));
        assert_eq!(project["clusterResourceWhitelist"], json!([]));
        let allowed: BTreeSet<String> =
            project["namespaceResourceWhitelist"].as_array().unwrap().iter().map(Value::to_string).collect();
        for object in &objects {
            assert!(allowed.contains(&kind_of(object).to_string()), "{object}");
            assert_eq!(object["metadata"]["namespace"], spec["destination"]["namespace"], "{object}");
            let wave = &object["metadata"]["annotations"]["argocd.argoproj.io/sync-wave"];
            let is_read_first =
                ["Machine", "Secret", "Grant", "AccessPolicy", "ServiceAccount"].contains(&text(&object["kind"]));
            assert_eq!(wave == "-1", is_read_first, "what is read goes before what reads it: {object}");
        }
    }
}

#[test]
fn flux_finds_every_path_and_waits_in_the_right_order_for_what_is_there() {
    let told = rendered("platform/flux");
    let rights = rendered("platform/flux/rights");
    let kustomizations: Vec<&Value> = of_kind(&told, "Kustomization").collect();
    assert_eq!(kustomizations.len(), 6);
    for kustomization in kustomizations {
        let spec = &kustomization["spec"];
        let source = named(&told, "GitRepository", &spec["sourceRef"]["name"]);
        assert_eq!(source["spec"]["url"], FLEET);
        let objects = rendered(text(&spec["path"]));
        for before in spec["dependsOn"].as_array().into_iter().flatten() {
            named(&told, "Kustomization", &before["name"]);
        }
        for waited in spec["healthChecks"].as_array().into_iter().flatten() {
            let found = named(&objects, text(&waited["kind"]), &waited["name"]);
            assert_eq!(
                (&found["apiVersion"], &found["metadata"]["namespace"]),
                (&waited["apiVersion"], &waited["namespace"])
            );
        }
        let name = text(&kustomization["metadata"]["name"]);
        let Some(team) = name.strip_suffix("-app") else { continue };
        assert_eq!(spec["dependsOn"], json!([{"name": format!("{team}-access")}]));
        assert!(spec["healthChecks"].is_array(), "{name}");
        let access = &named(&told, "Kustomization", &json!(format!("{team}-access")))["spec"];
        assert_eq!((&access["wait"], &access["dependsOn"]), (&json!(true), &json!([{"name": "rights"}])));
        for spec in [spec, access] {
            let account = named(&rights, "ServiceAccount", &spec["serviceAccountName"]);
            assert_eq!(account["metadata"]["namespace"], kustomization["metadata"]["namespace"]);
        }
        // Together they are what Argo CD applies.
        let both = [rendered(text(&access["path"])), objects].concat();
        assert_eq!(identities(&both), identities(&rendered(&format!("teams/{team}/overlays/production"))));
    }
}

#[test]
fn both_install_the_chart_alike_and_its_operator_manages_the_namespaces_of_the_teams() {
    let (argo, flux) = values_of_the_chart();
    assert_eq!(argo, flux);
    let chart = Helm::ensure(&Report::silent()).unwrap().template(&flux.to_string()).unwrap();
    let chart: Vec<Value> = yaml::documents(&chart).unwrap();
    let labels = flux["namespaces"]["equal"].as_object().unwrap();
    assert_eq!(labels.len(), 1);
    let (key, value) = labels.iter().next().unwrap();
    let managed = json!({"key": key, "operator": "In", "values": [value]});
    for kind in ["MutatingWebhookConfiguration", "ValidatingWebhookConfiguration"] {
        let configuration = of_kind(&chart, kind).next().unwrap();
        // Questions may be asked in any namespace: nothing is made of them.
        let of_teams = |webhook: &&Value| webhook["name"] != "questions.sikkerkey.com";
        for webhook in configuration["webhooks"].as_array().unwrap().iter().filter(of_teams) {
            let selector = &webhook["namespaceSelector"];
            let chosen = selector["matchLabels"][key] == *value
                || selector["matchExpressions"].as_array().is_some_and(|all| all.contains(&managed));
            assert!(chosen, "{selector}");
        }
    }
    let namespaces = rendered("platform/namespaces");
    let names: Vec<&str> = namespaces.iter().map(|namespace| text(&namespace["metadata"]["name"])).collect();
    assert_eq!(names, ["payments", "shop"]);
    for namespace in &namespaces {
        let labels = &namespace["metadata"]["labels"];
        assert_eq!((&labels[key], &labels["pod-security.kubernetes.io/enforce"]), (value, &json!("restricted")));
    }
}
