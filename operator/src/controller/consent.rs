//! Every reference of every kind, found in the schemas: what it names in another namespace resolves with consent only, and
//! without it nobody learns whether it exists.

#![expect(clippy::needless_pass_by_value, reason = "tests hand over JSON literals")]

use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::{JSONSchemaProps, JSONSchemaPropsOrArray};
use kube::runtime::watcher::Event;
use serde_json::{Value, json};
use sikkerkey_crds::access_policy::AccessPolicy;
use sikkerkey_crds::crd::Kind;
use sikkerkey_crds::grant::Grant;
use sikkerkey_crds::machine::Machine;
use sikkerkey_crds::received::Received;
use sikkerkey_crds::secret::Secret;

use super::fixture::{meta, now};
use super::plan::{Action, Plan, Reconciled};
use crate::index::seen::{IndexedKind, Seen};
use crate::index::{Feed, Index};

/// How a reference may leave its namespace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reach {
    /// Not at all. The reason when it names nothing.
    Own(&'static str),
    /// To a Machine whose `allowFrom` lists the namespace with this kind. The reason without.
    Machine(&'static str),
    /// To a Secret whose namespace has a Grant for this Machine, which lists that namespace in turn. The reason without.
    Secret(&'static str),
    /// To a core Secret of the own namespace: a GET by name there, and its schema admits no namespace.
    CoreSecret,
}

/// The references there are. A new field that names something fails a test until it stands here, or among [`NO_REFERENCES`].
const REFERENCES: [(&str, &str, Reach); 8] = [
    ("Machine", "spec.workload.serviceAccountNames[]", Reach::Own("ServiceAccountNotFound")),
    ("Machine", "spec.delivery.files[].secretRefs[].name", Reach::Secret("SecretNotGranted")),
    ("Machine", "spec.delivery.files[].pkcs12.passwordRef.name", Reach::Secret("SecretNotGranted")),
    ("Secret", "spec.policyRef.name", Reach::Own("PolicyNotFound")),
    ("Secret", "spec.source.kubernetesSecret.name", Reach::CoreSecret),
    ("Grant", "spec.machineRef.name", Reach::Machine("RefNotPermitted")),
    ("Grant", "spec.secretRefs[].name", Reach::Own("SecretNotFound")),
    ("AccessPolicy", "spec.coSign.machineRef.name", Reach::Machine("RefNotPermitted")),
];

/// What looks like a name and refers to no object.
const NO_REFERENCES: [(&str, &str, &str); 4] = [
    ("Machine", "spec.allowFrom[].namespace", "consent itself"),
    ("Machine", "spec.delivery.onChange.signal.name", "a signal"),
    ("Machine", "spec.delivery.onChange.signal.processName", "a process of the pod"),
    ("Secret", "spec.source.generate.fields[].name", "a field"),
];

const OWN: &str = "shop";
const FOREIGN: &str = "front";

/// Every text under `spec` that may name an object, by its key or by its form, with where it stands.
fn names<K: Kind>() -> BTreeSet<(&'static str, String)> {
    let mut found = BTreeSet::new();
    walk(&K::schema().properties.as_ref().unwrap()["spec"], "spec", &mut |path, schema| {
        let key = path.trim_end_matches("[]").rsplit('.').next().unwrap().to_lowercase();
        let is_called_a_name = ["name", "names", "namespace", "namespaces"].iter().any(|end| key.ends_with(end));
        // Names of objects and of namespaces, as the schemas write them.
        let has_the_form = schema.pattern.as_ref().is_some_and(|pattern| pattern.starts_with("^[a-z0-9]([-a-z0-9"));
        if schema.type_.as_deref() == Some("string") && (is_called_a_name || has_the_form) {
            found.insert((K::KIND, path.to_owned()));
        }
    });
    found
}

fn walk(schema: &JSONSchemaProps, path: &str, see: &mut impl FnMut(&str, &JSONSchemaProps)) {
    see(path, schema);
    for (name, field) in schema.properties.iter().flatten() {
        walk(field, &format!("{path}.{name}"), see);
    }
    if let Some(JSONSchemaPropsOrArray::Schema(items)) = &schema.items {
        walk(items, &format!("{path}[]"), see);
    }
}

fn all_names() -> BTreeSet<(&'static str, String)> {
    [names::<Machine>(), names::<Secret>(), names::<Grant>(), names::<AccessPolicy>()].into_iter().flatten().collect()
}

/// Where the namespace of a reference stands.
fn namespace_of(path: &str) -> Option<String> {
    path.strip_suffix(".name").map(|before| format!("{before}.namespace"))
}

#[test]
fn every_field_that_names_something_is_known_here() {
    let leaves = |(_, _, reach): &(_, _, Reach)| matches!(reach, Reach::Machine(_) | Reach::Secret(_));
    let references = REFERENCES.iter().map(|(kind, path, _)| (*kind, (*path).to_owned()));
    let namespaces = REFERENCES.iter().filter(|one| leaves(one));
    let namespaces = namespaces.map(|(kind, path, _)| (*kind, namespace_of(path).unwrap()));
    let others = NO_REFERENCES.iter().map(|(kind, path, _)| (*kind, (*path).to_owned()));
    let known: BTreeSet<_> = references.chain(namespaces).chain(others).collect();
    assert_eq!(all_names(), known);
}

#[test]
fn kustomize_is_told_of_every_reference() {
    let file: Value =
        serde_yaml::from_str(include_str!("../../../charts/gitops/kustomize/sikkerkey-names.yaml")).unwrap();
    let specs = file["nameReference"].as_array().unwrap().iter().flat_map(|one| one["fieldSpecs"].as_array().unwrap());
    let ours = specs.filter(|spec| spec["group"] == "sikkerkey.com");
    let told: BTreeSet<_> =
        ours.map(|spec| (spec["kind"].as_str().unwrap(), spec["path"].as_str().unwrap().to_owned())).collect();
    let wanted = REFERENCES.iter().map(|(kind, path, _)| (*kind, path.replace("[]", "").replace('.', "/")));
    assert_eq!(told, wanted.collect::<BTreeSet<_>>());
}

/// A cluster: objects of the four kinds and service accounts.
#[derive(Clone, Default)]
struct World(Vec<Value>);

impl World {
    /// The own namespace, in which all that is called `own` exists and is granted to the Machine `referrer`.
    fn home() -> Self {
        let grant = json!({"machineRef": {"name": "referrer"}, "secretRefs": [{"name": "own"}, {"name": "target"}]});
        Self::default().with(named(OWN, "own", json!([]))).with([object("Grant", OWN, "to-referrer", grant)])
    }

    fn with(mut self, objects: impl IntoIterator<Item = Value>) -> Self {
        self.0.extend(objects);
        self
    }

    fn index(&self) -> std::sync::Arc<Index> {
        let (index, mut feeds) = Index::new();
        for object in &self.0 {
            match object["kind"].as_str().unwrap() {
                "Machine" => apply(&mut feeds.machines, object),
                "Secret" => apply(&mut feeds.secrets, object),
                "Grant" => apply(&mut feeds.grants, object),
                "AccessPolicy" => apply(&mut feeds.policies, object),
                _ => feeds.accounts.apply(&Event::Apply(serde_json::from_value(object.clone()).unwrap())),
            }
        }
        index
    }
}

fn apply<K: IndexedKind>(feed: &mut Feed<Seen<K>>, object: &Value) {
    let guard: kube::core::DeserializeGuard<Received<K>> = serde_json::from_value(object.clone()).unwrap();
    feed.apply(&Event::Apply(guard.into()));
}

/// An object that was looked at and is fine.
fn object(kind: &str, namespace: &str, name: &str, spec: Value) -> Value {
    let ready = json!({"type": "Ready", "status": "True", "reason": "Ready", "message": "", "observedGeneration": 1,
                       "lastTransitionTime": "2026-01-01T00:00:00Z"});
    json!({
        "apiVersion": "sikkerkey.com/v1alpha1", "kind": kind, "spec": spec, "status": {"conditions": [ready]},
        "metadata": {"namespace": namespace, "name": name, "uid": format!("{namespace}-{name}"), "generation": 1},
    })
}

/// One object of everything that can be referred to, by one name; the Machine with this `allowFrom`.
fn named(namespace: &str, name: &str, allow_from: Value) -> Vec<Value> {
    let account =
        json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"namespace": namespace, "name": name}});
    let workload = json!({"workload": {"serviceAccountNames": [name]}, "allowFrom": allow_from});
    vec![
        account,
        object("Machine", namespace, name, workload),
        object("Secret", namespace, name, json!({"source": {"external": {}}})),
        object("AccessPolicy", namespace, name, json!({"rateCap": {"perMinute": 1}})),
    ]
}

