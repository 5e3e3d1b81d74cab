//! References. Always `fooRef: {name}` objects, never bare strings: room for a namespace or a field without a new key.
//! They hold by name, not by uid: GitOps deletes objects and makes them again.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::shape;

/// Names an object of the same namespace.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct LocalRef {
    /// Name of the object, in the namespace of the object that refers to it.
    #[schemars(transform = shape::name)]
    pub name: String,
}

impl LocalRef {
    /// A reference to `name`.
    pub fn new(name: impl Into<String>) -> Self {
        Self { name: name.into() }
    }
}

/// Names a Machine, of the same namespace or, with its consent, of another.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct MachineRef {
    /// Name of the Machine.
    #[schemars(transform = shape::label)]
    pub name: String,
    /// Namespace of the Machine. Absent: the namespace of this object. A Machine of another namespace must list this
    /// namespace, with this kind, in its `spec.allowFrom`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(transform = shape::label)]
    pub namespace: Option<String>,
}

impl MachineRef {
    /// A reference to the Machine `name` of the same namespace.
    pub fn local(name: impl Into<String>) -> Self {
        Self { name: name.into(), namespace: None }
    }

    /// The namespace of the Machine, for a reference that stands in `own`.
    pub fn namespace_or<'a>(&'a self, own: &'a str) -> &'a str {
        self.namespace.as_deref().unwrap_or(own)
    }
}

/// Names one value inside a Secret (of the group sikkerkey.com), of the same namespace or of another.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SecretFieldRef {
    /// Name of the Secret (sks, of the group sikkerkey.com).
    #[schemars(transform = shape::name)]
    pub name: String,
    /// Namespace of the Secret. Absent: the namespace of this Machine. A Secret of another namespace is readable when a
    /// Grant of that namespace names this Machine and this Machine's `allowFrom` lists that namespace.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(transform = shape::label)]
    pub namespace: Option<String>,
    /// Field of a structured Secret. Absent: the whole value.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(transform = shape::field)]
    pub field: Option<String>,
}

impl SecretFieldRef {
    /// The namespace of the Secret, for a Machine that stands in `own`.
    pub fn namespace_or<'a>(&'a self, own: &'a str) -> &'a str {
        self.namespace.as_deref().unwrap_or(own)
    }
}
