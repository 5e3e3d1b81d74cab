//! Secrets by hand, over the management plane and as machines read them.

use std::path::Path;
use std::process::Stdio;
use std::sync::Arc;

use serde_json::{Value, json};
use sikkerkey_protocol::management::Scope;
use sikkerkey_server::audit::entry::{Action, Actor};
use sikkerkey_server::clock::{Clock, SystemClock};
use sikkerkey_server::decision::Context;
use sikkerkey_server::entropy::{self, SystemEntropy};
use sikkerkey_server::model::account::Vault;
use sikkerkey_server::model::agent::Agent;
use sikkerkey_server::model::grant::Grant;
use sikkerkey_server::model::machine::Grantee;
use sikkerkey_server::model::millis::Millis;
use sikkerkey_server::model::project::Project;
use sikkerkey_server::model::{Entity, EntityKind};
use sikkerkey_server::usecase::admin::canary;
use sikkerkey_server::usecase::housekeeping;
use sikkerkey_server::writer::ChangeRequest;

use crate::fixture::*;
use crate::process::Process;

const SECRETS: &str = "/v1/ai/projects/proj_ci/secrets";
const DAY: i64 = 86_400;

fn assistant() -> Agent {
    Agent {
        id: uuid(0xa2).parse().unwrap(),
        name: "assistant".into(),
        public_key: key(60).public_key(),
        cluster: None,
        ..agent()
    }
}

fn client() -> Client {
    Client::new(uuid(0xa2), 60)
}

/// A server with project `ci`, which stands for no namespace, the host as a member of it, and an agent of people.
async fn server() -> Server {
    let server = Server::new().await;
    server.put(Entity::Agent(assistant())).await;
    server.put(Entity::Project(Project { namespace: None, ..server.project("ci") })).await;
    server.put(Entity::Membership(member("ci"))).await;
    server
}

async fn ask(server: &Server, method: &'static str, target: &str, body: Option<Value>) -> (u16, Value) {
    ask_as(server, &client(), method, target, body).await
}

