//! Who may call what: every kind of signer at every route, through the whole router and a real database.

use std::fmt::Write as _;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

use axum::Router;
use axum::body::Body;
use axum::http::Request;
use http_body_util::BodyExt as _;
use serde_json::{Value, json};
use sikkerkey_protocol::canonical::{Purpose, possession, string_to_sign};
use sikkerkey_protocol::key::MachineKey;
use tower_service::Service as _;
use zeroize::Zeroizing;

use crate::audit::entry::Actor;
use crate::clock::{Clock as _, SystemClock};
use crate::decision::{Context, Decided};
use crate::engine::{DataPlace, Engine, Options};
use crate::usecase::admin::{agent, cluster, machine, vault};
use crate::writer::ChangeRequest;

const GOLDEN: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/src/http/kubernetes/authorisation.txt");

/// Public keys of two clusters.
const KEYS: [(&str, &str); 2] = [
    ("YPm3xOPjWiGZC1AGkQmzavw3h6AaA8frzrdBHj3_XHk", "Ay6KnPZmoGtldpMzIu1psw8Gp2LzKrGJony_1AGYI8A"),
    ("ey8G7YPlKdFZ2NwpJIV1X7CNDYyIyQqAF18M8zyXkSA", "d_ZvshxSpdlLWWJTGV1MB5z27BfAWK21yYM9neVYDR4"),
];

struct Server {
    router: Router,
    engine: Engine,
    nonce: AtomicU64,
    _data: tempfile::TempDir,
}

/// Somebody who signs, or nobody.
struct Client {
    id: String,
    key: MachineKey,
}

fn key(n: u8) -> MachineKey {
    MachineKey::from_seed(&Zeroizing::new([n; 32]))
}

impl Server {
    async fn open() -> Self {
        let data = tempfile::tempdir().unwrap();
        let place = DataPlace::Directory(data.path().join("data"));
        let public_url = "https://sikkerkey.example.com".into();
        let options = Options { public_url, ..Options::new(place, crate::crypto::root_key::Source::Beside) };
        let engine = Engine::open(options).await.unwrap();
        let router = super::super::router(engine.app.clone());
        Self { router, engine, nonce: AtomicU64::new(0), _data: data }
    }

    async fn by_person<T: Send + 'static>(
        &self,
        decide: impl FnOnce(&Context<'_>) -> Decided<T> + Send + 'static,
    ) -> T {
        let decide = Box::new(decide);
        let actor = Actor::Administrator;
        let request = ChangeRequest { spend: None, actor, source_ip: None, what: "test", decide };
        self.engine.app.writer.change(request).await.unwrap()
    }

    async fn call(&self, client: Option<&Client>, method: &str, target: &str, body: &Value) -> (u16, Value) {
        let body = if method == "GET" { vec![] } else { serde_json::to_vec(body).unwrap() };
        let mut request = Request::builder().method(method).uri(target).header("content-type", "application/json");
        if let Some(client) = client {
            let timestamp = SystemClock.now().seconds().to_string();
            let nonce = format!("n{}", self.nonce.fetch_add(1, Ordering::Relaxed));
            let signature = client.key.sign(&string_to_sign(method, target, &timestamp, &nonce, &body));
            request = request
                .header("x-machine-id", &client.id)
                .header("x-timestamp", timestamp)
                .header("x-nonce", nonce)
                .header("x-signature", signature.to_string());
        }
        let response = self.router.clone().call(request.body(Body::from(body)).unwrap()).await.unwrap();
        let status = response.status().as_u16();
        let body = response.into_body().collect().await.unwrap().to_bytes();
        (status, serde_json::from_slice(&body).unwrap_or(Value::Null))
    }

    async fn agent(
        &self,
        vault: &str,
        name: &'static str,
        cluster: Option<&'static str>,
        n: u8,
        approve: bool,
    ) -> Client {
        let vault = vault.parse().unwrap();
        let (token, _) =
            self.by_person(move |it| agent::token(it, &vault, name.into(), cluster.map(str::to_owned))).await;
        let body = json!({ "token": token.expose(), "publicKey": key(n).public_key() });
        let (status, answer) = self.call(None, "POST", "/v1/ai-bootstrap/register", &body).await;
        assert_eq!(status, 200, "{answer}");
        let id = answer["agentId"].as_str().unwrap().to_owned();
        if approve {
            let id = id.parse().unwrap();
            self.by_person(move |it| agent::approve(it, &id)).await;
        }
        Client { id, key: key(n) }
    }

