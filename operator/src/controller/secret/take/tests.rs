#![expect(clippy::needless_pass_by_value, reason = "tests hand over JSON literals")]

use std::sync::Mutex;
use std::sync::atomic::{AtomicI64, Ordering};

use axum::Router;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::routing::{get, post};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use k8s_openapi::api::core::v1::ObjectReference;
use kube::Client;
use kube::core::DeserializeGuard;
use kube::runtime::watcher::Event;
use serde_json::{Value, json};
use sikkerkey_protocol::kubernetes::ObjectMeta;

use super::*;
use crate::clock::Clock;
use crate::controller::conditions::Verdict;
use crate::controller::events::Events;
use crate::controller::ledger::Ledger;
use crate::controller::plan::{Action, Plan, Reconciled};
use crate::index::{Feeds, Index};
use crate::metrics::Metrics;
use crate::pods::Pods;
use crate::server::Session;

/// An API server with one core Secret, shop/old.
#[derive(Default)]
struct Cluster {
    core: Mutex<Option<Value>>,
    refuses: Mutex<Option<(u16, &'static str)>>,
    deletions: Mutex<Vec<Value>>,
    refuses_deletions: Mutex<Option<u16>>,
    reads: AtomicI64,
    events: Mutex<Vec<String>>,
    now: AtomicI64,
}

type Answer = (StatusCode, axum::Json<Value>);

fn status(code: u16, reason: &str) -> Answer {
    let body = json!({"kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": reason, "code": code, "message": "no"});
    (StatusCode::from_u16(code).unwrap(), axum::Json(body))
}

async fn read_core(State(cluster): State<Arc<Cluster>>, Path((namespace, name)): Path<(String, String)>) -> Answer {
    assert_eq!((namespace.as_str(), name.as_str()), ("shop", "old"));
    cluster.reads.fetch_add(1, Ordering::SeqCst);
    if let Some((code, reason)) = *cluster.refuses.lock().unwrap() {
        return status(code, reason);
    }
    match &*cluster.core.lock().unwrap() {
        Some(core) => (StatusCode::OK, axum::Json(core.clone())),
        None => status(404, "NotFound"),
    }
}

async fn delete_core(State(cluster): State<Arc<Cluster>>, axum::Json(options): axum::Json<Value>) -> Answer {
    cluster.deletions.lock().unwrap().push(options["preconditions"].clone());
    if let Some(code) = *cluster.refuses_deletions.lock().unwrap() {
        return status(code, "Refused");
    }
    *cluster.core.lock().unwrap() = None;
    (StatusCode::OK, axum::Json(json!({"kind": "Status", "apiVersion": "v1", "status": "Success"})))
}

async fn take_event(State(cluster): State<Arc<Cluster>>, axum::Json(event): axum::Json<Value>) -> Answer {
    cluster.events.lock().unwrap().push(format!("{} {}", event["reason"], event["note"]));
    (StatusCode::CREATED, axum::Json(event))
}

/// An operator before that cluster, and a server that takes what it is told.
struct Rig {
    cluster: Arc<Cluster>,
    context: Context,
    feeds: Feeds,
    held: (u64, Option<TakenFrom>),
}

const START: i64 = 1_780_315_200;

impl Rig {
    fn new() -> Self {
        let cluster = Arc::new(Cluster { now: AtomicI64::new(START), ..Cluster::default() });
        let router = Router::new()
            .route("/api/v1/namespaces/{namespace}/secrets/{name}", get(read_core).delete(delete_core))
            .route("/apis/events.k8s.io/v1/namespaces/shop/events", post(take_event))
            .with_state(Arc::clone(&cluster));
        let client = Client::new(router, "default");
        let told = Arc::clone(&cluster);
        let clock = Clock::new(move || Timestamp::from_second(told.now.load(Ordering::SeqCst)).unwrap());
        let metrics = Metrics::new();
        let (index, feeds) = Index::new();
        let context = Context {
            session: Session::without_server(client.clone(), clock.clone(), metrics.clone()),
            events: Events::new(client.clone(), "operator-0", clock.clone(), metrics.clone()),
            ledger: Ledger::new(clock.now()),
            pods: Pods::default(),
            own_pod: ObjectReference { namespace: Some("sikkerkey-system".into()), ..ObjectReference::default() },
            acknowledged_removals: 0,
            kubernetes_secret_source: true,
            client,
            index,
            clock,
            metrics,
        };
        Self { cluster, context, feeds, held: (0, None) }
    }