/// A spec in which every reference names what is called `own`.
fn base(kind: &str, path: &str) -> Value {
    match kind {
        "Machine" => json!({
            "workload": {"serviceAccountNames": ["own"]},
            "delivery": {"files": [{
                "path": "store", "format": "PKCS12", "secretRefs": [{"name": "own"}],
                "pkcs12": {"type": "KeyStore", "passwordRef": {"name": "own"}},
            }]},
        }),
        "Secret" if path.contains("kubernetesSecret") => json!({"source": {"kubernetesSecret": {"name": "own"}}}),
        "Secret" => json!({"source": {"external": {}}, "policyRef": {"name": "own"}}),
        "Grant" => json!({"machineRef": {"name": "own"}, "secretRefs": [{"name": "own"}]}),
        _ => json!({"coSign": {"machineRef": {"name": "own"}, "window": "8h"}}),
    }
}

/// Sets what stands at a path of the schema; of a list its first item.
fn set(spec: &mut Value, path: &str, value: &str) {
    let pointer = path.strip_prefix("spec").unwrap().replace("[]", "/0").replace('.', "/");
    let (parent, key) = pointer.rsplit_once('/').unwrap();
    match spec.pointer_mut(parent).unwrap() {
        Value::Array(items) => items[0] = value.into(),
        parent => parent[key] = value.into(),
    }
}

