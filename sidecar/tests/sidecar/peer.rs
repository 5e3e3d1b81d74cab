//! The other end of the wire: operator and server in one, over real TLS, with every proof and signature verified.
//!
//! It stands for the network peer, not for the server: what the server decides is set by the test.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rustls_pki_types::PrivateKeyDer;
use serde::Serialize;
use serde::de::DeserializeOwned;
use sikkerkey_protocol::Call;
use sikkerkey_protocol::canonical::{Purpose, possession, string_to_sign};
use sikkerkey_protocol::co_sign::{self, CoSignList, CoSignRequest, CoSignVerdict, Consent, Settled};
use sikkerkey_protocol::denial::DenialReason;
use sikkerkey_protocol::enrolment::{Attest, Attested, Register, Registered, Renew, Resign, Resigned};
use sikkerkey_protocol::error_body::{ErrorBody, ErrorCode};
use sikkerkey_protocol::header::{self, SignedHeaders};
use sikkerkey_protocol::id::{MachineId, SecretId};
use sikkerkey_protocol::key::PublicKey;
use sikkerkey_protocol::report::{Report, ReportReason, Reported};
use sikkerkey_protocol::secret_text::SecretText;
use sikkerkey_protocol::sync::{Delivery, File, Format, Held, Input, News, OnDenied, SecretKey, Sync, Synced};
use sikkerkey_sidecar::clock::{Clock, SystemClock};
use tokio::net::TcpListener;
use tokio::sync::Notify;
use tokio_rustls::TlsAcceptor;

pub(crate) const TOKEN: &str = "eyJhbGciOiJSUzI1NiJ9.token-of-the-pod.c2lnbmF0dXJl";

/// A name that the certificates hold beside the address.
pub(crate) const NAME: &str = "sikkerkey.test";

/// A certificate authority.
pub(crate) struct Authority {
    issuer: Issuer<'static, KeyPair>,
    pub(crate) pem: String,
}

impl Authority {
    pub(crate) fn new() -> Self {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(vec![]).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let pem = params.self_signed(&key).unwrap().pem();
        Self { issuer: Issuer::new(params, key), pem }
    }

    fn acceptor(&self) -> TlsAcceptor {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(vec!["127.0.0.1".to_owned(), NAME.to_owned()]).unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        let private = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = rustls::ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![certificate.der().clone()], private)
            .unwrap();
        TlsAcceptor::from(Arc::new(config))
    }
}

/// What goes wrong with the next request to a path.
pub(crate) enum Fault {
    /// It is answered with this.
    Refuse(StatusCode, ErrorBody),
    /// The connection closes before anything is done.
    Lose,
    /// The connection closes after it was done.
    LoseAnswer,
    /// It is answered 200 with this body.
    Garble(&'static str),
}

pub(crate) enum Secret {
    Value { id: SecretId, version: u64, field_names: Vec<String>, value: String },
    Denied(DenialReason, String),
}

pub(crate) struct Machine {
    pub(crate) key: PublicKey,
    pub(crate) expires_at: i64,
    pub(crate) is_alive: bool,
}

/// What the test decides and what the peer has seen.
pub(crate) struct World {
    pub(crate) token: String,
    pub(crate) trust_bundle: String,
    pub(crate) server_url: String,
    pub(crate) delivery: Delivery,
    pub(crate) revision: u64,
    pub(crate) secrets: BTreeMap<SecretKey, Secret>,
    /// Lifetime of an identity in milliseconds; 0 for ever.
    pub(crate) lifetime: i64,
    /// How far its clock is ahead, in seconds.
    pub(crate) ahead: i64,
    /// Connections are closed as soon as they come.
    pub(crate) is_away: bool,
    pub(crate) faults: BTreeMap<&'static str, VecDeque<Fault>>,
    pub(crate) machines: BTreeMap<MachineId, Machine>,
    pub(crate) vouchers: BTreeMap<String, (PublicKey, Option<MachineId>)>,
    /// Every request with the status of its answer.
    pub(crate) seen: Vec<(String, u16)>,
    /// Denials are told anew each time, as if nobody had heard them.
    pub(crate) is_forgetful: bool,
    /// What waits for the approval of whoever asks.
    pub(crate) co_signs: Vec<CoSignRequest>,
    /// Every answer to it: who signed, the path, the body.
    pub(crate) consents: Vec<(MachineId, String, serde_json::Value)>,
    /// When every `Sync` came.
    pub(crate) asked_at: Vec<tokio::time::Instant>,
    /// What every `Sync` held.
    pub(crate) asked: Vec<Sync>,
    /// What was reported.
    pub(crate) reports: Vec<(ReportReason, String)>,
    pub(crate) user_agents: BTreeSet<String>,
    nonces: BTreeSet<(MachineId, String)>,
}

impl World {
    pub(crate) fn now(&self) -> i64 {
        now() + self.ahead * 1000
    }

