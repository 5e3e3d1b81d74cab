//! One server with a database of its own, and clients that sign.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

use axum::Router;
use axum::body::{Body, Bytes};
use axum::http::{HeaderMap, Request, StatusCode};
use http_body_util::BodyExt;
use serde_json::Value;
use sikkerkey_protocol::Call;
use sikkerkey_protocol::canonical::string_to_sign;
use sikkerkey_protocol::id::SecretId;
use sikkerkey_protocol::key::MachineKey;
use sikkerkey_protocol::kubernetes::{Approval, ObjectKey, ObjectMeta, PodIdentity};
use sikkerkey_protocol::policy::PolicyDocument;
use sikkerkey_protocol::secret_text::SecretText;
use sikkerkey_protocol::sync::{Delivery, File, Format, Input, OnDenied, SecretKey};
use sikkerkey_server::audit::entry::{Action, Actor, Entry};
use sikkerkey_server::clock::Clock;
use sikkerkey_server::crypto::root_key::Source;
use sikkerkey_server::decision::{Context, Decision};
use sikkerkey_server::engine::{Engine, Options};
use sikkerkey_server::entropy::{self, SystemEntropy};
use sikkerkey_server::http::listener::Peer;
use sikkerkey_server::http::router;
use sikkerkey_server::model::account::{Account, Standing, Vault};
use sikkerkey_server::model::agent::Agent;
use sikkerkey_server::model::cluster::Cluster;
use sikkerkey_server::model::fleet::{Fleet, FleetSubject};
use sikkerkey_server::model::grant::Grant;
use sikkerkey_server::model::machine::{Grantee, Machine, PodOf};
use sikkerkey_server::model::managed::Managed;
use sikkerkey_server::model::membership::Membership;
use sikkerkey_server::model::millis::Millis;
use sikkerkey_server::model::policy::Policy;
use sikkerkey_server::model::project::{Project, ProjectNamespace};
use sikkerkey_server::model::secret::{Secret, SecretPhase};
use sikkerkey_server::model::version::Version;
use sikkerkey_server::model::{Change, Entity, EntityKey, EntityKind};
use sikkerkey_server::rates::Rate;
use sikkerkey_server::refusal::Refusal;
use sikkerkey_server::writer::ChangeRequest;
use tempfile::TempDir;
use tower_service::Service;
use zeroize::Zeroizing;

pub use crate::database::TestDatabase;

pub const URL: &str = "https://sikkerkey.example.com";
pub const START: i64 = 1_772_625_600_000; // 2026-03-04T12:00:00Z, a Wednesday
pub const POD_ADDRESS: &str = "10.0.0.5";

/// A clock that stands until it is moved.
pub struct ManualClock {
    now: AtomicI64,
    skew: AtomicI64,
}

impl ManualClock {
    pub fn at(now: i64) -> Self {
        Self { now: AtomicI64::new(now), skew: AtomicI64::new(0) }
    }

    /// How far it is from the database's, in milliseconds.
    pub fn set_skew(&self, millis: i64) {
        self.skew.store(millis, Ordering::Relaxed);
    }

    pub fn advance_seconds(&self, seconds: i64) {
        self.now.fetch_add(seconds * 1000, Ordering::Relaxed);
    }
}

impl Clock for ManualClock {
    fn skew(&self) -> i64 {
        self.skew.load(Ordering::Relaxed)
    }

    fn now(&self) -> Millis {
        Millis(self.now.load(Ordering::Relaxed))
    }

    fn steady(&self) -> std::time::Duration {
        std::time::Duration::from_millis(self.now.load(Ordering::Relaxed).unsigned_abs())
    }
}

pub struct Server {
    pub directory: Arc<TempDir>,
    pub clock: Arc<ManualClock>,
    pub engine: Engine,
    pub router: Router,
}

/// Somebody who signs.
pub struct Client {
    pub id: String,
    pub key: MachineKey,
    pub address: String,
}

/// Every request of the run has a nonce of its own, unless a test gives it one.
static NONCES: AtomicU64 = AtomicU64::new(0);

