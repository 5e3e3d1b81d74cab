//! Machines that enrol by themselves with a shared token.

use std::collections::HashSet;
use std::sync::Arc;

use sikkerkey_protocol::canonical::sha256_hex;
use sikkerkey_server::audit::entry::Action;
use sikkerkey_server::model::Entity;
use sikkerkey_server::model::enrolment::EnrolmentToken;
use sikkerkey_server::model::millis::Millis;
use tokio::task::JoinSet;

use crate::durability::{BREAK, MEND};
use crate::fixture::*;

const TOKEN: &str = "5f9c0e3a-a-token";
const PATH: &str = "/v1/vault_v/enroll/register";

fn token() -> EnrolmentToken {
    EnrolmentToken {
        id: uuid(0xe1),
        hash: sha256_hex(TOKEN.as_bytes()),
        vault: "vault_v".parse().unwrap(),
        name: "jobs".into(),
        description: String::new(),
        projects: vec!["proj_shop".parse().unwrap()],
        secrets: vec!["sk_db".parse().unwrap()],
        created_at: Millis(START),
        expires_at: Millis(START).plus_seconds(3600),
        machine_lifetime_seconds: 600,
        max_uses: 10,
        uses: 0,
        source_cidr: None,
        hostname_pattern: None,
        name_pattern: None,
        revoked_at: None,
        revoked_because: None,
    }
}

async fn server(token: EnrolmentToken) -> Server {
    let server = Server::new().await;
    server.put(Entity::EnrolmentToken(token)).await;
    server
}