/// Signs as the official client for agents does: with a nonce in hex, and without a body where there are no fields.
async fn ask_as(
    server: &Server,
    client: &Client,
    method: &'static str,
    target: &str,
    body: Option<Value>,
) -> (u16, Value) {
    let nonce = entropy::uuid(&SystemEntropy).replace('-', "");
    let body = body.map(|it| it.to_string()).unwrap_or_default();
    let now = server.clock.now().seconds();
    let answer = server.send(client.request_with(now, &nonce, method, target, body.as_bytes())).await;
    assert!(!answer.text().contains("hunter"), "{method} {target}: {}", answer.text());
    (answer.status.as_u16(), answer.json())
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
async fn a_purge_leaves_no_row_with_the_id_of_the_secret() {
    let server = server().await;
    let (id, other) = (
        made(&server, json!({"name": "gone", "value": "hunter"})).await,
        made(&server, json!({"name": "stays", "value": "hunter"})).await,
    );
    let both = grant(90, Grantee::Machine(host().id), &[&id, &other]);
    server.put(Entity::Grant(Grant { project: "proj_ci".parse().unwrap(), ..both })).await;
    for _ in 0..3 {
        assert_eq!(act(&server, &format!("{SECRETS}/{id}/rotate")).await.0, 200);
        read(&server, &id).await;
    }
    let schedule = json!({"secretId": id, "intervalSeconds": 300});
    assert_eq!(post(&server, "/v1/ai/dynamic-secrets", schedule).await.0, 200);
    let policy = json!({"name": "cap", "rateCapEnabled": true, "maxReadsPerMinute": 50});
    let (_, policy) = post(&server, "/v1/ai/projects/proj_ci/policies", policy).await;
    let binding = format!("/v1/ai/secrets/{id}/binding");
    assert_eq!(post(&server, &binding, json!({"policyId": policy["id"]})).await.0, 200);
    let armed = id.parse().unwrap();
    let request = ChangeRequest {
        spend: None,
        actor: Actor::Administrator,
        source_ip: None,
        what: "canary arm",
        decide: Box::new(move |context: &Context<'_>| canary::arm(context, &armed, false, false)),
    };
    server.engine.app.writer.change(request).await.unwrap();
    read(&server, &id).await;
    let rows = async |server: &Server, id: &str| {
        let mut found = Vec::new();
        for (table, columns) in [
            ("entity", "id || doc"),
            ("version", "secret"),
            ("tally", "secret || doc"),
            ("delivered", "secret"),
            ("nonce", "signer || nonce"),
            ("last_seen", "machine"),
            ("meta", "name || value"),
        ] {
            let sql = format!("select '{table}' from {table} where {columns} like '%{id}%'");
            found.extend(server.database().query(&sql).await);
        }
        found.sort();
        found.dedup();
        found
    };
    assert_eq!(rows(&server, &id).await, ["delivered", "entity", "tally", "version"]);
    assert_eq!(act(&server, &format!("{SECRETS}/{id}/delete")).await.0, 200);
    assert_eq!(act(&server, &format!("/v1/ai/trash/{id}/purge")).await.0, 200);
    assert_eq!(rows(&server, &id).await, [""; 0]);
    assert_eq!(rows(&server, &other).await, ["entity", "version"], "another secret of the same grant stays");
    assert_eq!(read(&server, &other).await, "hunter");
    assert_eq!(server.get(&Client::host(), &format!("/v1/secret/{id}")).await.status, 404);
    let server = server.restart().await.unwrap();
    assert_eq!(read(&server, &other).await, "hunter");
}

#[tokio::test]
async fn the_trash_gives_back_what_still_stands_and_empties_itself_after_30_days() {
    let server = server().await;
    let id = made(&server, json!({"name": "db", "value": "hunter"})).await;
    let policy = json!({"name": "office", "ipAllowlistEnabled": true, "ipAllowlistCidrs": ["10.0.0.0/8"]});
    let (_, policy) = post(&server, "/v1/ai/projects/proj_ci/policies", policy).await;
    let (policy, binding) = (policy["id"].as_str().unwrap().to_owned(), format!("/v1/ai/secrets/{id}/binding"));
    assert_eq!(post(&server, &binding, json!({"policyId": policy})).await.0, 200);
    assert_eq!(read(&server, &id).await, "hunter");
    assert_eq!(act(&server, &format!("{SECRETS}/{id}/delete")).await.0, 200);
    assert_eq!(polled(&server, &id).await.as_deref(), Some("deleted"));
    // Its name is taken meanwhile.
    let taken = made(&server, json!({"name": "db", "value": "hunter5"})).await;
    let text = format!("project ci has another secret db meanwhile, {taken}: rename or delete that one first");
    let restore = format!("/v1/ai/trash/{id}/restore");
    assert_eq!(act(&server, &restore).await, (409, json!({"error": text})));
    assert_eq!(post(&server, &format!("{SECRETS}/{taken}/name"), json!({"name": "db2"})).await.0, 200);
    // And the policy that guarded it is removed.
    assert_eq!(act(&server, &format!("/v1/ai/projects/proj_ci/policies/{policy}/delete")).await.0, 200);
    let (status, restored) = act(&server, &restore).await;
    assert_eq!((status, &restored["policy"], &restored["policyInForce"]), (200, &json!("office"), &json!(false)));
    let locked = server.get(&Client::host(), &format!("/v1/secret/{id}")).await;
    assert_eq!(locked.status, 403, "{}", locked.text());
    assert_eq!(act(&server, &format!("{binding}/delete")).await.0, 200);
    assert_eq!(read(&server, &id).await, "hunter");
    // A grant that is gone meanwhile does not come back.
    assert_eq!(act(&server, &format!("{SECRETS}/{id}/delete")).await.0, 200);
    let of_it: Vec<_> = {
        let world = server.engine.app.live.read();
        let ours = world.state.grants.values().filter(|it| it.secrets.iter().any(|it| it.as_str() == id));
        ours.map(|it| it.id.clone()).collect()
    };
    for grant in of_it {
        server.remove(EntityKind::Grant, &grant).await;
    }
    assert_eq!(act(&server, &restore).await.0, 200);
    assert_eq!(server.get(&Client::host(), &format!("/v1/secret/{id}")).await.status, 403);

    assert_eq!(act(&server, &format!("{SECRETS}/{id}/delete")).await.0, 200);
    server.clock.advance_seconds(30 * DAY - 1);
    keep_house(&server).await;
    assert_eq!(get(&server, "/v1/ai/trash").await.1["secrets"].as_array().unwrap().len(), 1);
    server.clock.advance_seconds(1);
    keep_house(&server).await;
    assert_eq!(get(&server, "/v1/ai/trash").await.1["secrets"], json!([]));
    let sql = format!("select secret from version where secret = '{id}'");
    assert_eq!(server.database().query(&sql).await, [""; 0]);
}

#[tokio::test]
async fn a_schedule_renews_its_fields_in_time_once_and_no_longer_than_it_stands() {
    let server = server().await;
    let fields = json!({
        "projectId": "proj_ci", "name": "conn", "intervalSeconds": 3600, "length": 10, "charset": "alphanumeric",
        "fieldNames": ["user", "password"], "fields": ["password"], "staticFields": {"user": "hunter"}, "note": "n",
    });
    let (status, made) = post(&server, "/v1/ai/dynamic-secrets", fields).await;
    let id = made["id"].as_str().unwrap().to_owned();
    let view = |version: u64, last: i64, next: Value| {
        json!({
            "id": id, "projectId": "proj_ci", "name": "conn", "note": "n", "version": version, "intervalSeconds": 3600,
            "length": 10, "charset": "alphanumeric", "fieldNames": ["user", "password"], "fields": ["password"],
            "enabled": !next.is_null(), "lastRotationAt": last, "nextRotationAt": next,
        })
    };
    let hour = 3_600_000;
    assert_eq!((status, &made), (200, &view(1, START, json!(START + hour))));
    grant_to_host(&server, &id).await;
    let open = async |server: &Server| {
        let value: Value = serde_json::from_str(&read(server, &id).await).unwrap();
        assert_eq!((&value["user"], value.as_object().unwrap().len()), (&json!("hunter"), 2));
        value["password"].as_str().unwrap().to_owned()
    };
    let first = open(&server).await;
    assert_eq!(first.len(), 10);
    let update = format!("{SECRETS}/{id}/update");
    let text = "conn gets a random value every 3600 seconds, which would replace this one: pause its schedule first \
                (POST /v1/ai/dynamic-secrets/{id}/update)";
    let value = json!({"value": json!({"user": "u", "password": "p"}).to_string()});
    assert_eq!(post(&server, &update, value.clone()).await, (409, json!({"error": text})));
    assert_eq!(post(&server, &format!("{SECRETS}/{id}/rollback"), json!({"version": 1})).await.0, 409);

    server.clock.advance_seconds(3599);
    keep_house(&server).await;
    assert_eq!(open(&server).await, first);
    server.clock.advance_seconds(1);
    keep_house(&server).await;
    assert_eq!(polled(&server, &id).await.as_deref(), Some("changed"));
    let second = open(&server).await;
    assert_ne!(second, first);
    // Away for a year: one new version.
    server.clock.advance_seconds(365 * DAY);
    let server = server.restart().await.unwrap();
    keep_house(&server).await;
    keep_house(&server).await;
    let now = server.clock.now().0;
    let schedule = format!("/v1/ai/dynamic-secrets/{id}");
    assert_eq!(get(&server, &schedule).await, (200, view(3, now, json!(now + hour))));
    let listed = get(&server, "/v1/ai/dynamic-secrets").await.1;
    assert_eq!(listed, json!({"dynamicSecrets": [view(3, now, json!(now + hour))]}));
    // By hand it is renewed as its schedule says.
    assert_eq!(act(&server, &format!("{SECRETS}/{id}/rotate")).await.0, 200);
    assert_eq!(open(&server).await.len(), 10);

    assert_eq!(
        post(&server, &format!("{schedule}/update"), json!({"enabled": false})).await,
        (200, view(4, now, json!(null)))
    );
    server.clock.advance_seconds(2 * DAY);
    keep_house(&server).await;
    assert_eq!(get(&server, &schedule).await.1["version"], 4);
    assert_eq!(post(&server, &update, value).await.0, 200);
    let resumed = post(&server, &format!("{schedule}/update"), json!({"enabled": true, "length": 20})).await.1;
    assert_eq!(resumed["nextRotationAt"], server.clock.now().0 + hour, "what was missed is not made up for");
    keep_house(&server).await;
    assert_eq!(get(&server, &schedule).await.1["version"], 5);
    assert_eq!(act(&server, &format!("{schedule}/delete")).await, (200, json!({"id": id, "deleted": true})));
    assert_eq!(get(&server, &schedule).await, (404, json!({"error": "conn has no rotation schedule"})));
    server.clock.advance_seconds(2 * DAY);
    keep_house(&server).await;
    assert_eq!(get(&server, &format!("{SECRETS}/{id}")).await.1["version"], 5, "the secret stays");
}

#[tokio::test]
async fn a_schedule_of_a_secret_that_there_is_leaves_its_value_for_one_interval() {
    let server = server().await;
    let id = made(&server, json!({"name": "db", "value": "hunter"})).await;
    server.clock.advance_seconds(90 * DAY);
    let attach = json!({"secretId": id, "intervalSeconds": 86400, "note": "rotates"});
    let (status, view) = post(&server, "/v1/ai/dynamic-secrets", attach.clone()).await;
    assert_eq!((status, &view["nextRotationAt"]), (200, &json!(server.clock.now().0 + DAY * 1000)));
    keep_house(&server).await;
    assert_eq!(read(&server, &id).await, "hunter");
    let again = post(&server, "/v1/ai/dynamic-secrets", attach).await;
    assert_eq!(again, (409, json!({"error": "db has a schedule already: change that one"})));
    server.clock.advance_seconds(DAY);
    keep_house(&server).await;
    assert_eq!(read(&server, &id).await.len(), 32);
    assert_eq!(get(&server, &format!("{SECRETS}/{id}")).await.1["note"], "rotates");

    for (body, text) in [
        (json!({"secretId": id, "intervalSeconds": 299}), "db has a schedule already: change that one"),
        (
            json!({"intervalSeconds": 300}),
            "give either secretId, for a secret that there is, or projectId and name, for a new one",
        ),
        (
            json!({"projectId": "proj_ci", "name": "n", "intervalSeconds": 299}),
            "intervalSeconds is from 300 to 2592000, not 299",
        ),
        (
            json!({"projectId": "proj_ci", "name": "n", "intervalSeconds": 300, "staticFields": {"a": "hunter"}}),
            "fields and staticFields are of a structured secret: give its fieldNames as well",
        ),
        (
            json!({"projectId": "proj_ci", "name": "n", "intervalSeconds": 300, "fieldNames": ["a", "b"], "fields": ["a"]}),
            "a field stands neither in fields nor in staticFields: put it into one",
        ),
        (
            json!({"projectId": "proj_ci", "name": "n", "intervalSeconds": 300, "fieldNames": ["a"], "staticFields": {"a": "hunter"}}),
            "every field stands in staticFields: there is nothing to renew",
        ),
        (
            json!({"projectId": "proj_ci", "name": "n", "intervalSeconds": 300, "fieldNames": ["a"], "staticFields": {"hunter": "x"}}),
            "fields and staticFields name fields that stand in fieldNames, and no others",
        ),
    ] {
        let (status, refused) = post(&server, "/v1/ai/dynamic-secrets", body).await;
        assert!(matches!(status, 400 | 409), "{status}");
        assert_eq!(refused, json!({"error": text}));
    }
    assert_eq!(get(&server, SECRETS).await.1["secrets"].as_array().unwrap().len(), 1, "nothing was made on the way");
}

#[tokio::test]
async fn a_canary_is_planted_sprung_switched_off_and_its_project_thawed() {
    let server = server().await;
    let plain = made(&server, json!({"name": "db", "value": "hunter"})).await;
    let (status, planted) =
        post(&server, "/v1/ai/canaries", json!({"projectId": "proj_ci", "name": "ROOT_PASSWORD"})).await;
    let id = planted["id"].as_str().unwrap().to_owned();
    let mut view = json!({
        "id": id, "projectId": "proj_ci", "name": "ROOT_PASSWORD", "enabled": true, "triggerFreezeProject": true,
        "triggerFreezeRelatedProjects": false, "fireCount": 0, "lastTrip": null, "projectFrozen": false,
    });
    assert_eq!((status, &planted), (200, &view));
    let (secret, canary) = (format!("{SECRETS}/{id}"), format!("/v1/ai/canaries/{id}"));
    assert_eq!(get(&server, &secret).await.1["type"], "canary");
    grant_to_host(&server, &id).await;
    assert_eq!(act(&server, &format!("{canary}/disable")).await.1["enabled"], false);
    let bait = read(&server, &id).await;
    assert_eq!(bait.len(), 64);
    assert_eq!(get(&server, &canary).await.1["fireCount"], 0, "it is off");
    assert_eq!(act(&server, &format!("{canary}/enable")).await, (200, view.clone()));
    assert_eq!(read(&server, &id).await, bait);
    (view["fireCount"], view["projectFrozen"]) = (json!(1), json!(true));
    view["lastTrip"] = json!({"at": START, "machineId": host().id, "sourceIp": POD_ADDRESS});
    assert_eq!(get(&server, &canary).await, (200, view.clone()));
    assert_eq!(get(&server, "/v1/ai/projects/proj_ci/canaries").await, (200, json!({"canaries": [view]})));
    assert_eq!(server.get(&Client::host(), &format!("/v1/secret/{plain}")).await.status, 423);

    let what = "is a canary, whose value stays as it is";
    for (route, body) in [("update", json!({"value": "x"})), ("rotate", json!({})), ("rollback", json!({"version": 1}))]
    {
        let (status, refused) = post(&server, &format!("{secret}/{route}"), body).await;
        assert!(status == 409 && refused["error"].as_str().unwrap().contains(what), "{route}: {refused}");
    }
    let (status, _) = post(&server, "/v1/ai/dynamic-secrets", json!({"secretId": id, "intervalSeconds": 300})).await;
    assert_eq!(status, 409);

    let unfreeze = "/v1/ai/projects/proj_ci/unfreeze";
    assert_eq!(act(&server, unfreeze).await, (200, json!({"id": "proj_ci", "frozen": false})));
    let row = server.last_audit().await;
    assert_eq!(
        (row.action, row.action.severity()),
        (Action::ProjectUnfreeze, sikkerkey_server::audit::entry::Severity::Critical)
    );
    assert_eq!(act(&server, unfreeze).await.0, 200, "once more changes nothing");
    assert_eq!(read(&server, &plain).await, "hunter");
    let related = json!({"triggerFreezeProject": false, "triggerFreezeRelatedProjects": true});
    assert_eq!(post(&server, &format!("{canary}/config"), related).await.1["triggerFreezeRelatedProjects"], true);
    assert_eq!(read(&server, &id).await, bait, "it is armed still");
    assert_eq!(get(&server, &canary).await.1["fireCount"], 2);
    // The host is a member of project shop as well.
    assert_eq!(server.get(&Client::host(), "/v1/secret/sk_db").await.status, 423);
    assert_eq!(read(&server, &plain).await, "hunter");

    // Whoever may not set canaries up takes none away.
    let scopes = Some([Scope::SecretsWrite, Scope::TrashWrite].into());
    server.put(Entity::Agent(Agent { scopes, ..assistant() })).await;
    let (status, refused) = act(&server, &format!("{secret}/delete")).await;
    assert!(status == 403 && refused["error"].as_str().unwrap().contains("projects.policies.write"), "{refused}");
    server.put(Entity::Agent(assistant())).await;
    assert_eq!(act(&server, &format!("{secret}/delete")).await.0, 200);
    assert_eq!(get(&server, "/v1/ai/projects/proj_ci/canaries").await.1, json!({"canaries": []}));
    assert_eq!(act(&server, &format!("/v1/ai/trash/{id}/restore")).await.0, 200);
    assert_eq!(get(&server, &canary).await.1["enabled"], true, "it comes back armed");
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

/// Every route, with a body that it would take.
fn routes(
    project: &str,
    secret: &str,
    canary: &str,
    trashed: &str,
) -> Vec<(&'static str, String, Option<Value>, Scope)> {
    use Scope::*;
    let secrets = format!("/v1/ai/projects/{project}/secrets");
    let dynamic = "/v1/ai/dynamic-secrets";
    vec![
        ("GET", secrets.clone(), None, SecretsRead),
        ("POST", secrets.clone(), Some(json!({"name": "n", "value": "hunter"})), SecretsWrite),
        ("GET", format!("{secrets}/{secret}"), None, SecretsRead),
        ("GET", format!("{secrets}/{secret}/versions"), None, SecretsRead),
        ("POST", format!("{secrets}/{secret}/update"), Some(json!({"value": "hunter"})), SecretsWrite),
        ("POST", format!("{secrets}/{secret}/rotate"), None, SecretsWrite),
        ("POST", format!("{secrets}/{secret}/rollback"), Some(json!({"version": 1})), SecretsWrite),
        ("POST", format!("{secrets}/{secret}/name"), Some(json!({"name": "m"})), SecretsWrite),
        ("POST", format!("{secrets}/{secret}/note"), Some(json!({"note": "m"})), SecretsWrite),
        ("POST", dynamic.into(), Some(json!({"secretId": secret, "intervalSeconds": 300})), SecretsWrite),
        (
            "POST",
            dynamic.into(),
            Some(json!({"projectId": project, "name": "k", "intervalSeconds": 300})),
            SecretsWrite,
        ),
        ("GET", format!("{dynamic}/{secret}"), None, SecretsRead),
        ("POST", format!("{dynamic}/{secret}/update"), Some(json!({"enabled": false})), SecretsWrite),
        ("POST", format!("{dynamic}/{secret}/delete"), None, SecretsWrite),
        ("POST", format!("{secrets}/{secret}/delete"), None, SecretsWrite),
        ("GET", format!("/v1/ai/projects/{project}/canaries"), None, PoliciesRead),
        ("POST", "/v1/ai/canaries".into(), Some(json!({"projectId": project, "name": "c"})), PoliciesWrite),
        ("GET", format!("/v1/ai/canaries/{canary}"), None, PoliciesRead),
        ("POST", format!("/v1/ai/canaries/{canary}/config"), None, PoliciesWrite),
        ("POST", format!("/v1/ai/canaries/{canary}/disable"), None, PoliciesWrite),
        ("POST", format!("/v1/ai/canaries/{canary}/enable"), None, PoliciesWrite),
        ("POST", format!("/v1/ai/projects/{project}/unfreeze"), None, PoliciesWrite),
        ("POST", format!("/v1/ai/trash/{trashed}/restore"), None, TrashWrite),
        ("POST", format!("/v1/ai/trash/{trashed}/purge"), None, TrashWrite),
    ]
}

#[tokio::test]
async fn every_route_asks_for_its_scope_and_knows_nothing_outside_of_the_vault_and_the_list_of_projects() {
    let server = server().await;
    let secret = made(&server, json!({"name": "db", "value": "hunter"})).await;
    let trashed = made(&server, json!({"name": "old", "value": "hunter"})).await;
    assert_eq!(act(&server, &format!("{SECRETS}/{trashed}/delete")).await.0, 200);
    let canary = post(&server, "/v1/ai/canaries", json!({"projectId": "proj_ci", "name": "trap"})).await.1;
    let canary = canary["id"].as_str().unwrap();
    let all = routes("proj_ci", &secret, canary, &trashed);
    let before = server.engine.app.live.read().state.secrets.len();

    for (method, path, body, scope) in &all {
        let others = Scope::ALL.iter().copied().filter(|it| it != scope).collect();
        server.put(Entity::Agent(Agent { scopes: Some(others), ..assistant() })).await;
        let refused = ask(&server, method, path, body.clone()).await;
        let text = format!("this needs the scope {scope}: a person gives it with sikkerkey-server admin agent");
        assert_eq!(refused, (403, json!({"error": text})), "{method} {path}");
    }
    let vault = "vault_w".parse().unwrap();
    server.put(Entity::Vault(Vault { id: vault, account: "account".into(), name: "others".into() })).await;
    let elsewhere = [
        Agent { vault: "vault_w".parse().unwrap(), ..assistant() },
        Agent { projects: Some(["proj_shop".parse().unwrap()].into()), ..assistant() },
    ];
    for agent in elsewhere {
        server.put(Entity::Agent(agent)).await;
        for (method, path, body, _) in &all {
            let (status, refused) = ask(&server, method, path, body.clone()).await;
            let text = refused["error"].as_str().unwrap();
            assert!(status == 404 && text.contains(" of that id"), "{method} {path}: {status} {refused}");
        }
        assert_eq!(get(&server, "/v1/ai/trash").await.1, json!({"secrets": []}));
        assert_eq!(get(&server, "/v1/ai/dynamic-secrets").await.1, json!({"dynamicSecrets": []}));
    }
    for (method, path, body, _) in &all {
        let (status, _) = ask_as(&server, &Client::host(), method, path, body.clone()).await;
        assert_eq!(status, 403, "a machine is no agent: {method} {path}");
    }
    assert_eq!(server.engine.app.live.read().state.secrets.len(), before);
    server.put(Entity::Agent(assistant())).await;
    for (method, path, body, _) in &all {
        let (status, answer) = ask(&server, method, path, body.clone()).await;
        // The second of restore and purge finds it gone from the trash; there is one version to roll back to, or it is paused.
        let is_late = path.ends_with("/purge") || path.ends_with("/rollback");
        assert!(status == 200 || is_late, "{method} {path}: {status} {answer}");
    }
}

/// A value that is looked for everywhere. No generator makes it.
const BAIT: &str = "bait-7f3a9c51-é\"value";

#[tokio::test]
async fn a_value_is_in_no_answer_no_row_and_no_line_of_the_log_whichever_way_it_came() {
    let server = server().await;
    let first = made(&server, json!({"name": "db", "value": "hunter0"})).await;
    let directory = server.stop().await;
    let process = Process::start(directory.path(), "trace").await;
    let mut connection = process.connect().await;
    let structured = json!({"user": BAIT, "password": BAIT}).to_string();
    let of_ci = |rest: &str| format!("{SECRETS}{rest}");
    let mut made = String::new();
    let mut statuses = Vec::new();
    for (path, body) in [
        (of_ci(""), json!({"name": "s", "value": structured, "fieldNames": ["user", "password"]})),
        (of_ci(&format!("/{first}/update")), json!({"value": BAIT})),
        (of_ci("/{made}/update"), json!({"value": structured})),
        (of_ci("/{made}/rotate"), json!({"fields": ["password"]})),
        (of_ci("/{made}/rollback"), json!({"version": 1})),
        (
            "/v1/ai/dynamic-secrets".into(),
            json!({
                "projectId": "proj_ci", "name": "d", "intervalSeconds": 300, "fieldNames": ["user", "password"],
                "staticFields": {"user": BAIT},
            }),
        ),
        (
            "/v1/ai/dynamic-secrets".into(),
            json!({"secretId": "{made}", "intervalSeconds": 300, "fields": ["password"]}),
        ),
        (of_ci("/{made}/update"), json!({"value": structured})),
        ("/v1/ai/trash/{made}/restore".into(), json!({})),
        // In places where none belongs it is not repeated either.
        (of_ci("/{made}/rotate"), json!({"fields": [BAIT]})),
        (of_ci("/{made}/rotate"), json!({"charset": BAIT})),
        (of_ci("/{made}/rollback"), json!({"version": BAIT})),
        (of_ci("/{made}/update"), json!({"value": BAIT})),
        (of_ci("/{made}/update"), json!({"value": {"user": BAIT}})),
        (of_ci(""), json!({"name": "x", "value": BAIT, "fieldNames": ["a"]})),
        (of_ci(""), json!({"name": "x", "value": BAIT, "projectId": BAIT})),
        (of_ci(""), json!({"name": format!("{BAIT}\u{1}"), "value": BAIT})),
        (of_ci("/{made}/note"), json!({"note": format!("{BAIT}\u{1}")})),
        ("/v1/ai/dynamic-secrets".into(), json!({"secretId": BAIT, "intervalSeconds": 300})),
        (
            "/v1/ai/dynamic-secrets".into(),
            json!({"projectId": "proj_ci", "name": "e", "intervalSeconds": 300, "fieldNames": ["a"], "staticFields": {BAIT: BAIT}}),
        ),
        ("/v1/ai/canaries".into(), json!({"projectId": BAIT, "name": "c"})),
    ] {
        let (path, body) = (path.replace("{made}", &made), body.to_string().replace("{made}", &made));
        let request = client().request(&SystemClock, "POST", &path, body.as_bytes());
        let (status, answer) = connection.send(request).await.unwrap();
        assert!(!contains(&answer), "{path}: {}", String::from_utf8_lossy(&answer));
        let answer: Value = serde_json::from_slice(&answer).unwrap();
        if made.is_empty() {
            answer["id"].as_str().unwrap().clone_into(&mut made);
        }
        statuses.push(status);
    }
    assert_eq!(statuses[..9], [200, 200, 200, 200, 200, 200, 200, 409, 404]);
    assert!(statuses[9..].iter().all(|it| (400..500).contains(it)), "{statuses:?}");
    for path in
        [of_ci(""), of_ci(&format!("/{made}")), of_ci(&format!("/{made}/versions")), "/v1/ai/dynamic-secrets".into()]
    {
        let (status, answer) = connection.send(client().request(&SystemClock, "GET", &path, b"")).await.unwrap();
        assert!(status == 200 && !contains(&answer), "{path}: {}", String::from_utf8_lossy(&answer));
    }
    let log = process.log.lock().await.clone();
    assert!(log.contains("/v1/ai/dynamic-secrets"), "the log says too little to search");
    assert!(!contains(log.as_bytes()), "the log has it");
    // Values are sealed, so that the whole of the database may be searched: the audit is in it.
    let files = TestDatabase::of(directory.path()).files();
    assert!(
        files.iter().any(|(_, bytes)| memchr::memmem::find(bytes, made.as_bytes()).is_some()),
        "none of it is searched"
    );
    for (name, bytes) in &files {
        assert!(!contains(bytes), "{name} has it");
    }
}

/// Whether the bait is in there, as it is or as JSON has it.
fn contains(bytes: &[u8]) -> bool {
    memchr::memmem::find(bytes, b"bait-7f3a9c51").is_some()
}

async fn admin(data: &Path, arguments: &[&str], input: &str) -> Result<Value, String> {
    use tokio::io::AsyncWriteExt as _;
    let mut command = tokio::process::Command::new(env!("CARGO_BIN_EXE_sikkerkey-server"));
    command.args(["admin", "--output", "json"]).args(TestDatabase::of(data).arguments(data)).args(arguments);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
    let mut child = command.spawn().unwrap();
    child.stdin.take().unwrap().write_all(input.as_bytes()).await.unwrap();
    let output = child.wait_with_output().await.unwrap();
    if output.status.success() {
        Ok(serde_json::from_slice(&output.stdout).unwrap())
    } else {
        Err(String::from_utf8(output.stderr).unwrap())
    }
}

#[tokio::test]
async fn a_person_at_the_shell_does_the_same() {
    let server = server().await;
    let directory = server.stop().await;
    let data = directory.path();
    let run = async |line: &str| {
        let words: Vec<&str> = line.split(' ').collect();
        admin(data, &words, "hunter1").await.unwrap_or_else(|error| panic!("{line}: {error}"))
    };
    let made = run("secret create --project ci --name db --value-file - --note for-people").await;
    let id = made["secretId"].as_str().unwrap().to_owned();
    let value = json!({"user": "u", "password": "p"}).to_string();
    let create =
        ["secret", "create", "--project", "ci", "--name", "conn", "--value-file", "-", "--fields", "user,password"];
    let conn = admin(data, &create, &value).await.unwrap()["secretId"].as_str().unwrap().to_owned();
    assert_eq!(run(&format!("secret set {id} --value-file -")).await["version"], 2);
    assert_eq!(run(&format!("secret rotate {id} --length 4 --charset numbers")).await["version"], 3);
    assert_eq!(run(&format!("secret rotate {conn} --field password")).await["version"], 2);
    let refused = admin(data, &["secret", "rotate", &conn], "").await.unwrap_err();
    assert!(refused.contains("name those with --field, or give --all-fields"), "{refused}");
    assert_eq!(run(&format!("secret rollback {id} --version 1")).await["version"], 4);
    let versions = run(&format!("secret versions {id}")).await;
    let shown: Vec<_> = versions["versions"]
        .as_array()
        .unwrap()
        .iter()
        .map(|it| (it["version"].as_u64().unwrap(), it["origin"].as_str().unwrap(), it["createdBy"].as_str().unwrap()))
        .collect();
    let by = "an administrator";
    assert_eq!(shown, [(4, "rolledBack", by), (3, "generated", by), (2, "set", by), (1, "set", by)]);
    run(&format!("secret rename {id} --name DB")).await;
    run(&format!("secret note {id} --note another")).await;
    let listed = run("secret list").await;
    let of = |listed: &Value, id: &str| {
        listed["secrets"].as_array().unwrap().iter().find(|it| it["id"] == id).unwrap().clone()
    };
    let it = of(&listed, &id);
    assert_eq!(
        (&it["name"], &it["note"], &it["version"], &it["secretId"], &it["phase"]),
        (&json!("DB"), &json!("another"), &json!(4), &json!(id), &json!("Active"))
    );
    let timed = run(&format!("secret schedule set {conn} --every 3600 --field password")).await;
    assert_eq!((&timed["intervalSeconds"], &timed["fields"]), (&json!(3600), &json!(["password"])));
    assert_eq!(run("secret schedule list").await["dynamicSecrets"][0]["id"], json!(conn));
    let set = ["secret", "set", &conn, "--value-file", "-"];
    let refused = admin(data, &set, &value).await.unwrap_err();
    assert!(refused.contains(&format!("pause its schedule first (admin secret schedule pause {conn})")), "{refused}");
    run(&format!("secret schedule pause {conn}")).await;
    admin(data, &set, &value).await.unwrap();
    assert_eq!(run(&format!("secret schedule resume {conn}")).await["enabled"], true);
    run(&format!("secret schedule remove {conn}")).await;
    assert_eq!(run("secret schedule list").await["dynamicSecrets"], json!([]));

    run(&format!("secret delete {id}")).await;
    assert_eq!(run("trash list").await["secrets"][0]["id"], json!(id));
    run(&format!("trash restore {id}")).await;
    run(&format!("secret delete {id}")).await;
    run(&format!("secret restore {id}")).await;
    run(&format!("secret delete {id}")).await;
    run(&format!("secret purge {id}")).await;
    let refused = admin(data, &["trash", "purge", &id], "").await.unwrap_err();
    assert!(refused.contains(&format!("there is no secret {id} in the trash: trash list shows them")), "{refused}");

    let canary = run("canary create --project ci --name ROOT").await["secretId"].as_str().unwrap().to_owned();
    run(&format!("canary disable {canary}")).await;
    let canaries = run("canary list").await;
    assert_eq!((&canaries["canaries"][0]["id"], &canaries["canaries"][0]["enabled"]), (&json!(canary), &json!(false)));
    run(&format!("canary enable {canary}")).await;
    let refused = admin(data, &["secret", "set", &canary, "--value-file", "-"], "x").await.unwrap_err();
    assert!(refused.contains("make it an ordinary secret with sikkerkey-server admin canary disarm"), "{refused}");
    run(&format!("canary disarm {canary}")).await;
    run(&format!("secret set {canary} --value-file -")).await;
    run("project freeze ci").await;
    run("project unfreeze ci").await;
    let server = Server::open_at(directory, Millis(START)).await;
    let unfrozen = server.audit().await.into_iter().filter(|it| it.action == Action::ProjectUnfreeze).count();
    assert_eq!(unfrozen, 1);
}

#[tokio::test]
async fn a_schedule_that_a_backup_brings_back_renews_once_and_purged_secrets_stay_where_the_backup_has_them() {
    let server = server().await;
    let fields = json!({"projectId": "proj_ci", "name": "timed", "intervalSeconds": 300});
    let id = post(&server, "/v1/ai/dynamic-secrets", fields).await.1["id"].as_str().unwrap().to_owned();
    let old = made(&server, json!({"name": "old", "value": "hunter"})).await;
    assert_eq!(act(&server, &format!("{SECRETS}/{old}/delete")).await.0, 200);
    let out = server.directory.path().join("backup.jsonl");
    let directory = server.stop().await;
    admin(directory.path(), &["backup", "--out", out.to_str().unwrap()], "").await.unwrap();
    let to = Arc::new(tempfile::tempdir().unwrap());
    TestDatabase::make(to.path()).await;
    std::fs::copy(directory.path().join("root.key"), to.path().join("root.key")).unwrap();
    admin(to.path(), &["restore", "--from", out.to_str().unwrap()], "").await.unwrap();

    let now = SystemClock.now().0 + 60_000;
    let server = Server::open_at(to, Millis(now)).await;
    let version = |server: &Server| server.engine.app.live.read().state.secrets[&id.parse().unwrap()].version;
    assert_eq!(version(&server), 1);
    for _ in 0..3 {
        keep_house(&server).await;
    }
    assert_eq!(version(&server), 2, "what was due while nobody was there is renewed once");
    let gone: sikkerkey_protocol::id::SecretId = old.parse().unwrap();
    assert!(!server.engine.app.live.read().state.secrets.contains_key(&gone), "its 30 days are over");
    server.clock.advance_seconds(300);
    keep_house(&server).await;
    assert_eq!(version(&server), 3);
}