    pub(crate) fn count(&self, path: &str, status: u16) -> usize {
        self.seen.iter().filter(|seen| seen.0 == path && seen.1 == status).count()
    }

    pub(crate) fn alive(&self) -> Vec<&MachineId> {
        self.machines.iter().filter(|(_, machine)| machine.is_alive).map(|(id, _)| id).collect()
    }

    pub(crate) fn fail(&mut self, path: &'static str, fault: Fault) {
        self.faults.entry(path).or_default().push_back(fault);
    }

    pub(crate) fn set(&mut self, name: &str, version: u64, value: &str) {
        self.set_fields(name, version, &[], value);
    }

    pub(crate) fn set_fields(&mut self, name: &str, version: u64, field_names: &[&str], value: &str) {
        let id = format!("sk_{}", name.replace('-', "")).parse().unwrap();
        let field_names = field_names.iter().map(|name| (*name).to_owned()).collect();
        self.secrets.insert(key(name), Secret::Value { id, version, field_names, value: value.to_owned() });
    }

    pub(crate) fn deny(&mut self, name: &str, reason: DenialReason, message: &str) {
        self.secrets.insert(key(name), Secret::Denied(reason, message.to_owned()));
    }

    pub(crate) fn deliver(&mut self, files: Vec<File>) {
        self.delivery.files = files;
        self.revision += 1;
    }
}

fn now() -> i64 {
    SystemClock.now()
}

pub(crate) fn key(name: &str) -> SecretKey {
    SecretKey { namespace: "shop".to_owned(), name: name.to_owned() }
}

pub(crate) fn raw(path: &str, secret: &str) -> File {
    let inputs = vec![Input { secret: key(secret), field: None, alias: None }];
    File {
        path: path.to_owned(),
        format: Format::Raw,
        mode: 0o444,
        optional: false,
        inputs,
        template: None,
        pkcs12: None,
    }
}

pub(crate) struct Peer {
    pub(crate) url: String,
    pub(crate) authority: Authority,
    world: Arc<Mutex<World>>,
    changed: Arc<Notify>,
}

impl Peer {
    /// Listens on a free port of the loopback interface.
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let url = format!("https://{address}");
        let authority = Authority::new();
        let world = World {
            token: TOKEN.to_owned(),
            trust_bundle: authority.pem.clone(),
            server_url: url.clone(),
            delivery: Delivery {
                on_revoked: OnDenied::Remove,
                on_closed: OnDenied::Remove,
                max_staleness_seconds: 86_400,
                on_change: None,
                files: vec![],
            },
            revision: 1,
            secrets: BTreeMap::new(),
            lifetime: 3_600_000,
            ahead: 0,
            is_away: false,
            faults: BTreeMap::new(),
            machines: BTreeMap::new(),
            vouchers: BTreeMap::new(),
            seen: vec![],
            is_forgetful: false,
            co_signs: vec![],
            consents: vec![],
            asked_at: vec![],
            asked: vec![],
            reports: vec![],
            user_agents: BTreeSet::new(),
            nonces: BTreeSet::new(),
        };
        let peer = Self { url, world: Arc::new(Mutex::new(world)), changed: Arc::new(Notify::new()), authority };
        peer.serve(listener, Some(peer.authority.acceptor()));
        peer
    }

    /// Where it listens, by name.
    pub(crate) fn named_url(&self) -> String {
        self.url.replace("127.0.0.1", NAME)
    }

