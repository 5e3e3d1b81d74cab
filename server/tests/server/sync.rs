//! What a sidecar hears, and when.

use std::time::Duration;

use serde_json::{Value, json};
use sikkerkey_protocol::policy::{Day, PolicyDocument, TimeWindow};
use sikkerkey_server::audit::entry::Action;
use sikkerkey_server::model::fleet::Fleet;
use sikkerkey_server::model::machine::{Grantee, Machine};
use sikkerkey_server::model::secret::Secret;
use sikkerkey_server::model::{Entity, EntityKind};
use tokio::time::timeout;

use crate::fixture::*;

const PATH: &str = "/v1/machine/sync";

fn holding(version: u64, wait: u32) -> String {
    let held = json!({"shop/db": {"version": {"id": "sk_db", "version": version}}});
    json!({"deliveryRevision": "rev1", "held": held, "waitSeconds": wait}).to_string()
}

/// Begins a sync that waits, and comes back when the server holds it.
async fn waiting(server: &Server, body: String) -> tokio::task::JoinHandle<Answer> {
    let request = Client::pod().request(&*server.clock, "POST", PATH, body.as_bytes());
    held(server, request).await
}

async fn held(server: &Server, request: Signed) -> tokio::task::JoinHandle<Answer> {
    let before = server.engine.app.metrics.waiting.get();
    let router = server.router.clone();
    let task = tokio::spawn(async move { send_to(&router, request).await });
    let held = async {
        while server.engine.app.metrics.waiting.get() == before {
            assert!(!task.is_finished(), "it was answered at once");
            tokio::task::yield_now().await;
        }
    };
    timeout(Duration::from_secs(10), held).await.unwrap();
    task
}

async fn answer(task: tokio::task::JoinHandle<Answer>) -> Value {
    let answer = timeout(Duration::from_secs(10), task).await.unwrap().unwrap();
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer.json()
}

#[tokio::test]
async fn a_first_sync_brings_the_delivery_and_every_value() {
    let server = Server::new().await;
    let body = server.post(&Client::pod(), PATH, "{}").await.json();
    assert_eq!(body["deliveryRevision"], "rev1");
    assert_eq!(body["delivery"]["files"][0]["path"], "all.env");
    let value = json!({"value": {"id": "sk_db", "version": 1, "fieldNames": [], "value": "hunter2"}});
    assert_eq!(body["secrets"], json!({"shop/db": value}));
    assert_eq!(body["identityExpiresAt"], START + 3_600_000);
    let row = server.last_audit().await;
    assert_eq!((row.action, row.secret.unwrap().as_str()), (Action::SecretRead, "sk_db"));

    // What it has is not said again, and asking is no read.
    let rows = server.audit().await.len();
    let body = server.post(&Client::pod(), PATH, &holding(1, 0)).await.json();
    assert_eq!((body.get("delivery"), &body["secrets"]), (None, &json!({})));
    assert_eq!(server.audit().await.len(), rows);
}

/// Whether the version that the pod was delivered last stands in its files, by the server's knowledge; and which that is.
fn in_files(server: &Server) -> Option<(u64, bool)> {
    let world = server.engine.app.live.read();
    let holding = world.ledger.holding(&uuid(0x11).parse().unwrap(), &"sk_db".parse().unwrap())?;
    Some((holding.version, holding.in_files))
}