/// What the operator concludes of a spec in the own namespace: the reason, the message, and whether it tells the server to put
/// it in force.
fn concluded(kind: &str, spec: &Value, world: &World) -> (String, String, bool) {
    match kind {
        "Machine" => planned::<Machine>(spec, world),
        "Secret" => planned::<Secret>(spec, world),
        "Grant" => planned::<Grant>(spec, world),
        _ => planned::<AccessPolicy>(spec, world),
    }
}

fn planned<K: Reconciled>(spec: &Value, world: &World) -> (String, String, bool) {
    let object: Received<K> = serde_json::from_value(object(K::KIND, OWN, "referrer", spec.clone())).unwrap();
    let facts = K::gather(&object, &world.index(), now());
    match K::plan(&object, meta(OWN, "referrer"), &facts) {
        Plan::Act { resolved, action } => {
            (resolved.reason.to_string(), resolved.message, matches!(action, Action::Apply(_)))
        }
        Plan::Reject { reason, what } => (reason.to_string(), what, false),
        Plan::NotManaged | Plan::Wait => panic!("{}: is not looked at", K::KIND),
    }
}

/// The spec whose reference at a path names `target`, of another namespace if one is given.
fn referring(kind: &str, path: &str, namespace: Option<&str>) -> Value {
    let mut spec = base(kind, path);
    set(&mut spec, path, "target");
    if let Some(namespace) = namespace {
        set(&mut spec, &namespace_of(path).unwrap(), namespace);
    }
    spec
}

#[test]
fn what_stands_in_another_namespace_makes_no_difference_to_a_reference_that_names_none() {
    for (kind, path, reach) in REFERENCES {
        let sane = concluded(kind, &base(kind, path), &World::home());
        assert_eq!(sane, ("ResolvedRefs".to_owned(), String::new(), true), "{kind} {path}");
        // What a look at the API server finds is none of the index's: where it looks is read.rs' test.
        if reach == Reach::CoreSecret {
            continue;
        }
        let spec = referring(kind, path, None);
        let here = World::home().with(named(OWN, "target", json!([])));
        assert_eq!(concluded(kind, &spec, &here).0, "ResolvedRefs", "{kind} {path}");
        let nowhere = concluded(kind, &spec, &World::home());
        let all = json!([{"namespace": OWN, "kinds": ["Grant", "AccessPolicy"]}]);
        let elsewhere = World::home().with(named(FOREIGN, "target", all));
        assert_eq!(concluded(kind, &spec, &elsewhere), nowhere, "{kind} {path}");
        assert_ne!(nowhere.0, "ResolvedRefs", "{kind} {path}");
        if let Reach::Own(reason) = reach {
            assert_eq!(nowhere.0, reason, "{kind} {path}");
        }
    }
}

