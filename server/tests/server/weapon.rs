//! A lock is no weapon: over two servers nobody locks out a machine that authenticates from its own address.

use sikkerkey_server::audit::entry::Action;
use sikkerkey_server::model::machine::{Grantee, Machine};
use sikkerkey_server::model::membership::Membership;
use sikkerkey_server::model::{Change, Entity};

use crate::fixture::*;
use crate::replicas::Two;
use crate::wire::until;

/// Somebody who has the machine's id, and not its key.
async fn fail_as(server: &Server, id: &str, address: &str) -> u16 {
    let forged = Client::new(id.to_owned(), 99).request(&*server.clock, "GET", "/v1/secret/sk_db", b"");
    server.send(forged.from(address)).await.status.as_u16()
}

#[tokio::test]
async fn a_machine_that_authenticated_at_one_server_cannot_be_locked_out_at_the_other() {
    let two = Box::pin(Two::new()).await;
    let [first, second] = &two.servers;
    let pod = Client::pod();
    assert_eq!(first.get(&pod, "/v1/secret/sk_db").await.status, 200);
    // The other has heard from where, and not only that.
    until("the other has heard of it", async || {
        second.engine.app.writer.catch_up().await.unwrap();
        second.engine.app.live.read().ledger.last_seen(&pod.id.parse().unwrap()).is_some()
    })
    .await;
    // From as many addresses as an attacker likes, and so often that the machine as a whole is locked.
    for n in 0..20 {
        for server in [first, second] {
            let status = fail_as(server, &pod.id, &format!("198.51.100.{n}")).await;
            assert!(status == 401 || (status == 429 && n > 2), "{status} {n}");
        }
    }
    for server in [first, second] {
        let locked = fail_as(server, &pod.id, "203.0.113.1").await;
        assert_eq!(locked, 429, "it is locked for addresses that nobody knows");
        // Even his neighbours on the same address: they lock themselves out, and not the machine.
        for _ in 0..5 {
            fail_as(server, &uuid(0x77), POD_ADDRESS).await;
        }
        assert_eq!(server.get(&pod, "/v1/secret/sk_db").await.status, 200);
    }
    let rows = first.audit().await;
    assert!(rows.iter().filter(|it| it.action == Action::LockoutStart).count() >= 2);
}

#[tokio::test]
async fn a_machine_that_comes_to_be_at_one_server_is_known_at_the_other_before_it_can_be_locked_out() {
    let two = Box::pin(Two::new()).await;
    let [first, second] = &two.servers;
    let machine = Machine { id: uuid(0x41).parse().unwrap(), public_key: key(0x41).public_key(), ..host() };
    let id = machine.id.clone();
    first
        .apply(vec![
            Change::put(Entity::Machine(machine)),
            Change::put(Entity::Membership(Membership { machine: id.clone(), ..member("shop") })),
            Change::put(Entity::Grant(grant(0x41, Grantee::Machine(id), &["sk_db"]))),
        ])
        .await
        .unwrap();
    // Its own requests at the other are no failures, however many there are.
    let client = Client { address: "10.0.0.77".into(), ..Client::new(uuid(0x41), 0x41) };
    for n in 0..5 {
        assert_eq!(second.get(&client, "/v1/secret/sk_db").await.status, 200, "{n}");
    }
    // What was sent twice, is too old or has expired counts for nothing either.
    let request = client.request(&*second.clock, "GET", "/v1/secret/sk_db", b"");
    assert_eq!(second.send(request.clone()).await.status, 200);
    for server in [first, second, first, second, first, second] {
        assert_eq!(server.send(request.clone()).await.status, 401);
        let old = client.request_with(START / 1000 - 301, "old", "GET", "/v1/secret/sk_db", b"");
        assert_eq!(server.send(old).await.status, 401);
    }
    assert_eq!(first.get(&client, "/v1/secret/sk_db").await.status, 200);
}
