//! New values after so many reads.

use serde_json::json;
use sikkerkey_protocol::kubernetes::{Charset, Generator, Recipe};
use sikkerkey_protocol::policy::PolicyDocument;
use sikkerkey_server::audit::entry::Action;
use sikkerkey_server::model::Entity;
use sikkerkey_server::model::machine::{Grantee, Machine};
use sikkerkey_server::model::secret::Secret;
use sikkerkey_server::usecase::housekeeping;
use sikkerkey_server::writer::ChangeRequest;

use crate::fixture::*;

const PAUSE: i64 = 300;

/// A secret that rotates after so many reads, made an hour ago.
async fn rotating(after: u32, recipe: Option<Recipe>) -> Server {
    let server = Server::new().await;
    let document = PolicyDocument { rotate_after_reads: Some(after), ..Default::default() };
    server.put(Entity::Policy(policy(document))).await;
    server.put_secret(Secret { policy: Some("guard".into()), recipe, ..secret("db", "shop") }, "first").await;
    server.clock.advance_seconds(600);
    server
}

fn recipe() -> Recipe {
    Recipe::Plain(Generator { length: 32, charset: Charset::Alphanumeric })
}

async fn read(server: &Server, client: &Client) -> String {
    let answer = server.get(client, "/v1/secret/sk_db").await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer.json()["value"].as_str().unwrap().to_owned()
}

fn version(server: &Server) -> u64 {
    server.engine.app.live.read().state.secrets[&"sk_db".parse().unwrap()].version
}

async fn keep_house(server: &Server) {
    let request = ChangeRequest {
        spend: None,
        actor: sikkerkey_server::audit::entry::Actor::System,
        source_ip: None,
        what: "housekeeping",
        decide: Box::new(housekeeping::run),
    };
    server.engine.app.writer.change(request).await.unwrap();
}

async fn count(server: &Server, action: Action) -> usize {
    server.audit().await.iter().filter(|it| it.action == action).count()
}

#[tokio::test]
async fn the_read_that_is_the_last_of_a_version_makes_the_next_and_every_reader_sees_it_by_poll() {
    let server = rotating(3, Some(recipe())).await;
    let (host, pod) = (Client::host(), Client::pod());
    // The first read of each machine is none that counts.
    for client in [&host, &pod, &host, &pod, &host] {
        assert_eq!(version(&server), 1);
        assert_eq!(read(&server, client).await, "first");
    }
    assert_eq!(version(&server), 2, "two by the host and one by the pod");
    assert_eq!(count(&server, Action::SecretRotate).await, 1);
    let row = server.audit().await.into_iter().find(|it| it.action == Action::SecretRotate).unwrap();
    assert_eq!(row.detail, "db, version 2: it was read 3 times");
    for client in [&host, &pod] {
        let polled = server.post(client, "/v1/secrets/poll", r#"{"watch":["sk_db"]}"#).await.json();
        assert_eq!(polled, json!({"changes": {"sk_db": {"status": "changed"}}}));
        assert_ne!(read(&server, client).await, "first");
    }
    assert_eq!(version(&server), 2);
}

#[tokio::test]
async fn a_large_fleet_that_reads_each_new_version_does_not_rotate_it() {
    let server = rotating(2, Some(recipe())).await;
    for n in 0x40..0x60 {
        let machine = Machine { id: uuid(n).parse().unwrap(), public_key: key(n).public_key(), ..pod() };
        server.put(Entity::Machine(machine)).await;
        read(&server, &Client::new(uuid(n), n)).await;
    }
    assert_eq!(version(&server), 1);
}

#[tokio::test]
async fn rotations_keep_five_minutes_between_them() {
    let server = rotating(1, Some(recipe())).await;
    let host = Client::host();
    for _ in 0..2 {
        read(&server, &host).await;
    }
    assert_eq!(version(&server), 2);
    for _ in 0..5 {
        read(&server, &host).await;
    }
    assert_eq!((version(&server), count(&server, Action::SecretRotationDue).await), (2, 1), "noted once");
    server.clock.advance_seconds(PAUSE - 1);
    keep_house(&server).await;
    assert_eq!(version(&server), 2);
    // What is due is not forgotten by whoever restarts.
    let server = server.restart().await.unwrap();
    server.clock.advance_seconds(1);
    keep_house(&server).await;
    assert_eq!(version(&server), 3);
    read(&server, &host).await;
    keep_house(&server).await;
    assert_eq!(version(&server), 3, "and not done twice");
}

#[tokio::test]
async fn a_value_that_the_server_cannot_make_is_due_until_somebody_sets_another() {
    let server = rotating(1, None).await;
    for _ in 0..4 {
        assert_eq!(read(&server, &Client::host()).await, "first");
    }
    assert_eq!(count(&server, Action::SecretRotationDue).await, 1);
    let secret = server.engine.app.live.read().state.secrets[&"sk_db".parse().unwrap()].clone();
    assert_eq!(secret.due_by_reads.map(|it| it.0), Some(START + 600_000));
    keep_house(&server).await;
    assert_eq!(version(&server), 1);
    let set = |context: &sikkerkey_server::decision::Context<'_>| {
        let value = sikkerkey_protocol::secret_text::SecretText::new("second".into());
        sikkerkey_server::usecase::admin::secret::set(context, &"sk_db".parse().unwrap(), value, None)
    };
    // Managed by nobody, so that a person may.
    server.put(Entity::Secret(Secret { managed: None, ..secret })).await;
    let request = ChangeRequest {
        spend: None,
        actor: sikkerkey_server::audit::entry::Actor::Administrator,
        source_ip: None,
        what: "secret set",
        decide: Box::new(set),
    };
    server.engine.app.writer.change(request).await.unwrap();
    assert_eq!(server.engine.app.live.read().state.secrets[&"sk_db".parse().unwrap()].due_by_reads, None);
}