/// A request that can be spoilt before it is sent.
#[derive(Clone)]
pub struct Signed {
    pub method: &'static str,
    pub target: String,
    pub headers: Vec<(&'static str, String)>,
    pub body: Vec<u8>,
    pub address: String,
}

pub struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: Bytes,
}

impl Answer {
    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }

    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }

    pub fn error(&self) -> String {
        let body = self.json();
        assert_eq!(body.as_object().unwrap().keys().collect::<Vec<_>>(), ["error"], "{body}");
        body["error"].as_str().unwrap().to_owned()
    }
}

pub fn key(seed: u8) -> MachineKey {
    MachineKey::from_seed(&Zeroizing::new([seed; 32]))
}

pub fn uuid(n: u8) -> String {
    format!("00000000-0000-4000-8000-0000000000{n:02x}")
}

impl Client {
    pub fn new(id: String, seed: u8) -> Self {
        Self { id, key: key(seed), address: POD_ADDRESS.into() }
    }

    /// The pod `shop/web-1` of fleet 1.
    pub fn pod() -> Self {
        Self::new(uuid(0x11), 1)
    }

    /// A host of its own.
    pub fn host() -> Self {
        Self::new(uuid(0x12), 2)
    }

    pub fn agent() -> Self {
        Self::new(uuid(0xa1), 3)
    }

    /// An agent of people.
    pub fn assistant() -> Self {
        Self::new(uuid(0xa2), 60)
    }

    pub fn request(&self, clock: &dyn Clock, method: &'static str, target: &str, body: &[u8]) -> Signed {
        let nonce = format!("nonce-{}", NONCES.fetch_add(1, Ordering::Relaxed));
        self.request_with(clock.now().seconds(), &nonce, method, target, body)
    }

    pub fn request_with(&self, time: i64, nonce: &str, method: &'static str, target: &str, body: &[u8]) -> Signed {
        let timestamp = time.to_string();
        let signature = self.key.sign(&string_to_sign(method, target, &timestamp, nonce, body));
        let headers = vec![
            ("x-machine-id", self.id.clone()),
            ("x-timestamp", timestamp),
            ("x-nonce", nonce.to_owned()),
            ("x-signature", signature.to_string()),
        ];
        Signed { method, target: target.to_owned(), headers, body: body.to_vec(), address: self.address.clone() }
    }
}

impl Signed {
    pub fn with(mut self, name: &'static str, value: &str) -> Self {
        self.headers.retain(|(it, _)| *it != name);
        self.headers.push((name, value.to_owned()));
        self
    }

    pub fn and(mut self, name: &'static str, value: &str) -> Self {
        self.headers.push((name, value.to_owned()));
        self
    }

    pub fn without(mut self, name: &str) -> Self {
        self.headers.retain(|(it, _)| *it != name);
        self
    }

    pub fn from(mut self, address: &str) -> Self {
        address.clone_into(&mut self.address);
        self
    }

    pub fn build(self) -> Request<Body> {
        let mut request = Request::builder().method(self.method).uri(self.target);
        for (name, value) in self.headers {
            request = request.header(name, value);
        }
        let peer: SocketAddr = format!("{}:40000", self.address).parse().unwrap();
        request.extension(Peer(peer)).body(if self.body.is_empty() { Body::empty() } else { self.body.into() }).unwrap()
    }
}

pub async fn send_to(router: &Router, request: Signed) -> Answer {
    let response = router.clone().call(request.build()).await.unwrap();
    let (parts, body) = response.into_parts();
    Answer { status: parts.status, headers: parts.headers, body: body.collect().await.unwrap().to_bytes() }
}

pub async fn engine(directory: &Path, clock: Arc<dyn Clock>) -> anyhow::Result<Engine> {
    let (place, root_key_file) = TestDatabase::of(directory).place(directory);
    let root_key = root_key_file.map_or(Source::Beside, Source::File);
    Engine::open(Options {
        public_url: URL.into(),
        proxies: vec!["192.0.2.0/24".parse().unwrap()],
        clock,
        ..Options::new(place, root_key)
    })
    .await
}

