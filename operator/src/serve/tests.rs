use std::sync::Arc;

use k8s_openapi::jiff::Timestamp;
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;
use serde_json::{Value, json};
use sikkerkey_protocol::canonical::{Purpose, possession};
use sikkerkey_protocol::key::MachineKey;
use tokio::sync::oneshot;
use zeroize::Zeroizing;

use super::*;
use crate::attest::pod_events::PodEvents;
use crate::ca::TrustBundle;
use crate::ca::root::Root;
use crate::clock::Clock;
use crate::controller::events::Events;
use crate::index::Index;
use crate::server::{Account, Session};
use crate::webhook::machines::{Machines, Remembered};
use crate::webhook::resources::Resources;
use crate::webhook::sidecar::Settings;

fn now() -> Timestamp {
    "2026-11-24T12:00:00Z".parse().unwrap()
}

/// The real listener. Its API server and its server are away: nobody listens where they should be.
struct Running {
    url: String,
    client: reqwest::Client,
    certificate: Arc<Serving>,
    stop: Option<oneshot::Sender<()>>,
    task: tokio::task::JoinHandle<Result<(), TlsError>>,
}

fn client(trusting: &str) -> reqwest::Client {
    let mut roots = rustls::RootCertStore::empty();
    for root in CertificateDer::pem_slice_iter(trusting.as_bytes()) {
        roots.add(root.unwrap()).unwrap();
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = rustls::ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let tls = builder.with_root_certificates(roots).with_no_client_auth();
    reqwest::Client::builder().tls_backend_preconfigured(tls).pool_max_idle_per_host(0).build().unwrap()
}

fn web(namespace: &str, name: &str) -> Remembered {
    if (namespace, name) != ("shop", "web") {
        return Remembered::Nothing;
    }
    let machine = json!({
        "apiVersion": "sikkerkey.com/v1alpha1", "kind": "Machine",
        "metadata": {"name": "web", "namespace": "shop", "uid": "m-1"},
        "spec": {"workload": {"serviceAccountNames": ["web"]}},
    });
    Remembered::Machine(Arc::new(serde_json::from_value(machine).unwrap()))
}

async fn run(root: &Root) -> Running {
    run_routes(root, |context| admission(Arc::clone(&context)).merge(attestation(context))).await
}

async fn run_routes(root: &Root, routes: fn(Arc<Context>) -> Router) -> Running {
    let _ = rustls::crypto::ring::default_provider().install_default();
    // Whoever binds port 0 and lets go leaves a port where nobody listens.
    let free = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let away = kube::Client::try_from(kube::Config::new(format!("https://{free}").parse().unwrap())).unwrap();
    let clock = Clock::fixed(now());
    let trust = TrustBundle::fixed(&root.bundle_pem());
    let account = Account {
        namespace: "sikkerkey-system".into(),
        service_account: "sikkerkey-operator".into(),
        pod_name: "op-1".into(),
        pod_uid: "u-1".into(),
    };
    let url = format!("https://{free}").parse().unwrap();
    let session =
        Session::new(url, away.clone(), account, trust.subscribe(), clock.clone(), crate::metrics::Metrics::new());
    let machines = Arc::new(Machines::new(Box::new(web), away.clone()));
    let settings = Settings {
        image: "sidecar:1".into(),
        resources: Resources::new("5m", "50m", "16Mi", &[]).unwrap(),
        log_level: "info".into(),
        status_address: None,
        traces: None,
        attest_url: "https://operator:9443".into(),
    };
    let context = Context {
        webhook: Webhook {
            settings,
            machines: Arc::clone(&machines),
            index: Index::new().0,
            trust: trust.clone(),
            clock: clock.clone(),
        },
        questions: Questions::new(away.clone(), asked_about(), session.clone()),
        attestation: Attestation::new(
            away.clone(),
            machines,
            session,
            trust,
            clock.clone(),
            PodEvents::new(Events::new(away, "op-1", clock, crate::metrics::Metrics::new())),
        ),
        ready: Box::new(|| Err("the caches are not filled yet")),
        metrics: Box::new(|| "# EOF\n".to_owned()),
        counters: Counters::new(),
        reviews: Reviews::new(),
    };
    let certificate = Arc::new(Serving::default());
    // Made now, not at the clock of the test: the TLS client looks at the machine's.
    let leaf = root.issue(&["127.0.0.1".parse().unwrap()].into(), Clock::system().now()).unwrap();
    certificate.exchange(&leaf).unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("https://{}", listener.local_addr().unwrap());
    let (stop, stopped) = oneshot::channel::<()>();
    let shutdown = async {
        let _ = stopped.await;
    };
    let task = tokio::spawn(serve(listener, Arc::clone(&certificate), routes(Arc::new(context)), shutdown));
    Running { url, client: client(&root.bundle_pem()), certificate, stop: Some(stop), task }
}

/// Nothing is there to be asked about.
fn asked_about() -> Arc<Index> {
    Index::new().0
}

fn root() -> Root {
    Root::generate(Clock::system().now()).unwrap()
}

impl Running {
    async fn post(&self, path: &str, body: impl Into<reqwest::Body>) -> (u16, Value) {
        let response = self.client.post(format!("{}{path}", self.url)).body(body).send().await.unwrap();
        let status = response.status().as_u16();
        (status, serde_json::from_slice(&response.bytes().await.unwrap()).unwrap_or(Value::Null))
    }

    async fn get(&self, path: &str) -> (u16, String) {
        let response = self.client.get(format!("{}{path}", self.url)).send().await.unwrap();
        (response.status().as_u16(), response.text().await.unwrap())
    }
}

fn review(kind: (&str, &str), verb: &str, object: &Value) -> String {
    json!({"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": {
        "uid": "r-1", "kind": {"group": kind.0, "version": "v1", "kind": kind.1},
        "resource": {"group": kind.0, "version": "v1", "resource": "x"},
        "namespace": "shop", "operation": verb, "object": object, "oldObject": null, "dryRun": false,
        "userInfo": {"username": "alice"}, "options": null,
    }})
    .to_string()
}

fn pod(labels: &Value) -> Value {
    json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"labels": labels, "creationTimestamp": null},
           "spec": {"serviceAccountName": "web", "containers": [{"name": "app", "image": "app:1"}]}})
}

