//! Reasons, in words.

use sikkerkey_protocol::denial::DenialReason;
use sikkerkey_protocol::explain::Rule;

use super::entry::Action;

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

/// What somebody did, after their name: `web-1 read a secret`.
pub fn action(action: Action) -> &'static str {
    match action {
        Action::SecretRead => "read a secret",
        Action::SecretReadDenied => "was denied a secret",
        Action::SecretCreate => "created a secret",
        Action::SecretUpdate => "replaced a secret's value",
        Action::SecretDelete => "deleted a secret",
        Action::SecretRetain => "kept a secret whose object is gone",
        Action::SecretRotate => "rotated a secret",
        Action::MachineRegister => "registered a machine",
        Action::MachineRenew => "renewed a machine's identity",
        Action::MachineApprove => "approved a machine",
        Action::MachineRevoke => "revoked a machine",
        Action::MachineUpdate => "changed a machine",
        Action::FleetApply => "applied a Machine object",
        Action::FleetDelete => "removed a Machine object",
        Action::GrantApply => "changed a grant",
        Action::GrantDelete => "removed a grant",
        Action::PolicyApply => "wrote an access policy",
        Action::PolicyDelete => "deleted an access policy",
        Action::ProjectCreate => "created a project",
        Action::NamespaceAdopt => "took over a namespace",
        Action::VoucherIssue => "gave a pod its voucher",
        Action::VoucherRefused => "refused a pod its voucher",
        Action::PodGone => "noticed that a pod is gone",
        Action::BootstrapTokenCreate => "made a one-time token",
        Action::AgentLogin => "logged in as an agent",
        Action::AgentRegister => "registered an agent",
        Action::AgentApprove => "approved an agent",
        Action::AgentRevoke => "revoked an agent",
        Action::ClusterTrust => "changed which cluster is trusted",
        Action::VaultCreate => "created a vault",
        Action::AccountUpdate => "changed an account",
        Action::AuthFailure => "failed to authenticate",
        Action::LockoutStart => "was locked out",
        Action::LockoutLift => "lifted a lockout",
        Action::ManagementDenied => "was refused a change",
        Action::ServerStart => "started the server",
        Action::ProjectUpdate => "changed a project",
        Action::ProjectMachineAdd => "added a machine to a project",
        Action::ProjectMachineRemove => "took a machine out of a project",
        Action::ApplicationUpdate => "changed an application",
        Action::CanaryUpdate => "changed a canary",
        Action::CanaryTriggered => "read a canary",
        Action::IpAllowlistUpdate => "changed the allowed addresses",
        Action::EnrolmentTokenCreate => "made an enrolment token",
        Action::EnrolmentTokenRevoke => "revoked an enrolment token",
        Action::RootKeyRotate => "rotated the root key",
        Action::ProjectKeyRotate => "rotated a project's key",
        Action::AuditArchive => "archived rows of the audit",
        Action::ServerRestore => "restored the server from a backup",
        Action::SecretRelease => "released a restored secret",
        Action::CoSignRequest => "asked for a co-signature",
        Action::CoSignApprove => "co-signed a read",
        Action::CoSignDeny => "refused to co-sign a read",
        Action::SecretRotationDue => "noticed that a rotation is due",
        Action::PolicyProtect => "protected an access policy",
        Action::PolicyUnprotect => "took an access policy's protection away",
        Action::ManagementRead => "looked at",
        Action::PolicyUnbind => "took a policy off a secret",
        Action::SealingKeyCreate => "made a sealing key",
        Action::ObjectRewind => "put an object back to an earlier state",
        Action::SecretRename => "renamed a secret",
        Action::SecretNoteUpdate => "changed a secret's note",
        Action::SecretScheduleUpdate => "changed a secret's rotation schedule",
        Action::SecretRestore => "restored a secret from the trash",
        Action::SecretPurge => "purged a secret",
        Action::ProjectUnfreeze => "unfroze a project",
        Action::WebhookCreate => "created a webhook",
        Action::WebhookUpdate => "changed a webhook",
        Action::WebhookDelete => "deleted a webhook",
        Action::WebhookTest => "tried a webhook",
        Action::WebhookDisable => "switched a webhook off",
        Action::WebhookDrop => "gave up deliveries of a webhook",
        Action::AlertUpdate => "changed what is reported",
        Action::AccountLogin => "logged in",
        Action::AccountLoginRefused => "was refused a login",
        Action::AccountLogout => "logged out",
        Action::SecondFactorAsk => "was asked for the second factor",
        Action::PasswordChange => "changed a password",
        Action::SecondFactorAdd => "added a second factor",
        Action::SecondFactorRemove => "removed a second factor",
        Action::RecoveryCodesCreate => "made recovery codes",
        Action::SessionRevoke => "ended a session",
        Action::MemberAdd => "gave a role in the vault",
        Action::MemberRemove => "took a role in the vault away",
        Action::MachineDeny => "turned a machine away",
        Action::MachineRename => "renamed a machine",
        Action::MachineExtend => "extended a machine's life",
        Action::ProjectDelete => "deleted a project",
        Action::AgentUpdate => "changed an agent",
        Action::AgentDeny => "turned an agent away",
        Action::AgentTrust => "changed which workloads may log in as agents",
    }
}

/// The rule that denied a read; none of a reason of a newer server.
pub fn rule(reason: DenialReason) -> Option<Rule> {
    Some(match reason {
        DenialReason::NotGranted | DenialReason::GrantExpired => Rule::Grant,
        DenialReason::MachineSuspended
        | DenialReason::MachineNotApproved
        | DenialReason::MachineExpired
        | DenialReason::AccountNotActive
        | DenialReason::LockedOut => Rule::Machine,
        DenialReason::OutsideTimeWindow => Rule::TimeWindow,
        DenialReason::AddressNotAllowed => Rule::IpAllowlist,
        DenialReason::RateCapReached => Rule::RateCap,
        DenialReason::CoSignMissing | DenialReason::CoSignRefused => Rule::CoSign,
        DenialReason::PolicyEnded => Rule::Ttl,
        DenialReason::PolicyMissing => Rule::Policy,
        DenialReason::ProjectFrozen => Rule::Project,
        DenialReason::ReleaseMissing | DenialReason::ValueMissing => Rule::Value,
        DenialReason::Other => return None,
    })
}

/// What a rule asks for.
pub fn asks(rule: Rule) -> &'static str {
    match rule {
        Rule::Machine => "the vault's account is in good standing, and the machine approved, enabled and not expired",
        Rule::Project => "the project is not frozen",
        Rule::Grant => "a grant gives this secret to this machine, and has not ended",
        Rule::Value => "there is a value that may be read",
        Rule::Policy => "the access policy that the secret names is in force",
        Rule::Ttl => "the access policy's last day and last read have not come",
        Rule::TimeWindow => "the access policy's time window is open",
        Rule::IpAllowlist => "the machine's address is in the ranges of the access policy",
        Rule::RateCap => "the access policy's cap is not reached",
        Rule::CoSign => "a second machine has approved, as the access policy asks",
        Rule::RotateAfterReads => "nothing: it only makes a rotation due",
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_action_has_words_of_its_own() {
        let words: BTreeSet<_> = Action::all().iter().map(|it| action(*it)).collect();
        assert_eq!(words.len(), Action::all().len());
    }
}
