//! The operator's routes: the four kinds as the server holds them, vouchers for pods, and what has happened since.
//!
//! Extensions of the management plane, signed by an agent. Objects are keyed by cluster, namespace and name. The
//! cluster is never in a body: it follows from the agent that signs, which the server bound to one cluster at login.
//! Every `apply` is level-based and idempotent: the same body twice changes nothing the second time.

mod delete;
mod grant;
mod inventory;
mod login;
mod machine;
mod pods;
mod policy;
mod question;
mod rewind;
mod secret;

use serde::{Deserialize, Serialize};

pub use self::delete::*;
pub use self::grant::*;
pub use self::inventory::*;
pub use self::login::*;
pub use self::machine::*;
pub use self::pods::*;
pub use self::policy::*;
pub use self::question::*;
pub use self::rewind::*;
pub use self::secret::*;

/// An object's name in its cluster.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ObjectKey {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
}

impl std::fmt::Display for ObjectKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.namespace, self.name)
    }
}

/// An object as the operator saw it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct ObjectMeta {
    /// Namespace and name.
    #[serde(flatten)]
    pub key: ObjectKey,
    /// Uid of the namespace: one that was made anew inherits nothing without a person's word.
    pub namespace_uid: String,
    /// Uid of the object.
    pub uid: String,
    /// `metadata.generation`: an older one of the same uid never replaces a newer one.
    pub generation: i64,
}

/// One of the four kinds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[expect(missing_docs, reason = "the four kinds")]
pub enum Kind {
    Machine,
    Secret,
    Grant,
    AccessPolicy,
}
