//! Events: one for each change of a reason, about the object with its uid, so that `kubectl describe` finds it.

use k8s_openapi::api::core::v1::ObjectReference;
use kube::Client;
use kube::runtime::events::{Event, EventType, Recorder, Reporter};
use sikkerkey_crds::condition::{Condition, ConditionStatus, ConditionType, find};
use sikkerkey_crds::names;
use sikkerkey_crds::reason::Reason;

use crate::metrics::Metrics;

/// Publishes Events. Cheap to clone.
#[derive(Clone)]
pub struct Events {
    recorder: Recorder,
    metrics: Metrics,
}

/// What an Event says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct News {
    /// Whether a person should act.
    pub is_warning: bool,
    /// The reason.
    pub reason: String,
    /// What is and what to do.
    pub message: String,
}

impl News {
    /// A warning.
    pub fn warning(reason: Reason, message: impl Into<String>) -> Self {
        Self { is_warning: true, reason: reason.to_string(), message: message.into() }
    }
}

impl Events {
    /// Publishes as the operator, from the pod `instance`.
    pub fn new(client: Client, instance: &str, metrics: Metrics) -> Self {
        let reporter = Reporter { controller: names::FIELD_MANAGER.to_owned(), instance: Some(instance.to_owned()) };
        Self { recorder: Recorder::new(client, reporter), metrics }
    }

    /// Publishes. An Event that is lost is logged; nothing depends on it.
    pub async fn publish(&self, regarding: &ObjectReference, action: &str, news: &News) {
        let event = Event {
            type_: if news.is_warning { EventType::Warning } else { EventType::Normal },
            reason: news.reason.clone(),
            note: Some(news.message.clone()),
            action: action.to_owned(),
            secondary: None,
        };
        match self.recorder.publish(&event, regarding).await {
            Ok(()) => self.metrics.event_published(),
            Err(error) => tracing::warn!(
                %error, reason = news.reason, namespace = regarding.namespace, name = regarding.name,
                "an Event could not be published"
            ),
        }
    }
}

/// What to tell after the conditions changed: the reason of `Ready`, when it is another one.
pub fn news(before: &[Condition], after: &[Condition]) -> Option<News> {
    let ready = find(after, ConditionType::Ready)?;
    let told = find(before, ConditionType::Ready);
    let pending = Reason::Pending.as_str();
    if ready.reason == pending || told.is_some_and(|told| told.reason == ready.reason && told.status == ready.status) {
        return None;
    }
    let message = match (ready.message.as_str(), ready.observed_generation) {
        ("", Some(generation)) => format!("Generation {generation} is in force."),
        ("", None) => "In force.".to_owned(),
        (message, _) => message.to_owned(),
    };
    Some(News { is_warning: ready.status == ConditionStatus::False, reason: ready.reason.clone(), message })
}

#[cfg(test)]
mod tests {
    use k8s_openapi::jiff::Timestamp;
    use sikkerkey_crds::Time;

    use super::*;

    fn ready(status: ConditionStatus, reason: Reason, message: &str) -> Vec<Condition> {
        vec![Condition::new(ConditionType::Ready, status, reason, message, Some(2), Time(Timestamp::UNIX_EPOCH))]
    }

    #[test]
    fn each_change_of_the_reason_is_told_once() {
        let pending = ready(ConditionStatus::Unknown, Reason::Pending, "Waiting for the operator");
        let fine = ready(ConditionStatus::True, Reason::Ready, "");
        let missing = ready(ConditionStatus::False, Reason::SecretNotFound, "Secret a does not exist.");
        let other = ready(ConditionStatus::False, Reason::SecretNotFound, "Secret b does not exist.");
        let said = |is_warning, reason: &str, message: &str| {
            Some(News { is_warning, reason: reason.into(), message: message.into() })
        };
        for (before, after, expected) in [
            (&vec![], &pending, None),
            (&pending, &fine, said(false, "Ready", "Generation 2 is in force.")),
            (&fine, &fine, None),
            (&fine, &missing, said(true, "SecretNotFound", "Secret a does not exist.")),
            (&missing, &other, None),
            (&other, &fine, said(false, "Ready", "Generation 2 is in force.")),
        ] {
            assert_eq!(news(before, after), expected);
        }
    }
}
