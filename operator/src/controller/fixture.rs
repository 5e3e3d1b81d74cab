//! Objects for the tests of plans.

#![expect(clippy::needless_pass_by_value, reason = "tests hand over JSON literals")]

use k8s_openapi::jiff::Timestamp;
use kube::Resource;
use serde_json::{Value, json};
use sikkerkey_crds::access_policy::AccessPolicy;
use sikkerkey_crds::condition::{ConditionStatus, ConditionType, find};
use sikkerkey_crds::crd;
use sikkerkey_crds::grant::Grant;
use sikkerkey_crds::machine::Machine;
use sikkerkey_crds::received::Received;
use sikkerkey_crds::secret::Secret;
use sikkerkey_protocol::error_body::ErrorCode;
use sikkerkey_protocol::kubernetes::{ObjectKey, ObjectMeta};

use super::conditions::in_force;
use super::plan::{Evidence, Outcome, Plan, Reconciled};
use crate::server::{Class, ServerError};

/// An object of generation 3.
pub(crate) fn meta(namespace: &str, name: &str) -> ObjectMeta {
    ObjectMeta {
        key: ObjectKey { namespace: namespace.to_owned(), name: name.to_owned() },
        namespace_uid: format!("uid-of-{namespace}"),
        uid: format!("uid-of-{name}"),
        generation: 3,
    }
}

fn received<K: crd::Kind>(name: &str, spec: Value) -> Received<K> {
    let metadata = json!({"name": name, "namespace": "shop", "uid": format!("uid-of-{name}"), "generation": 3});
    let object = json!({
        "apiVersion": "sikkerkey.com/v1alpha1", "kind": K::KIND, "metadata": metadata, "spec": spec,
    });
    serde_json::from_value(object).unwrap()
}

/// The Machine `shop/web`.
pub(crate) fn machine(spec: Value) -> Received<Machine> {
    received("web", spec)
}

/// The Secret `shop/db`.
pub(crate) fn secret(spec: Value) -> Received<Secret> {
    received("db", spec)
}

/// The Grant `shop/web-reads`.
pub(crate) fn grant(spec: Value) -> Received<Grant> {
    received("web-reads", spec)
}

/// The policy `shop/hours`.
pub(crate) fn policy(spec: Value) -> Received<AccessPolicy> {
    received("hours", spec)
}

/// The instant of every test: 2026-06-01T12:00:00Z.
pub(crate) fn now() -> Timestamp {
    Timestamp::from_second(1_780_315_200).unwrap()
}

/// What a pass over an object would conclude.
pub(crate) struct Pass<'a, K: Reconciled> {
    pub(crate) object: &'a Received<K>,
    pub(crate) facts: K::Facts,
    pub(crate) outcome: Outcome<K::State>,
    pub(crate) previous: K::Status,
    pub(crate) is_absent: bool,
}

impl<K: Reconciled> Pass<'_, K> {
    /// The status that follows. What was in force before is what the previous status says.
    pub(crate) fn status(&self) -> K::Status {
        let name = self.object.meta().name.clone().unwrap_or_default();
        self.status_after(&K::plan(self.object, meta("shop", &name), &self.facts))
    }

    /// The status that follows from a plan.
    pub(crate) fn status_after(&self, plan: &Plan<K::Apply>) -> K::Status {
        K::conclude(&Evidence {
            object: self.object,
            facts: &self.facts,
            plan,
            outcome: &self.outcome,
            previous: &self.previous,
            in_force: in_force(K::conditions_of(&self.previous)).filter(|_| !self.is_absent),
            is_absent: self.is_absent,
            cluster: "test",
            server_url: "https://server.example",
            now: now(),
        })
    }

    /// Status, reason and message of `Ready`.
    pub(crate) fn ready(&self) -> (ConditionStatus, String, String) {
        let status = self.status();
        let ready = find(K::conditions_of(&status), ConditionType::Ready).unwrap().clone();
        (ready.status, ready.reason.to_string(), ready.message)
    }
}

/// A refusal by the server.
pub(crate) fn refused<S>(code: ErrorCode) -> Outcome<S> {
    Outcome::Failed(ServerError::Refused { status: 409, code: Some(code), text: "the server's words".to_owned() })
}

/// The server is away.
pub(crate) fn away<S>() -> Outcome<S> {
    Outcome::Failed(ServerError::Unreachable { class: Class::ConnectionRefused })
}
