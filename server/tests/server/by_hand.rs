//! Secrets by hand, over the management plane and as machines read them.

mod canaries;
mod schedules;
mod scopes;
mod shell;
mod trash;

use serde_json::{Value, json};
use sikkerkey_server::audit::entry::{Action, Actor};
use sikkerkey_server::clock::Clock;
use sikkerkey_server::model::Entity;
use sikkerkey_server::model::agent::Agent;
use sikkerkey_server::model::grant::Grant;
use sikkerkey_server::model::machine::Grantee;
use sikkerkey_server::model::project::Project;
use sikkerkey_server::usecase::housekeeping;
use sikkerkey_server::writer::ChangeRequest;

use crate::fixture::*;

const SECRETS: &str = "/v1/ai/projects/proj_ci/secrets";
const DAY: i64 = 86_400;

/// A server with project `ci`, which stands for no namespace, the host as a member of it, and an agent of people.
async fn server() -> Server {
    let server = Server::new().await;
    server.put(Entity::Agent(assistant())).await;
    server.put(Entity::Project(Project { namespace: None, ..server.project("ci") })).await;
    server.put(Entity::Membership(member("ci"))).await;
    server
}

async fn ask(server: &Server, method: &'static str, target: &str, body: Option<Value>) -> (u16, Value) {
    server.manage(&Client::assistant(), method, target, body).await
}

async fn get(server: &Server, target: &str) -> (u16, Value) {
    ask(server, "GET", target, None).await
}

async fn post(server: &Server, target: &str, body: Value) -> (u16, Value) {
    ask(server, "POST", target, Some(body)).await
}

async fn act(server: &Server, target: &str) -> (u16, Value) {
    ask(server, "POST", target, None).await
}

/// A secret that the host is granted. Its id.
async fn made(server: &Server, fields: Value) -> String {
    let (status, made) = post(server, SECRETS, fields).await;
    assert_eq!(status, 200, "{made}");
    grant_to_host(server, made["id"].as_str().unwrap()).await
}

async fn grant_to_host(server: &Server, id: &str) -> String {
    let number = u8::try_from(server.engine.app.live.read().state.grants.len()).unwrap() + 100;
    let granted = grant(number, Grantee::Machine(host().id), &[id]);
    server.put(Entity::Grant(Grant { project: "proj_ci".parse().unwrap(), ..granted })).await;
    id.to_owned()
}

async fn read(server: &Server, id: &str) -> String {
    let answer = server.get(&Client::host(), &format!("/v1/secret/{id}")).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer.json()["value"].as_str().unwrap().to_owned()
}

async fn polled(server: &Server, id: &str) -> Option<String> {
    let watch = json!({"watch": [id]}).to_string();
    let changes = server.post(&Client::host(), "/v1/secrets/poll", &watch).await.json();
    changes["changes"][id]["status"].as_str().map(str::to_owned)
}

async fn keep_house(server: &Server) {
    let request = ChangeRequest {
        spend: None,
        actor: Actor::System,
        source_ip: None,
        what: "housekeeping",
        decide: Box::new(housekeeping::run),
    };
    server.engine.app.writer.change(request).await.unwrap();
}

