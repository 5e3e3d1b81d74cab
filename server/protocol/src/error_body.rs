//! The body of every answer that is not a success.

use serde::{Deserialize, Serialize};

/// `{"error": "…"}`. SDK routes carry nothing else; the operator's routes add a code that a program can act on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ErrorBody {
    /// What is wrong, for a person.
    pub error: String,
    /// What is wrong, for a program. Only on the operator's routes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<ErrorCode>,
}

/// What a program can do something about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub enum ErrorCode {
    /// The server holds this object from an earlier namespace of the same name.
    AdoptionRequired,
    /// A newer generation of the object has been applied already.
    Superseded,
    /// The key belongs to another machine.
    KeyInUse,
    /// The sealing key is not known.
    SealedKeyUnknown,
    /// The sealed value does not open as this object.
    UnsealFailed,
    /// A value that was sealed later is in force.
    SealedValueOutdated,
    /// The value is larger than 12 KiB.
    ValueTooLarge,
    /// The pod is gone: no voucher is issued for it any more.
    PodGone,
    /// The machine the request names is not at the server.
    MachineNotFound,
    /// The fleet is suspended or not approved.
    MachineNotActive,
    /// The machine the pod names is a host.
    MachineIsHost,
    /// The machine the pod names was made anew since the pod was admitted.
    MachineReplaced,
    /// The pod's service account may not assume the machine.
    ServiceAccountNotAllowed,
    /// The pod's labels do not fit the machine.
    SelectorMismatch,
    /// The server cannot do what the object asks for.
    Unsupported,
    /// The server runs without its root key: nothing can be read or changed until it is loaded.
    Sealed,
    /// A code of a newer server.
    #[serde(other)]
    Other,
}

impl ErrorCode {
    /// Whether it tells a pod that its access as a whole is over, not only that it cannot be had at the moment.
    pub fn ends_access(self) -> bool {
        matches!(
            self,
            Self::MachineNotFound
                | Self::MachineNotActive
                | Self::MachineIsHost
                | Self::MachineReplaced
                | Self::ServiceAccountNotAllowed
                | Self::SelectorMismatch
        )
    }
}