    async fn host(&self, vault: &str, name: &'static str, n: u8, approve: bool) -> Client {
        let vault = vault.parse().unwrap();
        let (token, _) = self.by_person(move |it| machine::bootstrap(it, &vault, Some(name.into()))).await;
        let body = json!({ "token": token.expose(), "publicKey": key(n).public_key() });
        let (status, answer) = self.call(None, "POST", "/v1/bootstrap/register", &body).await;
        assert_eq!(status, 200, "{answer}");
        let id = answer["machineId"].as_str().unwrap().to_owned();
        if approve {
            let approved = id.clone();
            self.by_person(move |it| machine::approve(it, &approved)).await;
        }
        Client { id, key: key(n) }
    }
}

fn object(name: &str) -> Value {
    json!({ "namespace": "shop", "name": name, "namespaceUid": "ns-1", "uid": name, "generation": 1 })
}

fn identity(name: &str) -> Value {
    json!({ "namespace": "shop", "name": name, "uid": name })
}

fn workload() -> Value {
    let delivery = json!({ "onRevoked": "Remove", "onClosed": "Remove", "maxStalenessSeconds": 60, "files": [] });
    let subject = json!({ "workload": { "serviceAccounts": ["web"], "lifetimeSeconds": 3600, "delivery": delivery } });
    json!({ "object": object("web"), "manualApproval": false, "suspended": false, "subject": subject })
}

fn generated() -> Value {
    let recipe = json!({ "plain": { "length": 32, "charset": "Alphanumeric" } });
    json!({ "object": object("db"), "source": { "generate": recipe } })
}

fn grant() -> Value {
    json!({ "object": object("web-db"), "machine": { "namespace": "shop", "name": "web" }, "secrets": ["db"] })
}

fn pod(uid: &str) -> Value {
    json!({ "namespace": "shop", "name": "web-1", "uid": uid, "node": "node-1", "serviceAccount": "web" })
}

fn voucher(uid: &str, n: u8) -> Value {
    json!({ "machine": { "namespace": "shop", "name": "web" }, "pod": pod(uid), "publicKey": key(n).public_key() })
}

