//! What people's browsers and the server say to each other: `/v1/account/…`.
//!
//! Instants are Unix milliseconds. A request that changes something carries `Content-Type: application/json` and comes from
//! the server's own origin. The session is in a cookie, never in a body.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::id::VaultId;
use crate::secret_text::{self, SecretText};

/// Logging in.
#[derive(Debug, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct LogIn {
    /// The account's e-mail address.
    pub email: String,
    /// Its password.
    pub password: SecretText,
    /// A code of the second factor, or a recovery code. Left out where there is one: it is asked for in a second step.
    #[serde(default)]
    pub code: Option<SecretText>,
}

/// The second step.
#[derive(Debug, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct GiveCode {
    /// What the first step answered.
    pub half_login: SecretText,
    /// A code of the second factor, or a recovery code.
    pub code: SecretText,
}

/// Proving again who one is.
#[derive(Debug, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct StepUp {
    /// The password.
    pub password: SecretText,
    /// A code of the second factor, or a recovery code, where there is one.
    #[serde(default)]
    pub code: Option<SecretText>,
}

/// Setting another password.
#[derive(Debug, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ChangePassword {
    /// The password until now.
    pub current_password: SecretText,
    /// The password from now on: at least 12 characters.
    pub new_password: SecretText,
}

/// Confirming a second factor.
#[derive(Debug, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ConfirmTotp {
    /// Its code of this moment.
    pub code: SecretText,
}

/// What logging in leads to: a session, or the question for a code.
#[derive(Debug, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(untagged)]
pub enum LoggedIn {
    /// The session has begun, in the cookie.
    In(WhoAmI),
    /// The password is right. The account has a second factor.
    Half(HalfLogin),
}

/// The password is right, and a code is asked for.
#[derive(Debug, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct HalfLogin {
    /// For the second step. Worth nothing without a code.
    #[serde(serialize_with = "secret_text::serialize")]
    pub half_login: SecretText,
    /// Until when.
    pub expires_at: i64,
}

/// Whose session it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct WhoAmI {
    /// The account.
    pub account_id: String,
    /// Its e-mail address.
    pub email: String,
    /// The session's id, which is no secret.
    pub session_id: String,
    /// When the session ends unless it is used.
    pub session_ends_at: i64,
    /// Until when the person may change how they prove who they are without proving it again.
    pub fresh_until: i64,
    /// Whether the account has a second factor.
    pub second_factor: bool,
    /// How many recovery codes were not used yet.
    pub recovery_codes_left: usize,
}

/// A second factor that is not in force yet.
#[derive(Debug, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct BegunTotp {
    /// The seed in base32, for typing it in. Shown once.
    #[serde(serialize_with = "secret_text::serialize")]
    pub secret: SecretText,
    /// The same as `otpauth://…`, for a QR code. Shown once.
    #[serde(serialize_with = "secret_text::serialize")]
    pub url: SecretText,
    /// Until when it can be confirmed.
    pub expires_at: i64,
}

/// Codes for when the second factor is lost: each is good once. Shown once.
#[derive(Debug, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct RecoveryCodes {
    /// The codes.
    #[serde(serialize_with = "reveal_all")]
    pub recovery_codes: Vec<SecretText>,
}

fn reveal_all<S: serde::Serializer>(texts: &[SecretText], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(texts.iter().map(SecretText::reveal))
}

/// What was changed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct Changed {
    /// How many sessions this ended, the one that asked not counted when it logged out.
    pub sessions_ended: usize,
}

/// The sessions of an account.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct Sessions {
    /// That used last first.
    pub sessions: Vec<SessionOf>,
}

/// One session.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct SessionOf {
    /// What it is revoked by.
    pub id: String,
    /// Whether it is the one that asks.
    pub current: bool,
    /// When the person logged in.
    pub since: i64,
    /// When it was used last, to the minute.
    pub last_used_at: i64,
    /// When it ends unless it is used.
    pub ends_at: i64,
    /// Where it began.
    pub address: String,
    /// What the browser said of itself.
    pub user_agent: String,
    /// Whether a second factor was given.
    pub second_factor: bool,
}

/// The vaults in which an account may do something.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct Vaults {
    /// By name.
    pub vaults: Vec<VaultOf>,
}

/// One vault.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct VaultOf {
    /// Its id.
    pub vault_id: VaultId,
    /// Its name.
    pub name: String,
    /// What the account may do there.
    pub role: Role,
    /// Whether its owner is in good standing: if not, nothing can be done there.
    pub active: bool,
}

/// What a person may do in a vault.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Looks at everything and changes nothing.
    Auditor,
    /// Manages machines, projects, secrets and policies.
    Manager,
    /// Manages also who else may: agents, alerts, and from where machines may connect.
    Owner,
}

impl Role {
    /// Every role, from that which may do least.
    pub const ALL: &[Self] = &[Self::Auditor, Self::Manager, Self::Owner];

    /// The name that is typed and told.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Auditor => "auditor",
            Self::Manager => "manager",
            Self::Owner => "owner",
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The text is no role.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0} is no role: there are auditor, manager and owner")]
pub struct UnknownRole(pub String);

impl std::str::FromStr for Role {
    type Err = UnknownRole;
    fn from_str(text: &str) -> Result<Self, UnknownRole> {
        let named = Self::ALL.iter().find(|it| it.as_str() == text);
        named.copied().ok_or_else(|| UnknownRole(text.chars().take(64).collect()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_role_is_named_in_json_as_it_is_typed() {
        for role in Role::ALL {
            assert_eq!(role.as_str().parse(), Ok(*role));
            assert_eq!(serde_json::to_value(role).unwrap(), role.as_str());
        }
        let refused = "admin".parse::<Role>().unwrap_err();
        assert_eq!(refused.to_string(), "admin is no role: there are auditor, manager and owner");
    }

    #[test]
    fn what_is_asked_prints_no_secret() {
        let body = r#"{"email":"jane@example.com","password":"hunter2","code":"123456"}"#;
        let asked: LogIn = serde_json::from_str(body).unwrap();
        let printed = format!("{asked:?}");
        assert!(!printed.contains("hunter2") && !printed.contains("123456"), "{printed}");
    }
}
