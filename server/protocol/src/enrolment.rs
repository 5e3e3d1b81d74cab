//! How a key becomes a machine.
//!
//! A pod: [`Attest`] at the operator gives a one-time voucher bound to its key, [`Register`] at the server turns it
//! into a machine, [`Renew`] replaces the key before the identity ends. A host registers with a token that a person
//! made, by the same [`Register`]. Build jobs and the like share a token and [`Enrol`] by themselves.

use serde::{Deserialize, Serialize};

use crate::Call;
use crate::id::{MachineId, VaultId};
use crate::key::{PublicKey, Signature};
use crate::secret_text::{self, SecretText};

/// A pod's sidecar asks the operator to vouch for its key. Sent to the operator, not to the server.
#[derive(Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct Attest {
    /// The pod's projected service-account token, audience `sikkerkey`.
    #[serde(serialize_with = "secret_text::serialize")]
    pub token: SecretText,
    /// The key the sidecar has made.
    pub public_key: PublicKey,
    /// Signature over [`possession`](crate::canonical::possession) with `Purpose::Attest` and the token.
    pub proof: Signature,
}

/// The operator's answer to [`Attest`].
#[derive(Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct Attested {
    /// One-time token for [`Register`], good for 60 seconds and for this key alone.
    #[serde(serialize_with = "secret_text::serialize")]
    pub voucher: SecretText,
    /// Where to register and read: an `https` origin without a trailing slash.
    pub server_url: String,
    /// The vault that the voucher belongs to.
    pub vault_id: VaultId,
    /// PEM certificates to trust for `server_url` and for the operator from now on.
    pub trust_bundle: String,
}

impl Call for Attest {
    const PATH: &'static str = "/v1/attest";
    type Answer = Attested;
}

/// Turns a one-time token (a pod's voucher or a host's bootstrap token) into a machine. Unsigned; answered 200.
///
/// Idempotent: the same token with the same key gives the same answer for as long as the token would have been good.
#[derive(Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct Register {
    /// The one-time token.
    #[serde(serialize_with = "secret_text::serialize")]
    pub token: SecretText,
    /// The machine's key.
    pub public_key: PublicKey,
    /// Signature over [`possession`](crate::canonical::possession) with `Purpose::Register` and the token. A voucher
    /// needs it; a host's script may not be able to make one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub proof: Option<Signature>,
    /// The host's own name, for people to recognise it. Ignored for pods, whose name the cluster vouches for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hostname: Option<String>,
    /// The host's operating system as it calls itself, for people to recognise it. Ignored for pods.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub os: Option<String>,
}

/// A machine as its owner learns of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct Registered {
    /// What to sign as.
    pub machine_id: MachineId,
    /// The name people see.
    pub machine_name: String,
    /// The vault.
    pub vault_id: VaultId,
    /// The origin to read from, without a trailing slash.
    pub api_url: String,
    /// When the identity ends, in Unix milliseconds; 0 for never.
    pub expires_at: i64,
}

impl Call for Register {
    const PATH: &'static str = "/v1/bootstrap/register";
    type Answer = Registered;
}

/// Body of `POST /v1/{vaultId}/enroll/register`, answered by [`Registered`]: a machine enrols by itself with a token that
/// many share. Unsigned.
#[derive(Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct Enrol {
    /// The enrolment token.
    #[serde(serialize_with = "secret_text::serialize")]
    pub token: SecretText,
    /// The machine's key.
    pub public_key: PublicKey,
    /// The host's own name.
    pub hostname: String,
    /// What the machine would like to be called; a token with a name pattern does not ask.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
}

/// Replaces the key of the machine that signs the request and starts its lifetime anew. What it was delivered stays.
///
/// After a 200 the old key is worthless. When the answer is lost, the machine tries the new key first.
#[derive(Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct Renew {
    /// The fresh key.
    pub public_key: PublicKey,
    /// Signature by the fresh key over [`possession`](crate::canonical::possession) with `Purpose::Renew` and the
    /// machine id.
    pub proof: Signature,
}

impl Call for Renew {
    const PATH: &'static str = "/v1/machine/renew";
    type Answer = Registered;
}

/// The machine that signs gives its identity up: it is revoked before the answer.
#[derive(Debug, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Resign {}

/// The identity is gone.
#[derive(Debug, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Resigned {}

impl Call for Resign {
    const PATH: &'static str = "/v1/machine/resign";
    type Answer = Resigned;
}
