//! What clients get that are allowed to.

use axum::http::header::CACHE_CONTROL;
use sikkerkey_protocol::denial::DenialReason;
use sikkerkey_protocol::enrolment::{Renew, Resign};
use sikkerkey_server::audit::entry::{Action, Actor};
use sikkerkey_server::model::Entity;
use sikkerkey_server::model::machine::Grantee;
use sikkerkey_server::model::secret::{Secret, SecretPhase};

use crate::fixture::*;

#[tokio::test]
async fn a_value_is_one_key_and_leaves_a_row_that_says_who_and_where() {
    let server = Server::new().await;
    let answer = server.get(&Client::pod(), "/v1/secret/sk_db").await;
    assert_eq!((answer.status.as_u16(), answer.text()), (200, r#"{"value":"hunter2"}"#));
    assert_eq!(answer.headers["content-type"], "application/json");
    assert_eq!(answer.headers[CACHE_CONTROL], "no-store");

    let row = server.last_audit().await;
    assert_eq!((row.action, row.denial), (Action::SecretRead, None));
    assert_eq!(row.actor, Actor::Machine(pod().id));
    assert_eq!(row.machine, Some(pod().id));
    assert_eq!(row.secret.unwrap().as_str(), "sk_db");
    assert_eq!(row.project.unwrap().as_str(), "proj_shop");
    assert_eq!(row.source_ip.unwrap().to_string(), POD_ADDRESS);
    assert_eq!(row.detail, "v1 db; pod shop/web-1 on node node-7 as web-sa in cluster prod");

    server.get(&Client::host(), "/v1/secret/sk_db").await;
    assert_eq!(server.last_audit().await.detail, "v1 db; machine build-host");
}

#[tokio::test]
async fn lists_and_exports_hold_exactly_the_documented_keys() {
    let server = Server::new().await;
    let structured = Secret { field_names: vec!["host".into(), "password".into()], ..secret("conn", "shop") };
    server.put_secret(structured, r#"{"host":"h","password":"p"}"#).await;
    server.put_secret(secret("other", "payments"), "x").await;
    let host = Client::host();
    server.put(Entity::Grant(grant(3, Grantee::Machine(self::host().id), &["sk_conn"]))).await;

    let conn = r#"{"id":"sk_conn","name":"conn","fieldNames":"[\"host\",\"password\"]","projectId":"proj_shop"}"#;
    let db = r#"{"id":"sk_db","name":"db","fieldNames":null,"projectId":"proj_shop"}"#;
    let list = format!(r#"{{"secrets":[{conn},{db}]}}"#);
    assert_eq!(server.get(&host, "/v1/secrets").await.text(), list);
    assert_eq!(server.post(&host, "/v1/secrets/list", r#"{"projectId": "proj_shop"}"#).await.text(), list);
    for nothing in [r#"{"projectId":"proj_payments"}"#, r#"{"applicationId":"app"}"#] {
        assert_eq!(server.post(&host, "/v1/secrets/list", nothing).await.text(), r#"{"secrets":[]}"#);
    }

    let export = concat!(
        r#"{"secrets":[{"id":"sk_conn","name":"conn","value":"{\"host\":\"h\",\"password\":\"p\"}","#,
        r#""fieldNames":"[\"host\",\"password\"]"},"#,
        r#"{"id":"sk_db","name":"db","value":"hunter2","fieldNames":null}]}"#
    );
    // No body, no length, no content type: some clients send a POST like that.
    assert_eq!(server.post(&host, "/v1/secrets/export", "").await.text(), export);
    let read: Vec<_> = server.audit().await.into_iter().filter(|it| it.action == Action::SecretRead).collect();
    assert_eq!(read.iter().map(|it| it.secret.as_ref().unwrap().as_str()).collect::<Vec<_>>(), ["sk_conn", "sk_db"]);

    let projects =
        r#"{"projects":[{"projectId":"proj_shop","projectName":"shop","applicationId":"","applicationName":""}]}"#;
    assert_eq!(server.get(&host, "/v1/cli/projects").await.text(), projects);
    let cli = server.get(&host, "/v1/cli/secrets").await.json();
    assert_eq!(cli["secrets"][0]["type"], "structured");
    assert_eq!(cli["secrets"][1]["type"], "secret");
    let mut keys: Vec<_> = cli["secrets"][0].as_object().unwrap().keys().cloned().collect();
    keys.sort();
    assert_eq!(
        keys,
        ["applicationId", "applicationName", "fieldNames", "id", "name", "projectId", "projectName", "type"]
    );
}

const NOTHING: &str = r#"{"changes":{}}"#;

#[tokio::test]
async fn a_poll_reports_what_reading_again_would_change_and_reading_clears_it() {
    let server = Server::new().await;
    let host = Client::host();
    let poll = async || server.post(&host, "/v1/secrets/poll", r#"{"watch":["sk_db","sk_none","nonsense"]}"#).await;
    let changes = |status: &str| format!(r#"{{"changes":{{"sk_db":{{"status":"{status}"}}}}}}"#);

    assert_eq!(poll().await.text(), changes("changed"));
    server.get(&host, "/v1/secret/sk_db").await;
    assert_eq!(poll().await.text(), NOTHING);

    let known = || server.engine.app.live.read().state.secrets[&"sk_db".parse().unwrap()].clone();
    server.apply(server.version(&known(), "second")).await.unwrap();
    assert_eq!(poll().await.text(), changes("changed"));
    assert_eq!(server.post(&host, "/v1/secrets/export", "").await.json()["secrets"][0]["value"], "second");
    assert_eq!(poll().await.text(), NOTHING);

    let trashed = Secret { phase: SecretPhase::Trashed(sikkerkey_server::model::millis::Millis(1)), ..known() };
    let active = known();
    server.put(Entity::Secret(trashed)).await;
    assert_eq!(poll().await.text(), changes("deleted"));
    server.put(Entity::Secret(active)).await;
    assert_eq!(poll().await.text(), NOTHING);

    server.remove(sikkerkey_server::model::EntityKind::Grant, &uuid(2)).await;
    assert_eq!(poll().await.text(), changes("access_denied"));
    assert_eq!(poll().await.text(), changes("access_denied"));
    // The command line client answers a change with an export, and would do so for ever.
    assert_eq!(server.post(&host, "/v1/secrets/export", "").await.text(), r#"{"secrets":[]}"#);
    assert_eq!(poll().await.text(), NOTHING);
}

#[tokio::test]
async fn a_deleted_secret_is_not_there_for_whoever_was_granted_it() {
    let server = Server::new().await;
    let phase = SecretPhase::Trashed(sikkerkey_server::model::millis::Millis(1));
    let known = server.engine.app.live.read().state.secrets[&"sk_db".parse().unwrap()].clone();
    for phase in [phase, SecretPhase::Retained] {
        server.put(Entity::Secret(Secret { phase, ..known.clone() })).await;
        for client in [Client::host(), Client::pod()] {
            let answer = server.get(&client, "/v1/secret/sk_db").await;
            assert_eq!((answer.status.as_u16(), answer.error().as_str()), (404, "no such secret"));
            assert_eq!(server.last_audit().await.denial, Some(DenialReason::NotGranted));
        }
    }
}

#[tokio::test]
async fn lists_and_polls_are_counted_by_the_minute_instead_of_audited() {
    let server = Server::new().await;
    let host = Client::host();
    let before = server.audit().await.len();
    for _ in 0..3 {
        server.get(&host, "/v1/secrets").await;
        server.post(&host, "/v1/secrets/poll", r#"{"watch":[]}"#).await;
    }
    assert_eq!(server.audit().await.len(), before);
    let directory = server.stop().await;
    let sql = "select kind || ' ' || count || ' ' || first_of from activity order by kind";
    let rows = TestDatabase::of(directory.path()).query(sql).await;
    let who = format!("{} from {POD_ADDRESS}", uuid(0x12));
    assert_eq!(rows, [format!("list 3 {who}"), format!("poll 3 {who}")]);
}

#[tokio::test]
async fn a_renewed_key_replaces_the_old_one_at_once() {
    use sikkerkey_protocol::canonical::{Purpose, possession};
    let server = Server::new().await;
    let (old, new) = (Client::pod(), Client::new(uuid(0x11), 77));
    server.clock.advance_seconds(600);
    let public_key = new.key.public_key();
    let proof = new.key.sign(&possession(Purpose::Renew, &old.id, &public_key));
    let answer = server.call(&old, &Renew { public_key, proof }).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    let body = answer.json();
    assert_eq!(body["expiresAt"], START + 600_000 + 3_600_000);
    assert_eq!((body["apiUrl"].as_str(), body["machineId"].as_str()), (Some(URL), Some(old.id.as_str())));
    assert_eq!(server.last_audit().await.action, Action::MachineRenew);

    assert_eq!(server.get(&new, "/v1/secret/sk_db").await.status, 200);
    assert_eq!(server.get(&old, "/v1/secret/sk_db").await.status, 401);

    // The proof must be the fresh key's, for this purpose and this machine; and the key must be nobody's.
    let proofs = [
        (new.key.sign(&possession(Purpose::Register, &old.id, &public_key)), key(78).public_key(), 400),
        (key(78).sign(&possession(Purpose::Renew, &uuid(0x12), &key(78).public_key())), key(78).public_key(), 400),
        (key(2).sign(&possession(Purpose::Renew, &old.id, &key(2).public_key())), key(2).public_key(), 409),
    ];
    for (proof, public_key, status) in proofs {
        assert_eq!(server.call(&new, &Renew { public_key, proof }).await.status, status);
        assert_eq!(server.last_audit().await.action, Action::ManagementDenied);
    }
}

#[tokio::test]
async fn a_machine_that_resigns_is_revoked_before_the_answer() {
    let server = Server::new().await;
    let pod = Client::pod();
    assert_eq!(server.call(&pod, &Resign {}).await.text(), "{}");
    assert_eq!(server.last_audit().await.action, Action::MachineRevoke);
    for _ in 0..5 {
        assert_eq!(server.get(&pod, "/v1/secret/sk_db").await.status, 401);
    }
    // A machine that was revoked is no attacker: its address stays open for others.
    assert_eq!(server.get(&Client::host(), "/v1/secret/sk_db").await.status, 200);
}

#[tokio::test]
async fn a_request_over_a_trusted_proxy_counts_as_the_clients() {
    let server = Server::new().await;
    let request = Client::host().request(&*server.clock, "GET", "/v1/secret/sk_db", b"");
    let request = request.from("192.0.2.9").and("x-forwarded-for", "6.6.6.6, 203.0.113.7");
    assert_eq!(server.send(request).await.status, 200);
    assert_eq!(server.last_audit().await.source_ip.unwrap().to_string(), "203.0.113.7");
}

#[tokio::test]
async fn health_says_ok_and_metrics_count_answers() {
    let server = Server::new().await;
    server.get(&Client::host(), "/v1/secret/sk_db").await;
    let plain = |target: &str| Signed {
        method: "GET",
        target: target.into(),
        headers: vec![],
        body: vec![],
        address: "127.0.0.1".into(),
    };
    assert_eq!(server.send(plain("/healthz")).await.text(), "ok\n");
    assert_eq!(server.send(plain("/readyz")).await.status, 200);
    let metrics = server.send(plain("/metrics")).await;
    assert!(metrics.text().contains(r#"sikkerkey_responses_total{status="200"} 3"#), "{}", metrics.text());
    assert!(metrics.text().contains(r#"sikkerkey_missing{what="database_writes"} 0"#), "{}", metrics.text());
}