/// Every kind of signer, in a world where cluster `a` has one of each object and one pod.
async fn populated() -> (Server, Vec<(&'static str, Option<Client>)>, String) {
    let server = Server::open().await;
    let vault = server.by_person(|it| vault::create(it, "team", "team@example.com")).await.to_string();
    for (name, (x, y)) in ["a", "b"].into_iter().zip(KEYS) {
        let jwk = json!({ "kty": "EC", "crv": "P-256", "kid": "k", "use": "sig", "alg": "ES256", "x": x, "y": y });
        let trust = cluster::Trust {
            vault: vault.parse().unwrap(),
            name: name.into(),
            issuer: format!("https://{name}"),
            jwks: json!({ "keys": [jwk] }).to_string(),
            subject: "system:serviceaccount:sikkerkey-system:sikkerkey-operator".into(),
        };
        server.by_person(move |it| cluster::trust(it, trust)).await;
    }
    let operator = server.agent(&vault, "operator a", Some("a"), 1, true).await;
    let mut secret = String::new();
    for (path, body) in [("machines", workload()), ("secrets", generated()), ("grants", grant())] {
        let target = format!("/v1/ai/kubernetes/{path}/apply");
        let (status, answer) = server.call(Some(&operator), "POST", &target, &body).await;
        assert_eq!(status, 200, "{answer}");
        if path == "secrets" {
            secret = answer["secretId"].as_str().unwrap().to_owned();
        }
    }
    let (status, issued) =
        server.call(Some(&operator), "POST", "/v1/ai/kubernetes/vouchers/issue", &voucher("p1", 2)).await;
    assert_eq!(status, 200, "{issued}");
    let token = issued["voucher"].as_str().unwrap();
    let proof = key(2).sign(&possession(Purpose::Register, token, &key(2).public_key()));
    let body = json!({ "token": token, "publicKey": key(2).public_key(), "proof": proof });
    let (status, registered) = server.call(None, "POST", "/v1/bootstrap/register", &body).await;
    assert_eq!(status, 200, "{registered}");
    let pod = Client { id: registered["machineId"].as_str().unwrap().to_owned(), key: key(2) };
    let stranger = Client { id: "00000000-0000-4000-8000-00000000beef".into(), key: key(99) };
    let clients = vec![
        ("nobody", None),
        ("a stranger", Some(stranger)),
        ("a granted pod", Some(pod)),
        ("a host", Some(server.host(&vault, "nas", 3, true).await)),
        ("a waiting host", Some(server.host(&vault, "new", 4, false).await)),
        ("an agent of a", Some(operator)),
        ("an agent of b", Some(server.agent(&vault, "operator b", Some("b"), 5, true).await)),
        ("an agent of none", Some(server.agent(&vault, "ci", None, 6, true).await)),
        ("a waiting agent", Some(server.agent(&vault, "waiting", Some("a"), 7, false).await)),
    ];
    (server, clients, secret)
}

/// Method, target and body of every route that is signed. Those that end something come last.
fn routes(secret: &str, client: Option<&Client>) -> Vec<(&'static str, String, Value)> {
    let ai = |path: &str| format!("/v1/ai/kubernetes/{path}");
    let new = key(200);
    let id = client.map_or("", |it| it.id.as_str());
    let proof = new.sign(&possession(Purpose::Renew, id, &new.public_key()));
    let policy = json!({ "object": object("office"), "policy": { "ipAllowlist": ["10.0.0.0/8"] } });
    vec![
        ("GET", format!("/v1/secret/{secret}"), Value::Null),
        ("GET", "/v1/secrets".into(), Value::Null),
        ("POST", "/v1/secrets/list".into(), json!({})),
        ("POST", "/v1/secrets/export".into(), json!({})),
        ("POST", "/v1/secrets/poll".into(), json!({ "watch": [secret] })),
        ("POST", "/v1/machine/sync".into(), json!({ "held": {}, "waitSeconds": 0 })),
        ("POST", ai("inventory"), json!({})),
        ("POST", ai("machines/apply"), workload()),
        ("POST", ai("secrets/apply"), generated()),
        ("POST", ai("grants/apply"), grant()),
        ("POST", ai("policies/apply"), policy),
        ("POST", ai("vouchers/issue"), voucher("p2", 50)),
        ("POST", ai("explain"), json!({ "machine": identity("web"), "secret": identity("db"), "askedBy": "jane" })),
        ("POST", ai("audit"), json!({ "kind": "Secret", "object": identity("db"), "limit": 50, "askedBy": "jane" })),
        ("POST", ai("pods/gone"), json!({ "uids": ["p1"] })),
        (
            "POST",
            ai("rewind"),
            json!({ "kind": "Grant", "namespace": "shop", "name": "web-db", "uid": "web-db", "from": 2, "to": 1 }),
        ),
        ("POST", ai("delete"), json!({ "kind": "Grant", "namespace": "shop", "name": "web-db", "uid": "web-db" })),
        ("POST", "/v1/machine/renew".into(), json!({ "publicKey": new.public_key(), "proof": proof })),
        ("POST", "/v1/machine/resign".into(), json!({})),
    ]
}

#[tokio::test]
async fn the_matrix_of_signers_and_routes_is_the_committed_one() {
    let names: Vec<&str> = populated().await.1.into_iter().map(|(name, _)| name).collect();
    let mut matrix = String::from("What each signer is answered by each route.\n");
    for (number, name) in names.iter().enumerate() {
        // A server for each signer: what one does must not show in what another is answered.
        let (server, mut clients, secret) = populated().await;
        let (_, mut client) = clients.swap_remove(number);
        write!(matrix, "\n{name}\n").unwrap();
        for (method, target, body) in routes(&secret, client.as_ref()) {
            let (status, answer) = server.call(client.as_ref(), method, &target, &body).await;
            // Each route by itself: a lockout after three failures is another test's.
            server.engine.app.lockout.lift_address(std::net::Ipv4Addr::UNSPECIFIED.into());
            let shown = target.replace(&secret, "ID");
            let error = answer.get("error").and_then(Value::as_str).unwrap_or_default().replace(&secret, "ID");
            let code = answer.get("code").and_then(Value::as_str).map(|it| format!(" {it}")).unwrap_or_default();
            writeln!(matrix, "  {status}{code} {method} {shown} {error}").unwrap();
            if target == "/v1/machine/renew"
                && status == 200
                && let Some(client) = &mut client
            {
                client.key = key(200);
            }
        }
    }
    let trimmed: Vec<&str> = matrix.lines().map(str::trim_end).collect();
    let matrix = trimmed.join("\n") + "\n";
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(GOLDEN, &matrix).unwrap();
    }
    let committed = std::fs::read_to_string(Path::new(GOLDEN)).unwrap_or_default();
    assert_eq!(matrix, committed, "run again with UPDATE_GOLDEN=1, and read the difference");
}

