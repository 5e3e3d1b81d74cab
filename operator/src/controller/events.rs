//! Events: one for each change of a reason, about the object with its uid, so that `kubectl describe` finds it.

use std::sync::Arc;

use k8s_openapi::api::core::v1::ObjectReference;
use k8s_openapi::api::events::v1::Event;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{MicroTime, ObjectMeta};
use k8s_openapi::jiff::Timestamp;
use kube::api::PostParams;
use kube::core::Status;
use kube::{Api, Client};
use sikkerkey_crds::condition::{Condition, ConditionStatus, ConditionType, clipped, find};
use sikkerkey_crds::names;
use sikkerkey_crds::reason::Reason;

use super::budget::Budget;
use crate::clock::Clock;
use crate::metrics::Metrics;

/// The API server's limit for the text of an Event.
const NOTE_LIMIT: usize = 1_024;

/// Time for each Event that is no warning, in milliseconds: ten in a second.
const GOOD_NEWS_COST: i64 = 100;
/// So much of it may be saved up, in milliseconds: for 300 Events.
const GOOD_NEWS_SAVED: i64 = 30_000;

/// Publishes Events. Cheap to clone. Nothing is remembered of them: each change of a reason is published once.
///
/// Warnings always are. Of good news only so many are told in a time: where ten thousand objects come into force together (a
/// cluster that is restored) nobody reads an Event for each, and they would be a fifth of what the API server has to write.
#[derive(Clone)]
pub struct Events {
    client: Client,
    instance: String,
    clock: Clock,
    metrics: Metrics,
    good_news: Arc<Budget>,
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
    pub fn new(client: Client, instance: &str, clock: Clock, metrics: Metrics) -> Self {
        let good_news = Arc::new(Budget::new(GOOD_NEWS_COST, GOOD_NEWS_SAVED));
        Self { client, instance: instance.to_owned(), clock, metrics, good_news }
    }

    /// Publishes. An Event that is lost is logged; nothing depends on it.
    pub async fn publish(&self, regarding: &ObjectReference, action: &str, news: &News) {
        let now = self.clock.now();
        if !news.is_warning && !self.good_news.take(now) {
            tracing::debug!(reason = news.reason, name = regarding.name, "no Event: there is much good news");
            return;
        }
        let event = event(regarding, action, news, &self.instance, now);
        let namespace = regarding.namespace.as_deref().unwrap_or("default");
        let api: Api<Event> = Api::namespaced(self.client.clone(), namespace);
        match api.create(&PostParams::default(), &event).await {
            Ok(_) => self.metrics.event_published(),
            // Where all goes at once nobody reads it either.
            Err(kube::Error::Api(status)) if is_of_a_namespace_that_goes(&status) => {
                tracing::debug!(reason = news.reason, namespace, "no Event: the namespace is being deleted");
            }
            Err(error) => tracing::warn!(
                %error, reason = news.reason, namespace, name = regarding.name, "an Event could not be published"
            ),
        }
    }
}

fn is_of_a_namespace_that_goes(status: &Status) -> bool {
    let causes = status.details.iter().flat_map(|details| &details.causes);
    status.code == 403 && causes.into_iter().any(|cause| cause.reason == "NamespaceTerminating")
}

