//! `Question`: what a person asks about objects of the four kinds. Never stored: it is created as a dry run, and the operator
//! answers on the way. So the API server says who asks, and lets nobody ask who may not.

use std::borrow::Cow;

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::{CustomResource, CustomResourceExt};
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{Deserialize, Serialize};

use crate::{
    choice::{NotExactlyOne, exactly_one},
    schema,
    shape::{self, check},
};

/// What a person asks about objects of sikkerkey.com. Never stored: create it with `--dry-run=server`, and read `answer`;
/// `kubectl sikkerkey explain`, `audit` and `bootstrap` do.
#[derive(CustomResource, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[kube(
    group = "sikkerkey.com",
    version = "v1alpha1",
    kind = "Question",
    plural = "questions",
    namespaced,
    schema = "manual",
    doc = "What a person asks about objects of sikkerkey.com. Never stored.",
    derive = "PartialEq"
)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(transform = check(
    "[has(self.explain), has(self.audit), has(self.bootstrap)].exists_one(given, given)",
    "ask exactly one of explain, audit and bootstrap"
))]
pub struct QuestionSpec {
    /// May this Machine read this Secret, and if not, why? Give exactly one of explain, audit and bootstrap.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub explain: Option<ExplainQuestion>,
    /// Who read what an object of this namespace is about, and who was refused? Give exactly one of explain, audit and
    /// bootstrap.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub audit: Option<AuditQuestion>,
    /// What does a host need that is to enrol as a Machine of this namespace? The server learns the hash of a one-time token,
    /// which is good for 10 minutes from then on. Give exactly one of explain, audit and bootstrap.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bootstrap: Option<BootstrapQuestion>,
}

/// What is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Asked<'a> {
    /// May a Machine read a Secret?
    Explain(&'a ExplainQuestion),
    /// Who read?
    Audit(&'a AuditQuestion),
    /// What does a host need?
    Bootstrap(&'a BootstrapQuestion),
}

impl QuestionSpec {
    /// What is asked.
    pub fn asked(&self) -> Result<Asked<'_>, NotExactlyOne> {
        let given = [
            self.explain.as_ref().map(Asked::Explain),
            self.audit.as_ref().map(Asked::Audit),
            self.bootstrap.as_ref().map(Asked::Bootstrap),
        ];
        exactly_one("spec", &["explain", "audit", "bootstrap"], given)
    }
}

/// May a Machine read a Secret?
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ExplainQuestion {
    /// The Machine (skm) that would read.
    pub machine: AskedObject,
    /// The Secret (sks, of the group sikkerkey.com) that would be read.
    pub secret: AskedObject,
    /// Uid of the pod that would read. Absent: any pod of the Machine, also one that is still to come.
    #[serde(rename = "podUID", skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 64))]
    pub pod_uid: Option<String>,
    /// The address from which it would read. Absent: the one it was last seen from.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 64))]
    pub address: Option<String>,
}

/// One very object.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct AskedObject {
    /// Name of the object.
    #[schemars(transform = shape::name)]
    pub name: String,
    /// Namespace of the object. Absent: the namespace of this question.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(transform = shape::label)]
    pub namespace: Option<String>,
    /// Uid of the object, which whoever may get it knows.
    #[schemars(length(min = 1, max = 64))]
    pub uid: String,
}

/// Who read what an object of this namespace is about?
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct AuditQuestion {
    /// Kind of the object.
    pub kind: AskedKind,
    /// Name of the object.
    #[schemars(transform = shape::name)]
    pub name: String,
    /// Uid of the object, which whoever may get it knows.
    #[schemars(length(min = 1, max = 64))]
    pub uid: String,
    /// How many reads and denials, 50 at most. Absent: 20.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 50))]
    pub limit: Option<i32>,
}

/// What does a host need that is to enrol as a Machine of this namespace?
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct BootstrapQuestion {
    /// Name of the Machine (skm), which has `spec.host`.
    #[schemars(transform = shape::name)]
    pub name: String,
    /// Uid of the object, which whoever may get it knows.
    #[schemars(length(min = 1, max = 64))]
    pub uid: String,
    /// Lower-case hex of the SHA-256 of the token: 64 lower-case hex digits that are nobody else's. The token itself stays with
    /// whoever asks, and passes neither the API server nor the operator.
    #[schemars(length(max = 64), regex(pattern = r"^[0-9a-f]{64}$"))]
    pub token_hash: String,
}

/// One of the four kinds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[expect(missing_docs, reason = "the four kinds")]
pub enum AskedKind {
    Machine,
    Secret,
    Grant,
    AccessPolicy,
}

impl JsonSchema for Question {
    fn schema_name() -> Cow<'static, str> {
        "Question".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        schema::of_question::<QuestionSpec>()
    }
}

/// Its definition, ready to apply. It is none of the four kinds: nothing of it is ever stored, watched or listed.
pub fn definition() -> CustomResourceDefinition {
    Question::crd()
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    /// Every schema in it.
    fn schemas(schema: &Value, all: &mut Vec<Value>) {
        all.push(schema.clone());
        for field in schema["properties"].as_object().into_iter().flatten() {
            schemas(field.1, all);
        }
    }

    #[test]
    fn every_string_is_bounded_and_nothing_has_a_default() {
        let definition = serde_json::to_value(definition()).unwrap();
        let mut all = Vec::new();
        schemas(&definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"], &mut all);
        assert!(all.len() > 10);
        for schema in all {
            let is_bounded = schema["maxLength"].is_u64() || schema["enum"].is_array();
            assert!(schema["type"] != "string" || is_bounded, "{schema}");
            assert!(schema.get("default").is_none(), "{schema}");
        }
        assert!(definition["spec"]["names"].get("categories").is_none(), "kubectl get sikkerkey would list it");
    }

    #[test]
    fn one_thing_is_asked_at_a_time_and_a_slip_is_no_question() {
        let read = |spec| serde_json::from_value::<QuestionSpec>(spec).map_err(|error| error.to_string());
        let audit = json!({"kind": "Secret", "name": "db", "uid": "u"});
        let object = json!({"name": "db", "uid": "u"});
        let explain = json!({"machine": object, "secret": object});
        assert!(matches!(read(json!({"audit": audit})).unwrap().asked(), Ok(Asked::Audit(it)) if it.name == "db"));
        assert!(matches!(read(json!({"explain": explain})).unwrap().asked(), Ok(Asked::Explain(_))));
        for spec in [json!({}), json!({"audit": audit, "explain": explain})] {
            let refusal = read(spec).unwrap().asked().unwrap_err().to_string();
            assert_eq!(refusal, "spec: give exactly one of explain, audit, bootstrap");
        }
        let mut slip = explain;
        slip["adress"] = json!("10.0.0.1");
        let refusal = read(json!({"explain": slip})).unwrap_err();
        assert!(refusal.starts_with("unknown field `adress`"), "{refusal}");
    }
}
