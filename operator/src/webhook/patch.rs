//! JSON Patch (RFC 6902): only the operations that injection needs.

use serde::Serialize;
use serde_json::Value;

/// One operation.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(tag = "op", rename_all = "lowercase")]
pub enum Operation {
    /// Puts a member or an array item there; a member that exists is replaced.
    Add {
        /// JSON Pointer.
        path: String,
        /// What to put.
        value: Value,
    },
    /// Puts another item in the place of one that exists.
    Replace {
        /// JSON Pointer.
        path: String,
        /// What to put.
        value: Value,
    },
    /// Takes an item away.
    Remove {
        /// JSON Pointer.
        path: String,
    },
}

impl Operation {
    pub(crate) fn add(path: impl Into<String>, value: Value) -> Self {
        Self::Add { path: path.into(), value }
    }

    pub(super) fn replace(path: impl Into<String>, value: Value) -> Self {
        Self::Replace { path: path.into(), value }
    }

    pub(super) fn remove(path: impl Into<String>) -> Self {
        Self::Remove { path: path.into() }
    }
}

/// A member's name as one token of a JSON Pointer (RFC 6901).
pub(super) fn token(name: &str) -> String {
    name.replace('~', "~0").replace('/', "~1")
}