#[tokio::test]
async fn a_pod_is_injected_over_tls_and_only_when_it_is_ours() {
    let running = run(&root()).await;
    let ours = pod(&json!({"sikkerkey.com/machine": "web"}));
    let (status, body) = running.post(MUTATE_PATH, review(("", "Pod"), "CREATE", &ours)).await;
    assert_eq!((status, &body["response"]["allowed"]), (200, &json!(true)), "{body}");
    assert_eq!(body["response"]["patchType"], "JSONPatch");
    for (kind, verb, object) in [
        (("", "Pod"), "UPDATE", ours.clone()),
        (("", "Pod"), "CREATE", pod(&json!({"app": "web"}))),
        (("apps", "Deployment"), "CREATE", json!({"kind": "Deployment"})),
    ] {
        let (_, body) = running.post(MUTATE_PATH, review(kind, verb, &object)).await;
        assert_eq!(body["response"], json!({"uid": "r-1", "allowed": true}), "{kind:?} {verb}");
    }
}

#[tokio::test]
async fn a_machine_that_is_not_in_memory_is_asked_for_once_and_the_pod_refused_when_nobody_answers() {
    let running = run(&root()).await;
    let pod = pod(&json!({"sikkerkey.com/machine": "other"}));
    let (status, body) = running.post(MUTATE_PATH, review(("", "Pod"), "CREATE", &pod)).await;
    assert_eq!(status, 200);
    assert_eq!(
        body["response"]["status"],
        json!({"code": 503, "reason": "MachineNotLookedUp",
               "message": "Machine other could not be looked up in namespace shop: the API server did not answer in time. Try again."})
    );
}

