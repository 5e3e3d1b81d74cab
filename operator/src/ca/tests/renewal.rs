//! Renewal and a change of root, while callers open one connection after the other.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use axum::Json;
use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{Method, StatusCode, Uri};
use axum::routing::get;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified};
use rustls::time_provider::TimeProvider;
use rustls::{ClientConfig, DigitallySignedStruct, Error, SignatureScheme};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_rustls::TlsConnector;

use super::super::change::SETTLE;
use super::super::store::{CA_SECRET, CHANGE_ROOT, SERVER_SECRET};
use super::super::{Authority, Names};
use super::*;
use crate::clock::Clock;
use crate::metrics::Metrics;

const SECRETS: &str = "/api/v1/namespaces/sikkerkey-system/secrets";
const CONFIGURATIONS: &str = "/apis/admissionregistration.k8s.io/v1";
const CALLERS: usize = 4;

/// An API server with core Secrets and webhook configurations, and the time.
struct Cluster {
    objects: Mutex<HashMap<String, Value>>,
    version: AtomicU64,
    now: AtomicI64,
}

impl Cluster {
    fn new() -> Arc<Self> {
        let configuration = |kind: &str, webhook: &str| {
            json!({
                "apiVersion": "admissionregistration.k8s.io/v1", "kind": kind, "metadata": {"name": "sikkerkey"},
                "webhooks": [{
                    "name": webhook, "clientConfig": {"url": "https://127.0.0.1/x"}, "sideEffects": "None",
                    "admissionReviewVersions": ["v1"],
                }],
            })
        };
        let objects = [
            (
                format!("{CONFIGURATIONS}/mutatingwebhookconfigurations/sikkerkey"),
                configuration("MutatingWebhookConfiguration", "pods"),
            ),
            (
                format!("{CONFIGURATIONS}/validatingwebhookconfigurations/sikkerkey"),
                configuration("ValidatingWebhookConfiguration", "objects"),
            ),
        ];
        let now = AtomicI64::new(now().as_second());
        Arc::new(Self { objects: Mutex::new(objects.into()), version: AtomicU64::new(1), now })
    }

    fn clock(self: &Arc<Self>) -> Clock {
        let told = Arc::clone(self);
        Clock::new(move || Timestamp::from_second(told.now.load(Ordering::SeqCst)).unwrap())
    }

    fn later(&self, by: SignedDuration) {
        self.now.fetch_add(by.as_secs(), Ordering::SeqCst);
    }

    fn client(self: &Arc<Self>) -> kube::Client {
        kube::Client::new(Router::new().fallback(answer).with_state(Arc::clone(self)), "default")
    }

    /// What callers of the webhook for pods verify with at this moment.
    fn bundle(&self) -> String {
        let objects = self.objects.lock().unwrap();
        let configuration = &objects[&format!("{CONFIGURATIONS}/mutatingwebhookconfigurations/sikkerkey")];
        let bundle = configuration["webhooks"][0]["clientConfig"]["caBundle"].as_str().unwrap();
        String::from_utf8(STANDARD.decode(bundle).unwrap()).unwrap()
    }

    /// An entry of a Secret.
    fn entry(&self, secret: &str, key: &str) -> Option<String> {
        let objects = self.objects.lock().unwrap();
        let data = objects[&format!("{SECRETS}/{secret}")]["data"][key].as_str()?;
        Some(String::from_utf8(STANDARD.decode(data).unwrap()).unwrap())
    }

    /// Somebody else keeps the root, as cert-manager does.
    fn supply(&self, root: &Root) {
        let data = json!({
            "tls.crt": STANDARD.encode(root.certificate_pem()), "tls.key": STANDARD.encode(root.key_pem().as_bytes()),
            "ca.crt": STANDARD.encode(root.certificate_pem()),
        });
        let secret = json!({
            "apiVersion": "v1", "kind": "Secret", "type": "kubernetes.io/tls", "data": data,
            "metadata": {"name": CA_SECRET, "namespace": "sikkerkey-system", "resourceVersion": "1"},
        });
        self.objects.lock().unwrap().insert(format!("{SECRETS}/{CA_SECRET}"), secret);
    }