impl Server {
    /// An empty server.
    pub async fn empty() -> Self {
        let directory = Arc::new(tempfile::tempdir().unwrap());
        TestDatabase::make(directory.path()).await;
        Self::open(directory, Arc::new(ManualClock::at(START))).await.unwrap()
    }

    /// One whose clock stands at this instant.
    pub async fn open_at(directory: Arc<TempDir>, now: Millis) -> Self {
        Self::open(directory, Arc::new(ManualClock::at(now.0))).await.unwrap()
    }

    pub async fn open(directory: Arc<TempDir>, clock: Arc<ManualClock>) -> anyhow::Result<Self> {
        let engine = engine(directory.path(), clock.clone()).await?;
        // The clock stands: whoever asks often here would have asked all of it at once.
        engine.app.rates.set(Rate { per_second: 0 });
        let router = router(engine.app.clone());
        Ok(Self { directory, clock, engine, router })
    }

    /// A server with the pod, the host, the agent and the secret `db` (`sk_db`), which both may read.
    pub async fn new() -> Self {
        let server = Self::empty().await;
        server.seed().await;
        server
    }

    pub async fn restart(self) -> anyhow::Result<Self> {
        let (directory, clock) = (self.directory.clone(), self.clock.clone());
        self.stop().await;
        Self::open(directory, clock).await
    }

    pub async fn stop(self) -> Arc<TempDir> {
        drop(self.router);
        self.engine.close().await.unwrap();
        self.directory
    }

    pub fn database(&self) -> TestDatabase {
        TestDatabase::of(self.directory.path())
    }

    pub async fn send(&self, request: Signed) -> Answer {
        send_to(&self.router, request).await
    }

    pub async fn get(&self, client: &Client, target: &str) -> Answer {
        self.send(client.request(&*self.clock, "GET", target, b"")).await
    }

    pub async fn post(&self, client: &Client, target: &str, body: &str) -> Answer {
        self.send(client.request(&*self.clock, "POST", target, body.as_bytes())).await
    }

    /// Asks as the official client for agents does: with a nonce in hex, and without a body where there are no fields. No
    /// answer holds a value: those of the tests begin with `hunter`.
    pub async fn manage(
        &self,
        client: &Client,
        method: &'static str,
        target: &str,
        body: Option<Value>,
    ) -> (u16, Value) {
        let nonce = entropy::uuid(&SystemEntropy).replace('-', "");
        let body = body.map(|it| it.to_string()).unwrap_or_default();
        let now = self.clock.now().seconds();
        let answer = self.send(client.request_with(now, &nonce, method, target, body.as_bytes())).await;
        assert!(!answer.text().contains("hunter"), "{method} {target}: {}", answer.text());
        (answer.status.as_u16(), answer.json())
    }

    pub async fn call<C: Call + serde::Serialize>(&self, client: &Client, call: &C) -> Answer {
        self.post(client, C::PATH, &serde_json::to_string(call).unwrap()).await
    }

