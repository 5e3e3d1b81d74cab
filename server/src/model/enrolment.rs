//! Enrolment tokens: each lets many machines in, for a while.

use serde::{Deserialize, Serialize};
use sikkerkey_protocol::id::{ProjectId, SecretId, VaultId};

use super::millis::Millis;

/// A token with which machines enrol by themselves, such as the jobs of a build server. It is never widened: what it
/// gives is said when it is made.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct EnrolmentToken {
    /// A UUID: what people know it by.
    pub id: String,
    /// Hex SHA-256 of the token's text.
    pub hash: String,
    /// The vault, which the address of the route has to name.
    pub vault: VaultId,
    /// What people call it.
    pub name: String,
    /// What it is for.
    pub description: String,
    /// Of which projects its machines become members.
    pub projects: Vec<ProjectId>,
    /// What its machines may read.
    pub secrets: Vec<SecretId>,
    /// When it was made.
    pub created_at: Millis,
    /// When it ends, not included. Its machines go on.
    pub expires_at: Millis,
    /// How long each machine lasts, in seconds.
    pub machine_lifetime_seconds: u64,
    /// How many machines it lets in.
    pub max_uses: u32,
    /// How many it has let in.
    pub uses: u32,
    /// From where a machine has to enrol; none: from anywhere.
    pub source_cidr: Option<String>,
    /// What a machine's host name has to look like, `*` and `?` standing for any characters; none: anything.
    pub hostname_pattern: Option<String>,
    /// What its machines are called (see [`crate::usecase::enrol::name`]); none: as they say.
    pub name_pattern: Option<String>,
    /// Since when it is revoked. Its machines go on.
    pub revoked_at: Option<Millis>,
    /// Why it is revoked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revoked_because: Option<String>,
}
