//! Conditions: what the operator says about an object, in the form that `kubectl wait`, Flux and Argo CD read.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{reason::Reason, shape, word::Word};

/// One condition of an object.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Condition {
    /// Accepted: this generation is valid. `ResolvedRefs`: everything it names exists and consents. Programmed: the
    /// server enforces it. Ready: the server enforces exactly what this generation says, also when that is "nobody may
    /// read now". Stalled (only while True): only an edit can help.
    #[serde(rename = "type")]
    #[schemars(with = "String", length(max = 316))]
    pub type_: Word,
    /// True, False or Unknown.
    pub status: ConditionStatus,
    /// The `metadata.generation` that this condition speaks of.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(transform = shape::count)]
    pub observed_generation: Option<i64>,
    /// Why, in one word for programs. Words are added over time, never removed.
    #[schemars(with = "String", length(min = 1, max = 128), regex(pattern = r"^[A-Z][A-Za-z0-9]*$"))]
    pub reason: Word,
    /// What is and what to do, for people.
    #[schemars(length(max = 1024))]
    pub message: String,
    /// When `status` last changed.
    pub last_transition_time: Time,
}

/// Status of a condition.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub enum ConditionStatus {
    /// It holds.
    True,
    /// It does not hold.
    False,
    /// Nobody has looked yet.
    Unknown,
}

/// The types of condition that the four kinds carry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ConditionType {
    /// This generation is valid and ours.
    Accepted,
    /// Everything it names exists and consents.
    ResolvedRefs,
    /// The server enforces it.
    Programmed,
    /// The summary: the server enforces exactly what this generation says.
    Ready,
    /// Only an edit of this object, or of the installation, can help. Absent otherwise.
    Stalled,
}

impl ConditionType {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Accepted, Self::ResolvedRefs, Self::Programmed, Self::Ready, Self::Stalled];

    /// The name as it stands in `type`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Accepted => "Accepted",
            Self::ResolvedRefs => "ResolvedRefs",
            Self::Programmed => "Programmed",
            Self::Ready => "Ready",
            Self::Stalled => "Stalled",
        }
    }
}

/// The longest message of a condition, in characters.
pub const MESSAGE_LIMIT: usize = 1024;
/// The longest message of an entry in `status.problems`, in characters.
pub const PROBLEM_MESSAGE_LIMIT: usize = 512;

impl Condition {
    /// A condition of `generation` that came into this status at `now`. A message beyond [`MESSAGE_LIMIT`] is cut.
    pub fn new(
        type_: ConditionType,
        status: ConditionStatus,
        reason: Reason,
        message: &str,
        generation: Option<i64>,
        now: Time,
    ) -> Self {
        Self {
            type_: type_.into(),
            status,
            observed_generation: generation,
            reason: reason.into(),
            message: clipped(message, MESSAGE_LIMIT),
            last_transition_time: now,
        }
    }

    /// Whether this is the condition `type_`.
    pub fn is(&self, type_: ConditionType) -> bool {
        self.type_ == type_.as_str()
    }
}

/// The condition `type_` among `conditions`.
pub fn find(conditions: &[Condition], type_: ConditionType) -> Option<&Condition> {
    conditions.iter().find(|condition| condition.is(type_))
}

/// The `wanted` conditions, each with the transition time it had in `present` if its status has not changed since.
///
/// `lastTransitionTime` moves with `status` alone: a new reason or message leaves it.
pub fn carry_times(present: &[Condition], mut wanted: Vec<Condition>) -> Vec<Condition> {
    for condition in &mut wanted {
        let before = present.iter().find(|before| before.type_ == condition.type_);
        if let Some(before) = before.filter(|before| before.status == condition.status) {
            condition.last_transition_time = before.last_transition_time.clone();
        }
    }
    wanted
}

/// `text`, cut to at most `limit` characters, the last of which is then an ellipsis.
pub fn clipped(text: &str, limit: usize) -> String {
    if text.chars().count() <= limit {
        return text.to_owned();
    }
    text.chars().take(limit.saturating_sub(1)).chain(['…']).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Time {
        Time(k8s_openapi::jiff::Timestamp::from_second(second).unwrap())
    }

    fn ready(status: ConditionStatus, reason: Reason, second: i64) -> Condition {
        Condition::new(ConditionType::Ready, status, reason, "", Some(1), at(second))
    }

    #[test]
    fn the_transition_time_moves_with_the_status_only() {
        let present = [ready(ConditionStatus::False, Reason::ServerUnreachable, 10)];
        let other_reason = carry_times(&present, vec![ready(ConditionStatus::False, Reason::ServerSealed, 20)]);
        assert_eq!(other_reason, [ready(ConditionStatus::False, Reason::ServerSealed, 10)]);
        let other_status = carry_times(&present, vec![ready(ConditionStatus::True, Reason::Ready, 20)]);
        assert_eq!(other_status, [ready(ConditionStatus::True, Reason::Ready, 20)]);
        let first = carry_times(&[], vec![ready(ConditionStatus::True, Reason::Ready, 20)]);
        assert_eq!(first, [ready(ConditionStatus::True, Reason::Ready, 20)]);
    }

    #[test]
    fn a_long_message_is_cut_by_characters_and_says_so() {
        assert_eq!(clipped("ümläut", 6), "ümläut");
        assert_eq!(clipped("ümläut", 4), "üml…");
    }
}