    /// shop/old has this version and this password.
    fn core(&self, version: &str, password: &str, more: Value) {
        let mut metadata = json!({"name": "old", "namespace": "shop", "uid": "core-uid", "resourceVersion": version});
        metadata.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let data = json!({"password": STANDARD.encode(password), "user": STANDARD.encode("shop")});
        let core = json!({"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "type": "Opaque", "data": data});
        *self.cluster.core.lock().unwrap() = Some(core);
    }

    fn later(&self, seconds: i64) {
        self.cluster.now.fetch_add(seconds, Ordering::SeqCst);
    }

    /// Puts an object into the index.
    fn secret(&mut self, namespace: &str, name: &str, generation: i64, source: Value) -> Arc<Received<Secret>> {
        let object = json!({
            "apiVersion": "sikkerkey.com/v1alpha1", "kind": "Secret", "spec": {"source": {"kubernetesSecret": source}},
            "metadata": {"name": name, "namespace": namespace, "uid": format!("uid-of-{name}"), "generation": generation},
        });
        let guard: DeserializeGuard<Received<Secret>> = serde_json::from_value(object).unwrap();
        self.feeds.secrets.apply(&Event::Apply(guard.into()));
        self.context.index.secret(namespace, name).unwrap()
    }

    /// One pass, without its status. What the server was told, what stands of the original in the end, and in how many
    /// seconds it is looked at again.
    async fn pass(&mut self, object: &Arc<Received<Secret>>) -> Passed {
        let mut facts = Secret::gather(object, &self.context.index, self.context.clock.now());
        look(object, &mut facts, &self.context).await.unwrap();
        let key = key(object);
        let generation = object.metadata.generation.unwrap();
        let meta = ObjectMeta { key, namespace_uid: "n".into(), uid: uid(object), generation };
        let told = match Secret::plan(object, meta, &facts) {
            Plan::Act { action: Action::Apply(apply), .. } => {
                let told = serde_json::to_value(&apply.source).unwrap();
                if let Some(from) = told.pointer("/supplied/from") {
                    self.held = (self.held.0 + 1, Some(serde_json::from_value(from.clone()).unwrap()));
                }
                let outcome = Outcome::InForce(self.state());
                follow_up(object, &mut facts, &outcome, &self.context).await;
                told
            }
            Plan::Act { action: Action::Cannot(Verdict { message, .. }), .. } => json!(message),
            other => panic!("{other:?}"),
        };
        let again = facts.look_at.map(|at| (at.as_millisecond() - self.context.clock.now().as_millisecond()) / 1_000);
        Passed { told, original: facts.original, again }
    }

    fn state(&self) -> SecretState {
        let (version, from) = &self.held;
        serde_json::from_value(json!({
            "secretId": "sk_a1", "projectId": "proj_b2", "version": version, "versionTime": 0, "nextRotation": null,
            "fieldNames": [], "grants": 0, "policyInForce": true, "podsTotal": 0, "podsCurrent": 0, "takenFrom": from,
        }))
        .unwrap()
    }

    fn deletions(&self) -> Vec<Value> {
        self.cluster.deletions.lock().unwrap().clone()
    }
}

struct Passed {
    told: Value,
    original: Original,
    again: Option<i64>,
}

impl Passed {
    fn value(&self) -> Option<&str> {
        self.told.pointer("/supplied/value").and_then(Value::as_str)
    }

    fn kept_by(&self) -> Option<&Keeper> {
        match &self.original {
            Original::Found(found) => found.kept_by.as_ref(),
            _ => None,
        }
    }
}

fn kept() -> Value {
    json!({"kept": {}})
}

fn password(on_taken: &str) -> Value {
    json!({"name": "old", "key": "password", "onTaken": on_taken})
}

#[tokio::test]
async fn a_value_is_sent_once_for_each_state_of_the_original_and_each_generation() {
    let mut rig = Rig::new();
    rig.core("1", "one", json!({}));
    let object = rig.secret("shop", "db", 1, password("Keep"));
    let first = rig.pass(&object).await;
    assert_eq!(first.value(), Some("one"));
    assert!((30..=37).contains(&first.again.unwrap()), "{:?}", first.again);
    assert_eq!(rig.pass(&object).await.told, kept());
    rig.core("2", "two", json!({}));
    assert_eq!(rig.pass(&object).await.value(), Some("two"));
    let edited = rig.secret("shop", "db", 2, json!({"name": "old", "key": "user"}));
    assert_eq!(rig.pass(&edited).await.value(), Some("shop"));
    assert_eq!(rig.pass(&edited).await.told, kept());
    *rig.cluster.core.lock().unwrap() = None;
    let gone = rig.pass(&edited).await;
    assert!(matches!(gone.original, Original::Missing) && gone.told == kept(), "{:?}", gone.original);
    assert!(gone.again.is_some(), "it may come back");
    assert_eq!((rig.deletions(), rig.held.0), (vec![], 3));
}

#[tokio::test]
async fn what_the_server_lost_or_a_person_replaced_is_sent_again_and_nothing_is_deleted_before() {
    let mut rig = Rig::new();
    rig.core("1", "one", json!({}));
    let object = rig.secret("shop", "db", 1, password("Delete"));
    assert_eq!(rig.pass(&object).await.value(), Some("one"));
    let acknowledged = rig.held.clone();
    for held in [(0, None), (acknowledged.0 + 4, None), (acknowledged.0 + 9, acknowledged.1.clone())] {
        rig.later(60);
        rig.held = held;
        let noticed = rig.pass(&object).await;
        assert_eq!((noticed.told, noticed.again), (kept(), Some(0)));
        assert_eq!(rig.deletions(), Vec::<Value>::new());
        assert_eq!(rig.pass(&object).await.value(), Some("one"));
    }
}

#[tokio::test]
async fn an_original_that_is_to_go_is_deleted_by_uid_and_version_once_the_server_has_it_and_others_had_time() {
    let mut rig = Rig::new();
    rig.core("7", "one", json!({"annotations": {"kubectl.kubernetes.io/last-applied-configuration": "{}"}}));
    let object = rig.secret("shop", "db", 1, password("Delete"));
    let taken = rig.pass(&object).await;
    assert_eq!((taken.value(), taken.again, taken.kept_by()), (Some("one"), Some(15), None));
    rig.later(14);
    assert_eq!((rig.pass(&object).await.told, rig.deletions()), (kept(), vec![]));
    rig.later(1);
    let deleted = rig.pass(&object).await;
    assert!(matches!(deleted.original, Original::Missing), "{:?}", deleted.original);
    assert_eq!(rig.deletions(), [json!({"uid": "core-uid", "resourceVersion": "7"})]);
    let told = r#""OriginalDeleted" "Kubernetes Secret old was deleted: its value is at the server.""#;
    assert_eq!(*rig.cluster.events.lock().unwrap(), [told]);
    // Gone for good, and taken again should it come back.
    rig.later(60);
    assert_eq!((rig.pass(&object).await.told, rig.deletions().len()), (kept(), 1));
    rig.core("9", "two", json!({}));
    assert_eq!(rig.pass(&object).await.value(), Some("two"));
}

#[tokio::test]
async fn an_original_that_changed_or_may_not_be_deleted_stays() {
    let refused = || Some(Keeper::Refused);
    for (code, expected) in [(409, None), (500, None), (403, refused()), (422, refused())] {
        let mut rig = Rig::new();
        *rig.cluster.refuses_deletions.lock().unwrap() = Some(code);
        rig.core("7", "one", json!({}));
        let object = rig.secret("shop", "db", 1, password("Delete"));
        rig.pass(&object).await;
        rig.later(20);
        let refused = rig.pass(&object).await;
        assert!(matches!(refused.original, Original::Found(_)), "{code}");
        assert_eq!((refused.kept_by().cloned(), rig.deletions().len()), (expected, 1), "{code}");
        assert_eq!(refused.again == Some(0), code == 409, "one that changed is looked at at once");
        assert!(rig.cluster.events.lock().unwrap().is_empty());
        // Looked at again it has its time again, and does not turn in circles.
        let again = rig.pass(&object).await;
        let expected = if code == 409 { (Some("one"), Some(15), 1) } else { (None, again.again, 2) };
        assert_eq!((again.value(), again.again, rig.deletions().len()), expected, "{code}");
    }
}

#[tokio::test]
async fn an_original_that_is_managed_or_to_stay_or_going_already_is_never_deleted() {
    let owner = json!([{"apiVersion": "v1", "kind": "ExternalSecret", "name": "db", "uid": "x"}]);
    for (on_taken, more, keeper) in [
        ("Keep", json!({}), None),
        ("Delete", json!({"labels": {"app.kubernetes.io/managed-by": "Helm"}}), Some("Helm")),
        ("Delete", json!({"ownerReferences": owner}), Some("ExternalSecret db")),
        ("Delete", json!({"deletionTimestamp": "2026-01-01T00:00:00Z"}), None),
    ] {
        let mut rig = Rig::new();
        rig.core("7", "one", more.clone());
        let object = rig.secret("shop", "db", 1, password(on_taken));
        assert_eq!(rig.pass(&object).await.value(), Some("one"));
        rig.later(100);
        let kept_by = rig.pass(&object).await.kept_by().cloned();
        assert_eq!(kept_by, keeper.map(|keeper| Keeper::Manager(keeper.into())), "{more}");
        assert_eq!(rig.deletions(), Vec::<Value>::new(), "{more}");
    }
}

#[tokio::test]
async fn an_original_stays_until_every_other_that_takes_from_it_has_what_stands_there_now() {
    let mut rig = Rig::new();
    rig.core("1", "one", json!({}));
    let db = rig.secret("shop", "db", 1, password("Delete"));
    rig.secret("pay", "elsewhere", 1, password("Keep"));
    rig.secret("shop", "another", 1, json!({"name": "older", "key": "password"}));
    let user = rig.secret("shop", "user", 1, json!({"name": "old", "key": "user", "onTaken": "Delete"}));
    let others = || Some(Keeper::Others(vec!["user".into()]));
    assert_eq!(rig.pass(&db).await.kept_by(), None, "no news while others may be about to");
    rig.later(20);
    assert_eq!(rig.pass(&db).await.kept_by().cloned(), others());
    // One that keeps it keeps it, although it has taken it.
    let keeps = rig.secret("shop", "user", 2, json!({"name": "old", "key": "user"}));
    let before = rig.held.clone();
    rig.pass(&keeps).await;
    rig.held = before.clone();
    rig.later(20);
    assert_eq!(rig.pass(&db).await.kept_by().cloned(), others());
    // What it has taken is another state of it.
    let goes = rig.secret("shop", "user", 3, json!({"name": "old", "key": "user", "onTaken": "Delete"}));
    rig.pass(&goes).await;
    rig.core("2", "two", json!({}));
    rig.held = before;
    rig.pass(&db).await;
    rig.later(20);
    assert_eq!(rig.pass(&db).await.kept_by().cloned(), others());
    assert_eq!(rig.deletions(), Vec::<Value>::new());
    let before = rig.held.clone();
    rig.pass(&goes).await;
    rig.held = before;
    rig.pass(&db).await;
    assert_eq!(rig.deletions(), [json!({"uid": "core-uid", "resourceVersion": "2"})]);
    drop(user);
}

#[tokio::test]
async fn nothing_is_read_where_that_is_switched_off_or_the_keys_of_the_operator_are() {
    let mut rig = Rig::new();
    let own = rig.secret("sikkerkey-system", "ca", 1, json!({"name": "sikkerkey-ca"}));
    assert!(matches!(rig.pass(&own).await.original, Original::Disabled(Disabled::OwnNamespace)));
    rig.context.kubernetes_secret_source = false;
    let object = rig.secret("shop", "db", 1, password("Delete"));
    let off = rig.pass(&object).await;
    assert!(matches!(off.original, Original::Disabled(Disabled::SwitchedOff)) && off.again.is_none());
    assert_eq!(rig.cluster.reads.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn a_look_that_fails_is_never_taken_for_an_original_that_is_missing() {
    let mut rig = Rig::new();
    rig.core("1", "one", json!({}));
    let object = rig.secret("shop", "db", 1, password("Keep"));
    *rig.cluster.refuses.lock().unwrap() = Some((403, "Forbidden"));
    let forbidden = rig.pass(&object).await;
    assert!(matches!(forbidden.original, Original::Disabled(Disabled::NoRight)) && forbidden.again.is_some());
    for (code, reason) in [(500, "InternalError"), (429, "TooManyRequests"), (404, "Unknown"), (401, "Unauthorized")] {
        *rig.cluster.refuses.lock().unwrap() = Some((code, reason));
        let mut facts = Secret::gather(&object, &rig.context.index, rig.context.clock.now());
        let error = look(&object, &mut facts, &rig.context).await.unwrap_err();
        assert!(matches!(error, Error::ReadOriginal(..)), "{code}");
        assert_eq!(error.retry(), crate::server::Retry::BackOff, "{code}");
    }
    *rig.cluster.refuses.lock().unwrap() = None;
    // An answer that is no Secret is not repeated.
    *rig.cluster.core.lock().unwrap() = Some(json!({"metadata": {"uid": "u"}, "data": "hunter2"}));
    let mut facts = Secret::gather(&object, &rig.context.index, rig.context.clock.now());
    let error = look(&object, &mut facts, &rig.context).await.unwrap_err();
    let cause = std::error::Error::source(&error).unwrap();
    let printed = format!("{error} {error:?} {cause}");
    assert!(printed.contains("the answer is no Kubernetes Secret") && !printed.contains("hunter2"), "{printed}");
}

#[test]
fn many_are_looked_at_more_seldom_each() {
    for (takers, seconds) in [(0, 30), (1, 30), (600, 30), (1_200, 60), (10_000, 500)] {
        assert_eq!(period(takers), Duration::from_secs(seconds), "{takers}");
    }
}
