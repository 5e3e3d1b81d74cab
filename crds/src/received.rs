//! Objects as the API server sent them: the typed form, and what it cannot hold.

use std::{borrow::Cow, ops::Deref};

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::{Resource, core::NamespaceResourceScope};
use serde::{Deserialize, Deserializer, de::Error as _};
use serde_json::Value;

use crate::{
    crd::Kind,
    unknown::{Finding, unknown_and_null},
};

/// An object with its findings: `Api<Received<Machine>>` reads what `Api<Machine>` reads and loses nothing.
///
/// Only an object without findings says what its author meant. Wrap it into `kube::core::DeserializeGuard` where one
/// object that does not parse must not hide the others.
#[derive(Clone, Debug)]
pub struct Received<K> {
    /// The typed form.
    pub object: K,
    /// Keys that are no fields, and nulls.
    pub findings: Vec<Finding>,
}

impl<K> Received<K> {
    /// The first finding. Its `Display` is the message, its [`Finding::reason`] the reason, for `Accepted=False`.
    pub fn refusal(&self) -> Option<&Finding> {
        self.findings.first()
    }
}

impl<K> Deref for Received<K> {
    type Target = K;

    fn deref(&self) -> &K {
        &self.object
    }
}

impl<'de, K: Kind> Deserialize<'de> for Received<K> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let raw = Value::deserialize(deserializer)?;
        let findings = unknown_and_null(K::schema(), &raw);
        match serde_json::from_value(raw) {
            Ok(object) => Ok(Self { object, findings }),
            // What its author can mend says more than what the parser met first.
            Err(error) => Err(findings.first().map_or_else(|| D::Error::custom(error), D::Error::custom)),
        }
    }
}

impl<K: Kind> Resource for Received<K> {
    type DynamicType = ();
    type Scope = NamespaceResourceScope;

    fn kind((): &()) -> Cow<'_, str> {
        K::kind(&())
    }

    fn group((): &()) -> Cow<'_, str> {
        K::group(&())
    }

    fn version((): &()) -> Cow<'_, str> {
        K::version(&())
    }

    fn plural((): &()) -> Cow<'_, str> {
        K::plural(&())
    }

    fn meta(&self) -> &ObjectMeta {
        self.object.meta()
    }

    fn meta_mut(&mut self) -> &mut ObjectMeta {
        self.object.meta_mut()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::{grant::Grant, machine::Machine, reason::Reason};

    #[test]
    fn an_object_is_read_together_with_what_its_type_cannot_hold() {
        let received: Received<Grant> = serde_json::from_value(json!({
            "apiVersion": "sikkerkey.com/v1alpha1",
            "kind": "Grant",
            "metadata": {"name": "web-reads", "namespace": "shop"},
            "spec": {"machineRef": {"name": "web"}, "secretRefs": [{"name": "db"}], "expireAt": "2027-01-01T00:00:00Z"},
        }))
        .unwrap();
        assert_eq!(received.spec.machine_ref.name, "web");
        assert_eq!(received.meta().name.as_deref(), Some("web-reads"));
        let refusal = received.refusal().unwrap();
        assert_eq!(refusal.to_string(), "spec.expireAt is not a field: did you mean spec.expiresAt?");
        assert_eq!(refusal.reason(), Reason::UnknownField);
    }

    #[test]
    fn a_null_that_does_not_parse_is_named_all_the_same() {
        let refusal = serde_json::from_value::<Received<Machine>>(json!({
            "metadata": {"name": "web"},
            "spec": {"workload": {"serviceAccountNames": ["web"], "podSelector": {"matchLabels": {"app": null}}}},
        }))
        .unwrap_err();
        assert_eq!(
            refusal.to_string(),
            "spec.workload.podSelector.matchLabels[app] is null: remove the key or give it a value"
        );
    }
}
