//! What a command answers.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use sikkerkey_protocol::secret_text::SecretText;

use crate::model::millis::Millis;
use crate::policy::window::instant;

/// The same answer twice: for a program and for a person. It may hold a one-time token, so it has no `Debug`.
#[derive(Serialize, Deserialize)]
pub struct Answer {
    /// For a program.
    pub json: Value,
    /// For a person.
    pub text: String,
}

impl Answer {
    pub(super) fn new(json: Value, text: impl Into<String>) -> Self {
        Self { json, text: text.into() }
    }

    /// An object of the wire for a program.
    pub(super) fn of(it: &impl Serialize, text: impl Into<String>) -> Self {
        Self { json: serde_json::to_value(it).unwrap_or_default(), text: text.into() }
    }

    /// Something is done, and there is nothing to tell but that.
    pub(super) fn done(text: impl Into<String>) -> Self {
        let text = text.into();
        Self { json: json!({ "done": text }), text }
    }

    /// A one-time token. The text is the token alone, so that a script can take it as it is.
    pub(super) fn token((token, expires_at): (SecretText, Millis)) -> Self {
        let token = token.expose();
        Self {
            json: json!({ "token": token, "expiresAt": expires_at.0, "expires": instant(expires_at) }),
            text: token.to_owned(),
        }
    }
}
