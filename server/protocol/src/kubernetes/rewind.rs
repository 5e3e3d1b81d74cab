//! A cluster that was taken back to an earlier day.

use serde::{Deserialize, Serialize};

use super::{Kind, ObjectKey};
use crate::Call;

/// Says that an object which the server holds in a newer generation stands in the cluster at an older one, because the cluster was
/// restored from a backup. From then on that older one may be applied; nothing else changes. Idempotent.
///
/// The operator has to have read the object from the API server itself, past every cache, after it learned what the server holds: no
/// cluster that only goes forward has then an older one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct Rewind {
    /// Which kind.
    pub kind: Kind,
    /// Which one.
    #[serde(flatten)]
    pub key: ObjectKey,
    /// Of which uid.
    pub uid: String,
    /// The generation that the server holds; if it holds another one by now, nothing happens.
    pub from: i64,
    /// The generation in the cluster.
    pub to: i64,
}

/// It is done.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Rewound {}

impl Call for Rewind {
    const PATH: &'static str = "/v1/ai/kubernetes/rewind";
    type Answer = Rewound;
}
