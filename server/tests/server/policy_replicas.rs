//! Policies over two servers on one PostgreSQL database, each a process of its own.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use sikkerkey_protocol::kubernetes::{Charset, Generator, Recipe};
use sikkerkey_protocol::policy::{Approver, CoSign, PolicyDocument};
use sikkerkey_server::audit::entry::Action;
use sikkerkey_server::clock::{Clock as _, SystemClock};
use sikkerkey_server::model::Entity;
use sikkerkey_server::model::machine::Machine;
use sikkerkey_server::model::millis::Millis;
use sikkerkey_server::model::secret::Secret;
use tokio::task::JoinSet;

use crate::fixture::*;
use crate::process::Process;
use crate::replicas::{Replicas, read};

async fn guarded(document: PolicyDocument) -> Replicas {
    let replicas = Replicas::new().await;
    replicas.here.put(Entity::Policy(policy(document))).await;
    let recipe = Some(Recipe::Plain(Generator { length: 32, charset: Charset::Alphanumeric }));
    let made = Some(Millis(SystemClock.now().0 - 3_600_000));
    let secret =
        Secret { policy: Some("guard".into()), version: 1, version_time: made, recipe, ..secret("db", "shop") };
    replicas.here.put(Entity::Secret(secret)).await;
    replicas
}

async fn send(process: &Process, request: Signed) -> (u16, Value) {
    let (status, body) = process.connect().await.send(request).await.unwrap();
    (status, serde_json::from_slice(&body).unwrap())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn reads_of_a_thousand_readers_over_two_servers_rotate_once_and_at_the_right_one() {
    const READS: usize = 1000;
    const AFTER: u32 = 500;
    let replicas = guarded(PolicyDocument { rotate_after_reads: Some(AFTER), ..Default::default() }).await;
    let servers = [replicas.start(0).await, replicas.start(1).await];
    let mut readers = JoinSet::new();
    for n in 0..READS {
        let address = servers[n % 2].address.clone();
        readers.spawn(async move {
            let mut connection = crate::process::Connection::open(&address).await.unwrap();
            let (status, body) = connection.send(read(&Client::pod(), &format!("reader-{n}"))).await.unwrap();
            assert_eq!(status, 200);
            body
        });
    }
    let mut values: BTreeMap<_, usize> = BTreeMap::new();
    for value in readers.join_all().await {
        *values.entry(value).or_default() += 1;
    }
    let old = values.remove(&b"{\"value\":\"hunter2\"}"[..]);
    // The pod's first read does not count; nor does its first of the new version, of which no other is made so soon.
    assert_eq!((old, values.len()), (Some(1 + usize::try_from(AFTER).unwrap()), 1));
    replicas.here.engine.app.writer.catch_up().await.unwrap();
    let rows = replicas.here.audit().await;
    assert_eq!(rows.iter().filter(|it| it.action == Action::SecretRotate).count(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_asked_at_one_server_is_approved_at_the_other_and_read_at_both() {
    let boss = Client::new(uuid(0xb1), 0xb1);
    let approver = Approver::Machine(boss.id.parse().unwrap());
    let co_sign = Some(CoSign { approver, window_seconds: 600 });
    let replicas = guarded(PolicyDocument { co_sign, ..Default::default() }).await;
    let machine = Machine { id: boss.id.parse().unwrap(), public_key: boss.key.public_key(), ..host() };
    replicas.here.put(Entity::Machine(machine)).await;
    let servers = [replicas.start(0).await, replicas.start(1).await];

    // Many ask at the same time, at both.
    let mut readers = JoinSet::new();
    for n in 0..100 {
        let address = servers[n % 2].address.clone();
        readers.spawn(async move {
            let mut connection = crate::process::Connection::open(&address).await.unwrap();
            let (status, body) = connection.send(read(&Client::pod(), &format!("asks-{n}"))).await.unwrap();
            assert_eq!(status, 403);
            body
        });
    }
    let mut texts = readers.join_all().await;
    texts.dedup();
    assert_eq!(texts.len(), 1, "one request waits, whoever was asked: {texts:?}");

    let (status, listed) = send(&servers[1], boss.request(&SystemClock, "GET", "/v1/cosign", b"")).await;
    assert_eq!((status, listed["requests"].as_array().unwrap().len()), (200, 1));
    let request = &listed["requests"][0];
    let body = json!({
        "requestId": request["id"], "vaultId": request["vaultId"], "approverId": boss.id,
        "readerId": request["readerId"], "secretId": request["secretId"],
        "policyRevision": request["policyRevision"], "notAfter": SystemClock.now().0 + 500_000,
    });
    let target = format!("/v1/cosign/{}/approve", request["id"].as_str().unwrap());
    let (status, settled) =
        send(&servers[1], boss.request(&SystemClock, "POST", &target, body.to_string().as_bytes())).await;
    assert_eq!((status, settled["verdict"].as_str()), (200, Some("Approved")), "{settled}");
    for (n, server) in servers.iter().enumerate() {
        let (status, value) = send(server, read(&Client::pod(), &format!("approved-{n}"))).await;
        assert_eq!((status, value), (200, json!({"value": "hunter2"})));
    }
    // Revoked at one, it counts at none.
    replicas.here.remove(sikkerkey_server::model::EntityKind::Machine, &boss.id).await;
    for (n, server) in servers.iter().enumerate() {
        let (status, denied) = send(server, read(&Client::pod(), &format!("revoked-{n}"))).await;
        assert_eq!(status, 403, "{denied}");
    }
}