fn event(regarding: &ObjectReference, action: &str, news: &News, instance: &str, now: Timestamp) -> Event {
    let name = regarding.name.as_deref().unwrap_or(names::FIELD_MANAGER);
    Event {
        metadata: ObjectMeta {
            namespace: regarding.namespace.clone(),
            // As kubectl and client-go name them. Of two at the same nanosecond one would be lost; there is one pass at a time.
            name: Some(format!("{name}.{:x}", now.as_nanosecond())),
            ..ObjectMeta::default()
        },
        action: Some(action.to_owned()),
        event_time: Some(MicroTime(now)),
        note: Some(clipped(&news.message, NOTE_LIMIT)),
        reason: Some(news.reason.clone()),
        regarding: Some(regarding.clone()),
        reporting_controller: Some(names::FIELD_MANAGER.to_owned()),
        reporting_instance: Some(instance.to_owned()),
        type_: Some(if news.is_warning { "Warning" } else { "Normal" }.to_owned()),
        ..Event::default()
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
    Some(News { is_warning: ready.status == ConditionStatus::False, reason: ready.reason.to_string(), message })
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use sikkerkey_crds::Time;

    use std::sync::Mutex;

    use super::*;

    #[test]
    fn a_namespace_that_is_being_deleted_takes_no_events() {
        let causes = json!([{"reason": "NamespaceTerminating", "message": "namespace shop is being terminated"}]);
        for (status, expected) in [
            (json!({"code": 403, "reason": "Forbidden", "details": {"causes": causes}}), true),
            (json!({"code": 403, "reason": "Forbidden", "details": {}}), false),
            (json!({"code": 500, "details": {"causes": causes}}), false),
        ] {
            assert_eq!(
                is_of_a_namespace_that_goes(&serde_json::from_value(status.clone()).unwrap()),
                expected,
                "{status}"
            );
        }
    }

    #[tokio::test]
    async fn much_good_news_is_told_in_part_and_every_warning() {
        let told = Arc::new(Mutex::new(Vec::new()));
        let kept = Arc::clone(&told);
        let take = axum::routing::post(move |axum::Json(event): axum::Json<serde_json::Value>| async move {
            kept.lock().unwrap().push(event["type"].as_str().unwrap().to_owned());
            axum::Json(event)
        });
        let router = axum::Router::new().route("/apis/events.k8s.io/v1/namespaces/shop/events", take);
        let second = Arc::new(std::sync::atomic::AtomicI64::new(1_000));
        let now = Arc::clone(&second);
        let clock = Clock::new(move || Timestamp::from_second(now.load(std::sync::atomic::Ordering::SeqCst)).unwrap());
        let events = Events::new(Client::new(router, "default"), "operator-0", clock, Metrics::new());
        let regarding = ObjectReference { namespace: Some("shop".into()), ..ObjectReference::default() };
        let count = async |news: &News, times: usize| {
            for _ in 0..times {
                events.publish(&regarding, "Reconcile", news).await;
            }
            std::mem::take(&mut *told.lock().unwrap()).len()
        };
        let good = News { is_warning: false, reason: "Ready".into(), message: "Generation 1 is in force.".into() };
        let bad = News::warning(Reason::ValueLost, "restore it");
        assert_eq!((count(&good, 400).await, count(&bad, 30).await), (300, 30));
        second.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
        assert_eq!((count(&good, 100).await, count(&bad, 30).await), (10, 30));
    }

    fn ready(status: ConditionStatus, reason: Reason, message: &str) -> Vec<Condition> {
        vec![Condition::new(ConditionType::Ready, status, reason, message, Some(2), Time(Timestamp::UNIX_EPOCH))]
    }

    #[test]
    fn an_event_names_its_object_with_the_uid() {
        let regarding = ObjectReference {
            name: Some("db".into()),
            uid: Some("u".into()),
            namespace: Some("shop".into()),
            ..Default::default()
        };
        let news = News::warning(Reason::CleanupDeferred, "x".repeat(2_000));
        let event = event(&regarding, "Delete", &news, "operator-0", Timestamp::from_second(1).unwrap());
        assert_eq!(event.regarding, Some(regarding));
        assert_eq!(event.metadata.name.as_deref(), Some("db.3b9aca00"));
        assert_eq!((event.type_.as_deref(), event.reason.as_deref()), (Some("Warning"), Some("CleanupDeferred")));
        assert_eq!(event.note.unwrap().chars().count(), NOTE_LIMIT);
    }

    #[test]
    fn each_change_of_the_reason_is_told_once() {
        let pending = ready(ConditionStatus::Unknown, Reason::Pending, "Waiting for the operator");
        let fine = ready(ConditionStatus::True, Reason::Ready, "");
        let missing = ready(ConditionStatus::False, Reason::SecretNotFound, "Secret a does not exist.");
        let due = ready(ConditionStatus::True, Reason::RotationDue, "A new value is due.");
        let other = ready(ConditionStatus::False, Reason::SecretNotFound, "Secret b does not exist.");
        let said = |is_warning, reason: &str, message: &str| {
            Some(News { is_warning, reason: reason.into(), message: message.into() })
        };
        for (before, after, expected) in [
            (&vec![], &pending, None),
            (&pending, &fine, said(false, "Ready", "Generation 2 is in force.")),
            (&fine, &fine, None),
            (&fine, &due, said(false, "RotationDue", "A new value is due.")),
            (&due, &due, None),
            (&fine, &missing, said(true, "SecretNotFound", "Secret a does not exist.")),
            (&missing, &other, None),
            (&other, &fine, said(false, "Ready", "Generation 2 is in force.")),
        ] {
            assert_eq!(news(before, after), expected);
        }
    }
}
