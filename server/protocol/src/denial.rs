//! Why a read was denied: one list for audit, status, Events and the sidecar.

use serde::{Deserialize, Serialize};

/// Why a read was denied.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub enum DenialReason {
    /// No live grant, or no such secret: from outside the two are the same.
    NotGranted,
    /// The grant has ended.
    GrantExpired,
    /// The machine is suspended or disabled.
    MachineSuspended,
    /// The machine waits for approval.
    MachineNotApproved,
    /// The machine's identity has ended.
    MachineExpired,
    /// The policy's window is closed.
    OutsideTimeWindow,
    /// The address is in none of the policy's ranges.
    AddressNotAllowed,
    /// The policy's cap is reached.
    RateCapReached,
    /// A second machine has not approved yet.
    CoSignMissing,
    /// The second machine has refused, for now.
    CoSignRefused,
    /// It is limited in its reads, and was restored from a backup: a person has to release it.
    ReleaseMissing,
    /// The policy's last day or last read is past.
    PolicyEnded,
    /// The secret names a policy that is not in force.
    PolicyMissing,
    /// A canary was read: the project answers nobody.
    ProjectFrozen,
    /// The vault's owner is suspended, banned or not verified.
    AccountNotActive,
    /// Too many failed authentications.
    LockedOut,
    /// Nobody has set a value yet.
    ValueMissing,
    /// A reason of a newer server.
    #[serde(other)]
    Other,
}

/// What a sidecar does with a file it has written before, when a read of its secret is denied.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FileEffect {
    /// Access is over: the delivery's `onRevoked` decides.
    Revoked,
    /// Access pauses by the clock: the delivery's `onClosed` decides.
    Closed,
    /// Access may come back at any time: keep the file until `maxStaleness`.
    Keep,
}

impl DenialReason {
    /// Whether an axis of an access policy denies for it.
    pub fn is_of_axis(self) -> bool {
        matches!(
            self,
            Self::OutsideTimeWindow
                | Self::AddressNotAllowed
                | Self::RateCapReached
                | Self::CoSignMissing
                | Self::CoSignRefused
                | Self::PolicyEnded
        )
    }

    /// The name that stands in the audit and in status.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::NotGranted => "NotGranted",
            Self::GrantExpired => "GrantExpired",
            Self::MachineSuspended => "MachineSuspended",
            Self::MachineNotApproved => "MachineNotApproved",
            Self::MachineExpired => "MachineExpired",
            Self::OutsideTimeWindow => "OutsideTimeWindow",
            Self::AddressNotAllowed => "AddressNotAllowed",
            Self::RateCapReached => "RateCapReached",
            Self::CoSignMissing => "CoSignMissing",
            Self::CoSignRefused => "CoSignRefused",
            Self::ReleaseMissing => "ReleaseMissing",
            Self::PolicyEnded => "PolicyEnded",
            Self::PolicyMissing => "PolicyMissing",
            Self::ProjectFrozen => "ProjectFrozen",
            Self::AccountNotActive => "AccountNotActive",
            Self::LockedOut => "LockedOut",
            Self::ValueMissing => "ValueMissing",
            Self::Other => "Other",
        }
    }

    /// What happens to a file that was written before.
    pub fn file_effect(self) -> FileEffect {
        match self {
            Self::NotGranted
            | Self::GrantExpired
            | Self::MachineSuspended
            | Self::MachineNotApproved
            | Self::PolicyEnded
            | Self::PolicyMissing => FileEffect::Revoked,
            Self::OutsideTimeWindow | Self::AddressNotAllowed => FileEffect::Closed,
            Self::MachineExpired
            | Self::RateCapReached
            | Self::CoSignMissing
            | Self::CoSignRefused
            | Self::ReleaseMissing
            | Self::ProjectFrozen
            | Self::AccountNotActive
            | Self::LockedOut
            | Self::ValueMissing
            | Self::Other => FileEffect::Keep,
        }
    }
}
