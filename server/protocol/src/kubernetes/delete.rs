//! Objects that are gone.

use serde::{Deserialize, Serialize};

use super::{Kind, ObjectKey};
use crate::Call;

/// Takes an object out of force. Access through it is over before the answer. Idempotent: one that is not there is fine.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct Delete {
    /// Which kind.
    pub kind: Kind,
    /// Which one.
    #[serde(flatten)]
    pub key: ObjectKey,
    /// Only the object of this uid: a late delete never hits its successor of the same name.
    pub uid: String,
    /// Of a Secret: whether the value goes to the trash instead of being kept for a Secret of the same name.
    #[serde(default)]
    pub trash: bool,
}

/// It is out of force.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Deleted {}

impl Call for Delete {
    const PATH: &'static str = "/v1/ai/kubernetes/delete";
    type Answer = Deleted;
}
