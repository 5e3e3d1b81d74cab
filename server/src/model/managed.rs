//! What ties an entity to the Kubernetes object it stands for.

use serde::{Deserialize, Serialize};
use sikkerkey_protocol::kubernetes::ObjectMeta;

/// The Kubernetes object behind an entity. An entity that has one refuses other writers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Managed {
    /// The cluster's name.
    pub cluster: String,
    /// The object as it was applied last.
    pub object: ObjectMeta,
}
