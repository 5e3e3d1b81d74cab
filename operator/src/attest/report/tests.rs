use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use axum::routing::{get, post};
use axum::{Json, Router};
use kube::Client;
use serde_json::{Value, json};
use sikkerkey_protocol::canonical::{Purpose, possession};
use sikkerkey_protocol::key::MachineKey;
use zeroize::Zeroizing;

use super::*;
use crate::attest::claimant::Claimant;
use crate::attest::pod_events::PodEvents;
use crate::ca::TrustBundle;
use crate::ca::root::Root;
use crate::clock::Clock;
use crate::controller::events::Events;
use crate::metrics::Metrics;
use crate::server::{Account, Session};
use crate::webhook::machines::{Machines, Remembered};

/// An API server with one pod, which accepts one token, and the attestation that asks it. The server is away.
struct Bench {
    attestation: Attestation,
    told: Arc<Mutex<Vec<Value>>>,
    pod: Arc<Mutex<Value>>,
    audience: Arc<Mutex<&'static str>>,
    /// How many tokens it was asked about, and how often for the pod.
    asked: Arc<(AtomicUsize, AtomicUsize)>,
}

fn pod() -> Value {
    json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {
            "name": "web-1", "namespace": "shop", "uid": "p-1",
            "labels": {"sikkerkey.com/machine": "web"}, "annotations": {"sikkerkey.com/injected": "0.1.0,m-1"},
        },
        "spec": {"serviceAccountName": "web", "nodeName": "node-a", "containers": []},
        "status": {"phase": "Pending"},
    })
}

fn machine(accounts: &[&str]) -> Value {
    json!({
        "apiVersion": "sikkerkey.com/v1alpha1", "kind": "Machine",
        "metadata": {"name": "web", "namespace": "shop", "uid": "m-1"},
        "spec": {"workload": {"serviceAccountNames": accounts}},
    })
}

fn bench(accounts: &'static [&'static str]) -> Bench {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let (told, pod) = (Arc::<Mutex<Vec<Value>>>::default(), Arc::new(Mutex::new(pod())));
    let audience = Arc::new(Mutex::new("sikkerkey"));
    let (kept, shown, reviewed) = (Arc::clone(&told), Arc::clone(&pod), Arc::clone(&audience));
    let asked = Arc::<(AtomicUsize, AtomicUsize)>::default();
    let (reviews, looks) = (Arc::clone(&asked), Arc::clone(&asked));
    let review = move |Json(review): Json<Value>| async move {
        reviews.0.fetch_add(1, Ordering::Relaxed);
        let mut answer = review.clone();
        answer["status"] = json!({
            "authenticated": review["spec"]["token"] == "good",
            "audiences": [*reviewed.lock().unwrap()],
            "user": {
                "username": "system:serviceaccount:shop:web",
                "extra": {
                    "authentication.kubernetes.io/pod-name": ["web-1"],
                    "authentication.kubernetes.io/pod-uid": ["p-1"],
                },
            },
        });
        Json(answer)
    };
    let take = move |Json(event): Json<Value>| async move {
        kept.lock().unwrap().push(event.clone());
        Json(event)
    };
    let look = move || async move {
        looks.1.fetch_add(1, Ordering::Relaxed);
        Json(shown.lock().unwrap().clone())
    };
    let router = Router::new()
        .route("/apis/authentication.k8s.io/v1/tokenreviews", post(review))
        .route("/api/v1/namespaces/shop/pods/web-1", get(look))
        .route("/apis/events.k8s.io/v1/namespaces/shop/events", post(take));
    let client = Client::new(router, "default");
    let clock = Clock::fixed("2026-11-24T12:00:00Z".parse().unwrap());
    let trust = TrustBundle::fixed(&Root::generate(clock.now()).unwrap().bundle_pem());
    let account = Account {
        namespace: "sikkerkey-system".into(),
        service_account: "sikkerkey-operator".into(),
        pod_name: "op-1".into(),
        pod_uid: "u-1".into(),
    };
    let url = "https://127.0.0.1:1".parse().unwrap();
    let session = Session::new(url, client.clone(), account, trust.subscribe(), clock.clone(), Metrics::new());
    let known = Arc::new(serde_json::from_value(machine(accounts)).unwrap());
    let machines = Machines::new(Box::new(move |_, _| Remembered::Machine(Arc::clone(&known))), client.clone());
    let events = PodEvents::new(Events::new(client.clone(), "op-1", clock.clone(), Metrics::new()));
    let attestation = Attestation::new(client, Arc::new(machines), session, trust, clock, events);
    Bench { attestation, told, pod, audience, asked }
}

