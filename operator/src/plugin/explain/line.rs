//! One thing that holds or does not.

use serde::Serialize;
use sikkerkey_protocol::denial::DenialReason;
use sikkerkey_protocol::explain::ExplainedRule;

use crate::plugin::table;

/// How it stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub(super) enum Outcome {
    /// Nothing stands against the read.
    Holds,
    /// No read.
    Denies,
    /// It denies nothing, and something should be looked at.
    Warns,
    /// It could not be looked at.
    Unknown,
    /// It asks for nothing.
    Off,
}

/// One thing that holds or does not, and what to do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Line {
    pub(super) outcome: Outcome,
    about: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<DenialReason>,
    message: String,
}

impl Line {
    pub(super) fn new(outcome: Outcome, about: &str, message: impl Into<String>) -> Self {
        Self { outcome, about: about.to_owned(), reason: None, message: message.into() }
    }

    /// What a rule of the server says.
    pub(super) fn of_rule(rule: &ExplainedRule) -> Self {
        let (outcome, about) = (rule.says.into(), rule.rule.as_str().to_owned());
        Self { outcome, about, reason: rule.reason, message: rule.message.clone() }
    }

    pub(super) fn is_about(&self, what: &str) -> bool {
        self.about == what
    }

    /// Its line in the table.
    pub(super) fn row(&self) -> Vec<String> {
        let outcome = match self.outcome {
            Outcome::Holds => "ok",
            Outcome::Denies => "NO",
            Outcome::Warns => "!",
            Outcome::Unknown => "?",
            Outcome::Off => "-",
        };
        vec![outcome.to_owned(), self.about.clone(), table::printable(&self.message)]
    }
}
