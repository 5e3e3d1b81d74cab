use std::collections::{HashMap, HashSet};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU32, Ordering};
use std::sync::{Arc, Mutex};

use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::routing::post;
use axum::{Json, Router};
use k8s_openapi::jiff::Timestamp;
use serde_json::{Value, json};
use sikkerkey_protocol::canonical::{Purpose, possession, string_to_sign};
use sikkerkey_protocol::header::{self, SignedHeaders};
use sikkerkey_protocol::key::PublicKey;
use sikkerkey_protocol::kubernetes::{GonePods, Login, PodsRevoked};
use tokio::net::TcpListener;
use tokio::sync::watch;

use super::*;

const NOW: i64 = 1_800_000_000;
const AGENT_LIFE_MILLIS: i64 = 3_600_000;

/// A server that knows agents as the protocol says, and an API server that issues tokens for them.
#[derive(Default)]
struct World {
    agents: Mutex<HashMap<String, PublicKey>>,
    tokens: Mutex<HashSet<String>>,
    nonces: Mutex<HashSet<String>>,
    logins: AtomicU32,
    issued: AtomicU32,
    now: AtomicI64,
    refuse_tokens: AtomicBool,
    refuse_logins: AtomicBool,
    forget_agents: AtomicBool,
    answer: Mutex<Option<(u16, Value)>>,
    audience: Mutex<String>,
}

type Answer = (StatusCode, Json<Value>);

fn say(status: u16, body: Value) -> Answer {
    (StatusCode::from_u16(status).unwrap(), Json(body))
}

async fn token(State(world): State<Arc<World>>, Json(request): Json<Value>) -> Answer {
    if world.refuse_tokens.load(Ordering::SeqCst) {
        let message = "pods \"operator-0\" not found";
        return say(
            404,
            json!({"kind": "Status", "apiVersion": "v1", "status": "Failure", "message": message, "reason": "NotFound", "code": 404}),
        );
    }
    assert_eq!(request["spec"]["boundObjectRef"]["uid"], "pod-uid");
    assert_eq!(request["spec"]["audiences"][0], *world.audience.lock().unwrap());
    let token = format!("token-{}", world.issued.fetch_add(1, Ordering::SeqCst));
    world.tokens.lock().unwrap().insert(token.clone());
    let mut answer = request;
    answer["status"] = json!({"token": token, "expirationTimestamp": "2027-01-15T09:00:00Z"});
    say(201, answer)
}

async fn login(State(world): State<Arc<World>>, Json(login): Json<Login>) -> Answer {
    let count = world.logins.fetch_add(1, Ordering::SeqCst);
    if world.refuse_logins.load(Ordering::SeqCst) {
        return say(503, json!({"error": "starting"}));
    }
    assert!(world.tokens.lock().unwrap().remove(login.token.expose()), "a token logs in once");
    login
        .public_key
        .verify(&possession(Purpose::Login, login.token.expose(), &login.public_key), &login.proof)
        .unwrap();
    let agent = format!("67e55044-10b1-426f-9247-{count:012}");
    world.agents.lock().unwrap().insert(agent.clone(), login.public_key);
    let expires_at = world.now.load(Ordering::SeqCst) * 1_000 + AGENT_LIFE_MILLIS;
    say(200, json!({"agentId": agent, "vaultId": "vault_a", "cluster": "test", "expiresAt": expires_at}))
}

