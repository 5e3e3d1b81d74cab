//! Canaries, and projects that answer nobody.

use std::sync::Arc;

use sikkerkey_protocol::denial::DenialReason;
use sikkerkey_protocol::sync::{Held, News, Sync, Synced};
use sikkerkey_server::audit::entry::{Action, Severity};
use sikkerkey_server::model::Entity;
use sikkerkey_server::model::canary::Canary;
use sikkerkey_server::model::grant::Grant;
use sikkerkey_server::model::machine::Grantee;
use sikkerkey_server::model::project::Project;
use sikkerkey_server::model::secret::Secret;
use tokio::task::JoinSet;

use crate::durability::{BREAK, MEND};
use crate::fixture::*;

const NOTHING: &str = r#"{"changes":{}}"#;

/// The host reads `sk_db` and the canary `sk_trap` of project `shop`, and `sk_ledger` of project `payments`.
async fn trapped(freeze_related: bool) -> Server {
    let server = Server::new().await;
    server.put_secret(secret("trap", "shop"), "bait").await;
    server.put_secret(secret("ledger", "payments"), "money").await;
    server.put(Entity::Membership(member("payments"))).await;
    server.put(Entity::Grant(grant(3, Grantee::Machine(host().id), &["sk_trap"]))).await;
    let payments = grant(4, Grantee::Machine(host().id), &["sk_ledger"]);
    server.put(Entity::Grant(Grant { project: "proj_payments".parse().unwrap(), ..payments })).await;
    server
        .put(Entity::Canary(Canary {
            secret: "sk_trap".parse().unwrap(),
            vault: "vault_v".parse().unwrap(),
            project: "proj_shop".parse().unwrap(),
            armed: true,
            freeze_project: true,
            freeze_related,
            trips: 0,
            last_trip: None,
        }))
        .await;
    server
}

async fn thaw(server: &Server, project: &str) {
    let held = server.engine.app.live.read().state.projects[&project.parse().unwrap()].clone();
    assert!(held.frozen);
    server.put(Entity::Project(Project { frozen: false, ..held })).await;
}

