//! What is on the wire. The Kotlin client refuses every key that it does not know, and the command line client needs what
//! it shows: each route is asked as they ask it, and answers exactly the documented keys, with the documented types.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::driver::Driver;
use crate::python::python;
use crate::server::text;
use crate::team::{PLAIN, Team};

/// An answer with every value replaced by the name of its type.
fn shape(value: &Value) -> Value {
    match value {
        Value::Null => json!("null"),
        Value::Bool(_) => json!("bool"),
        Value::Number(it) => json!(if it.is_i64() { "integer" } else { "number" }),
        Value::String(_) => json!("string"),
        Value::Array(items) => json!(items.iter().map(shape).collect::<Vec<_>>()),
        Value::Object(keys) => json!(keys.iter().map(|(key, it)| (key, shape(it))).collect::<BTreeMap<_, _>>()),
    }
}

/// Sends a signed request, and answers status and body.
async fn send(client: &mut Driver, method: &str, path: &str, body: Value) -> (u64, Value) {
    let body = if body.is_null() { Value::Null } else { json!(body.to_string()) };
    let answer = client.does("send", json!([method, path, body])).await;
    let text = answer[1].as_str().unwrap();
    let parsed = serde_json::from_str(text).unwrap_or_else(|_| panic!("{method} {path} answered no JSON: {text}"));
    (answer[0].as_u64().unwrap(), parsed)
}

#[tokio::test]
async fn every_route_answers_exactly_the_documented_keys() {
    let Some(python) = python("every_route_answers_exactly_the_documented_keys") else { return };
    let team = Team::new(python).await;
    let mut host = team.host("web-1").await;
    let application = team.server.admin(&["application", "create", "--vault", &team.vault, "--name", "store"]).await;
    let application = application["applicationId"].as_str().unwrap();
    team.server.admin(&["application", "assign", "shop", "--application", application]).await;
    let (plain, client) = (team.plain.as_str(), &mut host.client);

    let item = |fields: &str| json!({"id": "string", "name": "string", "fieldNames": fields, "projectId": "string"});
    let list = json!({"secrets": [item("null"), item("string")]});
    let item = |fields: &str| json!({"id": "string", "name": "string", "fieldNames": fields, "value": "string"});
    let export = json!({"secrets": [item("null"), item("string")]});
    let project = json!({
        "projectId": "string", "projectName": "string", "applicationId": "string", "applicationName": "string",
    });
    let detailed = |fields: &str| {
        let mut item = project.clone();
        for (key, kind) in [("id", "string"), ("name", "string"), ("fieldNames", fields), ("type", "string")] {
            item[key] = json!(kind);
        }
        item
    };
    let verified = |error: &str, name: &str| json!({"valid": "bool", "projectName": name, "error": error});
    let of_shop = json!({"projectId": team.shop});
    let none = Value::Null;
    let routes = [
        ("GET", format!("/v1/secret/{plain}"), none.clone(), json!({"value": "string"})),
        ("GET", "/v1/secrets".into(), none.clone(), list.clone()),
        ("POST", "/v1/secrets/list".into(), of_shop.clone(), list),
        ("POST", "/v1/secrets/export".into(), none.clone(), export.clone()),
        ("POST", "/v1/secrets/export".into(), of_shop.clone(), export.clone()),
        ("POST", "/v1/secrets/export".into(), json!({"applicationId": application}), export),
        ("POST", "/v1/secrets/export".into(), json!({"projectId": team.books}), json!({"secrets": []})),
        ("GET", "/v1/cli/projects".into(), none.clone(), json!({"projects": [project]})),
        ("GET", "/v1/cli/secrets".into(), none, json!({"secrets": [detailed("null"), detailed("string")]})),
        ("POST", "/v1/verify-access".into(), of_shop, verified("null", "string")),
        ("POST", "/v1/verify-access".into(), json!({"projectId": team.books}), verified("string", "null")),
        ("POST", "/v1/secrets/poll".into(), json!({"watch": [plain]}), json!({"changes": {}})),
    ];
    for (method, path, body, expected) in routes {
        let (status, answer) = send(client, method, &path, body.clone()).await;
        assert_eq!((status, shape(&answer)), (200, expected), "{method} {path} {body}: {answer}");
    }
    let (_, cli) = send(client, "GET", "/v1/cli/projects", Value::Null).await;
    let names = json!({
        "projectId": team.shop, "projectName": "shop", "applicationId": application, "applicationName": "store",
    });
    assert_eq!(cli["projects"], json!([names]));

    let refused = [
        ("GET", "/v1/secret/sk_0000000000", 404),
        ("GET", "/v1/secret/sk_0000000000?x=1", 400),
        ("POST", "/v1/secrets/poll", 400),
    ];
    for (method, path, expected) in refused {
        let (status, answer) = send(client, method, path, Value::Null).await;
        assert_eq!((status, shape(&answer)), (expected, json!({"error": "string"})), "{method} {path}");
    }
    team.server.admin(&["machine", "disable", &host.id]).await;
    let (status, answer) = send(&mut host.client, "GET", "/v1/secrets", Value::Null).await;
    assert_eq!((status, shape(&answer)), (403, json!({"error": "string"})));
    team.server.admin(&["machine", "revoke", &host.id]).await;
    let (status, answer) = send(&mut host.client, "GET", "/v1/secrets", Value::Null).await;
    assert_eq!((status, shape(&answer)), (401, json!({"error": "string"})));
}