    fn ask_for_a_change(&self) {
        let mut objects = self.objects.lock().unwrap();
        objects.get_mut(&format!("{SECRETS}/{CA_SECRET}")).unwrap()["metadata"]["annotations"] =
            json!({CHANGE_ROOT: "now"});
    }
}

async fn answer(
    State(cluster): State<Arc<Cluster>>,
    method: Method,
    uri: Uri,
    body: Bytes,
) -> (StatusCode, Json<Value>) {
    let refused = |code: StatusCode, reason: &str| {
        let status = json!({
            "kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": reason, "code": code.as_u16(), "message": "no",
        });
        (code, Json(status))
    };
    let version = cluster.version.fetch_add(1, Ordering::SeqCst).to_string();
    let mut objects = cluster.objects.lock().unwrap();
    let sent: Value = serde_json::from_slice(&body).unwrap_or_default();
    let path = match (&method, sent["metadata"]["name"].as_str()) {
        (&Method::POST, Some(name)) => format!("{}/{name}", uri.path()),
        _ => uri.path().to_owned(),
    };
    let Some(stored) = objects.get_mut(&path) else {
        if method != Method::POST {
            return refused(StatusCode::NOT_FOUND, "NotFound");
        }
        let stored = objects.entry(path).or_insert(sent);
        stored["metadata"]["resourceVersion"] = version.into();
        return (StatusCode::CREATED, Json(stored.clone()));
    };
    if method == Method::POST {
        return refused(StatusCode::CONFLICT, "AlreadyExists");
    } else if method == Method::PUT {
        if sent["metadata"]["resourceVersion"] != stored["metadata"]["resourceVersion"] {
            return refused(StatusCode::CONFLICT, "Conflict");
        }
        *stored = sent;
    } else if method == Method::PATCH {
        for change in sent["webhooks"].as_array().unwrap() {
            let webhooks = stored["webhooks"].as_array_mut().unwrap();
            let webhook = webhooks.iter_mut().find(|webhook| webhook["name"] == change["name"]).unwrap();
            webhook["clientConfig"]["caBundle"] = change["clientConfig"]["caBundle"].clone();
        }
    }
    if method != Method::GET {
        stored["metadata"]["resourceVersion"] = version.into();
    }
    (StatusCode::OK, Json(stored.clone()))
}

/// How a caller looks at a certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Look {
    /// As TLS libraries do.
    AtTheChain,
    /// Only at whether a root of the bundle signed it, whatever else comes with it.
    AtTheLeaf,
}