#[tokio::test]
async fn an_agent_of_another_cluster_sees_and_touches_nothing_of_this_one() {
    let (server, clients, secret) = populated().await;
    let client = |name: &str| clients.iter().find(|it| it.0 == name).unwrap().1.as_ref();
    let of =
        |answer: &Value| ["machines", "secrets", "grants", "pods"].map(|kind| answer[kind].as_array().unwrap().len());
    let inventory = "/v1/ai/kubernetes/inventory";
    let before = server.call(client("an agent of a"), "POST", inventory, &json!({})).await.1;
    assert_eq!(of(&before), [1, 1, 1, 1]);
    for (method, target, body) in routes(&secret, None) {
        if target.starts_with("/v1/ai/") {
            server.call(client("an agent of b"), method, &target, &body).await;
        }
    }
    let after = server.call(client("an agent of a"), "POST", inventory, &json!({})).await.1;
    assert_eq!(after["machines"], before["machines"]);
    assert_eq!(after["grants"], before["grants"]);
    assert_eq!(of(&after), of(&before));
    let (status, _) = server.call(client("a granted pod"), "GET", &format!("/v1/secret/{secret}"), &Value::Null).await;
    assert_eq!(status, 200);
}

/// A question of each kind, to which `a` has an answer.
fn questions() -> [(&'static str, Value); 2] {
    let both = json!({ "machine": identity("web"), "secret": identity("db"), "podUid": "p1", "askedBy": "jane" });
    [("explain", both), ("audit", json!({ "kind": "Secret", "object": identity("db"), "limit": 9, "askedBy": "jane" }))]
}

#[tokio::test]
async fn a_question_is_answered_about_the_objects_of_its_own_cluster_without_a_value() {
    let (server, clients, secret) = populated().await;
    let client = |name: &str| clients.iter().find(|it| it.0 == name).unwrap().1.as_ref();
    let (_, read) = server.call(client("a granted pod"), "GET", &format!("/v1/secret/{secret}"), &Value::Null).await;
    let value = read["value"].as_str().unwrap();
    for (route, question) in questions() {
        let target = format!("/v1/ai/kubernetes/{route}");
        let (status, answer) = server.call(client("an agent of a"), "POST", &target, &question).await;
        assert_eq!(status, 200, "{answer}");
        assert!(!answer.to_string().contains(value), "{answer}");
        let (_, theirs) = server.call(client("an agent of b"), "POST", &target, &question).await;
        if route == "explain" {
            let explanation = &answer["explanation"];
            assert_eq!((&answer["enrolled"], &explanation["allowed"]), (&json!(true), &json!(true)), "{answer}");
            assert_eq!(explanation["machine"], "Machine shop/web");
            assert_eq!(theirs, json!({ "notHeld": ["Machine", "Secret"] }));
            continue;
        }
        let events = answer["events"].as_array().unwrap();
        let told = |key: &str| events[0][key].clone();
        assert_eq!((events.len(), &answer["usage"]["reads"]), (1, &json!(1)), "{answer}");
        assert_eq!(
            ["denied", "machine", "pod", "secret", "message"].map(told),
            [json!(false), json!("shop/web"), json!("shop/web-1"), json!("shop/db"), json!("version 1")]
        );
        assert_eq!((&theirs["held"], &theirs["events"]), (&json!(false), &json!([])));
    }
    let rows = server.engine.app.records.newest(9, None).await.unwrap();
    let asked = rows.iter().filter(|it| it.entry.contains("management_read") && it.entry.contains("jane"));
    assert_eq!(asked.count(), 4, "who looked is in the audit, also where there was nothing to see");
}

#[tokio::test]
async fn what_is_held_of_an_object_is_not_told_to_another_of_its_name() {
    let (server, clients, _) = populated().await;
    let client = |name: &str| clients.iter().find(|it| it.0 == name).unwrap().1.as_ref();
    for (route, mut question) in questions() {
        let named = if route == "explain" { "secret" } else { "object" };
        question[named]["uid"] = json!("another");
        let target = format!("/v1/ai/kubernetes/{route}");
        let (status, answer) = server.call(client("an agent of a"), "POST", &target, &question).await;
        let told = if route == "explain" { answer["notHeld"] == json!(["Secret"]) } else { answer["held"] == false };
        assert!(status == 200 && told && answer.get("explanation").is_none(), "{answer}");
    }
}

#[tokio::test]
async fn a_question_that_is_none_is_refused_with_what_is_wrong() {
    let (server, clients, _) = populated().await;
    let agent = clients.iter().find(|it| it.0 == "an agent of a").unwrap().1.as_ref();
    let [(_, explain), (_, audit)] = questions();
    for (route, question, field, value, text) in [
        ("explain", &explain, "askedBy", json!(""), "askedBy is from 1 to 256 bytes"),
        ("explain", &explain, "podUid", json!(""), "podUid is not a uid"),
        ("audit", &audit, "limit", json!(0), "limit is from 1 to 50"),
        ("audit", &audit, "limit", json!(51), "limit is from 1 to 50"),
        ("audit", &audit, "askedBy", json!("x".repeat(257)), "askedBy is from 1 to 256 bytes"),
        (
            "audit",
            &audit,
            "object",
            json!({"namespace": "shop", "name": "a b", "uid": "u"}),
            "name is not the name of a Kubernetes object",
        ),
    ] {
        let mut question = question.clone();
        question[field] = value;
        let (status, answer) = server.call(agent, "POST", &format!("/v1/ai/kubernetes/{route}"), &question).await;
        assert_eq!((status, answer["error"].as_str()), (400, Some(text)), "{question}");
    }
}

#[tokio::test]
async fn a_grant_that_is_deleted_is_refused_on_the_very_next_request() {
    let (server, clients, secret) = populated().await;
    let client = |name: &str| clients.iter().find(|it| it.0 == name).unwrap().1.as_ref();
    let target = format!("/v1/secret/{secret}");
    assert_eq!(server.call(client("a granted pod"), "GET", &target, &Value::Null).await.0, 200);
    let delete = json!({ "kind": "Grant", "namespace": "shop", "name": "web-db", "uid": "web-db" });
    let (status, answer) = server.call(client("an agent of a"), "POST", "/v1/ai/kubernetes/delete", &delete).await;
    assert_eq!(status, 200, "{answer}");
    let (status, answer) = server.call(client("a granted pod"), "GET", &target, &Value::Null).await;
    assert_ne!(status, 200, "{answer}");
}

#[tokio::test]
async fn tokens_that_are_none_are_refused_without_saying_more() {
    let server = Server::open().await;
    let proof = key(1).sign(b"anything");
    let body = json!({ "token": "0".repeat(64), "publicKey": key(1).public_key(), "proof": proof });
    for (target, text) in [
        ("/v1/ai/kubernetes/login", "the token is not a JSON Web Token"),
        ("/v1/ai-bootstrap/register", "the token is not known here, or ended some time ago: ask for a new one"),
    ] {
        let (status, answer) = server.call(None, "POST", target, &body).await;
        assert_eq!((status, answer["error"].as_str()), (401, Some(text)), "{target}");
    }
    // `proof` does not verify, and the token is unknown: the token is told first, as it comes first.
    let (status, answer) = server.call(None, "POST", "/v1/bootstrap/register", &body).await;
    assert_eq!(status, 401, "{answer}");
}