    /// Puts entities in force, as a use case would.
    pub async fn apply(&self, changes: Vec<Change>) -> Result<(), Refusal> {
        let entry = Entry::new(Action::AccountUpdate, Actor::Administrator);
        let decide =
            Box::new(move |_: &Context<'_>| Ok(Decision { changes, audit: vec![entry], answer: Box::new(|_| ()) }));
        let request = ChangeRequest { spend: None, actor: Actor::Administrator, source_ip: None, what: "test", decide };
        self.engine.app.writer.change(request).await
    }

    pub async fn put(&self, entity: Entity) {
        self.apply(vec![Change::put(entity)]).await.unwrap();
    }

    pub async fn remove(&self, kind: EntityKind, id: &str) {
        self.apply(vec![Change::Remove(EntityKey { kind, id: id.into() })]).await.unwrap();
    }

    /// The audit, oldest first.
    pub async fn audit(&self) -> Vec<Entry> {
        let rows = self.engine.app.records.after(0, 100_000).await.unwrap();
        rows.iter().map(|row| serde_json::from_str(&row.entry).unwrap()).collect()
    }

    pub async fn last_audit(&self) -> Entry {
        self.audit().await.pop().unwrap()
    }

    /// Seals a value as the next version of a secret.
    pub fn version(&self, secret: &Secret, value: &str) -> Vec<Change> {
        let app = &self.engine.app;
        let world = app.live.read();
        let project = world.state.projects.get(&secret.project).unwrap();
        let version = secret.version + 1;
        let sealed =
            app.keyring.seal(project, &secret.id, version, &SecretText::new(value.into()), &SystemEntropy).unwrap();
        let secret = Secret { version, version_time: Some(self.clock.now()), ..secret.clone() };
        let row = Version {
            vault: secret.vault.clone(),
            project: secret.project.clone(),
            secret: secret.id.clone(),
            version,
            time: self.clock.now(),
            field_names: secret.field_names.clone(),
            sealed: Arc::new(sealed),
        };
        vec![Change::put(Entity::Secret(secret)), Change::PutVersion(row)]
    }

    /// A secret with a first value.
    pub async fn put_secret(&self, secret: Secret, value: &str) {
        self.apply(self.version(&secret, value)).await.unwrap();
    }

    pub fn project(&self, name: &str) -> Project {
        let (vault, id) = ("vault_v".parse().unwrap(), format!("proj_{name}").parse().unwrap());
        Project {
            description: String::new(),
            created_at: None,
            wrapped_key: self.engine.app.keyring.new_project_key(&vault, &id, &SystemEntropy).unwrap(),
            namespace: Some(ProjectNamespace { cluster: "prod".into(), name: name.into(), uid: format!("uid-{name}") }),
            id,
            vault,
            name: name.into(),
            frozen: false,
        }
    }

    pub async fn seed(&self) {
        self.put(Entity::Account(account(Standing::Active))).await;
        let vault = "vault_v".parse().unwrap();
        self.put(Entity::Vault(Vault { id: vault, account: "account".into(), name: "team".into() })).await;
        self.put(Entity::Cluster(cluster())).await;
        for name in ["shop", "payments"] {
            self.put(Entity::Project(self.project(name))).await;
        }
        self.put(Entity::Fleet(fleet())).await;
        self.put(Entity::Machine(pod())).await;
        self.put(Entity::Machine(host())).await;
        self.put(Entity::Agent(agent())).await;
        self.put_secret(secret("db", "shop"), "hunter2").await;
        self.put(Entity::Grant(grant(1, Grantee::Fleet(fleet().id), &["sk_db"]))).await;
        self.put(Entity::Membership(member("shop"))).await;
        self.put(Entity::Grant(grant(2, Grantee::Machine(host().id), &["sk_db"]))).await;
    }
}

pub fn account(standing: Standing) -> Account {
    Account { id: "account".into(), email: "team@example.com".into(), standing }
}

pub fn cluster() -> Cluster {
    Cluster {
        name: "prod".into(),
        vault: "vault_v".parse().unwrap(),
        issuer: "https://prod.example.com".into(),
        jwks: r#"{"keys":[]}"#.into(),
        subject: "system:serviceaccount:sikkerkey-system:sikkerkey-operator".into(),
        logins_after: None,
    }
}

pub fn managed(namespace: &str, name: &str) -> Managed {
    let key = ObjectKey { namespace: namespace.into(), name: name.into() };
    Managed {
        cluster: "prod".into(),
        object: ObjectMeta { key, namespace_uid: format!("uid-{namespace}"), uid: name.into(), generation: 1 },
    }
}

pub fn delivery(names: &[&str]) -> Delivery {
    let input = |name: &&str| Input {
        secret: SecretKey { namespace: "shop".into(), name: (*name).to_owned() },
        field: None,
        alias: None,
    };
    Delivery {
        on_revoked: OnDenied::Remove,
        on_closed: OnDenied::Remove,
        max_staleness_seconds: 86_400,
        on_change: None,
        files: vec![File {
            path: "all.env".into(),
            format: Format::DotEnv,
            mode: 0o444,
            optional: false,
            inputs: names.iter().map(input).collect(),
            template: None,
            pkcs12: None,
        }],
    }
}

pub fn fleet() -> Fleet {
    Fleet {
        id: uuid(0xf1).parse().unwrap(),
        vault: "vault_v".parse().unwrap(),
        project: "proj_shop".parse().unwrap(),
        managed: managed("shop", "web"),
        approval: Approval::Approved,
        suspended: false,
        subject: FleetSubject::Workload {
            service_accounts: vec!["web".into()],
            lifetime_seconds: 3600,
            delivery: Arc::new(delivery(&["db"])),
            delivery_revision: "rev1".into(),
        },
    }
}

pub fn pod() -> Machine {
    Machine {
        id: uuid(0x11).parse().unwrap(),
        vault: "vault_v".parse().unwrap(),
        name: "shop/web-1".into(),
        public_key: key(1).public_key(),
        approval: Approval::Approved,
        enabled: true,
        expires_at: Some(Millis(START).plus_seconds(3600)),
        created_at: Millis(START),
        fleet: Some(fleet().id),
        pod: Some(PodOf {
            cluster: "prod".into(),
            pod: PodIdentity {
                namespace: "shop".into(),
                name: "web-1".into(),
                uid: "pod-1".into(),
                node: "node-7".into(),
                service_account: "web-sa".into(),
            }
            .into(),
        }),
        hostname: None,
        enrolled_by: None,
        approved_by_person: false,
        voucher: None,
        host: None,
    }
}

pub fn host() -> Machine {
    Machine {
        id: uuid(0x12).parse().unwrap(),
        name: "build-host".into(),
        public_key: key(2).public_key(),
        expires_at: None,
        fleet: None,
        pod: None,
        ..pod()
    }
}

/// The host as a member of a project.
pub fn member(project: &str) -> Membership {
    Membership {
        vault: "vault_v".parse().unwrap(),
        project: format!("proj_{project}").parse().unwrap(),
        machine: host().id,
        since: Millis(START),
    }
}

pub fn agent() -> Agent {
    Agent {
        id: uuid(0xa1).parse().unwrap(),
        vault: "vault_v".parse().unwrap(),
        name: "operator".into(),
        public_key: key(3).public_key(),
        cluster: Some("prod".into()),
        approved: true,
        enabled: true,
        expires_at: None,
        pod: None,
        scopes: None,
        projects: None,
        created_at: None,
        earlier_names: Vec::new(),
        workload: None,
    }
}

/// An agent of people, from before scopes.
pub fn assistant() -> Agent {
    Agent {
        id: uuid(0xa2).parse().unwrap(),
        name: "assistant".into(),
        public_key: key(60).public_key(),
        cluster: None,
        ..agent()
    }
}

pub fn secret(name: &str, project: &str) -> Secret {
    Secret {
        id: format!("sk_{name}").parse().unwrap(),
        vault: "vault_v".parse().unwrap(),
        project: format!("proj_{project}").parse().unwrap(),
        name: name.into(),
        field_names: Vec::new(),
        version: 0,
        version_time: None,
        policy: None,
        origin: None,
        recipe: None,
        rotation: None,
        due_by_reads: None,
        bindings: 0,
        schedule: None,
        note: None,
        taken_over: false,
        history: <_>::default(),
        sealing: None,
        phase: SecretPhase::Active,
        held: false,
        managed: Some(managed(project, name)),
    }
}

pub fn grant(n: u8, grantee: Grantee, secrets: &[&str]) -> Grant {
    Grant {
        id: uuid(n),
        vault: "vault_v".parse().unwrap(),
        project: "proj_shop".parse().unwrap(),
        grantee,
        secrets: secrets.iter().map(|it| it.parse::<SecretId>().unwrap()).collect(),
        expires_at: None,
        managed: None,
    }
}

pub fn policy(document: PolicyDocument) -> Policy {
    Policy {
        id: uuid(0x51),
        vault: "vault_v".parse().unwrap(),
        project: "proj_shop".parse().unwrap(),
        name: "guard".into(),
        revision: 1,
        document,
        protected: false,
        withdrawn: false,
        written: None,
        managed: None,
    }
}