fn home() -> IpAddr {
    "10.0.0.7".parse().unwrap()
}

fn body(token: &str, reason: &str, message: &str) -> Vec<u8> {
    json!({"token": token, "reason": reason, "message": message}).to_string().into_bytes()
}

impl Bench {
    async fn report(&self, body: &[u8]) -> Result<(), &'static str> {
        self.attestation.report(body, home()).await.map(drop).map_err(|denial| denial.reason())
    }

    fn asked(&self) -> (usize, usize) {
        let (reviews, looks) = &*self.asked;
        (reviews.load(Ordering::Relaxed), looks.load(Ordering::Relaxed))
    }

    fn told(&self) -> Vec<Value> {
        std::mem::take(&mut *self.told.lock().unwrap())
    }

    /// Waits until something is told by the way.
    async fn is_told(&self) -> Vec<Value> {
        let told = async {
            loop {
                let told = self.told();
                if !told.is_empty() {
                    return told;
                }
                tokio::task::yield_now().await;
            }
        };
        timeout(std::time::Duration::from_secs(10), told).await.unwrap()
    }
}

#[tokio::test]
async fn a_report_becomes_a_warning_about_the_pod_of_the_token() {
    let bench = bench(&["web"]);
    for reason in ["EnrolmentRefused", "FilesNotWritten", "ServerUnreachable", "ReadDenied", "CoSignAwaited"] {
        bench.report(&body("good", reason, "file a waits\n\u{1b}[2J for Secret shop/db")).await.unwrap();
        let told = bench.told();
        assert_eq!(told.len(), 1);
        let event = &told[0];
        assert_eq!((&event["reason"], &event["type"]), (&json!(reason), &json!("Warning")));
        assert_eq!(event["note"], "file a waits[2J for Secret shop/db", "nothing that does something to a terminal");
        assert_eq!(
            event["regarding"],
            json!({"apiVersion": "v1", "kind": "Pod", "namespace": "shop", "name": "web-1", "uid": "p-1"})
        );
        assert_eq!(
            (&event["reportingController"], &event["reportingInstance"]),
            (&json!("sikkerkey-operator"), &json!("op-1"))
        );
    }
    // So much at once and no more: a pod must not fill the API server.
    assert_eq!(bench.report(&body("good", "FilesStale", "x")).await, Err("TooMany"));
    assert_eq!(bench.told().len(), 0);
}

#[tokio::test]
async fn the_same_report_again_is_taken_and_not_told() {
    let bench = bench(&["web"]);
    for (reason, message, told) in [
        ("ReadDenied", "file a waits for Secret shop/a: OutsideTimeWindow: until noon", 1),
        ("ReadDenied", "file a waits for Secret shop/a: OutsideTimeWindow: until one", 0),
        ("ReadDenied", "file a waits for Secret shop/a: NotGranted", 1),
        ("CoSignAwaited", "file a waits for Secret shop/a: CoSignMissing: request 1", 1),
        ("CoSignAwaited", "file a waits for Secret shop/a: CoSignMissing: request 1", 0),
    ] {
        bench.report(&body("good", reason, message)).await.unwrap();
        assert_eq!(bench.told().len(), told, "{reason} {message}");
    }
}

