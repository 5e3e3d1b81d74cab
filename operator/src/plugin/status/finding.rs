//! What there is to say about one object. Pure.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use k8s_openapi::jiff::Timestamp;
use kube::ResourceExt;
use kube::api::DynamicObject;
use serde::{Deserialize, Serialize};
use sikkerkey_crds::condition::{Condition, ConditionStatus, ConditionType};
use sikkerkey_crds::names::FINALIZER;
use sikkerkey_crds::reason::Reason;

use crate::plugin::table;

/// How much it matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub(super) enum Weight {
    /// The server does not enforce what the object says.
    Mend,
    /// It does, and there is something a person should know.
    Notice,
}

/// An object that deserves a look.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Finding {
    pub(super) weight: Weight,
    namespace: String,
    /// As people type it: `sks/db`.
    object: String,
    /// Only an edit can help.
    stalled: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    since: Option<Timestamp>,
    reason: String,
    message: String,
    /// What single pods, files and Secrets suffer from.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    problems: Vec<Problem>,
}

/// What a pod, a file or a Secret suffers from.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Problem {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pod: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    path: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    secret: Option<String>,
    reason: String,
    message: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    time: Option<Time>,
}

/// The parts of a status that all kinds have. What cannot be read is taken as missing, and found by that.
#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Status {
    observed_generation: Option<i64>,
    conditions: Vec<Condition>,
    problems: Vec<Problem>,
}

impl Finding {
    /// What there is to say about the object, whose kind people call `short`; `None`: nothing.
    pub(super) fn about(short: &str, object: &DynamicObject) -> Option<Self> {
        let status: Status =
            object.data.get("status").and_then(|status| Status::deserialize(status).ok()).unwrap_or_default();
        let of_type = |type_: ConditionType| status.conditions.iter().find(|one| one.type_ == type_.as_str());
        let stalled = of_type(ConditionType::Stalled).is_some_and(|stalled| stalled.status == ConditionStatus::True);
        let finding = |weight, since: Option<Timestamp>, reason: &str, message: &str| Self {
            weight,
            namespace: object.namespace().unwrap_or_default(),
            object: format!("{short}/{}", object.name_any()),
            stalled,
            since,
            reason: reason.to_owned(),
            message: message.to_owned(),
            problems: status.problems.clone(),
        };
        if let Some(Time(since)) = &object.metadata.deletion_timestamp {
            let ours = object.finalizers().iter().any(|finalizer| finalizer == FINALIZER);
            let message = if ours {
                "It is being deleted, and waits for the operator to take it out of force."
            } else {
                "It is being deleted, and waits for what else holds it: see metadata.finalizers."
            };
            return Some(finding(Weight::Mend, Some(*since), "Deleting", message));
        }
        let created = object.creation_timestamp().map(|Time(at)| at);
        let Some(ready) = of_type(ConditionType::Ready) else {
            return Some(finding(Weight::Mend, created, Reason::Pending.as_str(), "The operator has not seen it yet."));
        };
        let since = match &ready.status {
            // The schema's own condition has no instant of its own.
            ConditionStatus::Unknown => created,
            _ => Some(ready.last_transition_time.0),
        };
        if ready.status != ConditionStatus::True {
            return Some(finding(Weight::Mend, since, &ready.reason, &ready.message));
        }
        let generation = object.metadata.generation.unwrap_or_default();
        if status.observed_generation.is_some_and(|seen| seen < generation) {
            let message = format!("The operator has not seen generation {generation} yet.");
            return Some(finding(Weight::Mend, None, Reason::Pending.as_str(), &message));
        }
        let plain = ready.reason == Reason::Ready.as_str();
        if plain && status.problems.is_empty() {
            return None;
        }
        Some(finding(Weight::Notice, since, &ready.reason, &ready.message))
    }

    /// By what findings are sorted.
    pub(super) fn rank(&self) -> (Weight, &str, &str) {
        (self.weight, &self.namespace, &self.object)
    }

    /// Its lines in the table: itself, and those of its problems that it does not sum up. Where it has nothing to say, they stand
    /// for it.
    pub(super) fn rows(&self, now: Timestamp) -> Vec<Vec<String>> {
        let row = |since: Option<Timestamp>, reason: &str, message: &str| {
            let since = since.map(|since| table::age(since, now)).unwrap_or_default();
            let cells = [self.namespace.as_str(), &self.object, &since, reason, message];
            cells.map(table::printable).to_vec()
        };
        let says_itself = self.problems.is_empty() || !self.message.is_empty();
        let own = says_itself.then(|| row(self.since, &self.reason, &self.message));
        let problems = self.problems.iter().filter(|problem| problem.reason != self.reason);
        let problems =
            problems.map(|problem| row(problem.time.as_ref().map(|at| at.0), &problem.reason, &problem.text()));
        own.into_iter().chain(problems).collect()
    }
}

impl Problem {
    /// What suffers, and from what.
    fn text(&self) -> String {
        let parts = [("pod", &self.pod), ("file", &self.path), ("Secret", &self.secret)];
        let named = parts.iter().filter_map(|(what, name)| name.as_ref().map(|name| format!("{what} {name}")));
        let parts: Vec<String> = named.collect();
        if parts.is_empty() { self.message.clone() } else { format!("{}: {}", parts.join(", "), self.message) }
    }
}
