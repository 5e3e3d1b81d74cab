//! Enrolment tokens on the management plane.

use serde::{Deserialize, Serialize};

use crate::id::{ProjectId, SecretId, VaultId};
use crate::secret_text::{self, SecretText};

/// Makes an enrolment token. What it gives is never changed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct CreateEnrolmentToken {
    /// What people call it.
    pub name: String,
    /// What it is for.
    #[serde(default)]
    pub description: Option<String>,
    /// The projects of which its machines become members; may be empty.
    pub project_ids: Vec<ProjectId>,
    /// The secrets of these projects that its machines may read; may be empty.
    pub secret_ids: Vec<SecretId>,
    /// How long the token is good, in seconds: from a minute to 366 days.
    pub token_lifetime_seconds: u64,
    /// How long each machine lasts, in seconds: from a minute to 366 days.
    pub machine_lifetime_seconds: u64,
    /// How many machines it lets in, from 1 to 10,000.
    pub max_uses: u32,
    /// Only from this range.
    #[serde(default)]
    pub source_cidr: Option<String>,
    /// Only host names like this: `*` stands for any characters, `?` for one.
    #[serde(default)]
    pub hostname_pattern: Option<String>,
    /// What the machines are called, such as `worker-{uuid8}`; `{uuid}` and `{hostname}` are the other places.
    #[serde(default)]
    pub name_pattern: Option<String>,
}

/// How an enrolment token stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub enum EnrolmentTokenState {
    /// It lets machines in.
    Active,
    /// Its time is over.
    Expired,
    /// It has let in as many machines as it may.
    UsedUp,
    /// Somebody revoked it.
    Revoked,
}

impl EnrolmentTokenState {
    /// For a person.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Active => "Active",
            Self::Expired => "Expired",
            Self::UsedUp => "Used up",
            Self::Revoked => "Revoked",
        }
    }
}

/// An enrolment token, without its text.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct EnrolmentTokenView {
    /// Its id.
    pub id: String,
    /// The vault, which stands in the address of the route that takes it.
    pub vault_id: VaultId,
    /// What people call it.
    pub name: String,
    /// What it is for.
    pub description: String,
    /// How it stands.
    pub state: EnrolmentTokenState,
    /// The projects of which its machines become members, as far as the asker sees them.
    pub project_ids: Vec<ProjectId>,
    /// What its machines may read, as far as the asker sees it.
    pub secret_ids: Vec<SecretId>,
    /// When it was made; Unix milliseconds.
    pub created_at: i64,
    /// When it ends; Unix milliseconds.
    pub expires_at: i64,
    /// How long each machine lasts, in seconds.
    pub machine_lifetime_seconds: u64,
    /// How many machines it lets in.
    pub max_uses: u32,
    /// How many machines it has let in.
    pub uses: u32,
    /// How many of its machines are alive.
    pub alive: usize,
    /// From where a machine has to enrol.
    pub source_cidr: Option<String>,
    /// What a machine's host name has to look like.
    pub hostname_pattern: Option<String>,
    /// What its machines are called.
    pub name_pattern: Option<String>,
    /// Since when it is revoked; Unix milliseconds.
    pub revoked_at: Option<i64>,
    /// Why it was revoked.
    pub revoked_because: Option<String>,
}

/// The enrolment tokens of a vault, by name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct EnrolmentTokenList {
    /// The tokens.
    pub enrollment_tokens: Vec<EnrolmentTokenView>,
}

/// A token that was made. Its text is shown this once.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct EnrolmentTokenCreated {
    /// The text that machines enrol with.
    #[serde(serialize_with = "secret_text::serialize")]
    pub token: SecretText,
    /// What stands in the list.
    #[serde(flatten)]
    pub view: EnrolmentTokenView,
}

/// Revokes an enrolment token.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct RevokeEnrolmentToken {
    /// Why, at most 255 printable characters.
    #[serde(default)]
    pub reason: Option<String>,
}