async fn gone(State(world): State<Arc<World>>, headers: HeaderMap, body: Bytes) -> Answer {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let signed = SignedHeaders::parse(
        text(header::MACHINE_ID),
        text(header::TIMESTAMP),
        text(header::NONCE),
        text(header::SIGNATURE),
    )
    .unwrap();
    assert!(signed.is_fresh(world.now.load(Ordering::SeqCst)));
    if world.forget_agents.load(Ordering::SeqCst) {
        return say(401, json!({"error": "unknown agent"}));
    }
    let Some(key) = world.agents.lock().unwrap().get(signed.machine_id.as_str()).copied() else {
        return say(401, json!({"error": "unknown agent"}));
    };
    let message = string_to_sign("POST", GonePods::PATH, &signed.timestamp_text, &signed.nonce, &body);
    key.verify(&message, &signed.signature).unwrap();
    assert!(world.nonces.lock().unwrap().insert(signed.nonce), "a nonce is used once");
    if let Some((status, body)) = world.answer.lock().unwrap().clone() {
        return say(status, body);
    }
    let gone: GonePods = serde_json::from_slice(&body).unwrap();
    say(200, json!({"revoked": gone.uids.len()}))
}

impl World {
    fn router(self: &Arc<Self>) -> Router {
        Router::new()
            .route("/api/v1/namespaces/system/serviceaccounts/operator/token", post(token))
            .route(Login::PATH, post(login))
            .route(GonePods::PATH, post(gone))
            .with_state(Arc::clone(self))
    }

    async fn start() -> (Arc<Self>, SocketAddr) {
        let world = Arc::new(Self { now: AtomicI64::new(NOW), ..Self::default() });
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let router = world.router();
        tokio::spawn(async move { axum::serve(listener, router).await });
        (world, address)
    }

    fn session(self: &Arc<Self>, api: SocketAddr, url: &str, trust: watch::Receiver<Arc<str>>) -> Session {
        let config = kube::Config::new(format!("http://{api}").parse().unwrap());
        let account = Account {
            namespace: "system".into(),
            service_account: "operator".into(),
            pod_name: "operator-0".into(),
            pod_uid: "pod-uid".into(),
        };
        let world = Arc::clone(self);
        let clock = Clock::new(move || Timestamp::from_second(world.now.load(Ordering::SeqCst)).unwrap());
        *self.audience.lock().unwrap() = url.to_owned();
        Session::new(url.parse().unwrap(), Client::try_from(config).unwrap(), account, trust, clock, Metrics::new())
    }

    async fn with_session() -> (Arc<Self>, Session) {
        let (world, address) = Self::start().await;
        let session = world.session(address, &format!("http://{address}"), no_trust());
        (world, session)
    }

    fn logins(&self) -> u32 {
        self.logins.load(Ordering::SeqCst)
    }
}

fn no_trust() -> watch::Receiver<Arc<str>> {
    watch::channel(Arc::from("")).1
}

fn call() -> GonePods {
    GonePods { uids: vec!["a".into(), "b".into()] }
}

#[tokio::test]
async fn a_call_logs_in_signs_and_returns_the_answer() {
    let (world, session) = World::with_session().await;
    assert_eq!(session.call(&call()).await, Ok(PodsRevoked { revoked: 2 }));
    assert_eq!(session.call(&call()).await, Ok(PodsRevoked { revoked: 2 }));
    assert_eq!(world.logins(), 1);
    assert_eq!(session.logged_in().unwrap().cluster, "test");
    assert_eq!(*session.up().borrow(), Some(true));
}

#[tokio::test]
async fn callers_that_come_together_share_one_login() {
    let (world, session) = World::with_session().await;
    let calls = (0..32).map(|_| {
        let session = session.clone();
        async move { session.call(&call()).await }
    });
    for outcome in futures::future::join_all(calls).await {
        assert_eq!(outcome, Ok(PodsRevoked { revoked: 2 }));
    }
    assert_eq!(world.logins(), 1);
}

#[tokio::test]
async fn callers_that_come_together_share_a_failed_login_too() {
    let (world, session) = World::with_session().await;
    world.refuse_logins.store(true, Ordering::SeqCst);
    let calls = (0..32).map(|_| {
        let session = session.clone();
        async move { session.call(&call()).await }
    });
    for outcome in futures::future::join_all(calls).await {
        assert_eq!(outcome, Err(ServerError::Unreachable { class: Class::Unavailable }));
    }
    assert_eq!(world.logins(), 1);
}