#[derive(Debug)]
struct Verifier {
    inner: Arc<WebPkiServerVerifier>,
    look: Look,
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        leaf: &CertificateDer<'_>,
        others: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let others = if self.look == Look::AtTheChain { others } else { &[] };
        self.inner.verify_server_cert(leaf, others, name, ocsp, now)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.inner.verify_tls12_signature(message, certificate, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.inner.verify_tls13_signature(message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.inner.supported_verify_schemes()
    }
}

#[derive(Debug)]
struct Time(Clock);

impl TimeProvider for Time {
    fn current_time(&self) -> Option<UnixTime> {
        let seconds = u64::try_from(self.0.now().as_second()).unwrap();
        Some(UnixTime::since_unix_epoch(std::time::Duration::from_secs(seconds)))
    }
}

/// One request on a connection of its own, to a server that `bundle` vouches for.
async fn call(address: SocketAddr, bundle: &str, look: Look, clock: Clock) -> Result<String, std::io::Error> {
    let mut store = RootCertStore::empty();
    for root in CertificateDer::pem_slice_iter(bundle.as_bytes()) {
        store.add(root.unwrap()).unwrap();
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let inner = WebPkiServerVerifier::builder_with_provider(store.into(), Arc::clone(&provider)).build().unwrap();
    let builder = ClientConfig::builder_with_details(provider, Arc::new(Time(clock)));
    let builder = builder.with_safe_default_protocol_versions().unwrap().dangerous();
    let config = builder.with_custom_certificate_verifier(Arc::new(Verifier { inner, look })).with_no_client_auth();
    let stream = TcpStream::connect(address).await?;
    let name = ServerName::try_from("127.0.0.1").unwrap();
    let mut stream = TlsConnector::from(Arc::new(config)).connect(name, stream).await?;
    stream.write_all(b"GET /work HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").await?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await?;
    Ok(answer)
}

/// A replica with its listener.
struct Replica {
    authority: Authority,
    address: SocketAddr,
}

impl Replica {
    async fn start(cluster: &Arc<Cluster>, serving: &mut JoinSet<()>) -> Self {
        let (serving_names, server) = (names(&["127.0.0.1"]), names(&["server.example"]));
        let names = Names { serving: serving_names, server };
        let ensured =
            Authority::ensure(cluster.client(), "sikkerkey-system", names, cluster.clock(), Metrics::new()).await;
        let authority = ensured.unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let router = Router::new().route("/work", get(|| async { "done" }));
        let certificate = authority.serving();
        serving.spawn(async move {
            crate::serve::serve(listener, certificate, router, std::future::pending()).await.unwrap();
        });
        Self { authority, address }
    }

    fn facts(&self) -> Facts {
        self.authority.serving().facts().unwrap()
    }
}

/// Callers that never stop, and how many calls each has made.
struct Callers {
    tasks: JoinSet<()>,
    calls: Vec<watch::Receiver<usize>>,
}

impl Callers {
    fn start(cluster: &Arc<Cluster>, replicas: &[Replica; 2]) -> Self {
        let (mut tasks, mut calls) = (JoinSet::new(), Vec::new());
        for caller in 0..CALLERS {
            let (count, counted) = watch::channel(0);
            let (cluster, address) = (Arc::clone(cluster), replicas[caller % 2].address);
            tasks.spawn(async move {
                loop {
                    let answer = call(address, &cluster.bundle(), Look::AtTheLeaf, cluster.clock()).await;
                    let answer = answer.unwrap_or_else(|error| panic!("a request failed: {error}"));
                    assert!(answer.starts_with("HTTP/1.1 200 ") && answer.ends_with("done"), "{answer}");
                    count.send_modify(|count| *count += 1);
                }
            });
            calls.push(counted);
        }
        Self { tasks, calls }
    }

    /// Until each has begun and ended a call.
    async fn go_on(&mut self) {
        for calls in &mut self.calls {
            let before = *calls.borrow();
            let more = calls.wait_for(|calls| *calls >= before + 2).await.is_ok();
            if !more {
                while let Some(ended) = self.tasks.join_next().await {
                    ended.unwrap();
                }
            }
        }
    }
}

#[tokio::test]
async fn webhooks_that_trust_nobody_are_given_the_bundle_before_anybody_leads() {
    let cluster = Cluster::new();
    let mut serving = JoinSet::new();
    let replica = Replica::start(&cluster, &mut serving).await;
    replica.authority.round(false).await.unwrap();
    let old = cluster.entry(CA_SECRET, "ca.crt").unwrap();
    assert_eq!(cluster.bundle(), old);
    // A change of the root is the leader's to spread.
    cluster.ask_for_a_change();
    replica.authority.round(true).await.unwrap();
    let next = cluster.entry(CA_SECRET, "next.crt").unwrap();
    replica.authority.round(false).await.unwrap();
    assert_eq!(cluster.bundle(), old);
    replica.authority.round(true).await.unwrap();
    assert_eq!(cluster.bundle(), format!("{old}{next}"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn neither_a_renewal_nor_a_change_of_root_drops_a_request() {
    let cluster = Cluster::new();
    let mut serving = JoinSet::new();
    let replicas = [Replica::start(&cluster, &mut serving).await, Replica::start(&cluster, &mut serving).await];
    let [leader, other] = &replicas;
    leader.authority.round(true).await.unwrap();
    let mut callers = Callers::start(&cluster, &replicas);
    // The other replica comes before the leader, and after it.
    let mut round = async || {
        for (replica, leads) in [(other, false), (leader, true), (other, false)] {
            replica.authority.round(leads).await.unwrap();
            callers.go_on().await;
        }
    };
    let keys = || replicas.each_ref().map(|replica| replica.facts().public_key);
    let first = keys();
    round().await;
    assert_eq!(keys(), first, "nothing is due");
    cluster.later(SignedDuration::from_hours(20 * 24));
    round().await;
    let second = keys();
    assert!((0..2).all(|at| second[at] != first[at]), "both were renewed");

    let old = cluster.entry(CA_SECRET, "ca.crt").unwrap();
    let of = |root: &str| {
        let root = Facts::of_pem(root).unwrap();
        replicas.each_ref().map(|replica| replica.facts().is_signed_by(&root))
    };
    assert_eq!(cluster.bundle(), old);
    cluster.ask_for_a_change();
    round().await;
    let next = cluster.entry(CA_SECRET, "next.crt").unwrap();
    round().await;
    assert_eq!(cluster.bundle(), format!("{old}{next}"), "it is trusted");
    cluster.later(SETTLE - SignedDuration::from_secs(1));
    round().await;
    assert_eq!((of(&old), keys()), ([true, true], second), "and does not sign yet");
    cluster.later(SignedDuration::from_secs(1));
    round().await;
    round().await;
    assert_eq!((of(&next), of(&old)), ([true, true], [false, false]), "it signs");
    assert_eq!(cluster.bundle(), format!("{next}{old}"), "and the one before is still trusted");
    let left = ["next.crt", "next.key"].map(|key| cluster.entry(CA_SECRET, key));
    assert_eq!(left, [None, None]);
    let third = keys();
    round().await;
    assert_eq!(keys(), third, "it is asked for once");

    // A sidecar that was given the old root alone: it needs what comes with the leaf.
    for (look, is_taken) in [(Look::AtTheChain, true), (Look::AtTheLeaf, false)] {
        let answer = call(leader.address, &old, look, cluster.clock()).await;
        assert_eq!(answer.is_ok(), is_taken, "{look:?} {answer:?}");
    }
    let server = cluster.entry(SERVER_SECRET, "tls.crt").unwrap();
    for root in [&old, &next] {
        assert!(chain_is_accepted(root, &server, "server.example", cluster.clock().now()), "by {root}");
    }
    assert!(callers.tasks.try_join_next().is_none(), "all callers are still at it");
}

#[tokio::test]
async fn a_root_that_somebody_else_keeps_is_used_and_never_changed() {
    let (cluster, root) = (Cluster::new(), Root::generate(now()).unwrap());
    cluster.supply(&root);
    cluster.ask_for_a_change();
    let mut serving = JoinSet::new();
    let replica = Replica::start(&cluster, &mut serving).await;
    // Beyond two thirds of its life a root of our own would be changed.
    for days in [0, 8 * 365] {
        cluster.later(SignedDuration::from_hours(days * 24));
        for _ in 0..3 {
            replica.authority.round(true).await.unwrap();
        }
        assert_eq!(cluster.bundle(), root.bundle_pem());
        assert!(replica.facts().is_signed_by(root.facts()), "the listener's certificate is by it");
        let leaf = Facts::of_pem(&cluster.entry(SERVER_SECRET, "tls.crt").unwrap()).unwrap();
        assert!(leaf.is_signed_by(root.facts()), "and the server's");
        assert_eq!(["next.crt", "ca.key"].map(|key| cluster.entry(CA_SECRET, key)), [None, None]);
    }
    // It is renewed with the same key: who trusts the certificate before goes on.
    let renewed = Root::parse(root.certificate_pem(), &root.key_pem(), None).unwrap();
    cluster.supply(&renewed);
    replica.authority.round(true).await.unwrap();
    assert!(replica.facts().is_signed_by(root.facts()));
}
