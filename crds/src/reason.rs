//! Every reason that appears in a condition, an Event, a refusal or a status: one word for programs, part of the API.
//! Reasons are added freely and removed never.

use std::fmt;

/// Declares the enum, its names and the list of all of them in one place, so that they cannot drift apart.
macro_rules! reasons {
    ($($(#[doc = $doc:literal])+ $reason:ident,)+) => {
        /// Why something is as it is. One word stands for one cause in all kinds, Events and refusals.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Reason {
            $($(#[doc = $doc])+ $reason,)+
        }

        impl Reason {
            /// Every reason there is.
            pub const ALL: &[Self] = &[$(Self::$reason,)+];

            /// The reason as it stands on the wire.
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$reason => stringify!($reason),)+
                }
            }
        }
    };
}

reasons! {
    // All kinds.
    /// The condition `Accepted` holds.
    Accepted,
    /// A key under `spec` is not a field.
    UnknownField,
    /// A value is not one that the contract allows.
    InvalidSpec,
    /// The operator does not manage this namespace.
    NamespaceNotManaged,
    /// The server holds this object from an earlier namespace of the same name.
    AdoptionRequired,
    /// The condition `ResolvedRefs` holds.
    ResolvedRefs,
    /// The condition `Programmed` holds.
    Programmed,
    /// A change waits for a server that cannot be reached.
    ServerUnreachable,
    /// A change waits for a server that has not loaded its root key.
    ServerSealed,
    /// The server refused the change.
    ServerRefused,
    /// Nobody has looked at the object yet.
    Pending,
    /// The condition `Ready` holds, and nothing else needs saying.
    Ready,
    /// A canary was read: every read of the project is refused until an administrator unfreezes it.
    ProjectFrozen,

    // Machine.
    /// A delivered file needs a Secret that no Grant gives to this Machine.
    SecretNotGranted,
    /// A delivered file needs a field that the Secret does not have.
    FieldNotFound,
    /// A service account of `spec.workload` does not exist.
    ServiceAccountNotFound,
    /// The pinned key belongs to another machine at the server.
    KeyInUse,
    /// No host has enrolled yet.
    AwaitingBootstrap,
    /// A key, or the fleet, waits for a person's approval.
    AwaitingApproval,
    /// An administrator denied the machine.
    Denied,
    /// `spec.suspend` is true.
    Suspended,
    /// A date has passed: of a host's identity, or of a Grant.
    Expired,
    /// Some pods run with older settings of the delivery.
    PodsOutdated,

    // Secret.
    /// The policy does not exist: every read is denied.
    PolicyNotFound,
    /// The policy is not accepted: every read is denied.
    PolicyNotAccepted,
    /// The core Secret to take the value from does not exist.
    KubernetesSecretNotFound,
    /// The core Secret to take the value from lacks the key.
    KubernetesSecretKeyNotFound,
    /// What stands in the core Secret to take the value from can be no value.
    KubernetesSecretInvalid,
    /// Nobody has set a value.
    ValueMissing,
    /// The server has lost a value that it had: another one is generated only on a person's word.
    ValueLost,
    /// The value was sealed to a key that the server does not have.
    SealedKeyUnknown,
    /// The ciphertext was sealed for another place, or altered.
    UnsealFailed,
    /// A value that was sealed later has been in force: an older one never replaces it.
    SealedValueOutdated,
    /// The value is beyond the size limit.
    ValueTooLarge,
    /// Sources of this type are switched off.
    SourceDisabled,
    /// A new value is due that the server cannot make by itself.
    RotationDue,
    /// The core Secret was not deleted, because something else manages it.
    OriginalKept,

    // Grant.
    /// The Machine does not exist in the own namespace.
    MachineNotFound,
    /// The object of another namespace does not exist, or does not consent: on purpose the same word for both.
    RefNotPermitted,
    /// A Secret of the Grant does not exist.
    SecretNotFound,
    /// The Machine is not accepted.
    MachineNotAccepted,

    // AccessPolicy.
    /// The co-signer does not exist in the own namespace.
    ApproverNotFound,
    /// The `ttl` axis has ended: every read is denied.
    Ended,
    /// The axes together never allow a read.
    NeverOpens,
    /// No Secret names this policy.
    NotBound,

    // Why a read was denied.
    /// No Grant gives the Secret to the Machine.
    NotGranted,
    /// The Grant has expired.
    GrantExpired,
    /// The Machine is suspended.
    MachineSuspended,
    /// The machine waits for approval, or was denied.
    MachineNotApproved,
    /// The machine's identity has expired.
    MachineExpired,
    /// The time window is closed.
    OutsideTimeWindow,
    /// The address is in none of the policy's CIDRs.
    AddressNotAllowed,
    /// The rate cap is reached.
    RateCapReached,
    /// The co-signer has not approved the read.
    CoSignMissing,
    /// The co-signer has refused the read, for now.
    CoSignRefused,
    /// The `ttl` axis of the policy has ended.
    PolicyEnded,
    /// The Secret names a policy that is not in force.
    PolicyMissing,
    /// The account behind the project is suspended, banned or not verified.
    AccountNotActive,
    /// Too many failed authentications.
    LockedOut,

    // Why a pod was refused at admission.
    /// The Machine is a host: pods cannot assume it.
    MachineIsHost,
    /// The pod's service account is not among those of the Machine.
    ServiceAccountNotAllowed,
    /// The pod's labels do not match the Machine's selector.
    SelectorMismatch,
    /// An annotation with our prefix has no meaning.
    UnknownAnnotation,
    /// The annotation names a container that the pod does not have.
    ContainerNotFound,
    /// A container already mounts something at the mount path.
    MountConflict,
    /// A container or volume of the pod has a name that injection uses.
    ReservedName,
    /// A signal needs a shared process namespace.
    ProcessNamespaceNeeded,
    /// A signal reaches only processes of the sidecar's own user, and the pod has not one user for all.
    SignalNeedsUser,
    /// The mesh takes the pod's network before its proxy runs.
    MeshBlocksStart,
    /// Pods on nodes of this operating system are not supported.
    UnsupportedNode,

    // Warnings at admission.
    /// The pod's user cannot read a file with this mode.
    FileModeUnreadable,
    /// The Machine is not granted all that its files need, yet.
    NotGrantedYet,
    /// Mounts by subPath never see a new version.
    SubPathNeverUpdates,

    // Events.
    /// A pod has its identity.
    Enrolled,
    /// A pod was refused an identity.
    EnrolmentRefused,
    /// A pod has no identity yet, for a reason that may pass.
    EnrolmentFailed,
    /// A read was denied.
    ReadDenied,
    /// A read waits for its co-signer.
    CoSignAwaited,
    /// Files are older than they should be, because the server is away.
    FilesStale,
    /// Files were removed.
    FilesRemoved,
    /// A file cannot be written: its value does not fit its format, or the files do not fit the volume.
    FilesNotWritten,
    /// A pod's sidecar enrolled anew, which revoked its earlier machine.
    MachineReplaced,
    /// The finalizer was removed with the server away: the comparison with the server finishes the clean-up.
    CleanupDeferred,
    /// A Secret no longer names its policy.
    PolicyUnbound,
    /// The core Secret was deleted, because its value is taken over.
    OriginalDeleted,
    /// A Secret was deleted, and its value is kept at the server.
    ValueRetained,
    /// A Secret was deleted, and its value went to the server's trash.
    ValueTrashed,
}

impl Reason {
    /// Whether only an edit of the object, or of the installation, can help: a condition with this reason comes with
    /// `Stalled`.
    pub const fn stalls(self) -> bool {
        matches!(
            self,
            Self::UnknownField
                | Self::InvalidSpec
                | Self::NamespaceNotManaged
                | Self::ServerRefused
                | Self::KeyInUse
                | Self::Denied
                | Self::SealedKeyUnknown
                | Self::UnsealFailed
                | Self::SealedValueOutdated
                | Self::ValueTooLarge
                | Self::SourceDisabled
        )
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_reason_is_one_word_that_the_schema_of_conditions_admits() {
        for reason in Reason::ALL {
            let word = reason.as_str();
            assert!(word.starts_with(|c: char| c.is_ascii_uppercase()), "{word}");
            assert!(word.bytes().all(|b| b.is_ascii_alphanumeric()) && word.len() <= 128, "{word}");
        }
        let words: BTreeSet<_> = Reason::ALL.iter().map(|reason| reason.as_str()).collect();
        assert_eq!(words.len(), Reason::ALL.len());
    }
}