fn body(seed: u8, hostname: &str) -> String {
    let public_key = serde_json::to_string(&key(seed).public_key()).unwrap();
    format!(r#"{{"token":"{TOKEN}","publicKey":{public_key},"hostname":"{hostname}"}}"#)
}

fn request(path: &str, body: &str) -> Signed {
    Signed {
        method: "POST",
        target: path.into(),
        headers: vec![("content-type", "application/json".into())],
        body: body.as_bytes().to_vec(),
        address: POD_ADDRESS.into(),
    }
}

#[tokio::test]
async fn a_machine_enrols_reads_and_is_refused_from_its_end_on() {
    let server = server(token()).await;
    let answer = server.send(request(PATH, &body(40, "ci-1"))).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    let json = answer.json();
    let mut keys: Vec<_> = json.as_object().unwrap().keys().cloned().collect();
    keys.sort();
    assert_eq!(keys, ["apiUrl", "expiresAt", "machineId", "machineName", "vaultId"]);
    assert_eq!((json["machineName"].as_str(), json["vaultId"].as_str()), (Some("ci-1"), Some("vault_v")));
    assert_eq!((json["apiUrl"].as_str(), json["expiresAt"].as_i64()), (Some(URL), Some(START + 600_000)));
    // A lost answer is asked for again, and spends nothing.
    assert_eq!(server.send(request(PATH, &body(40, "ci-1"))).await.body, answer.body);
    let uses = || server.engine.app.live.read().state.enrolment_tokens[&uuid(0xe1)].uses;
    assert_eq!(uses(), 1);

    let job = Client::new(json["machineId"].as_str().unwrap().into(), 40);
    assert_eq!(server.get(&job, "/v1/secret/sk_db").await.text(), r#"{"value":"hunter2"}"#);
    assert_eq!(server.last_audit().await.detail, "v1 db; machine ci-1");
    server.clock.advance_seconds(599);
    assert_eq!(server.get(&job, "/v1/secret/sk_db").await.status, 200);
    server.clock.advance_seconds(1);
    for target in ["/v1/secret/sk_db", "/v1/secrets"] {
        let answer = server.get(&job, target).await;
        let text = "the identity of this machine has ended: enrol again";
        assert_eq!((answer.status.as_u16(), answer.error().as_str()), (401, text));
    }
}

#[tokio::test]
async fn each_refusal_has_its_status_and_its_text() {
    type Spoil = fn(&mut EnrolmentToken);
    let cases: [(u16, &str, &str, Spoil); 8] = [
        (401, PATH, "is not known in this vault", |it| it.hash = sha256_hex(b"another")),
        (401, "/v1/vault_w/enroll/register", "is not known in this vault", |_| ()),
        (401, PATH, "has expired", |it| it.expires_at = Millis(START)),
        (401, PATH, "is revoked", |it| it.revoked_at = Some(Millis(START))),
        (401, PATH, "is used up", |it| it.uses = 10),
        (403, PATH, "from this address", |it| it.source_cidr = Some("192.0.2.0/24".into())),
        (403, PATH, "for this host name", |it| it.hostname_pattern = Some("build-?".into())),
        (409, PATH, "the key is in use already", |_| ()),
    ];
    for (status, path, text, spoil) in cases {
        let mut token = token();
        spoil(&mut token);
        let server = server(token).await;
        let seed = if status == 409 { 2 } else { 40 };
        let answer = server.send(request(path, &body(seed, "ci-1"))).await;
        assert_eq!(answer.status, status, "{text}: {}", answer.text());
        let error = answer.json()["error"].as_str().unwrap().to_owned();
        assert!(error.contains(text) && !error.contains(TOKEN), "{error}");
        let row = server.last_audit().await;
        let action = if status == 401 { Action::AuthFailure } else { Action::ManagementDenied };
        assert_eq!((row.action, row.source_ip.unwrap().to_string().as_str()), (action, POD_ADDRESS));
        assert!(!row.detail.contains(TOKEN));
    }
}

#[tokio::test]
async fn a_flood_of_wrong_tokens_is_locked_out() {
    let server = Server::new().await;
    for _ in 0..10 {
        assert_eq!(server.send(request(PATH, &body(40, "ci-1"))).await.status, 401);
    }
    let answer = server.send(request(PATH, &body(40, "ci-1"))).await;
    assert_eq!(answer.status, 429);
    assert!(answer.headers.contains_key("retry-after") && !answer.error().is_empty());
}

#[tokio::test]
async fn a_token_lets_in_exactly_as_many_as_it_says_however_many_come_at_once() {
    let server = Arc::new(server(EnrolmentToken { max_uses: 7, ..token() }).await);
    let mut tasks = JoinSet::new();
    for seed in 40..80 {
        let server = Arc::clone(&server);
        tasks.spawn(async move {
            // From many addresses: this is no flood.
            let request = request(PATH, &body(seed, "ci-1")).from(&format!("10.1.0.{seed}"));
            let answer = server.send(request).await;
            let id = answer.json()["machineId"].as_str().map(str::to_owned);
            (answer.status.as_u16(), id)
        });
    }
    let answers = tasks.join_all().await;
    let ids: HashSet<_> = answers.iter().filter_map(|(_, id)| id.clone()).collect();
    assert_eq!(ids.len(), 7);
    assert_eq!(answers.iter().filter(|(status, _)| *status == 401).count(), 33);
    assert_eq!(server.engine.app.live.read().state.enrolment_tokens[&uuid(0xe1)].uses, 7);
}

#[tokio::test]
async fn what_enrolled_outlives_its_token_and_a_restart() {
    let server = server(token()).await;
    let id = server.send(request(PATH, &body(40, "ci-1"))).await.json()["machineId"].as_str().unwrap().to_owned();
    server.put(Entity::EnrolmentToken(EnrolmentToken { uses: 1, revoked_at: Some(Millis(START)), ..token() })).await;
    let server = server.restart().await.unwrap();
    assert_eq!(server.get(&Client::new(id, 40), "/v1/secret/sk_db").await.status, 200);
    assert_eq!(server.send(request(PATH, &body(41, "ci-2"))).await.status, 401);
}

#[tokio::test]
async fn static_routes_win_over_the_one_with_a_vault_in_it() {
    let server = Server::new().await;
    for (method, path, status) in [
        ("POST", "/v1/bootstrap/register", 400),
        ("POST", "/v1/ai-bootstrap/register", 400),
        ("GET", PATH, 405),
        ("POST", "/v1/vault_v/enroll/other", 404),
        ("POST", "/v1/vault_v/x/register", 404),
        ("POST", PATH, 400),
    ] {
        let answer = server.send(Signed { method, ..request(path, "{}") }).await;
        assert_eq!(answer.status, status, "{method} {path}");
        assert!(!answer.error().is_empty());
    }
    assert_eq!(server.get(&Client::host(), "/v1/secret/sk_db").await.status, 200);
}

#[tokio::test]
async fn an_enrolment_that_cannot_be_written_spends_nothing_and_lets_nobody_in() {
    let server = server(EnrolmentToken { max_uses: 1, ..token() }).await;
    server.database().execute(server.database().by(BREAK[0], BREAK[1])).await;
    assert_eq!(server.send(request(PATH, &body(40, "ci-1"))).await.status, 503);
    server.database().execute(server.database().by(MEND[0], MEND[1])).await;
    let state = |server: &Server| {
        let world = server.engine.app.live.read();
        (world.state.enrolment_tokens[&uuid(0xe1)].uses, world.state.machines.len(), world.state.grants.len())
    };
    assert_eq!(state(&server), (0, 2, 2));
    // Another key takes the one use.
    assert_eq!(server.send(request(PATH, &body(41, "ci-1"))).await.status, 200);
    let server = server.restart().await.unwrap();
    assert_eq!(state(&server), (1, 3, 3));
}
