//! How a second machine approves what a policy with `coSign` asks it to.
//!
//! A read that lacks an approval is refused and leaves one request, whoever of the reader's pods asks and however often.
//! The policy's co-signer lists what waits for it, and answers each by a signed request of its own, whose body repeats
//! what is approved: the server compares it field by field, so that an approval is never of anything else than what its
//! signer saw.

use serde::{Deserialize, Serialize};

use crate::id::{MachineId, SecretId, VaultId};

/// `GET` lists the requests that wait for the machine that signs, and those that are approved.
pub const LIST: &str = "/v1/cosign";

/// The path of an answer: `POST`, body [`Consent`], answered [`Settled`].
pub fn path(request: &str, verdict: CoSignVerdict) -> String {
    match verdict {
        CoSignVerdict::Approved => format!("{LIST}/{request}/approve"),
        CoSignVerdict::Denied => format!("{LIST}/{request}/deny"),
    }
}

/// Answer of [`LIST`].
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct CoSignList {
    /// The oldest first: those that wait, and those whose approval has not ended.
    pub requests: Vec<CoSignRequest>,
}

/// A read that waits for approval.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct CoSignRequest {
    /// Its id, a UUID.
    pub id: String,
    /// The vault.
    pub vault_id: VaultId,
    /// Who is asked: the machine that listed it.
    pub approver_id: MachineId,
    /// Who wants to read: the id of a fleet, or of a machine that belongs to none.
    pub reader_id: String,
    /// The same, for a person: `Machine shop/web`, or `machine build-7`.
    pub reader: String,
    /// Which of the reader's machines asked first, for a person: a pod with its node, or a host.
    pub asked_by: String,
    /// From which address it asked.
    pub asked_from: String,
    /// When, in Unix milliseconds.
    pub asked_at: i64,
    /// What is to be read.
    pub secret_id: SecretId,
    /// Its name: `namespace/name` of a Secret object.
    pub secret: String,
    /// Name of the policy that asks for approval.
    pub policy: String,
    /// Its revision.
    pub policy_revision: u64,
    /// How long an approval may last at most, in seconds.
    pub window_seconds: u64,
    /// Of one that is approved: until when, in Unix milliseconds. It can be taken back, by refusing it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub approved_until: Option<i64>,
}

/// What the co-signer decides.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[expect(missing_docs, reason = "the names say it")]
pub enum CoSignVerdict {
    Approved,
    Denied,
}

/// Body of an answer: repeats what is approved or refused. Each field is compared with what the server holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Consent {
    /// [`CoSignRequest::id`], the same as in the path.
    pub request_id: String,
    /// [`CoSignRequest::vault_id`].
    pub vault_id: VaultId,
    /// The machine that signs.
    pub approver_id: MachineId,
    /// [`CoSignRequest::reader_id`].
    pub reader_id: String,
    /// [`CoSignRequest::secret_id`].
    pub secret_id: SecretId,
    /// [`CoSignRequest::policy_revision`].
    pub policy_revision: u64,
    /// Until when the answer stands, in Unix milliseconds: in the future, and at most the policy's window away. The
    /// server never lets it stand for longer than the window after it came.
    pub not_after: i64,
}

/// The answer stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Settled {
    /// The request.
    pub id: String,
    /// What was decided.
    pub verdict: CoSignVerdict,
    /// Until when it stands, in Unix milliseconds.
    pub until: i64,
}
