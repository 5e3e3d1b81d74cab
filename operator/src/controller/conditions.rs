//! From what was found to the conditions of an object. Pure.

use k8s_openapi::jiff::Timestamp;
use sikkerkey_crds::Time;
use sikkerkey_crds::condition::{Condition, ConditionStatus, ConditionType, carry_times, find};
use sikkerkey_crds::reason::Reason;

pub use crate::index::seen::is_pending;
use crate::server::ServerError;

/// What one condition says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// True, False or Unknown.
    pub status: ConditionStatus,
    /// Why.
    pub reason: Reason,
    /// What is and what to do.
    pub message: String,
}

impl Verdict {
    /// It holds, and there is nothing to say.
    pub fn holds(reason: Reason) -> Self {
        Self::holds_with(reason, "")
    }

    /// It holds, and a person should know why.
    pub fn holds_with(reason: Reason, message: impl Into<String>) -> Self {
        Self { status: ConditionStatus::True, reason, message: message.into() }
    }

    /// It does not hold.
    pub fn fails(reason: Reason, message: impl Into<String>) -> Self {
        Self { status: ConditionStatus::False, reason, message: message.into() }
    }

    /// Nobody has looked yet.
    fn pending() -> Self {
        Self {
            status: ConditionStatus::Unknown,
            reason: Reason::Pending,
            message: "Waiting for the operator".to_owned(),
        }
    }

    fn is_true(&self) -> bool {
        self.status == ConditionStatus::True
    }
}

/// What became of the condition `Programmed`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Programmed {
    /// This.
    Now(Verdict),
    /// It says what it said before, of the generation it said it of.
    AsBefore,
    /// It says what it said before, of this generation.
    AsBeforeOf(i64),
}

/// What the conditions follow from.
#[derive(Clone, Debug)]
pub struct Findings<'a> {
    /// The conditions as they are.
    pub previous: &'a [Condition],
    /// The generation that was looked at.
    pub generation: i64,
    /// `Accepted`.
    pub accepted: Verdict,
    /// `ResolvedRefs`, if it was looked at.
    pub resolved: Option<Verdict>,
    /// `Programmed`.
    pub programmed: Programmed,
    /// What the kind itself says of `Ready` when the three above are true.
    pub own: Option<Verdict>,
    /// Now.
    pub now: Timestamp,
}

/// The conditions: all four from the first time on, and `Stalled` while only an edit can help.
pub fn conclude(findings: Findings<'_>) -> Vec<Condition> {
    let Findings { previous, generation, accepted, resolved, programmed, own, now } = findings;
    let as_before = |type_| before(previous, type_).unwrap_or((Statement::Own(Verdict::pending()), Some(generation)));
    let (resolved, resolved_of) = match resolved {
        Some(verdict) => (Statement::Own(verdict), Some(generation)),
        None => as_before(ConditionType::ResolvedRefs),
    };
    let (programmed, programmed_of) = match programmed {
        Programmed::Now(verdict) => (Statement::Own(verdict), Some(generation)),
        Programmed::AsBefore => as_before(ConditionType::Programmed),
        Programmed::AsBeforeOf(generation) => (as_before(ConditionType::Programmed).0, Some(generation)),
    };
    let accepted = Statement::Own(accepted);
    let summary = [&accepted, &resolved, &programmed].into_iter().find(|condition| !condition.is_true()).cloned();
    let ready = summary.unwrap_or_else(|| Statement::Own(own.unwrap_or_else(|| Verdict::holds(Reason::Ready))));
    let stalled = ready.stalls().then(|| ready.clone().with_status(ConditionStatus::True));
    let time = Time(now);
    let mut wanted = vec![
        accepted.into_condition(ConditionType::Accepted, Some(generation), &time),
        resolved.into_condition(ConditionType::ResolvedRefs, resolved_of, &time),
        programmed.into_condition(ConditionType::Programmed, programmed_of, &time),
        ready.into_condition(ConditionType::Ready, Some(generation), &time),
    ];
    wanted.extend(stalled.map(|stalled| stalled.into_condition(ConditionType::Stalled, Some(generation), &time)));
    carry_times(previous, wanted)
}

/// A verdict of ours, or one that was read back and may have a word that this version does not know.
#[derive(Clone)]
enum Statement {
    Own(Verdict),
    Read(Condition),
}

impl Statement {
    fn is_true(&self) -> bool {
        match self {
            Self::Own(verdict) => verdict.is_true(),
            Self::Read(condition) => condition.status == ConditionStatus::True,
        }
    }

    /// Whether only an edit can help.
    fn stalls(&self) -> bool {
        match self {
            Self::Own(verdict) => verdict.status == ConditionStatus::False && verdict.reason.stalls(),
            Self::Read(condition) => {
                let reason = Reason::ALL.iter().find(|reason| reason.as_str() == condition.reason);
                condition.status == ConditionStatus::False && reason.is_some_and(|reason| reason.stalls())
            }
        }
    }

    fn with_status(self, status: ConditionStatus) -> Self {
        match self {
            Self::Own(verdict) => Self::Own(Verdict { status, ..verdict }),
            Self::Read(condition) => Self::Read(Condition { status, ..condition }),
        }
    }