#[tokio::test]
async fn a_pod_that_reports_again_costs_no_review_and_what_was_told_costs_nothing() {
    let bench = bench(&["web"]);
    for (reason, message, asked) in [
        ("ReadDenied", "file a waits for Secret shop/a: NotGranted", (1, 1)),
        ("ReadDenied", "file b waits for Secret shop/b: NotGranted", (1, 2)),
        ("ReadDenied", "file a waits for Secret shop/a: NotGranted", (1, 2)),
    ] {
        bench.report(&body("good", reason, message)).await.unwrap();
        assert_eq!(bench.asked(), asked, "{message}");
    }
    // The pod's own bound is looked at before anybody is asked.
    for n in 0..2 {
        bench.report(&body("good", "FilesStale", &n.to_string())).await.unwrap();
    }
    let asked = bench.asked();
    assert_eq!(bench.report(&body("good", "FilesRemoved", "x")).await, Err("TooMany"));
    assert_eq!(bench.asked(), asked);
}

#[tokio::test]
async fn an_address_that_sends_what_is_no_token_is_sent_away_and_a_known_pod_behind_it_is_not() {
    let bench = bench(&["web"]);
    bench.report(&body("good", "ReadDenied", "x")).await.unwrap();
    let mut refused = Vec::new();
    for n in 0..400 {
        refused.push(bench.report(&body(&format!("bad {n}"), "ReadDenied", "x")).await.unwrap_err());
    }
    // Some more than the burst may pass, as time goes on meanwhile.
    let reviews = bench.asked().0;
    assert!((250..350).contains(&reviews), "{reviews}");
    assert_eq!(refused.iter().filter(|reason| **reason == "TokenInvalid").count(), reviews - 1);
    assert_eq!(refused.iter().filter(|reason| **reason == "TooMany").count(), 401 - reviews);
    bench.report(&body("good", "FilesStale", "x")).await.unwrap();
    assert_eq!(bench.told().len(), 2);
}

#[tokio::test]
async fn pods_of_one_namespace_leave_room_for_those_of_others() {
    let bench = bench(&["web"]);
    let events = &bench.attestation.events;
    let claimant = |namespace: &str| Claimant {
        namespace: namespace.into(),
        service_account: "web".into(),
        pod: "web-1".into(),
        uid: "p-1".into(),
        node: None,
    };
    let admitted = |namespace: &str| (0..500).filter(|_| events.admits_of_namespace(&claimant(namespace))).count();
    for namespace in ["noisy", "other"] {
        let admitted = admitted(namespace);
        assert!((100..=105).contains(&admitted), "{namespace}: {admitted}");
    }
}

#[tokio::test]
async fn a_long_message_is_cut() {
    let bench = bench(&["web"]);
    bench.report(&body("good", "FilesRemoved", &"ø".repeat(2_000))).await.unwrap();
    assert_eq!(bench.told()[0]["note"].as_str().unwrap().chars().count(), 512);
}