    /// Another address with the same state and a certificate of `authority`.
    pub(crate) async fn also_listen(&self, authority: &Authority) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("https://{}", listener.local_addr().unwrap());
        self.serve(listener, Some(authority.acceptor()));
        url
    }

    /// Another address with the same state, without TLS.
    pub(crate) async fn also_listen_plainly(&self) -> String {
        let listener = TcpListener::bind("localhost:0").await.unwrap();
        let url = format!("http://localhost:{}", listener.local_addr().unwrap().port());
        self.serve(listener, None);
        url
    }

    /// The state, to look at.
    pub(crate) fn world(&self) -> MutexGuard<'_, World> {
        self.world.lock().unwrap()
    }

    /// Changes the state; held answers look again.
    pub(crate) fn change(&self, change: impl FnOnce(&mut World)) {
        change(&mut self.world());
        self.changed.notify_waiters();
    }

    fn serve(&self, listener: TcpListener, acceptor: Option<TlsAcceptor>) {
        let (world, changed) = (Arc::clone(&self.world), Arc::clone(&self.changed));
        tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                stream.set_nodelay(true).unwrap();
                if world.lock().unwrap().is_away {
                    continue;
                }
                let (acceptor, world, changed) = (acceptor.clone(), Arc::clone(&world), Arc::clone(&changed));
                tokio::spawn(async move {
                    let service = service_fn(|request| answer(request, Arc::clone(&world), Arc::clone(&changed)));
                    let http = hyper::server::conn::http1::Builder::new();
                    let Some(acceptor) = acceptor else {
                        return drop(http.serve_connection(TokioIo::new(stream), service).await);
                    };
                    let Ok(stream) = acceptor.accept(stream).await else { return };
                    drop(http.serve_connection(TokioIo::new(stream), service).await);
                });
            }
        });
    }
}

/// The connection is closed without an answer.
#[derive(Debug, thiserror::Error)]
#[error("lost")]
struct Lost;

type Answer = (StatusCode, Vec<u8>);

async fn answer(
    request: Request<Incoming>,
    world: Arc<Mutex<World>>,
    changed: Arc<Notify>,
) -> Result<Response<Full<Bytes>>, Lost> {
    let (head, body) = request.into_parts();
    let path = head.uri.to_string();
    let body = body.collect().await.map_err(|_| Lost)?.to_bytes();
    let fault = {
        let mut world = world.lock().unwrap();
        if world.is_away {
            return Err(Lost);
        }
        let agent = head.headers.get("user-agent").map(|agent| agent.to_str().unwrap().to_owned());
        world.user_agents.extend(agent);
        world.faults.get_mut(path.as_str()).and_then(VecDeque::pop_front)
    };
    let (status, bytes) = match fault {
        Some(Fault::Lose) => return Err(Lost),
        Some(Fault::Refuse(status, error)) => (status, serde_json::to_vec(&error).unwrap()),
        Some(Fault::Garble(text)) => (StatusCode::OK, text.as_bytes().to_vec()),
        Some(Fault::LoseAnswer) => {
            dispatch(&head.method, &path, &head.headers, &body, &world, &changed).await;
            return Err(Lost);
        }
        None => dispatch(&head.method, &path, &head.headers, &body, &world, &changed).await,
    };
    let mut world = world.lock().unwrap();
    if world.is_away {
        return Err(Lost);
    }
    world.seen.push((path, status.as_u16()));
    let date = jiff::Timestamp::from_millisecond(world.now()).unwrap();
    let date = jiff::fmt::rfc2822::DateTimePrinter::new().timestamp_to_rfc9110_string(&date).unwrap();
    Ok(Response::builder().status(status).header("date", date).body(Full::new(bytes.into())).unwrap())
}

async fn dispatch(
    method: &Method,
    path: &str,
    headers: &HeaderMap,
    body: &[u8],
    world: &Mutex<World>,
    changed: &Notify,
) -> Answer {
    if path.starts_with(co_sign::LIST) {
        let result = co_sign(&mut world.lock().unwrap(), method, path, headers, body);
        return result.map_or_else(|refusal| refusal, |bytes| (StatusCode::OK, bytes));
    }
    assert_eq!(method, Method::POST, "{path}");
    let result = match path {
        Attest::PATH => attest(&mut world.lock().unwrap(), &read(body)),
        Register::PATH => register(&mut world.lock().unwrap(), &read(body)),
        Renew::PATH => {
            let mut world = world.lock().unwrap();
            verify(&mut world, method, path, headers, body).map(|id| renew(&mut world, &id, &read(body)))
        }
        Resign::PATH => {
            let mut world = world.lock().unwrap();
            verify(&mut world, method, path, headers, body).map(|id| {
                world.machines.get_mut(&id).unwrap().is_alive = false;
                json(&Resigned {})
            })
        }
        Report::PATH => take_report(&mut world.lock().unwrap(), &read(body)),
        Sync::PATH => sync(path, headers, body, world, changed).await,
        _ => Err(refuse(StatusCode::NOT_FOUND, "no such route")),
    };
    result.map_or_else(|refusal| refusal, |bytes| (StatusCode::OK, bytes))
}

