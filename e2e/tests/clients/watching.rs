//! The client polls on its own, every 10 seconds at the most often.

use serde_json::{Value, json};

use crate::python::python;
use crate::team::{PLAIN, Team};

fn event(secret: &str, status: &str, value: &Value, fields: &Value) -> Value {
    json!({"secret_id": secret, "status": status, "value": value, "fields": fields, "error": null})
}

/// In the order of their secrets, so that they can be compared.
fn sorted(mut events: Vec<Value>) -> Vec<Value> {
    events.sort_by_key(|it| it["secret_id"].to_string());
    events
}

#[tokio::test]
async fn a_watch_hears_of_a_change_once_and_of_the_end_once() {
    let Some(python) = python("a_watch_hears_of_a_change_once_and_of_the_end_once") else { return };
    let team = Team::new(python).await;
    let mut host = team.host("web-1").await;
    let deleted = team.secret("shop", "deleted", "x", &[]).await;
    let taken = team.secret("shop", "taken", "x", &[]).await;
    team.grant(&host, &[&deleted]).await;
    let grant = team.grant(&host, &[&taken]).await;
    let (plain, structured) = (team.plain.as_str(), team.structured.as_str());
    for secret in [plain, &deleted, &taken] {
        host.client.get(secret).await.unwrap();
    }
    // It makes 10 of it.
    host.client.does("call", json!(["set_poll_interval", 1])).await;
    host.client.does("watch", json!([plain, structured, deleted, taken])).await;

    // The first poll comes at once. What was never read is news, what was read is none.
    let fields = json!({"username": "shop", "password": "s3cret"});
    let first = host.client.event().await;
    assert_eq!(first["value"].as_str().map(|it| serde_json::from_str::<Value>(it).unwrap()), Some(fields.clone()));
    assert_eq!(first, event(structured, "changed", &first["value"], &fields));

    team.set(plain, "rotated").await;
    team.server.admin(&["secret", "delete", &deleted]).await;
    team.server.admin(&["grant", "delete", &grant]).await;
    let second = [host.client.event().await, host.client.event().await, host.client.event().await];
    let expected = [
        event(plain, "changed", &json!("rotated"), &Value::Null),
        event(&deleted, "deleted", &Value::Null, &Value::Null),
        event(&taken, "access_denied", &Value::Null, &Value::Null),
    ];
    assert_eq!(sorted(second.to_vec()), sorted(expected.to_vec()));

    // Nothing of it is told again: in the poll after that there is the next change alone.
    team.set(plain, PLAIN).await;
    assert_eq!(host.client.event().await, event(plain, "changed", &json!(PLAIN), &Value::Null));
    host.client.call("close", &[]).await.unwrap();
    assert_eq!(host.client.events_left(), Vec::<Value>::new());
}
