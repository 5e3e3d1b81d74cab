//! Identifiers, parsed once at the edge. A copy of one shares its text: servers know each of them in many places.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// The text is not an id of this kind.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not {expected}")]
pub struct IdError {
    expected: &'static str,
}

macro_rules! id {
    ($(#[$doc:meta])* $name:ident, $expected:literal, $pattern:expr, $parse:expr) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(Arc<str>);

        impl $name {
            /// The canonical text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = IdError;
            fn from_str(text: &str) -> Result<Self, IdError> {
                let parse: fn(&str) -> Option<String> = $parse;
                parse(text).map(|text| Self(text.into())).ok_or(IdError { expected: $expected })
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(&self.0)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
            }
        }

        #[cfg(feature = "schema")]
        crate::schema::text!($name, $expected, $pattern);
    };
}

/// What this crate writes; it reads other spellings, too.
#[cfg(feature = "schema")]
const UUID: &str = "^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$";

fn prefixed(text: &str, prefix: &str) -> Option<String> {
    let rest = text.strip_prefix(prefix)?;
    let plain = (1..=64).contains(&rest.len()) && rest.bytes().all(|b| b.is_ascii_alphanumeric());
    plain.then(|| text.to_owned())
}

/// Any spelling of a UUID becomes the lower-case one with hyphens: else each spelling would open a nonce space of its own.
fn uuid(text: &str) -> Option<String> {
    uuid::Uuid::try_parse(text).ok().map(|id| id.to_string())
}

id!(
    /// A vault: `vault_` and letters and digits.
    VaultId, "a vault id (vault_ and letters and digits)", "^vault_[A-Za-z0-9]{1,64}$", |t| prefixed(t, "vault_")
);
id!(
    /// A project: `proj_` and letters and digits.
    ProjectId, "a project id (proj_ and letters and digits)", "^proj_[A-Za-z0-9]{1,64}$", |t| prefixed(t, "proj_")
);
id!(
    /// A secret: `sk_` and letters and digits.
    SecretId, "a secret id (sk_ and letters and digits)", "^sk_[A-Za-z0-9]{1,64}$", |t| prefixed(t, "sk_")
);
id!(
    /// A machine that signs: a host or one pod. A UUID.
    MachineId, "a machine id (a UUID)", UUID, uuid
);
id!(
    /// A fleet: all pods of one `Machine` object. Grants and caps belong to it. A UUID.
    FleetId, "a fleet id (a UUID)", UUID, uuid
);
id!(
    /// An agent: a program that manages, and never reads a value. A UUID.
    AgentId, "an agent id (a UUID)", UUID, uuid
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_spelling_of_a_machine_id_is_one_id() {
        let id: MachineId = "67E55044-10B1-426F-9247-BB680E5FE0C8".parse().unwrap();
        for text in ["67e5504410b1426f9247bb680e5fe0c8", "{67e55044-10b1-426f-9247-bb680e5fe0c8}"] {
            assert_eq!(text.parse::<MachineId>().unwrap(), id);
        }
        assert_eq!(id.as_str(), "67e55044-10b1-426f-9247-bb680e5fe0c8");
    }

    #[test]
    fn an_id_of_another_kind_is_refused() {
        assert_eq!(
            "proj_x9y8z7w6v5".parse::<SecretId>().unwrap_err().to_string(),
            "not a secret id (sk_ and letters and digits)"
        );
        for text in ["sk_", "sk_a/../b", "sk_é", "SK_abc", ""] {
            assert!(text.parse::<SecretId>().is_err(), "{text}");
        }
    }
}