#[tokio::test]
async fn what_a_pod_was_delivered_is_served_once_it_says_so_and_not_while_it_stands_in_no_file() {
    let server = Server::new().await;
    server.post(&Client::pod(), PATH, "{}").await;
    assert_eq!(in_files(&server), Some((1, false)), "delivered, and nothing more");
    let lacking = |version: u64| {
        let mut body: Value = serde_json::from_str(&holding(version, 0)).unwrap();
        body["notInFiles"] = json!(["shop/db"]);
        body.to_string()
    };
    for (body, expected) in [
        (lacking(1), (1, false)),
        (holding(1, 0), (1, true)),
        (holding(1, 0), (1, true)),
        // Its files went.
        (lacking(1), (1, false)),
        (holding(1, 0), (1, true)),
    ] {
        assert_eq!(server.post(&Client::pod(), PATH, &body).await.status, 200);
        assert_eq!(in_files(&server), Some(expected), "{body}");
    }
    let server = server.restart().await.unwrap();
    assert_eq!(in_files(&server), Some((1, true)));

    let secret = server.engine.app.live.read().state.secrets[&"sk_db".parse().unwrap()].clone();
    server.apply(server.version(&secret, "second")).await.unwrap();
    // Of a version that it does not hold any more it says nothing.
    server.post(&Client::pod(), PATH, &holding(1, 0)).await;
    assert_eq!(in_files(&server), Some((2, false)));
    server.post(&Client::pod(), PATH, &lacking(1)).await;
    let server = server.restart().await.unwrap();
    assert_eq!(in_files(&server), Some((2, false)));
    let task = waiting(&server, holding(2, 55)).await;
    assert_eq!(in_files(&server), Some((2, true)), "before it waits");
    server.engine.stop_waiting();
    answer(task).await;

    // Whoever writes no files has what it reads.
    server.get(&Client::host(), "/v1/secret/sk_db").await;
    let host = server.engine.app.live.read().ledger.holding(&uuid(0x12).parse().unwrap(), &"sk_db".parse().unwrap());
    assert!(host.unwrap().in_files);
}

#[tokio::test]
async fn a_new_version_reaches_a_sidecar_that_waits() {
    let server = Server::new().await;
    let task = waiting(&server, holding(1, 55)).await;
    let secret = server.engine.app.live.read().state.secrets[&"sk_db".parse().unwrap()].clone();
    server.apply(server.version(&secret, "second")).await.unwrap();
    assert_eq!(answer(task).await["secrets"]["shop/db"]["value"]["value"], "second");
    let row = server.last_audit().await;
    assert_eq!((row.action, row.detail.starts_with("v2 db")), (Action::SecretRead, true));
}

#[tokio::test]
async fn a_revoked_grant_reaches_a_sidecar_that_waits_and_is_audited_once() {
    let server = Server::new().await;
    let task = waiting(&server, holding(1, 55)).await;
    server.remove(EntityKind::Grant, &uuid(1)).await;
    let denied = &answer(task).await["secrets"]["shop/db"]["denied"];
    assert_eq!(denied["reason"], "NotGranted");
    assert!(denied["message"].as_str().unwrap().contains("add it to a Grant in namespace shop"), "{denied}");
    let rows = server.audit().await;
    assert_eq!(rows.last().unwrap().action, Action::SecretReadDenied);

    let body = json!({"deliveryRevision": "rev1", "held": {"shop/db": {"denied": "NotGranted"}}});
    let body = server.post(&Client::pod(), PATH, &body.to_string()).await.json();
    assert_eq!(body["secrets"], json!({}));
    assert_eq!(server.audit().await.len(), rows.len());
    // It comes back with the grant.
    let held = json!({"deliveryRevision": "rev1", "held": {"shop/db": {"denied": "NotGranted"}}, "waitSeconds": 55});
    let task = waiting(&server, held.to_string()).await;
    server.put(Entity::Grant(grant(1, Grantee::Fleet(fleet().id), &["sk_db"]))).await;
    assert_eq!(answer(task).await["secrets"]["shop/db"]["value"]["version"], 1);
}

#[tokio::test]
async fn a_changed_delivery_and_a_secret_that_appears_reach_a_sidecar_that_waits() {
    use sikkerkey_server::model::fleet::FleetSubject;
    let server = Server::new().await;
    let subject = |names: &[&str], revision: &str| FleetSubject::Workload {
        service_accounts: vec!["web".into()],
        lifetime_seconds: 3600,
        delivery: std::sync::Arc::new(delivery(names)),
        delivery_revision: revision.into(),
    };
    let task = waiting(&server, holding(1, 55)).await;
    server.put(Entity::Fleet(Fleet { subject: subject(&["db", "late"], "rev2"), ..fleet() })).await;
    let body = answer(task).await;
    assert_eq!(body["deliveryRevision"], "rev2");
    assert_eq!(body["delivery"]["files"][0]["inputs"][1]["secret"], "shop/late");
    // A name that means nothing is denied like a secret that is not granted.
    assert_eq!(body["secrets"]["shop/late"]["denied"]["reason"], "NotGranted");

    let held = json!({
        "shop/db": {"version": {"id": "sk_db", "version": 1}}, "shop/late": {"denied": "NotGranted"}
    });
    let held = json!({"deliveryRevision": "rev2", "held": held, "waitSeconds": 55}).to_string();
    let task = waiting(&server, held).await;
    server.put_secret(secret("late", "shop"), "now").await;
    server.put(Entity::Grant(grant(5, Grantee::Fleet(fleet().id), &["sk_late"]))).await;
    assert_eq!(answer(task).await["secrets"]["shop/late"]["value"]["value"], "now");
}

