//! What a person asks about reads through the operator: who read, who was refused, and no value.

use sikkerkey_protocol::denial::DenialReason;
use sikkerkey_protocol::kubernetes::{AuditOf, Audited, Kind, ObjectIdentity, ObjectKey};
use sikkerkey_server::model::EntityKind;

use crate::fixture::*;

fn of(kind: Kind, name: &str, limit: u32) -> AuditOf {
    let key = ObjectKey { namespace: "shop".into(), name: name.into() };
    AuditOf { kind, object: ObjectIdentity { key, uid: name.into() }, limit, asked_by: "jane".into() }
}

async fn audited(server: &Server, question: &AuditOf) -> Audited {
    let answer = server.call(&Client::agent(), question).await;
    assert_eq!(answer.status.as_u16(), 200, "{}", answer.text());
    assert!(!answer.text().contains("hunter2"), "{}", answer.text());
    serde_json::from_str(answer.text()).unwrap()
}

/// Who, whether denied, of what.
fn told(audited: &Audited) -> Vec<(&str, bool, Option<&str>)> {
    audited.events.iter().map(|it| (it.machine.as_str(), it.denied, it.secret.as_deref())).collect()
}

#[tokio::test]
async fn the_last_reads_and_denials_of_an_object_are_told_newest_first_and_those_of_others_are_not() {
    let server = Server::new().await;
    server.put_secret(secret("ledger", "payments"), "hunter2").await;
    for (client, target, status) in [
        (Client::pod(), "/v1/secret/sk_db", 200),
        (Client::host(), "/v1/secret/sk_db", 200),
        (Client::pod(), "/v1/secret/sk_ledger", 404),
        (Client::pod(), "/v1/secret/sk_db", 200),
    ] {
        assert_eq!(server.get(&client, target).await.status.as_u16(), status, "{target}");
        server.clock.advance_seconds(1);
    }
    let db = Some("shop/db");
    let secret = audited(&server, &of(Kind::Secret, "db", 50)).await;
    assert_eq!(told(&secret), [("shop/web", false, db), ("build-host", false, db), ("shop/web", false, db)]);
    assert_eq!((secret.usage.reads, secret.looked_back_to), (3, None));
    let first = &secret.events[0];
    assert_eq!((first.pod.as_deref(), first.message.as_str()), (Some("shop/web-1"), "version 1"));
    assert_eq!(first.address.unwrap().to_string(), POD_ADDRESS);
    assert!(secret.events.windows(2).all(|pair| pair[0].time > pair[1].time));
    assert_eq!(audited(&server, &of(Kind::Secret, "db", 1)).await.events, std::slice::from_ref(first));

    // What is not granted to it and not in its files is not even named.
    let machine = audited(&server, &of(Kind::Machine, "web", 50)).await;
    assert_eq!(told(&machine), [("shop/web", false, db), ("shop/web", true, None), ("shop/web", false, db)]);
    let denied = &machine.events[1];
    assert_eq!(denied.reason, Some(DenialReason::NotGranted));
    assert_eq!(denied.message, "it asked for a secret that is not granted to it");

    // A pod that is gone is still told.
    server.remove(EntityKind::Machine, pod().id.as_str()).await;
    let later = audited(&server, &of(Kind::Secret, "db", 50)).await;
    assert_eq!(later.events, secret.events);
    assert!(!audited(&server, &of(Kind::Secret, "nothing", 50)).await.held);
}