#[tokio::test]
async fn a_forgotten_agent_logs_in_once_more_and_the_call_succeeds() {
    let (world, session) = World::with_session().await;
    session.call(&call()).await.unwrap();
    world.agents.lock().unwrap().clear();
    assert_eq!(session.call(&call()).await, Ok(PodsRevoked { revoked: 2 }));
    assert_eq!(world.logins(), 2);
}

#[tokio::test]
async fn a_server_that_never_knows_us_is_asked_once_more_and_no_further() {
    let (world, session) = World::with_session().await;
    world.forget_agents.store(true, Ordering::SeqCst);
    let refused = ServerError::Refused { status: 401, code: None, text: "unknown agent".into() };
    assert_eq!(session.call(&call()).await, Err(refused));
    assert_eq!(world.logins(), 2);
}

#[tokio::test]
async fn after_two_thirds_of_its_life_the_session_logs_in_anew_and_meanwhile_keeps_what_works() {
    let (world, session) = World::with_session().await;
    session.call(&call()).await.unwrap();
    let first = session.logged_in().unwrap().agent_id;
    world.now.store(NOW + 2_399, Ordering::SeqCst);
    session.call(&call()).await.unwrap();
    assert_eq!(session.logged_in().unwrap().agent_id, first, "before two thirds");
    world.now.store(NOW + 2_401, Ordering::SeqCst);
    world.refuse_logins.store(true, Ordering::SeqCst);
    session.call(&call()).await.unwrap();
    assert_eq!(session.logged_in().unwrap().agent_id, first, "the server lets nobody in just now");
    world.refuse_logins.store(false, Ordering::SeqCst);
    tokio::time::pause();
    tokio::time::advance(LOGIN_PAUSE).await;
    tokio::time::resume();
    session.call(&call()).await.unwrap();
    assert_ne!(session.logged_in().unwrap().agent_id, first);
}

#[tokio::test]
async fn a_token_that_is_not_issued_is_told_with_the_api_servers_words() {
    let (world, session) = World::with_session().await;
    world.refuse_tokens.store(true, Ordering::SeqCst);
    let error = session.call(&call()).await.unwrap_err();
    assert_eq!(
        error.to_string(),
        "no token to log in to the server with: TokenRequest for ServiceAccount system/operator, Pod operator-0: pods \
         \"operator-0\" not found (404)"
    );
    assert!(error.is_away());
}

#[tokio::test]
async fn a_server_that_knows_us_by_another_name_is_not_talked_to() {
    let (world, api) = World::start().await;
    for (ours, expected) in [
        ("test", Ok(PodsRevoked { revoked: 2 })),
        (
            "prod",
            Err(ServerError::Refused {
                status: 403,
                code: None,
                text: "the server knows this cluster as test, not as prod: correct --cluster-name".into(),
            }),
        ),
    ] {
        let session = world.session(api, &format!("http://{api}"), no_trust()).of_cluster(Some(ours.to_owned()));
        assert_eq!(session.call(&call()).await, expected);
    }
}

#[tokio::test]
async fn answers_are_sorted_into_refused_sealed_and_unavailable() {
    let (world, session) = World::with_session().await;
    for (status, body, expected) in [
        (503, json!({"error": "no root key", "code": "Sealed"}), ServerError::Sealed),
        (503, json!({"error": "no database"}), ServerError::Unreachable { class: Class::Unavailable }),
        (500, json!({"error": "boom"}), ServerError::Unreachable { class: Class::Unavailable }),
        (
            409,
            json!({"error": "newer", "code": "Superseded"}),
            ServerError::Refused {
                status: 409,
                code: Some(sikkerkey_protocol::error_body::ErrorCode::Superseded),
                text: "newer".into(),
            },
        ),
        (200, json!({"unexpected": 1}), ServerError::Unreachable { class: Class::Unavailable }),
    ] {
        *world.answer.lock().unwrap() = Some((status, body));
        let up = matches!(expected, ServerError::Refused { .. });
        assert_eq!(session.call(&call()).await, Err(expected), "{status}");
        assert_eq!(*session.up().borrow(), Some(up), "{status}");
    }
}