#[tokio::test]
async fn reads_at_the_same_time_and_after_a_restart_count_exactly() {
    let server = rotating(100, Some(recipe())).await;
    let host = Client::host();
    let burst = async |server: &Server, times: usize| {
        let requests: Vec<_> =
            (0..times).map(|_| host.request(&*server.clock, "GET", "/v1/secret/sk_db", b"")).collect();
        let tasks: Vec<_> = requests
            .into_iter()
            .map(|request| {
                let router = server.router.clone();
                tokio::spawn(async move { send_to(&router, request).await.status.as_u16() })
            })
            .collect();
        for task in tasks {
            assert_eq!(task.await.unwrap(), 200);
        }
    };
    // One that does not count, and 99 that do.
    burst(&server, 60).await;
    let server = server.restart().await.unwrap();
    burst(&server, 40).await;
    assert_eq!(version(&server), 1);
    // A replay and a denied read are none.
    let signed = host.request(&*server.clock, "GET", "/v1/secret/sk_none", b"");
    assert_eq!(server.send(signed.clone()).await.status, 404);
    assert_eq!(server.send(signed).await.status, 401);
    assert_eq!(version(&server), 1);
    burst(&server, 1).await;
    assert_eq!(version(&server), 2);
}

#[tokio::test]
async fn a_pod_of_a_fleet_counts_by_itself_and_its_fleet_together() {
    let server = rotating(2, Some(recipe())).await;
    let second = Machine { id: uuid(0x13).parse().unwrap(), public_key: key(4).public_key(), ..pod() };
    server.put(Entity::Machine(second)).await;
    server.put(Entity::Grant(grant(1, Grantee::Fleet(fleet().id), &["sk_db"]))).await;
    let (first, second) = (Client::pod(), Client::new(uuid(0x13), 4));
    for client in [&first, &second, &first] {
        read(&server, client).await;
    }
    assert_eq!(version(&server), 1);
    read(&server, &second).await;
    assert_eq!(version(&server), 2);
}
