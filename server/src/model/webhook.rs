//! Webhooks, how far each has come, and what people want to be told of.

use std::fmt;

use serde::{Deserialize, Serialize};
use sikkerkey_protocol::id::VaultId;

use super::millis::Millis;
use crate::audit::entry::{Action, Severity};

/// A web server that is told what happens in a vault. Changed by people alone.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
pub struct Webhook {
    /// Its id.
    pub id: String,
    /// Of which vault.
    pub vault: VaultId,
    /// Where each event is posted. Its path may hold a token.
    pub url: String,
    /// Which actions; none: those of the vault's [`Alerts`].
    pub actions: Vec<Action>,
    /// Whether it is switched on.
    pub enabled: bool,
    /// Why the server has switched it off.
    pub disabled_because: Option<String>,
    /// When it was made. It is told what was written from then on.
    pub made: Millis,
    /// The secret that signs, wrapped (see [`crate::crypto::keyring`]).
    pub wrapped_secret: Vec<u8>,
    /// The one before it, and until when it signs as well.
    pub previous_secret: Option<(Vec<u8>, Millis)>,
}

impl fmt::Debug for Webhook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Webhook({} of {})", self.id, self.vault)
    }
}

/// From where on a webhook is to be told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Position {
    /// After this row of the audit.
    After(u64),
    /// Beginning with the first row that was written at this instant or later.
    Since(Millis),
}

/// How far a webhook has come. Changed by the server alone, apart from where people let it begin anew.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Progress {
    /// Of which webhook.
    pub webhook: String,
    /// From where on it is to be told.
    pub position: Position,
    /// What it had come to when it was told to begin elsewhere: what lies between is left out, and that is told.
    pub left_at: Option<u64>,
    /// Tries in a row that have failed.
    pub failures: u32,
    /// Why the last one did.
    pub last_failure: Option<String>,
    /// Not before then it is tried again.
    pub retry_at: Option<Millis>,
    /// When something was last delivered.
    pub delivered_at: Option<Millis>,
    /// Which server tells it at the moment, and until when no other does.
    pub lease: Option<(String, Millis)>,
}

impl Progress {
    /// That of a webhook that is to be told from an instant on.
    pub fn since(webhook: &str, at: Millis) -> Self {
        Self {
            webhook: webhook.to_owned(),
            position: Position::Since(at),
            left_at: None,
            failures: 0,
            last_failure: None,
            retry_at: None,
            delivered_at: None,
            lease: None,
        }
    }
}

/// What the people of a vault want to be told of.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Alerts {
    /// Of which vault.
    pub vault: VaultId,
    /// Which actions.
    pub actions: Vec<Action>,
}

impl Alerts {
    /// What is told while nobody has said anything else.
    pub fn usual() -> Vec<Action> {
        Action::all().iter().copied().filter(|it| it.severity() == Severity::Critical).collect()
    }
}
