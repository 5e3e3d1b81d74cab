//! What an agent or a person may do on the management plane.

use std::fmt;

use serde::{Deserialize, Serialize};

macro_rules! scopes {
    ($($(#[$doc:meta])* $name:ident = $text:literal,)*) => {
        /// What one may do on the management plane. A route names the one that it takes.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
        pub enum Scope {
            $($(#[$doc])* #[serde(rename = $text)] $name,)*
        }

        impl Scope {
            /// Every scope, in the order in which people read them.
            pub const ALL: &[Self] = &[$(Self::$name),*];

            /// The name that stands in requests and answers.
            pub fn as_str(self) -> &'static str {
                match self {
                    $(Self::$name => $text,)*
                }
            }
        }
    };
}

scopes! {
    /// Machines are looked at.
    MachinesRead = "machines.read",
    /// Machines are approved, denied, switched off, renamed and revoked.
    MachinesWrite = "machines.write",
    /// Projects are looked at.
    ProjectsRead = "projects.read",
    /// Projects are made, changed and deleted.
    ProjectsWrite = "projects.write",
    /// Secrets are looked at, without their values.
    SecretsRead = "projects.secrets.read",
    /// Secrets are made, given new values and deleted.
    SecretsWrite = "projects.secrets.write",
    /// Access policies and canaries are looked at.
    PoliciesRead = "projects.policies.read",
    /// Access policies and canaries are changed, frozen projects unfrozen.
    PoliciesWrite = "projects.policies.write",
    /// Which machines are members of projects, and what they are granted.
    MembersRead = "projects.machines.read",
    /// Machines become members of projects, and are granted secrets.
    MembersWrite = "projects.machines.write",
    /// Enrolment tokens are looked at.
    EnrolmentRead = "enrollment.read",
    /// Enrolment tokens are made and revoked.
    EnrolmentWrite = "enrollment.write",
    /// The audit and its figures are looked at.
    AuditRead = "audit.read",
    /// Alerts and webhooks are looked at.
    AlertsRead = "alerts.read",
    /// Alerts and webhooks are changed.
    AlertsWrite = "alerts.write",
    /// The vault's IP allowlist is looked at.
    AllowlistRead = "ipallowlist.read",
    /// The vault's IP allowlist is changed.
    AllowlistWrite = "ipallowlist.write",
    /// Agents are looked at.
    AgentsRead = "aiagents.read",
    /// Agents are approved, denied, switched off, renamed and revoked.
    AgentsWrite = "aiagents.write",
    /// The trash is looked at.
    TrashRead = "trash.read",
    /// Secrets are taken out of the trash, and purged.
    TrashWrite = "trash.write",
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The text is no scope.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0} is no scope: there are {list}", list = Scope::ALL.iter().map(|it| it.as_str()).collect::<Vec<_>>().join(", "))]
pub struct UnknownScope(pub String);

impl std::str::FromStr for Scope {
    type Err = UnknownScope;
    fn from_str(text: &str) -> Result<Self, UnknownScope> {
        let named = Self::ALL.iter().find(|it| it.as_str() == text);
        named.copied().ok_or_else(|| UnknownScope(text.chars().take(64).collect()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_in_json_is_the_name_that_is_typed() {
        for scope in Scope::ALL {
            assert_eq!(scope.as_str().parse(), Ok(*scope));
            assert_eq!(serde_json::to_value(scope).unwrap(), scope.as_str());
        }
        let refused = "machines.reed".parse::<Scope>().unwrap_err().to_string();
        assert!(refused.starts_with("machines.reed is no scope: there are machines.read, machines.write"), "{refused}");
    }
}