#[tokio::test]
async fn a_secret_lives_from_its_making_to_its_purge_over_http() {
    use Action::*;

    let server = server().await;
    let id =
        made(&server, json!({"name": "db", "value": "hunter1", "projectId": "proj_ci", "note": "the shop's"})).await;
    let secret = format!("{SECRETS}/{id}");
    let view = |version: u64, name: &str, note: Value| {
        json!({
            "id": id, "projectId": "proj_ci", "name": name, "type": "secret", "fieldNames": null, "note": note,
            "version": version, "createdAt": START, "updatedAt": START,
            "updatedBy": format!("agent assistant ({})", assistant().id), "grantedTo": 1, "policy": null,
            "nextRotationAt": null, "held": false, "deleted": false,
        })
    };
    assert_eq!(get(&server, &secret).await, (200, view(1, "db", json!("the shop's"))));
    assert_eq!(get(&server, SECRETS).await, (200, json!({"secrets": [view(1, "db", json!("the shop's"))]})));
    assert_eq!(read(&server, &id).await, "hunter1");

    let updated = post(&server, &format!("{secret}/update"), json!({"value": "hunter2"})).await;
    assert_eq!(updated, (200, json!({"id": id, "version": 2})));
    assert_eq!(polled(&server, &id).await.as_deref(), Some("changed"));
    assert_eq!(read(&server, &id).await, "hunter2");
    assert_eq!(polled(&server, &id).await, None);
    let rotated = post(&server, &format!("{secret}/rotate"), json!({"length": 1, "charset": "numbers"})).await;
    assert_eq!(rotated, (200, json!({"id": id, "version": 3})));
    assert_eq!(polled(&server, &id).await.as_deref(), Some("changed"));
    assert_eq!(read(&server, &id).await.len(), 1);
    assert_eq!(act(&server, &format!("{secret}/rotate")).await.0, 200);
    assert_eq!(read(&server, &id).await.len(), 32);
    let back = post(&server, &format!("{secret}/rollback"), json!({"version": 1})).await;
    assert_eq!(back, (200, json!({"id": id, "version": 5})));
    assert_eq!(read(&server, &id).await, "hunter1");

    let (status, listed) = get(&server, &format!("{secret}/versions")).await;
    let by = format!("agent assistant ({})", assistant().id);
    let version = |number: u64, origin: &str| {
        json!({
            "version": number, "createdAt": START, "origin": origin, "createdBy": by, "fieldNames": null, "current": false,
        })
    };
    let mut newest = version(5, "rolledBack");
    (newest["valueOf"], newest["current"]) = (json!(1), json!(true));
    let versions = [newest, version(4, "generated"), version(3, "generated"), version(2, "set"), version(1, "set")];
    assert_eq!((status, listed), (200, json!({"id": id, "versions": versions})));

    assert_eq!(
        post(&server, &format!("{secret}/name"), json!({"name": "DB"})).await,
        (200, json!({"id": id, "name": "DB"}))
    );
    assert_eq!(
        post(&server, &format!("{secret}/note"), json!({"note": ""})).await,
        (200, json!({"id": id, "note": null}))
    );
    assert_eq!(get(&server, &secret).await.1, view(5, "DB", json!(null)));
    assert_eq!(polled(&server, &id).await, None, "a name and a note are no news for a machine");
    assert_eq!(read(&server, &id).await, "hunter1", "grants are by id");

    let end = START + 30 * DAY * 1000;
    let deleted = act(&server, &format!("{secret}/delete")).await;
    assert_eq!(deleted, (200, json!({"id": id, "deleted": true, "purgedAt": end})));
    assert_eq!(get(&server, &secret).await, (404, json!({"error": "this project has no secret of that id"})));
    let trashed = json!({
        "id": id, "projectId": "proj_ci", "projectName": "ci", "name": "DB", "type": "secret", "version": 5,
        "deletedAt": START, "purgedAt": end,
    });
    assert_eq!(get(&server, "/v1/ai/trash").await, (200, json!({"secrets": [trashed]})));
    let restored = json!({
        "id": id, "name": "DB", "projectId": "proj_ci", "readable": true, "policy": null, "policyInForce": true,
    });
    assert_eq!(act(&server, &format!("/v1/ai/trash/{id}/restore")).await, (200, restored));
    assert_eq!(read(&server, &id).await, "hunter1", "what was granted is granted, because the grant still stands");
    assert_eq!(act(&server, &format!("/v1/ai/trash/{id}/purge")).await.0, 404, "it is not in the trash");
    assert_eq!(act(&server, &format!("{secret}/delete")).await.0, 200);
    assert_eq!(act(&server, &format!("/v1/ai/trash/{id}/purge")).await, (200, json!({"id": id, "purged": true})));
    assert_eq!(get(&server, "/v1/ai/trash").await, (200, json!({"secrets": []})));

    let agent = Actor::Agent(assistant().id);
    let rows: Vec<_> = server.audit().await.into_iter().filter(|it| it.actor == agent).map(|it| it.action).collect();
    let all = [
        SecretCreate,
        ManagementRead,
        ManagementRead,
        SecretUpdate,
        SecretRotate,
        SecretRotate,
        SecretUpdate,
        ManagementRead,
        SecretRename,
        SecretNoteUpdate,
        ManagementRead,
        SecretDelete,
        ManagementDenied,
        ManagementRead,
        SecretRestore,
        ManagementDenied,
        SecretDelete,
        SecretPurge,
        ManagementRead,
    ];
    assert_eq!(rows, all);
}