#[tokio::test]
async fn a_port_nobody_listens_on_is_refused_and_a_name_nobody_knows_not_resolved() {
    let (world, api) = World::start().await;
    let free = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let session = world.session(api, &format!("http://{free}"), no_trust());
    assert_eq!(session.call(&call()).await, Err(ServerError::Unreachable { class: Class::ConnectionRefused }));
    assert_eq!(*session.up().borrow(), Some(false));
    let session = world.session(api, "https://server.invalid", no_trust());
    assert_eq!(session.call(&call()).await, Err(ServerError::Unreachable { class: Class::NameNotResolved }));
}

#[tokio::test]
async fn a_server_that_accepts_and_says_nothing_times_out() {
    let (world, api) = World::start().await;
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let session = world.session(api, &format!("http://{}", silent.local_addr().unwrap()), no_trust());
    let call = call();
    let (outcome, _held) = tokio::join!(session.call(&call), async {
        let accepted = silent.accept().await;
        tokio::time::pause();
        accepted
    });
    assert_eq!(outcome, Err(ServerError::Unreachable { class: Class::TimedOut }));
}

#[tokio::test]
async fn only_the_bundle_is_trusted_and_a_new_bundle_takes_effect() {
    let (world, api) = World::start().await;
    let (ours, other) = (Authority::new(), Authority::new());
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(ours.clone().serve(listener, world.router()));
    let (bundle, trust) = watch::channel(Arc::from(other.pem()));
    let session = world.session(api, &format!("https://{address}"), trust);
    assert_eq!(session.call(&call()).await, Err(ServerError::Unreachable { class: Class::CertificateNotTrusted }));
    bundle.send(Arc::from(format!("{}{}", other.pem(), ours.pem()))).unwrap();
    tokio::time::pause();
    tokio::time::advance(LOGIN_PAUSE).await;
    tokio::time::resume();
    assert_eq!(session.call(&call()).await, Ok(PodsRevoked { revoked: 2 }));
}

/// A certificate authority with one leaf for 127.0.0.1.
#[derive(Clone)]
struct Authority {
    pem: String,
    config: Arc<rustls::ServerConfig>,
}

impl Authority {
    fn new() -> Self {
        let key = rcgen::KeyPair::generate().unwrap();
        let mut params = rcgen::CertificateParams::default();
        params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        let pem = params.self_signed(&key).unwrap().pem();
        let issuer = rcgen::Issuer::new(params, key);
        let leaf_key = rcgen::KeyPair::generate().unwrap();
        let leaf =
            rcgen::CertificateParams::new(vec!["127.0.0.1".to_owned()]).unwrap().signed_by(&leaf_key, &issuer).unwrap();
        let private = rustls_pki_types::PrivateKeyDer::try_from(leaf_key.serialize_der()).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = rustls::ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![leaf.der().clone()], private)
            .unwrap();
        Self { pem, config: Arc::new(config) }
    }

    fn pem(&self) -> &str {
        &self.pem
    }

    async fn serve(self, listener: TcpListener, router: Router) {
        let acceptor = tokio_rustls::TlsAcceptor::from(self.config);
        while let Ok((stream, _)) = listener.accept().await {
            let Ok(stream) = acceptor.accept(stream).await else { continue };
            let service = hyper_util::service::TowerToHyperService::new(router.clone());
            tokio::spawn(
                hyper::server::conn::http1::Builder::new()
                    .serve_connection(hyper_util::rt::TokioIo::new(stream), service),
            );
        }
    }
}
