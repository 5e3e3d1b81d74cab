//! The four kinds as a person sees them who watches: what is Ready, since when, and whose conditions change.

use std::collections::HashMap;
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use anyhow::Result;
use futures::StreamExt;
use kube::api::{ApiResource, DynamicObject};
use kube::core::GroupVersionKind;
use kube::runtime::WatchStreamExt;
use kube::runtime::watcher::{self, Event, watcher};
use kube::{Api, Client};
use serde_json::Value;
use tokio::task::JoinSet;

use crate::wait::wait_for;

const KINDS: [&str; 4] = ["Machine", "Secret", "Grant", "AccessPolicy"];

/// Watches for as long as it is kept.
pub(super) struct Sight {
    seen: Arc<Mutex<Seen>>,
    _watches: JoinSet<()>,
}

/// What is there.
#[derive(Debug, Default)]
pub(super) struct Seen {
    /// By kind, namespace and name.
    objects: HashMap<String, Standing>,
    /// How many of them are Ready in their newest generation.
    ready: usize,
    /// How often a condition of an object that was Ready came into another status.
    flips: usize,
}

#[derive(Debug)]
struct Standing {
    /// Type and status of each condition.
    conditions: Vec<(String, String)>,
    /// Since when it is Ready in its newest generation.
    ready: Option<Instant>,
}

/// How the objects of a kind are told apart from those of others.
pub(super) fn place(kind: &str, namespace: &str, name: &str) -> String {
    format!("{kind} {namespace}/{name}")
}

impl Sight {
    /// Begins to watch.
    pub(super) fn open(client: &Client) -> Self {
        let seen = Arc::<Mutex<Seen>>::default();
        let mut watches = JoinSet::new();
        for kind in KINDS {
            watches.spawn(follow(client.clone(), kind, Arc::clone(&seen)));
        }
        Self { seen, _watches: watches }
    }

    /// What is there now.
    pub(super) fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until there are so many objects, and all of them are Ready.
    pub(super) async fn all_ready(&self, count: usize, bound: Duration) -> Result<()> {
        let what = format!("{count} objects to be Ready");
        wait_for(&what, bound, async || self.seen().are_ready(count)).await?;
        Ok(())
    }

    /// Waits until there are so many objects.
    pub(super) async fn count(&self, count: usize, bound: Duration) -> Result<()> {
        wait_for(&format!("{count} objects"), bound, async || match self.seen().objects.len() {
            there if there == count => Ok(()),
            there => Err(format!("there are {there}")),
        })
        .await?;
        Ok(())
    }
}

impl Seen {
    /// Since when an object is Ready.
    pub(super) fn ready_since(&self, place: &str) -> Option<Instant> {
        self.objects.get(place)?.ready
    }

    /// How often a condition of an object that was Ready came into another status so far.
    pub(super) fn flips(&self) -> usize {
        self.flips
    }

    fn are_ready(&self, count: usize) -> Result<(), String> {
        if self.objects.len() == count && self.ready == count {
            return Ok(());
        }
        let some = self.objects.iter().filter(|(_, standing)| standing.ready.is_none()).take(3);
        let some: Vec<_> = some.map(|(place, standing)| format!("{place} {:?}", standing.conditions)).collect();
        Err(format!("{} of {} are, not {}", self.ready, self.objects.len(), some.join(", ")))
    }

    fn apply(&mut self, kind: &str, event: Event<DynamicObject>, now: Instant) {
        match event {
            Event::Apply(object) | Event::InitApply(object) => {
                let before = self.objects.remove(&of(kind, &object));
                self.ready -= before.iter().filter(|it| it.ready.is_some()).count();
                let conditions = conditions(&object);
                let turned = |before: &Standing| before.ready.is_some() && before.conditions != conditions;
                self.flips += usize::from(before.as_ref().is_some_and(turned));
                let since = before.and_then(|before| before.ready).unwrap_or(now);
                let ready = is_ready(&object, &conditions).then_some(since);
                self.ready += usize::from(ready.is_some());
                self.objects.insert(of(kind, &object), Standing { conditions, ready });
            }
            Event::Delete(object) => {
                let before = self.objects.remove(&of(kind, &object));
                self.ready -= before.iter().filter(|it| it.ready.is_some()).count();
            }
            Event::Init | Event::InitDone => {}
        }
    }
}

async fn follow(client: Client, kind: &'static str, seen: Arc<Mutex<Seen>>) {
    let resource = ApiResource::from_gvk(&GroupVersionKind::gvk("sikkerkey.com", "v1alpha1", kind));
    let api: Api<DynamicObject> = Api::all_with(client, &resource);
    let mut events = pin!(watcher(api, watcher::Config::default()).default_backoff());
    // A watch that broke resumes by itself.
    while let Some(event) = events.next().await {
        if let Ok(event) = event {
            seen.lock().unwrap_or_else(PoisonError::into_inner).apply(kind, event, Instant::now());
        }
    }
}

fn of(kind: &str, object: &DynamicObject) -> String {
    let metadata = &object.metadata;
    place(kind, metadata.namespace.as_deref().unwrap_or_default(), metadata.name.as_deref().unwrap_or_default())
}

fn conditions(object: &DynamicObject) -> Vec<(String, String)> {
    let conditions = object.data.pointer("/status/conditions").and_then(Value::as_array);
    let text = |condition: &Value, field: &str| condition.get(field).and_then(Value::as_str).map(str::to_owned);
    conditions.into_iter().flatten().filter_map(|it| Some((text(it, "type")?, text(it, "status")?))).collect()
}

fn is_ready(object: &DynamicObject, conditions: &[(String, String)]) -> bool {
    let observed = object.data.pointer("/status/observedGeneration").and_then(Value::as_i64);
    observed == object.metadata.generation
        && conditions.iter().any(|(type_, status)| type_ == "Ready" && status == "True")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn secret(generation: i64, ready: Option<&str>) -> DynamicObject {
        let conditions: Vec<_> = ready.iter().map(|status| json!({"type": "Ready", "status": status})).collect();
        let object = json!({
            "metadata": {"namespace": "shop", "name": "db", "generation": generation},
            "status": {"observedGeneration": 1, "conditions": conditions},
        });
        serde_json::from_value(object).unwrap()
    }

    #[test]
    fn ready_is_said_of_the_newest_generation_and_one_that_turns_is_counted() {
        let mut seen = Seen::default();
        let begun = Instant::now();
        let later = begun + Duration::from_secs(1);
        let place = place("Secret", "shop", "db");
        for (event, at, ready, flips) in [
            (Event::InitApply(secret(1, None)), begun, None, 0),
            (Event::Apply(secret(1, Some("True"))), begun, Some(begun), 0),
            (Event::Apply(secret(1, Some("True"))), later, Some(begun), 0),
            (Event::Apply(secret(2, Some("True"))), later, None, 0),
            (Event::Apply(secret(1, Some("True"))), later, Some(later), 0),
            (Event::Apply(secret(1, Some("False"))), later, None, 1),
            (Event::Apply(secret(1, Some("True"))), later, Some(later), 1),
        ] {
            seen.apply("Secret", event, at);
            assert_eq!((seen.ready_since(&place), seen.flips()), (ready, flips));
            assert_eq!(seen.are_ready(1).is_ok(), ready.is_some());
        }
        seen.apply("Secret", Event::Delete(secret(1, Some("True"))), later);
        assert!(seen.are_ready(0).is_ok());
    }
}