#[tokio::test]
async fn whatever_came_before_a_rollback_brings_back_exactly_the_value_of_that_version() {
    let server = server().await;
    for updates in 1..=4_u64 {
        let id = made(&server, json!({"name": format!("s{updates}"), "value": "hunter of version 1"})).await;
        let secret = format!("{SECRETS}/{id}");
        let mut values = vec!["hunter of version 1".to_owned()];
        for version in 2..=updates + 1 {
            let value = format!("hunter of version {version}");
            assert_eq!(post(&server, &format!("{secret}/update"), json!({"value": value})).await.0, 200);
            values.push(value);
        }
        for number in 1..=values.len() {
            let version = values.len() + 1;
            let back = post(&server, &format!("{secret}/rollback"), json!({"version": number})).await;
            if number + 1 == version {
                let text = format!("s{updates} is at version {number} already");
                assert_eq!(back, (409, json!({"error": text})));
                continue;
            }
            assert_eq!(back, (200, json!({"id": id, "version": version})));
            assert_eq!(polled(&server, &id).await.as_deref(), Some("changed"));
            let value = values[number - 1].clone();
            assert_eq!(read(&server, &id).await, value);
            assert_eq!(polled(&server, &id).await, None);
            values.push(value);
        }
        for none in [0, values.len() as u64 + 1, u64::MAX] {
            let (status, refused) = post(&server, &format!("{secret}/rollback"), json!({"version": none})).await;
            let text = format!(
                "s{updates} has no version {none}: its list of versions shows what there is, and the newest 100 are kept"
            );
            assert_eq!((status, refused), (404, json!({"error": text})));
        }
    }
    // The same value is sealed anew each time.
    for column in ["wrapped_key", "ciphertext"] {
        let sql = format!("select cast(count(*) - count(distinct {column}) as text) from version");
        assert_eq!(server.database().query(&sql).await, ["0"], "{column}");
    }
    // What was rolled back to is still there after a restart.
    let server = server.restart().await.unwrap();
    let id = get(&server, SECRETS).await.1["secrets"][0]["id"].as_str().unwrap().to_owned();
    assert!(read(&server, &id).await.starts_with("hunter of version "));
}

#[tokio::test]
async fn fields_are_renewed_while_the_others_stay() {
    let server = server().await;
    let value = json!({"user": "hunter", "password": "hunter2", "token": "hunter3"}).to_string();
    let fields = json!({"name": "conn", "value": value, "fieldNames": ["user", "password", "token"]});
    let id = made(&server, fields).await;
    let secret = format!("{SECRETS}/{id}");
    let open = async |server: &Server| serde_json::from_str::<Value>(&read(server, &id).await).unwrap();
    let rotate = json!({"fields": ["password"], "length": 12, "charset": "alphanumeric"});
    assert_eq!(post(&server, &format!("{secret}/rotate"), rotate).await, (200, json!({"id": id, "version": 2})));
    let now = open(&server).await;
    assert_eq!((&now["user"], &now["token"]), (&json!("hunter"), &json!("hunter3")));
    let password = now["password"].as_str().unwrap();
    assert!(password.len() == 12 && password.bytes().all(|it| it.is_ascii_alphanumeric()), "{password}");
    for wrong in [
        json!({"fields": ["hunter"]}),
        json!({"fields": ["token", "token"]}),
        json!({"fields": ["token"], "length": 0}),
    ] {
        assert_eq!(post(&server, &format!("{secret}/rotate"), wrong).await.0, 400);
    }
    assert_eq!(open(&server).await, now);
    assert_eq!(act(&server, &format!("{secret}/rotate")).await.0, 200);
    assert!(open(&server).await.as_object().unwrap().values().all(|it| it.as_str().unwrap().len() == 32));
    // Another set of fields is another secret.
    let other = json!({"value": json!({"user": "hunter"}).to_string()});
    assert_eq!(post(&server, &format!("{secret}/update"), other).await.0, 400);
    assert_eq!(post(&server, &format!("{secret}/rollback"), json!({"version": 1})).await.0, 200);
    assert_eq!(open(&server).await, serde_json::from_str::<Value>(&value).unwrap());
    let detail = get(&server, &secret).await.1;
    assert_eq!((&detail["type"], &detail["fieldNames"]), (&json!("structured"), &json!(["user", "password", "token"])));
}