/// A review comes before validation, so a label may hold a path. The API server here would answer nobody: that the refusal
/// is not `MachineNotLookedUp` shows that it was not asked.
#[tokio::test]
async fn a_label_that_is_a_path_leads_nowhere() {
    let running = run(&root()).await;
    for label in ["../../other/machines/web", "web?x", "%2e%2e", "", "a.b"] {
        let pod = pod(&json!({"sikkerkey.com/machine": label}));
        let (_, body) = running.post(MUTATE_PATH, review(("", "Pod"), "CREATE", &pod)).await;
        assert_eq!(body["response"]["status"]["reason"], "MachineNotFound", "{label}: {body}");
    }
}

#[tokio::test]
async fn an_object_of_ours_is_checked_and_a_delete_never() {
    let running = run(&root()).await;
    let bad = json!({"apiVersion": "sikkerkey.com/v1alpha1", "kind": "AccessPolicy",
                     "metadata": {"name": "p", "namespace": "shop"}, "spec": {"timeZone": "Nowhere", "rateCap": {"perDay": 1}}});
    let (_, body) = running.post(VALIDATE_PATH, review(("sikkerkey.com", "AccessPolicy"), "CREATE", &bad)).await;
    assert_eq!(body["response"]["status"]["code"], 422);
    assert_eq!(body["response"]["status"]["reason"], "InvalidSpec");
    let (_, body) =
        running.post(VALIDATE_PATH, review(("sikkerkey.com", "AccessPolicy"), "DELETE", &Value::Null)).await;
    assert_eq!(body["response"], json!({"uid": "r-1", "allowed": true}));
}

#[tokio::test]
async fn a_body_that_is_no_review_is_a_400_and_one_too_large_a_413() {
    let running = run(&root()).await;
    for path in [MUTATE_PATH, VALIDATE_PATH, QUESTION_PATH] {
        for body in ["", "{}", "[", "{\"apiVersion\":\"v1\",\"kind\":\"Pod\"}", "\u{0}\u{0}"] {
            let (status, answer) = running.post(path, body).await;
            assert_eq!((status, &answer["code"]), (400, &json!("Malformed")), "{path} {body}");
        }
        let (status, answer) =
            running.post(path, review(("", "Pod"), "CREATE", &pod(&json!({"sikkerkey.com/machine": 5})))).await;
        assert!(status == 400 || path != MUTATE_PATH, "{answer}");
        let (status, _) = running.post(path, vec![b' '; MAX_REVIEW as usize + 1]).await;
        assert_eq!(status, 413);
    }
    let (status, _) = running.post("/v1/attest", vec![b' '; MAX_BODY + 1]).await;
    assert_eq!(status, 413);
}

#[tokio::test]
async fn an_attestation_is_refused_with_a_reason_before_and_when_the_api_server_is_away() {
    let running = run(&root()).await;
    let (status, body) = running.post("/v1/attest", "{}").await;
    assert_eq!((status, &body["code"]), (400, &json!("Malformed")));

    let key = MachineKey::from_seed(&Zeroizing::new([7; 32]));
    let other = MachineKey::from_seed(&Zeroizing::new([8; 32]));
    let body = |proof: &sikkerkey_protocol::key::Signature| {
        json!({"token": "eyJ.eyJ.sig", "publicKey": key.public_key(), "proof": proof}).to_string()
    };
    let good = possession(Purpose::Attest, "eyJ.eyJ.sig", &key.public_key());
    for forged in [
        other.sign(&good),
        key.sign(&possession(Purpose::Register, "eyJ.eyJ.sig", &key.public_key())),
        key.sign(&possession(Purpose::Attest, "another token", &key.public_key())),
    ] {
        let (status, answer) = running.post("/v1/attest", body(&forged)).await;
        assert_eq!((status, &answer["code"]), (401, &json!("ProofInvalid")));
    }
    let (status, answer) = running.post("/v1/attest", body(&key.sign(&good))).await;
    assert_eq!((status, &answer["code"]), (503, &json!("ApiServerUnavailable")));
    assert!(!answer.to_string().contains("eyJ"), "nothing of the token comes back");
}

