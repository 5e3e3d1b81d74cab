//! Everything the server holds of a cluster.

use serde::{Deserialize, Serialize};

use super::{GrantState, MachineState, ObjectKey, ObjectMeta, PodIdentity, PolicyState, SecretState};
use crate::Call;
use crate::id::MachineId;

/// Everything the server holds of this cluster, for comparison and for status.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Inventory {}

/// The answer to [`Inventory`].
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Inventoried {
    /// Machines.
    pub machines: Vec<Entry<MachineState>>,
    /// Secrets that some object stands for; kept values of deleted ones are not among them.
    pub secrets: Vec<Entry<SecretState>>,
    /// Grants.
    pub grants: Vec<Entry<GrantState>>,
    /// Policies.
    pub policies: Vec<Entry<PolicyState>>,
    /// Live machines of pods.
    pub pods: Vec<PodState>,
}

/// One object.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Entry<S> {
    /// As it was applied last.
    pub object: ObjectMeta,
    /// As it stands.
    pub state: S,
}

/// A live machine of a pod.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct PodState {
    /// The pod.
    pub pod: PodIdentity,
    /// The `Machine` it assumed.
    pub machine: ObjectKey,
    /// Its own id.
    pub machine_id: MachineId,
    /// Last signed request, in Unix milliseconds.
    pub last_seen: Option<i64>,
}

impl Call for Inventory {
    const PATH: &'static str = "/v1/ai/kubernetes/inventory";
    type Answer = Inventoried;
}