#[test]
fn a_reference_that_stays_at_home_takes_no_namespace() {
    let mut seen = 0;
    for (kind, path, reach) in REFERENCES {
        let Some(namespace) = namespace_of(path).filter(|_| matches!(reach, Reach::Own(_) | Reach::CoreSecret)) else {
            continue;
        };
        seen += 1;
        let (reason, what, applied) = concluded(kind, &referring(kind, path, Some(FOREIGN)), &World::home());
        let field = namespace.replace("[]", "[0]");
        assert_eq!((reason.as_str(), applied), ("UnknownField", false), "{kind} {path}");
        assert!(what.starts_with(&format!("{field} is not a field")), "{kind} {path}: {what}");
    }
    assert_eq!(seen, 3);
}

#[test]
fn a_machine_elsewhere_resolves_with_its_consent_only_and_without_nobody_learns_whether_it_exists() {
    for (kind, path, reach) in REFERENCES {
        let Reach::Machine(reason) = reach else { continue };
        let spec = referring(kind, path, Some(FOREIGN));
        let other = if kind == "Grant" { "AccessPolicy" } else { "Grant" };
        let world = |allow_from: Value| World::home().with(named(FOREIGN, "target", allow_from));
        let strangers = BTreeMap::from([
            ("nothing is there", World::home()),
            ("a Machine of this name is in the own namespace", World::home().with(named(OWN, "target", json!([])))),
            ("it lists nobody", world(json!([]))),
            ("it lists others", world(json!([{"namespace": "other", "kinds": ["Grant", "AccessPolicy"]}]))),
            ("it lists the namespace with the other kind", world(json!([{"namespace": OWN, "kinds": [other]}]))),
            ("it lists its own namespace", world(json!([{"namespace": FOREIGN, "kinds": [kind]}]))),
        ]);
        let expected = concluded(kind, &spec, &World::home());
        assert_eq!((expected.0.as_str(), expected.2), (reason, false), "{kind} {path}: nothing is put in force");
        for (case, world) in strangers {
            assert_eq!(concluded(kind, &spec, &world), expected, "{kind} {path}: {case}");
        }
        let consents = world(json!([{"namespace": OWN, "kinds": [kind]}]));
        let found = concluded(kind, &spec, &consents);
        assert_eq!(found, ("ResolvedRefs".to_owned(), String::new(), true), "{kind} {path}");
    }
}

#[test]
fn a_secret_elsewhere_resolves_with_both_consents_only_and_without_nobody_learns_whether_it_exists() {
    for (kind, path, reach) in REFERENCES {
        let Reach::Secret(reason) = reach else { continue };
        let plain = referring(kind, path, Some(FOREIGN));
        let mut consenting = plain.clone();
        consenting["allowFrom"] = json!([{"namespace": FOREIGN, "kinds": ["Grant"]}]);
        let mut for_policies = plain.clone();
        for_policies["allowFrom"] = json!([{"namespace": FOREIGN, "kinds": ["AccessPolicy"]}]);
        let there = || World::home().with(named(FOREIGN, "target", json!([])));
        let given = |machine: Value, secret: &str| {
            let spec = json!({"machineRef": machine, "secretRefs": [{"name": secret}]});
            there().with([object("Grant", FOREIGN, "gives", spec)])
        };
        let ours = || json!({"name": "referrer", "namespace": OWN});
        let expected = concluded(kind, &plain, &World::home());
        assert_eq!(expected.0, reason, "{kind} {path}");
        for (case, spec, world) in [
            ("nothing is there", &consenting, World::home()),
            ("it is there and not granted", &consenting, there()),
            ("it is granted and the Machine does not consent", &plain, given(ours(), "target")),
            ("the Machine consents to policies", &for_policies, given(ours(), "target")),
            ("another Secret is granted", &consenting, given(ours(), "own")),
            (
                "it is granted to a Machine of this name over there",
                &consenting,
                given(json!({"name": "referrer"}), "target"),
            ),
            (
                "it is granted to another Machine",
                &consenting,
                given(json!({"name": "own", "namespace": OWN}), "target"),
            ),
        ] {
            assert_eq!(concluded(kind, spec, &world), expected, "{kind} {path}: {case}");
        }
        let found = concluded(kind, &consenting, &given(ours(), "target"));
        assert_eq!(found, ("ResolvedRefs".to_owned(), String::new(), true), "{kind} {path}");
    }
}
