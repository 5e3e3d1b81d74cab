//! Applications, memberships and the answers of the command line client's routes; and that no answer has a key too many.

use serde_json::Value;
use sikkerkey_server::model::application::Application;
use sikkerkey_server::model::grant::Grant;
use sikkerkey_server::model::machine::Grantee;
use sikkerkey_server::model::membership::Membership;
use sikkerkey_server::model::project::Project;
use sikkerkey_server::model::secret::Secret;
use sikkerkey_server::model::{Entity, EntityKind};

use crate::fixture::*;

/// The host has `sk_db` and `sk_conn` in `shop` and `sk_ledger` in `payments`; `shop` is in application `store`.
async fn store() -> Server {
    let server = Server::new().await;
    let structured = Secret { field_names: vec!["host".into(), "password".into()], ..secret("conn", "shop") };
    server.put_secret(structured, r#"{"host":"h","password":"p"}"#).await;
    server.put_secret(secret("ledger", "payments"), "money").await;
    server.put(Entity::Membership(member("payments"))).await;
    server.put(Entity::Grant(grant(3, Grantee::Machine(host().id), &["sk_conn"]))).await;
    let payments = grant(4, Grantee::Machine(host().id), &["sk_ledger"]);
    server.put(Entity::Grant(Grant { project: "proj_payments".parse().unwrap(), ..payments })).await;
    server
        .put(Entity::Application(Application {
            id: "app_store".into(),
            vault: "vault_v".parse().unwrap(),
            name: "store".into(),
            projects: ["proj_shop".parse().unwrap()].into(),
        }))
        .await;
    server
}

fn names(answer: &Answer) -> Vec<String> {
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer.json()["secrets"].as_array().unwrap().iter().map(|it| it["name"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn a_project_says_in_which_application_it_is() {
    let server = store().await;
    let host = Client::host();
    let projects = server.get(&host, "/v1/cli/projects").await;
    assert_eq!(
        projects.text(),
        concat!(
            r#"{"projects":[{"projectId":"proj_payments","projectName":"payments","applicationId":"","applicationName":""},"#,
            r#"{"projectId":"proj_shop","projectName":"shop","applicationId":"app_store","applicationName":"store"}]}"#
        )
    );
    let secrets = server.get(&host, "/v1/cli/secrets").await.json();
    let applications: Vec<_> =
        secrets["secrets"].as_array().unwrap().iter().map(|it| it["applicationName"].as_str().unwrap()).collect();
    assert_eq!(applications, ["", "store", "store"]);
    server.remove(EntityKind::Application, "app_store").await;
    assert!(!server.get(&host, "/v1/cli/projects").await.text().contains("store"));
}

#[tokio::test]
async fn an_application_selects_its_projects_and_an_unknown_one_nothing() {
    let server = store().await;
    let host = Client::host();
    for route in ["/v1/secrets/list", "/v1/secrets/export"] {
        for (body, selected) in [
            ("", &["ledger", "conn", "db"] as &[&str]),
            (r#"{"applicationId":"app_store"}"#, &["conn", "db"]),
            (r#"{"applicationId":"app_other"}"#, &[]),
            (r#"{"applicationId":"store"}"#, &[]),
            (r#"{"projectId":"proj_payments"}"#, &["ledger"]),
            (r#"{"projectId":"proj_payments","applicationId":"app_store"}"#, &["ledger"]),
            (r#"{"projectId":"proj_unknown"}"#, &[]),
        ] {
            assert_eq!(names(&server.post(&host, route, body).await), selected, "{route} {body}");
        }
    }
}

#[tokio::test]
async fn reading_takes_membership_and_a_grant() {
    let server = store().await;
    let host = Client::host();
    assert_eq!(server.get(&host, "/v1/secret/sk_ledger").await.status, 200);
    let poll = async || server.post(&host, "/v1/secrets/poll", r#"{"watch":["sk_ledger"]}"#).await;
    assert_eq!(poll().await.text(), r#"{"changes":{}}"#);

    server.remove(EntityKind::Membership, &Membership::id(&"proj_payments".parse().unwrap(), &self::host().id)).await;
    assert_eq!(poll().await.text(), r#"{"changes":{"sk_ledger":{"status":"access_denied"}}}"#);
    let answer = server.get(&host, "/v1/secret/sk_ledger").await;
    assert_eq!((answer.status.as_u16(), answer.text()), (404, r#"{"error":"no such secret"}"#));
    assert_eq!(names(&server.get(&host, "/v1/secrets").await), ["conn", "db"]);

    // Membership without a grant: the project is known, the secret is not given.
    server.put(Entity::Membership(member("payments"))).await;
    server.remove(EntityKind::Grant, &uuid(4)).await;
    let answer = server.get(&host, "/v1/secret/sk_ledger").await;
    assert_eq!(answer.status, 403);
    assert!(answer.error().contains("is not granted to machine build-host"), "{}", answer.text());
    // A pod needs no membership: its fleet and the grants to it speak for it.
    assert_eq!(server.get(&Client::pod(), "/v1/secret/sk_db").await.status, 200);
}

#[tokio::test]
async fn verify_access_says_whether_a_project_is_the_machines() {
    let server = store().await;
    let host = Client::host();
    let ask = async |project: &str| {
        let answer = server.post(&host, "/v1/verify-access", &format!(r#"{{"projectId":"{project}"}}"#)).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        answer.text().to_owned()
    };
    assert_eq!(ask("proj_shop").await, r#"{"valid":true,"projectName":"shop","error":null}"#);
    let unknown = r#"{"valid":false,"projectName":null,"error":"this machine belongs to no project of that id: add it to the project at the server"}"#;
    for project in ["proj_unknown", "shop", ""] {
        assert_eq!(ask(project).await, unknown, "{project}");
    }
    server.remove(EntityKind::Membership, &Membership::id(&"proj_payments".parse().unwrap(), &self::host().id)).await;
    assert_eq!(ask("proj_payments").await, unknown);
    let held = server.engine.app.live.read().state.projects[&"proj_shop".parse().unwrap()].clone();
    server.put(Entity::Project(Project { frozen: true, ..held })).await;
    let frozen =
        r#"{"valid":false,"projectName":"shop","error":"project shop is frozen: an administrator has to unfreeze it"}"#;
    assert_eq!(ask("proj_shop").await, frozen);
    assert_eq!(server.post(&host, "/v1/verify-access", "{}").await.status, 400);
}

#[tokio::test]
async fn a_poll_takes_a_thousand_ids_and_is_answered_however_often_it_comes() {
    let server = store().await;
    let host = Client::host();
    let watch = |n: usize| serde_json::json!({ "watch": vec!["sk_db"; n] }).to_string();
    assert_eq!(server.post(&host, "/v1/secrets/poll", &watch(1000)).await.status, 200);
    let answer = server.post(&host, "/v1/secrets/poll", &watch(1001)).await;
    assert_eq!((answer.status.as_u16(), answer.error().as_str()), (400, "a poll watches at most 1000 secrets"));
    for _ in 0..20 {
        assert_eq!(server.post(&host, "/v1/secrets/poll", &watch(1)).await.status, 200);
    }
}

/// The keys of every object in a value, with the path to it; array places are `[]`.
fn keys(value: &Value, path: &str, found: &mut std::collections::BTreeSet<String>) {
    match value {
        Value::Object(object) => {
            let names: Vec<_> = object.keys().map(String::as_str).collect();
            found.insert(format!("{path}: {}", names.join(" ")));
            for (name, value) in object {
                keys(value, &format!("{path}.{name}"), found);
            }
        }
        Value::Array(items) => items.iter().for_each(|it| keys(it, &format!("{path}[]"), found)),
        _ => {}
    }
}

#[tokio::test]
async fn every_success_has_exactly_the_documented_keys() {
    let server = store().await;
    let cases: [(&str, &str, &str, &[&str]); 8] = [
        ("GET", "/v1/secret/sk_conn", "", &[": value"]),
        ("GET", "/v1/secrets", "", &[".secrets[]: fieldNames id name projectId", ": secrets"]),
        (
            "POST",
            "/v1/secrets/list",
            r#"{"projectId":"proj_shop"}"#,
            &[".secrets[]: fieldNames id name projectId", ": secrets"],
        ),
        ("POST", "/v1/secrets/export", "", &[".secrets[]: fieldNames id name value", ": secrets"]),
        ("POST", "/v1/secrets/poll", r#"{"watch":["sk_db"]}"#, &[": changes", ".changes: "]),
        (
            "GET",
            "/v1/cli/projects",
            "",
            &[".projects[]: applicationId applicationName projectId projectName", ": projects"],
        ),
        (
            "GET",
            "/v1/cli/secrets",
            "",
            &[".secrets[]: applicationId applicationName fieldNames id name projectId projectName type", ": secrets"],
        ),
        ("POST", "/v1/verify-access", r#"{"projectId":"proj_shop"}"#, &[": error projectName valid"]),
    ];
    for (method, target, body, expected) in cases {
        let answer = server.send(Client::host().request(&*server.clock, method, target, body.as_bytes())).await;
        assert_eq!(answer.status, 200, "{target}: {}", answer.text());
        let mut found = std::collections::BTreeSet::new();
        keys(&answer.json(), "", &mut found);
        let expected: std::collections::BTreeSet<_> = expected.iter().map(|it| (*it).to_owned()).collect();
        assert_eq!(found, expected, "{target}");
    }
    // A changed secret's entry has its status and nothing else.
    let mut found = std::collections::BTreeSet::new();
    let known = server.engine.app.live.read().state.secrets[&"sk_db".parse().unwrap()].clone();
    server.apply(server.version(&known, "second")).await.unwrap();
    keys(&server.post(&Client::host(), "/v1/secrets/poll", r#"{"watch":["sk_db"]}"#).await.json(), "", &mut found);
    assert!(found.contains(".changes.sk_db: status"), "{found:?}");
    // A structured value is an object of strings, and its names a JSON array in a text.
    let value = server.get(&Client::host(), "/v1/secret/sk_conn").await.json();
    let value: std::collections::BTreeMap<String, String> =
        serde_json::from_str(value["value"].as_str().unwrap()).unwrap();
    let list = server.get(&Client::host(), "/v1/secrets").await.json();
    let text = list["secrets"].as_array().unwrap().iter().find_map(|it| it["fieldNames"].as_str()).unwrap().to_owned();
    let names: Vec<String> = serde_json::from_str(&text).unwrap();
    assert_eq!(names, value.keys().cloned().collect::<Vec<_>>());
}
