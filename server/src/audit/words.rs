//! Reasons, in words.

use sikkerkey_protocol::denial::DenialReason;

/// A denial whose reason is not known.
pub const DENIED: &str = "it was denied";

/// Why a read was denied, in words that name nothing.
pub fn denial(reason: DenialReason) -> &'static str {
    match reason {
        DenialReason::NotGranted => "it asked for a secret that is not granted to it",
        DenialReason::GrantExpired => "its grant has ended",
        DenialReason::MachineSuspended => "it is suspended or disabled",
        DenialReason::MachineNotApproved => "it is not approved",
        DenialReason::MachineExpired => "its identity has ended",
        DenialReason::OutsideTimeWindow => "the policy's window was closed",
        DenialReason::AddressNotAllowed => "its address is in none of the policy's ranges",
        DenialReason::RateCapReached => "the policy's cap was reached",
        DenialReason::CoSignMissing => "a second machine had not approved it",
        DenialReason::CoSignRefused => "a second machine refused it",
        DenialReason::ReleaseMissing => "the secret was restored from a backup and waits for a person to release it",
        DenialReason::PolicyEnded => "the policy's last day or last read is past",
        DenialReason::PolicyMissing => "the secret's policy is not in force",
        DenialReason::ProjectFrozen => "the secret's project is frozen",
        DenialReason::AccountNotActive => "the account that owns its vault is not active",
        DenialReason::LockedOut => "it has failed to authenticate too often",
        DenialReason::ValueMissing => "the secret has no value yet",
        DenialReason::Other => DENIED,
    }
}