#[tokio::test]
async fn whoever_registers_is_answered_exactly_the_documented_keys() {
    let Some(python) = python("whoever_registers_is_answered_exactly_the_documented_keys") else { return };
    let team = Team::new(python).await;
    let registered = json!({
        "machineId": "string", "machineName": "string", "vaultId": "string", "apiUrl": "string", "expiresAt": "integer",
    });
    let token = team.server.admin(&["machine", "bootstrap", "--vault", &team.vault]).await;
    let home = team.server.directory("web-1");
    let mut client = Driver::start(python, &home, &[]);
    let answer = client.does("register", json!([team.server.url, token["token"], "web-1", text(&home)])).await;
    let answer: Value = serde_json::from_str(answer.as_str().unwrap()).unwrap();
    assert_eq!(shape(&answer), registered);
    client.does("open", json!([])).await;

    let token = team.token(&[]).await;
    // The key of RFC 8032's second test vector.
    let key = "PUAXw+hDiVqStwqnTRt+vJyYLM8uxJaMwM1V8Sr0Zgw=";
    let body = json!({"token": token["token"], "publicKey": key, "hostname": "runner", "name": "job"});
    let path = format!("/v1/{}/enroll/register", team.vault);
    let (status, answer) = send(&mut client, "POST", &path, body).await;
    assert_eq!((status, shape(&answer)), (200, registered));
    assert_eq!((&answer["machineName"], &answer["apiUrl"]), (&json!("job"), &json!(team.server.url)));
    let (status, answer) =
        send(&mut client, "POST", &path, json!({"token": "no", "publicKey": key, "hostname": "x"})).await;
    assert_eq!((status, shape(&answer)), (401, json!({"error": "string"})));
}

/// `run --watch` of the command line client: it polls, and whatever there is in the answer, it ends its child and exports
/// again. So a change must be told until it was exported and never after that.
#[tokio::test]
async fn what_was_exported_again_is_no_news_any_more() {
    let Some(python) = python("what_was_exported_again_is_no_news_any_more") else { return };
    let team = Team::new(python).await;
    let mut host = team.host("web-1").await;
    let deleted = team.secret("shop", "deleted", "x", &[]).await;
    let taken = team.secret("shop", "taken", "x", &[]).await;
    team.grant(&host, &[&deleted]).await;
    let grant = team.grant(&host, &[&taken]).await;
    let watch = json!({"watch": [team.plain, team.structured, deleted, taken]});
    let names = |answer: &Value| {
        let secrets = answer["secrets"].as_array().unwrap().iter();
        secrets.map(|it| (it["name"].as_str().unwrap().to_owned(), it["value"].clone())).collect::<BTreeMap<_, _>>()
    };
    let client = &mut host.client;
    let (_, first) = send(client, "POST", "/v1/secrets/export", Value::Null).await;
    assert_eq!(names(&first).len(), 4);
    assert_eq!(send(client, "POST", "/v1/secrets/poll", watch.clone()).await.1, json!({"changes": {}}));

    team.set(&team.plain, "rotated").await;
    team.server.admin(&["secret", "delete", &deleted]).await;
    team.server.admin(&["grant", "delete", &grant]).await;
    let status = |it: &str| json!({"status": it});
    let changes = BTreeMap::from([
        (team.plain.clone(), status("changed")),
        (deleted, status("deleted")),
        (taken, status("access_denied")),
    ]);
    for _ in 0..2 {
        let (status, answer) = send(client, "POST", "/v1/secrets/poll", watch.clone()).await;
        assert_eq!((status, answer), (200, json!({"changes": changes})));
    }
    let (_, second) = send(client, "POST", "/v1/secrets/export", Value::Null).await;
    assert_eq!(names(&second).keys().collect::<Vec<_>>(), ["Stripe API-key", "db"]);
    assert_eq!(
        (&names(&second)["Stripe API-key"], &names(&first)["Stripe API-key"]),
        (&json!("rotated"), &json!(PLAIN))
    );
    assert_eq!(send(client, "POST", "/v1/secrets/poll", watch).await.1, json!({"changes": {}}));
}