#[tokio::test]
async fn health_readiness_and_metrics_are_served() {
    let running = run(&root()).await;
    running.post(MUTATE_PATH, "{}").await;
    assert_eq!(running.get("/healthz").await, (200, "ok".into()));
    assert_eq!(running.get("/readyz").await, (503, "the caches are not filled yet".into()));
    let (status, text) = running.get("/metrics").await;
    assert_eq!(status, 200);
    assert!(text.contains("sikkerkey_operator_answers_total{route=\"Mutate\",outcome=\"Malformed\"} 1"), "{text}");
    assert_eq!(running.get("/").await.0, 404);
}

#[tokio::test]
async fn a_new_certificate_is_served_to_the_next_connection() {
    let (old, new) = (root(), root());
    let running = run(&old).await;
    let trusts_new = client(&new.bundle_pem());
    assert!(trusts_new.get(format!("{}/healthz", running.url)).send().await.is_err());
    let leaf = new.issue(&["127.0.0.1".parse().unwrap()].into(), Clock::system().now()).unwrap();
    running.certificate.exchange(&leaf).unwrap();
    assert_eq!(trusts_new.get(format!("{}/healthz", running.url)).send().await.unwrap().status(), 200);
}

#[tokio::test]
async fn it_ends_when_it_is_told_to_although_connections_are_open() {
    let mut running = run(&root()).await;
    let idle = tokio::net::TcpStream::connect(running.url.trim_start_matches("https://")).await.unwrap();
    assert_eq!(running.get("/healthz").await.0, 200);
    running.stop.take().unwrap().send(()).unwrap();
    timeout(Duration::from_secs(5), running.task).await.unwrap().unwrap().unwrap();
    drop(idle);
}

#[tokio::test]
async fn attestation_on_its_own_listener_is_all_that_pods_reach_there() {
    let root = root();
    let (for_pods, for_the_api_server) = (run_routes(&root, attestation).await, run_routes(&root, admission).await);
    for path in [MUTATE_PATH, VALIDATE_PATH, QUESTION_PATH] {
        assert_eq!(
            (for_pods.post(path, "{}").await.0, for_the_api_server.post(path, "{}").await.0),
            (404, 400),
            "{path}"
        );
    }
    for path in ["/healthz", "/metrics"] {
        assert_eq!((for_pods.get(path).await.0, for_the_api_server.get(path).await.0), (404, 200), "{path}");
    }
    assert_eq!(
        (for_pods.post(Attest::PATH, "{}").await.0, for_the_api_server.post(Attest::PATH, "{}").await.0),
        (400, 404)
    );
}

#[tokio::test]
async fn one_address_with_all_its_connections_keeps_no_other_out() {
    use tokio::io::AsyncReadExt;
    let running = run(&root()).await;
    let listener: std::net::SocketAddr = running.url.trim_start_matches("https://").parse().unwrap();
    let greedy = || async {
        let socket = tokio::net::TcpSocket::new_v4().unwrap();
        socket.bind("127.0.0.9:0".parse().unwrap()).unwrap();
        socket.connect(listener).await.unwrap()
    };
    let mut held = Vec::new();
    for _ in 0..bounds::PER_ADDRESS {
        held.push(greedy().await);
    }
    let mut refused = greedy().await;
    let ended = timeout(Duration::from_secs(5), refused.read(&mut [0])).await.unwrap();
    assert!(!matches!(ended, Ok(1..)), "it is closed without a word");
    assert_eq!(running.get("/healthz").await.0, 200);
    drop(held);
}

#[tokio::test(start_paused = true)]
async fn a_body_that_does_not_come_is_not_waited_for() {
    let never = futures::stream::pending::<Result<Bytes, std::convert::Infallible>>();
    let request = Request::new(axum::body::Body::from_stream(never));
    let begun = Instant::now();
    assert_eq!(body(request).await.unwrap_err().status(), StatusCode::REQUEST_TIMEOUT);
    assert_eq!(begun.elapsed(), IDLE);
}