#[tokio::test]
async fn what_an_object_stands_for_is_refused_by_its_name_and_an_external_value_is_set_here() {
    let server = server().await;
    let secrets = "/v1/ai/projects/proj_shop/secrets";
    let object = "Secret shop/db of cluster prod stands for it: edit or delete that object";
    for (route, body) in
        [("rotate", json!({})), ("name", json!({"name": "x"})), ("note", json!({"note": "x"})), ("delete", json!({}))]
    {
        assert_eq!(
            post(&server, &format!("{secrets}/sk_db/{route}"), body).await,
            (409, json!({"error": object})),
            "{route}"
        );
    }
    let attach = json!({"secretId": "sk_db", "intervalSeconds": 300});
    assert_eq!(post(&server, "/v1/ai/dynamic-secrets", attach).await, (409, json!({"error": object})));
    let text = "project shop is namespace shop of cluster prod: apply a Secret object there";
    let create = json!({"name": "x", "value": "hunter"});
    assert_eq!(post(&server, secrets, create).await, (409, json!({"error": text})));
    // No recipe and nothing sealed: its source is external, and every pod that holds it hears of it.
    let held = json!({"shop/db": {"version": {"id": "sk_db", "version": 1}}});
    let sync = json!({"deliveryRevision": "rev1", "held": held, "waitSeconds": 0}).to_string();
    assert_eq!(server.post(&Client::pod(), "/v1/machine/sync", &sync).await.json()["secrets"], json!({}));
    let updated = post(&server, &format!("{secrets}/sk_db/update"), json!({"value": "hunter9"})).await;
    assert_eq!(updated, (200, json!({"id": "sk_db", "version": 2})));
    let synced = server.post(&Client::pod(), "/v1/machine/sync", &sync).await.json();
    assert_eq!(synced["secrets"]["shop/db"]["value"]["value"], "hunter9");
    let back = post(&server, &format!("{secrets}/sk_db/rollback"), json!({"version": 1})).await;
    assert_eq!(back, (200, json!({"id": "sk_db", "version": 3})));
    let synced = server.post(&Client::pod(), "/v1/machine/sync", &sync).await.json();
    assert_eq!(synced["secrets"]["shop/db"]["value"]["value"], "hunter2");
    let versions = get(&server, &format!("{secrets}/sk_db/versions")).await.1;
    let first = &versions["versions"][2];
    assert_eq!((&first["version"], &first["origin"], &first["createdBy"]), (&json!(1), &json!(null), &json!(null)));
}

#[tokio::test]
async fn the_newest_hundred_versions_are_kept() {
    let server = server().await;
    let id = made(&server, json!({"name": "db", "value": "hunter1"})).await;
    for _ in 0..102 {
        assert_eq!(act(&server, &format!("{SECRETS}/{id}/rotate")).await.0, 200);
    }
    let (_, listed) = get(&server, &format!("{SECRETS}/{id}/versions")).await;
    let numbers: Vec<_> =
        listed["versions"].as_array().unwrap().iter().map(|it| it["version"].as_u64().unwrap()).collect();
    assert_eq!(numbers, (4..=103).rev().collect::<Vec<_>>());
    assert!(listed["versions"].as_array().unwrap().iter().all(|it| it["origin"] == "generated"));
    assert_eq!(post(&server, &format!("{SECRETS}/{id}/rollback"), json!({"version": 3})).await.0, 404);
    assert_eq!(post(&server, &format!("{SECRETS}/{id}/rollback"), json!({"version": 5})).await.0, 200);
}