/// As the operator does: for the pod of the token.
fn take_report(world: &mut World, report: &Report) -> Result<Vec<u8>, Answer> {
    if report.token.expose() != world.token {
        return Err(refuse(StatusCode::UNAUTHORIZED, "the API server does not accept the token"));
    }
    world.reports.push((report.reason, report.message.clone()));
    Ok(json(&Reported {}))
}

fn read<T: DeserializeOwned>(body: &[u8]) -> T {
    serde_json::from_slice(body).unwrap()
}

fn json(answer: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec(answer).unwrap()
}

fn refuse(status: StatusCode, error: &str) -> Answer {
    (status, json(&ErrorBody { error: error.to_owned(), code: None }))
}

pub(crate) fn error(status: StatusCode, text: &str, code: Option<ErrorCode>) -> Fault {
    Fault::Refuse(status, ErrorBody { error: text.to_owned(), code })
}

fn attest(world: &mut World, attest: &Attest) -> Result<Vec<u8>, Answer> {
    let token = attest.token.expose();
    let message = possession(Purpose::Attest, token, &attest.public_key);
    if token != world.token || attest.public_key.verify(&message, &attest.proof).is_err() {
        return Err(refuse(StatusCode::UNAUTHORIZED, "the token is not valid"));
    }
    let voucher = format!("voucher-{:032x}", world.vouchers.len() + 0xabcd);
    world.vouchers.insert(voucher.clone(), (attest.public_key, None));
    Ok(json(&Attested {
        voucher: SecretText::new(voucher),
        server_url: world.server_url.clone(),
        vault_id: "vault_a".parse().unwrap(),
        trust_bundle: world.trust_bundle.clone(),
    }))
}

fn register(world: &mut World, register: &Register) -> Result<Vec<u8>, Answer> {
    let voucher = register.token.expose();
    let message = possession(Purpose::Register, voucher, &register.public_key);
    let proof = register.proof.expect("a voucher needs a proof");
    register.public_key.verify(&message, &proof).expect("the proof verifies");
    let (now, lifetime, count) = (world.now(), world.lifetime, world.machines.len());
    let Some((key, machine)) = world.vouchers.get_mut(voucher).filter(|(key, _)| *key == register.public_key) else {
        return Err(refuse(StatusCode::UNAUTHORIZED, "the voucher is not valid"));
    };
    let expires_at = if lifetime == 0 { 0 } else { now + lifetime };
    let id = machine.get_or_insert_with(|| format!("00000000-0000-4000-8000-{count:012}").parse().unwrap()).clone();
    let record = Machine { key: *key, expires_at, is_alive: true };
    // A pod that registers anew revokes its earlier machine.
    for (other, machine) in &mut world.machines {
        machine.is_alive &= *other == id;
    }
    world.machines.insert(id.clone(), record);
    Ok(registered(world, id, expires_at))
}

fn registered(world: &World, machine_id: MachineId, expires_at: i64) -> Vec<u8> {
    json(&Registered {
        machine_id,
        machine_name: "web-0".to_owned(),
        vault_id: "vault_a".parse().unwrap(),
        api_url: world.server_url.clone(),
        expires_at,
    })
}

fn renew(world: &mut World, id: &MachineId, renew: &Renew) -> Vec<u8> {
    let message = possession(Purpose::Renew, id.as_str(), &renew.public_key);
    renew.public_key.verify(&message, &renew.proof).expect("the proof verifies");
    let expires_at = world.now() + world.lifetime;
    let machine = world.machines.get_mut(id).unwrap();
    machine.key = renew.public_key;
    machine.expires_at = expires_at;
    registered(world, id.clone(), expires_at)
}