#[tokio::test]
async fn a_window_that_closes_while_a_sidecar_waits_is_news_at_that_instant() {
    let server = Server::new().await;
    // 12:00 UTC is the start; the window closes at 12:01.
    let window = TimeWindow { days: vec![Day::Wed], start: "08:00".into(), end: "12:01".into() };
    let document =
        PolicyDocument { time_zone: Some("UTC".into()), time_window: Some(window), ..PolicyDocument::default() };
    server.put(Entity::Policy(policy(document))).await;
    let guarded = Secret { policy: Some("guard".into()), version: 1, ..secret("db", "shop") };
    server.put(Entity::Secret(guarded)).await;
    server.clock.advance_seconds(59);
    let task = waiting(&server, holding(1, 55)).await;
    // The clock stands 1 s before the end. When that second is over, the server looks again.
    server.clock.advance_seconds(1);
    let denied = &answer(task).await["secrets"]["shop/db"]["denied"];
    assert_eq!(denied["reason"], "OutsideTimeWindow");
    assert!(denied["until"].as_i64().unwrap() > START);
}

#[tokio::test]
async fn a_suspended_machine_hears_it_once_and_then_waits_and_an_ended_one_enrols_anew() {
    let server = Server::new().await;
    let task = waiting(&server, holding(1, 55)).await;
    server.put(Entity::Fleet(Fleet { suspended: true, ..fleet() })).await;
    assert_eq!(answer(task).await["secrets"]["shop/db"]["denied"]["reason"], "MachineSuspended");
    let held = json!({"shop/db": {"denied": "MachineSuspended"}});
    let body = json!({"deliveryRevision": "rev1", "held": held, "waitSeconds": 55}).to_string();
    let task = waiting(&server, body).await;
    server.put(Entity::Fleet(fleet())).await;
    assert_eq!(answer(task).await["secrets"]["shop/db"]["value"]["version"], 1);

    server
        .put(Entity::Machine(Machine { expires_at: Some(sikkerkey_server::model::millis::Millis(START)), ..pod() }))
        .await;
    assert_eq!(server.post(&Client::pod(), PATH, "{}").await.status, 401);
    server.remove(EntityKind::Machine, &uuid(0x11)).await;
    assert_eq!(server.post(&Client::pod(), PATH, "{}").await.status, 401);
}

#[tokio::test]
async fn a_machine_that_is_revoked_while_it_waits_is_told_so() {
    let server = Server::new().await;
    let task = waiting(&server, holding(1, 55)).await;
    server.remove(EntityKind::Machine, &uuid(0x11)).await;
    assert_eq!(timeout(Duration::from_secs(10), task).await.unwrap().unwrap().status, 401);
}

#[tokio::test]
async fn a_host_has_no_delivery() {
    let server = Server::new().await;
    let answer = server.post(&Client::host(), PATH, "{}").await;
    assert_eq!((answer.status.as_u16(), answer.error().contains("no delivery")), (403, true));
}

#[tokio::test]
async fn the_end_of_the_server_answers_whoever_waits() {
    let server = Server::new().await;
    let task = waiting(&server, holding(1, 55)).await;
    server.engine.stop_waiting();
    let body = answer(task).await;
    assert_eq!(body["secrets"], json!({}));
    assert!(body["nextSyncMillis"].as_u64().unwrap() >= 1000);
}

#[tokio::test]
async fn a_held_request_cannot_be_replayed() {
    let server = Server::new().await;
    let request = Client::pod().request(&*server.clock, "POST", PATH, holding(1, 55).as_bytes());
    let task = held(&server, request.clone()).await;
    assert_eq!(server.send(request).await.status, 401);
    server.engine.stop_waiting();
    answer(task).await;
}