    fn into_condition(self, type_: ConditionType, generation: Option<i64>, now: &Time) -> Condition {
        match self {
            Self::Own(Verdict { status, reason, message }) => {
                Condition::new(type_, status, reason, &message, generation, now.clone())
            }
            Self::Read(condition) => Condition {
                type_: type_.into(),
                observed_generation: generation,
                last_transition_time: now.clone(),
                ..condition
            },
        }
    }
}

fn before(previous: &[Condition], type_: ConditionType) -> Option<(Statement, Option<i64>)> {
    let condition = find(previous, type_)?;
    Some((Statement::Read(condition.clone()), condition.observed_generation))
}

/// The generation that is in force, as far as the conditions tell: that of `Programmed` when it is true (or false only
/// because there is no value: nobody has set one yet, it is lost, or there is none to take), else the one that the message
/// of a waiting change names.
pub fn in_force(conditions: &[Condition]) -> Option<i64> {
    let programmed = find(conditions, ConditionType::Programmed)?;
    let programmed_true = programmed.status == ConditionStatus::True;
    let lacks_a_value = [Reason::ValueMissing, Reason::ValueLost, Reason::KubernetesSecretInvalid].map(Reason::as_str);
    if programmed_true || lacks_a_value.contains(&programmed.reason.as_str()) {
        return programmed.observed_generation;
    }
    let (_, rest) = programmed.message.rsplit_once("Generation ")?;
    rest.strip_suffix(" stays in force.")?.parse().ok()
}

/// The reason why the object is not accepted, if it is not. That its namespace is not managed is none: what is found stands in
/// one that is.
pub fn not_accepted(conditions: &[Condition]) -> Option<&str> {
    let accepted = find(conditions, ConditionType::Accepted)?;
    let is_of_yesterday = accepted.reason == Reason::NamespaceNotManaged.as_str();
    (accepted.status == ConditionStatus::False && !is_of_yesterday).then_some(accepted.reason.as_str())
}

/// The sentence that says what is in force meanwhile.
pub fn stays(in_force: Option<i64>) -> String {
    match in_force {
        Some(generation) => format!("Generation {generation} stays in force."),
        None => "Nothing is in force yet.".to_owned(),
    }
}

/// `Accepted=False`: the sentence `what`, and what is in force meanwhile.
pub fn rejected(reason: Reason, what: &str, in_force: Option<i64>) -> Verdict {
    let end = if what.ends_with(['?', '.']) { "" } else { "." };
    Verdict::fails(reason, format!("{what}{end} {}", stays(in_force)))
}

/// `Programmed` of an object that is not accepted, for this reason: what it said, unless the server has something else in force
/// since, or nothing, because it was restored from another day.
pub fn programmed_meanwhile(previous: &[Condition], held: Option<i64>, reason: Reason) -> Programmed {
    let said = find(previous, ConditionType::Programmed);
    let is_of_yesterday = said.is_some_and(|said| said.reason == Reason::NamespaceNotManaged.as_str());
    if in_force(previous) == held && !is_of_yesterday {
        return Programmed::AsBefore;
    }
    match held {
        Some(generation) if said.is_some_and(|said| said.status == ConditionStatus::True) => {
            Programmed::AsBeforeOf(generation)
        }
        _ => Programmed::Now(Verdict::fails(reason, stays(held))),
    }
}

/// `Accepted=False` and `Programmed=False`, in a namespace that is not managed.
pub fn not_managed(namespace: &str) -> Verdict {
    Verdict::fails(
        Reason::NamespaceNotManaged,
        format!("The operator does not manage namespace {namespace}: see namespaceSelector in the chart."),
    )
}

/// What a failed call means for `Programmed`; for a refusal, `words` may have better ones than the server's.
pub fn programmed_after(
    error: &ServerError,
    generation: i64,
    in_force: Option<i64>,
    words: impl FnOnce(Reason) -> Option<String>,
) -> Programmed {
    // What is in force stays in force while the server is away: it is no reason on an object without a waiting change.
    if error.is_away() && in_force == Some(generation) {
        return Programmed::AsBefore;
    }
    let waits = |why: String| format!("The change waits for the server, which {why}. {}", stays(in_force));
    Programmed::Now(match error {
        ServerError::Unreachable { class } => {
            Verdict::fails(Reason::ServerUnreachable, waits(format!("cannot be reached ({class})")))
        }
        ServerError::NoToken(_) => Verdict::fails(
            Reason::ServerUnreachable,
            waits("the operator cannot log in to: the API server gives it no token".to_owned()),
        ),
        ServerError::Sealed => Verdict::fails(Reason::ServerSealed, waits("is sealed: load its root key".to_owned())),
        ServerError::Refused { .. } if error.is_superseded() => return Programmed::AsBefore,
        ServerError::Refused { text, .. } => match words(error.reason()) {
            Some(message) => Verdict::fails(error.reason(), message),
            None => Verdict::fails(Reason::ServerRefused, format!("The server refused the change: {text}.")),
        },
    })
}

/// Names for a message: at most five, then how many more.
pub fn listed<I>(names: I) -> String
where
    I: IntoIterator,
    I::Item: std::fmt::Display,
{
    const SHOWN: usize = 5;
    let names: Vec<String> = names.into_iter().map(|name| name.to_string()).collect();
    let shown = names.iter().take(SHOWN).cloned().collect::<Vec<_>>().join(", ");
    match names.len().checked_sub(SHOWN) {
        Some(more @ 1..) => format!("{shown} and {more} more"),
        _ => shown,
    }
}

#[cfg(test)]
mod tests;