/// The list, and answers, whose bodies are remembered as they came.
fn co_sign(
    world: &mut World,
    method: &Method,
    path: &str,
    headers: &HeaderMap,
    body: &[u8],
) -> Result<Vec<u8>, Answer> {
    let id = verify(world, method, path, headers, body)?;
    if path == co_sign::LIST {
        assert_eq!((method, body.len(), headers.get("content-type")), (&Method::GET, 0, None));
        return Ok(json(&CoSignList { requests: world.co_signs.clone() }));
    }
    assert_eq!(method, Method::POST);
    let consent: Consent = read(body);
    let verdict = [CoSignVerdict::Approved, CoSignVerdict::Denied]
        .into_iter()
        .find(|verdict| path == co_sign::path(&consent.request_id, *verdict))
        .expect("the path names the request of the body");
    world.consents.push((id, path.to_owned(), read(body)));
    Ok(json(&Settled { id: consent.request_id, verdict, until: consent.not_after }))
}

/// Who signed a request, verified as the server does it.
fn verify(
    world: &mut World,
    method: &Method,
    path: &str,
    headers: &HeaderMap,
    body: &[u8],
) -> Result<MachineId, Answer> {
    let text = |name| headers.get(name).map(|value| value.to_str().unwrap());
    let [id, timestamp, nonce, signature] =
        [header::MACHINE_ID, header::TIMESTAMP, header::NONCE, header::SIGNATURE].map(text);
    let signed = SignedHeaders::parse(id, timestamp, nonce, signature).expect("the headers are well formed");
    let unauthorized = |what| Err(refuse(StatusCode::UNAUTHORIZED, what));
    if !signed.is_fresh(world.now() / 1000) {
        return unauthorized("stale");
    }
    let now = world.now();
    let Some(machine) = world.machines.get(&signed.machine_id) else { return unauthorized("unknown machine") };
    let message = string_to_sign(method.as_str(), path, &signed.timestamp_text, &signed.nonce, body);
    if machine.key.verify(&message, &signed.signature).is_err() {
        return unauthorized("bad signature");
    }
    if !machine.is_alive || (machine.expires_at != 0 && machine.expires_at <= now) {
        return unauthorized("the machine has ended");
    }
    assert!(world.nonces.insert((signed.machine_id.clone(), signed.nonce)), "a nonce is used once");
    Ok(signed.machine_id)
}

async fn sync(
    path: &str,
    headers: &HeaderMap,
    body: &[u8],
    world: &Mutex<World>,
    changed: &Notify,
) -> Result<Vec<u8>, Answer> {
    let id = verify(&mut world.lock().unwrap(), &Method::POST, path, headers, body)?;
    let ask: Sync = read(body);
    let until = tokio::time::Instant::now() + Duration::from_secs(u64::from(ask.wait_seconds));
    {
        let mut world = world.lock().unwrap();
        world.asked.push(ask.clone());
        world.asked_at.push(tokio::time::Instant::now());
    }
    loop {
        let is_changed = changed.notified();
        tokio::pin!(is_changed);
        is_changed.as_mut().enable();
        let answer = news(&world.lock().unwrap(), &id, &ask);
        let is_new = answer.delivery.is_some() || !answer.secrets.is_empty();
        if is_new || tokio::time::timeout_at(until, is_changed).await.is_err() {
            return Ok(json(&answer));
        }
    }
}

fn news(world: &World, id: &MachineId, ask: &Sync) -> Synced {
    let revision = world.revision.to_string();
    let mut secrets = BTreeMap::new();
    for name in world.delivery.secrets() {
        let held = ask.held.get(name);
        let (now, news) = match world.secrets.get(name) {
            Some(Secret::Value { id, version, field_names, value }) => (
                Held::Version { id: id.clone(), version: *version },
                News::Value {
                    id: id.clone(),
                    version: *version,
                    field_names: field_names.clone(),
                    value: SecretText::new(value.clone()),
                },
            ),
            Some(Secret::Denied(reason, message)) => {
                (Held::Denied(*reason), News::Denied { reason: *reason, message: message.clone(), until: None })
            }
            None => (
                Held::Denied(DenialReason::NotGranted),
                News::Denied { reason: DenialReason::NotGranted, message: String::new(), until: None },
            ),
        };
        let is_told_again = world.is_forgetful && matches!(now, Held::Denied(_));
        if held != Some(&now) || is_told_again {
            secrets.insert(name.clone(), news);
        }
    }
    Synced {
        delivery: (ask.delivery_revision.as_ref() != Some(&revision)).then(|| world.delivery.clone()),
        delivery_revision: revision,
        secrets,
        next_sync_millis: 0,
        identity_expires_at: world.machines[id].expires_at,
    }
}
