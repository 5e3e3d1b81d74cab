//! The objects that must be refused, each with what the refusal says: the fixture of the kinds' own crate.

use kube::api::{DynamicObject, PostParams};
use kube::core::GroupVersionKind;
use kube::discovery::ApiResource;
use kube::{Api, Client};
use serde::Deserialize;
use serde_json::{Value, json};
use sikkerkey_e2e::yaml;

/// Who refuses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum By {
    Schema,
    Fields,
}

/// An object that must be refused.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Case {
    pub(crate) by: By,
    /// A part of the answer.
    pub(crate) expect: String,
    /// The same of the admission policies, where they say it in other words.
    pub(crate) policy: Option<String>,
    kind: String,
    name: Option<String>,
    spec: Value,
    #[serde(default)]
    beside: serde_json::Map<String, Value>,
}

impl Case {
    /// Whether the schema refuses a null that the others would find too: it comes first.
    pub(crate) fn is_known_to_schema(&self) -> bool {
        self.policy.as_ref().is_some_and(|said| said.contains("Unsupported value: null"))
    }
}

pub(crate) fn refused_objects() -> Vec<Case> {
    let text = include_str!("../../../crds/tests/fixtures/refused.yaml");
    let cases: Vec<Case> = yaml::documents(text).unwrap();
    for by in [By::Schema, By::Fields] {
        assert!(cases.iter().filter(|case| case.by == by).count() > 10, "{by:?}");
    }
    cases
}

/// What the API server says to an object; nothing is stored.
pub(crate) async fn refusal(client: &Client, case: &Case) -> String {
    let mut object = json!({
        "apiVersion": "sikkerkey.com/v1alpha1", "kind": case.kind,
        "metadata": {"name": case.name.as_deref().unwrap_or("refused"), "namespace": "default"}, "spec": case.spec,
    });
    object.as_object_mut().unwrap().extend(case.beside.clone());
    let object: DynamicObject = serde_json::from_value(object).unwrap();
    let kind = GroupVersionKind::gvk("sikkerkey.com", "v1alpha1", &case.kind);
    let plural = match case.kind.as_str() {
        "AccessPolicy" => "accesspolicies".to_owned(),
        other => format!("{}s", other.to_lowercase()),
    };
    let api: Api<DynamicObject> =
        Api::namespaced_with(client.clone(), "default", &ApiResource::from_gvk_with_plural(&kind, &plural));
    let dry_run = PostParams { dry_run: true, ..PostParams::default() };
    match api.create(&dry_run, &object).await {
        Ok(_) => "accepted".to_owned(),
        Err(kube::Error::Api(status)) => status.message.clone(),
        Err(other) => panic!("{case:?}: {other}"),
    }
}