#[tokio::test]
async fn whoever_is_not_a_living_pod_of_ours_tells_nothing() {
    let bench = bench(&["web"]);
    let good = body("good", "ReadDenied", "x");
    for (body, expected) in [
        (body("bad", "ReadDenied", "x"), "TokenInvalid"),
        (body("good", "Enrolled", "x"), "Malformed"),
        (body("good", "PolicyUnbound", "x"), "Malformed"),
        (b"{}".to_vec(), "Malformed"),
    ] {
        assert_eq!(bench.report(&body).await, Err(expected));
    }
    *bench.audience.lock().unwrap() = "https://kubernetes.default.svc";
    assert_eq!(bench.report(&good).await, Err("WrongAudience"));
    *bench.audience.lock().unwrap() = "sikkerkey";
    for (path, value, expected) in [
        ("/metadata/uid", json!("p-2"), "PodGone"),
        ("/metadata/deletionTimestamp", json!("2026-11-24T11:59:59Z"), "PodTerminating"),
        ("/status/phase", json!("Succeeded"), "PodGone"),
        ("/spec/serviceAccountName", json!("other"), "NotAPod"),
        ("/metadata/annotations", json!({}), "NotInjected"),
    ] {
        let bench = self::bench(&["web"]);
        let mut changed = pod();
        let (parent, key) = path.rsplit_once('/').unwrap();
        changed.pointer_mut(parent).unwrap()[key] = value;
        *bench.pod.lock().unwrap() = changed;
        assert_eq!(bench.report(&good).await, Err(expected), "{path}");
        assert_eq!(bench.told().len(), 0);
        *bench.pod.lock().unwrap() = pod();
        bench.report(&good).await.unwrap();
        assert_eq!(bench.told().len(), 1);
    }
}

async fn attest(bench: &Bench) -> &'static str {
    let key = MachineKey::from_seed(&Zeroizing::new([7; 32]));
    let proof = key.sign(&possession(Purpose::Attest, "good", &key.public_key()));
    let body = json!({"token": "good", "publicKey": key.public_key(), "proof": proof}).to_string();
    bench.attestation.attest(body.as_bytes(), home()).await.unwrap_err().reason()
}

#[tokio::test]
async fn a_pod_that_is_refused_an_identity_is_told_of_once() {
    let bench = bench(&["other"]);
    assert_eq!(attest(&bench).await, "ServiceAccountNotAllowed");
    let told = bench.is_told().await;
    assert_eq!((&told[0]["reason"], &told[0]["type"]), (&json!("EnrolmentRefused"), &json!("Warning")));
    let note = told[0]["note"].as_str().unwrap();
    assert!(note.starts_with("ServiceAccount web may not assume Machine web, which allows other:"), "{note}");
    // It asks again, as sidecars do; what follows comes after it.
    for _ in 0..3 {
        assert_eq!(attest(&bench).await, "ServiceAccountNotAllowed");
    }
    bench.report(&body("good", "ReadDenied", "later")).await.unwrap();
    let told: Vec<_> = bench.is_told().await.iter().map(|event| event["note"].clone()).collect();
    assert_eq!(told, ["later"]);
}

#[tokio::test]
async fn a_refusal_is_told_however_much_good_news_is_under_way() {
    let bench = bench(&["web"]);
    let claimant = |n: u32| Claimant {
        namespace: "shop".into(),
        service_account: "web".into(),
        pod: format!("web-{n}"),
        uid: format!("p-{n}"),
        node: None,
    };
    for n in 0..100 {
        bench.attestation.events.attested(&claimant(n), "web", None);
    }
    bench.attestation.events.attested(&claimant(100), "web", Some(&Denial::NodeMismatch));
    let refused = async {
        loop {
            if let Some(event) = bench.is_told().await.into_iter().find(|event| event["reason"] == "EnrolmentRefused") {
                return event;
            }
        }
    };
    let refused = timeout(std::time::Duration::from_secs(10), refused).await.unwrap();
    assert_eq!((&refused["type"], &refused["regarding"]["uid"]), (&json!("Warning"), &json!("p-100")));
}

#[tokio::test]
async fn a_pod_that_is_gone_or_a_server_that_is_away_is_not_told_of() {
    let bench = bench(&["web"]);
    let reason = attest(&bench).await;
    assert!(["OperatorNotLoggedIn", "ServerUnreachable"].contains(&reason), "{reason}");
    bench.pod.lock().unwrap()["metadata"]["uid"] = json!("p-2");
    assert_eq!(attest(&bench).await, "PodGone");
    *bench.pod.lock().unwrap() = pod();
    bench.report(&body("good", "ReadDenied", "later")).await.unwrap();
    assert_eq!(bench.is_told().await.len(), 1);
}