#[tokio::test]
async fn a_canary_looks_like_any_other_secret() {
    let server = trapped(false).await;
    let host = Client::host();
    let listed = server.get(&host, "/v1/cli/secrets").await.json();
    let kinds: Vec<_> = listed["secrets"].as_array().unwrap().iter().map(|it| it["type"].as_str().unwrap()).collect();
    assert_eq!(kinds, ["secret", "secret", "secret"]);
    // Listing, watching and being refused spring nothing.
    server.get(&host, "/v1/secrets").await;
    server.post(&host, "/v1/secrets/poll", r#"{"watch":["sk_trap"]}"#).await;
    assert_eq!(server.get(&Client::pod(), "/v1/secret/sk_trap").await.status, 403);
    assert_eq!(server.get(&host, "/v1/secret/sk_db").await.status, 200);
}

#[tokio::test]
async fn reading_a_canary_is_answered_and_freezes_its_project_for_everybody() {
    let server = trapped(false).await;
    let host = Client::host();
    let answer = server.get(&host, "/v1/secret/sk_trap").await;
    assert_eq!((answer.status.as_u16(), answer.text()), (200, r#"{"value":"bait"}"#));
    let row = server.last_audit().await;
    assert_eq!((row.action, row.action.severity()), (Action::CanaryTriggered, Severity::Critical));
    assert_eq!((row.machine, row.source_ip.unwrap().to_string()), (Some(self::host().id), POD_ADDRESS.to_owned()));
    assert!(row.detail.ends_with("frozen: shop"), "{}", row.detail);
    let metrics = server.engine.app.metrics.render();
    for line in ["sikkerkey_canaries_triggered_total 1", "sikkerkey_alerts_total{severity=\"critical\"} 1"] {
        assert!(metrics.lines().any(|it| it == line), "{line}: {metrics}");
    }

    for client in [Client::host(), Client::pod()] {
        let answer = server.get(&client, "/v1/secret/sk_db").await;
        let text =
            "project shop is frozen since a canary was read: every read is refused until an administrator unfreezes it";
        assert_eq!((answer.status.as_u16(), answer.error().as_str()), (423, text));
        assert_eq!(server.last_audit().await.denial, Some(DenialReason::ProjectFrozen));
    }
    assert_eq!(server.get(&host, "/v1/secret/sk_trap").await.status, 423);
    // The other project of the same machine goes on.
    assert_eq!(server.get(&host, "/v1/secret/sk_ledger").await.status, 200);

    // It survives a restart, and ends with a person's word; the canary stays armed.
    let server = server.restart().await.unwrap();
    assert_eq!(server.get(&host, "/v1/secret/sk_db").await.status, 423);
    thaw(&server, "proj_shop").await;
    assert_eq!(server.get(&host, "/v1/secret/sk_db").await.status, 200);
    assert_eq!(server.get(&host, "/v1/secret/sk_trap").await.status, 200);
    assert_eq!(server.get(&host, "/v1/secret/sk_db").await.status, 423);
}

#[tokio::test]
async fn a_canary_may_freeze_the_projects_that_share_its_machines() {
    let server = trapped(true).await;
    let host = Client::host();
    assert_eq!(server.get(&host, "/v1/secret/sk_trap").await.status, 200);
    assert_eq!(server.get(&host, "/v1/secret/sk_ledger").await.status, 423);
    let all = server.post(&host, "/v1/secrets/export", "").await;
    assert_eq!(all.status, 423, "{}", all.text());
    assert!(all.error().contains("is frozen"));
}

#[tokio::test]
async fn an_export_springs_the_trap_before_anything_else_leaves() {
    let server = trapped(false).await;
    let host = Client::host();
    let names = |answer: &Answer| -> Vec<String> {
        answer.json()["secrets"].as_array().unwrap().iter().map(|it| it["name"].as_str().unwrap().to_owned()).collect()
    };
    let answer = server.post(&host, "/v1/secrets/export", "").await;
    assert_eq!((answer.status.as_u16(), names(&answer)), (200, vec!["ledger".to_owned(), "trap".to_owned()]));
    // From then on the frozen project is left out, and 423 when it is all that is asked for.
    assert_eq!(names(&server.post(&host, "/v1/secrets/export", "").await), ["ledger"]);
    let answer = server.post(&host, "/v1/secrets/export", r#"{"projectId":"proj_shop"}"#).await;
    assert_eq!(answer.status, 423);
    assert!(answer.error().starts_with("project shop is frozen"));
    let answer = server.post(&host, "/v1/secrets/export", r#"{"projectId":"proj_payments"}"#).await;
    assert_eq!(names(&answer), ["ledger"]);
    // Lists have no values, and a poll tells no news that reading could not fetch.
    assert_eq!(names(&server.get(&host, "/v1/secrets").await), ["ledger", "db", "trap"]);
    let poll = server.post(&host, "/v1/secrets/poll", r#"{"watch":["sk_db","sk_trap"]}"#).await;
    assert_eq!(poll.text(), NOTHING);
}

#[tokio::test]
async fn a_frozen_project_of_others_looks_like_one_that_is_not_there() {
    let server = Server::new().await;
    server.put_secret(secret("ledger", "payments"), "x").await;
    let held = server.engine.app.live.read().state.projects[&"proj_payments".parse().unwrap()].clone();
    server.put(Entity::Project(Project { frozen: true, ..held })).await;
    let answer = server.get(&Client::host(), "/v1/secret/sk_ledger").await;
    assert_eq!((answer.status.as_u16(), answer.text()), (404, r#"{"error":"no such secret"}"#));
}

#[tokio::test]
async fn a_sync_that_waits_hears_that_its_project_is_frozen() {
    let server = trapped(false).await;
    let pod = Client::pod();
    let first = server.post(&pod, "/v1/machine/sync", "{}").await.json();
    assert_eq!(first["secrets"].as_object().unwrap().len(), 1, "{first}");
    let held = held(first);
    let wait = server.post(&pod, "/v1/machine/sync", &held);
    let trip = async {
        // The sync waits from here on, or has not begun: the bell is heard either way.
        tokio::task::yield_now().await;
        assert_eq!(server.get(&Client::host(), "/v1/secret/sk_trap").await.status, 200);
    };
    let (answer, ()) = tokio::join!(wait, trip);
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert!(answer.text().contains("ProjectFrozen"), "{}", answer.text());
}

/// What a sidecar that took everything of an answer says that it has.
fn held(synced: serde_json::Value) -> String {
    let synced: Synced = serde_json::from_value(synced).unwrap();
    let held = synced.secrets.into_iter().filter_map(|(key, news)| match news {
        News::Value { id, version, .. } => Some((key, Held::Version { id, version })),
        News::Denied { .. } => None,
    });
    let held = held.collect();
    let sync = Sync { delivery_revision: Some(synced.delivery_revision), held, wait_seconds: 20, ..Sync::default() };
    serde_json::to_string(&sync).unwrap()
}

#[tokio::test]
async fn a_structured_canary_is_structured_in_lists() {
    let server = trapped(false).await;
    let structured = Secret { field_names: vec!["user".into(), "password".into()], ..secret("trap2", "shop") };
    server.put_secret(structured, r#"{"user":"root","password":"bait"}"#).await;
    server.put(Entity::Grant(grant(5, Grantee::Machine(host().id), &["sk_trap2"]))).await;
    let listed = server.get(&Client::host(), "/v1/cli/secrets").await.json();
    let found = listed["secrets"].as_array().unwrap().iter().find(|it| it["id"] == "sk_trap2").unwrap().clone();
    assert_eq!(
        (found["type"].as_str(), found["fieldNames"].as_str()),
        (Some("structured"), Some(r#"["user","password"]"#))
    );
}

#[tokio::test]
async fn a_trap_whose_group_cannot_be_written_gives_nothing_and_freezes_nothing() {
    let server = trapped(true).await;
    let host = Client::host();
    server.database().execute(server.database().by(BREAK[0], BREAK[1])).await;
    let answer = server.get(&host, "/v1/secret/sk_trap").await;
    assert_eq!((answer.status.as_u16(), answer.text().contains("bait")), (503, false));
    server.database().execute(server.database().by(MEND[0], MEND[1])).await;
    assert_eq!(server.get(&host, "/v1/secret/sk_db").await.status, 200);
    // What was taken back in memory is what is on the disk.
    let server = server.restart().await.unwrap();
    assert_eq!(server.get(&host, "/v1/secret/sk_ledger").await.status, 200);
    assert!(server.audit().await.iter().all(|it| it.action != Action::CanaryTriggered));
}

#[tokio::test]
async fn of_those_who_read_at_once_nobody_gets_a_value_after_the_trap_has_sprung() {
    let server = Arc::new(trapped(false).await);
    let mut tasks = JoinSet::new();
    for n in 0..60 {
        let server = Arc::clone(&server);
        tasks.spawn(async move {
            let client = if n % 2 == 0 { Client::pod() } else { Client::host() };
            let target = if n == 30 { "/v1/secret/sk_trap" } else { "/v1/secret/sk_db" };
            let client = if n == 30 { Client::host() } else { client };
            server.get(&client, target).await.status.as_u16()
        });
    }
    let statuses = tasks.join_all().await;
    assert!(statuses.iter().all(|it| [200, 423].contains(it)), "{statuses:?}");
    let rows = server.audit().await;
    let sprung = rows.iter().position(|it| it.action == Action::CanaryTriggered).unwrap();
    let later: Vec<_> = rows[sprung..].iter().filter(|it| it.action == Action::SecretRead).collect();
    assert!(later.is_empty(), "{later:?}");
    let released = rows.iter().filter(|it| it.action == Action::SecretRead).count();
    assert_eq!(statuses.iter().filter(|it| **it == 200).count(), released);
}
