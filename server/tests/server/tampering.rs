//! Whoever can only write the database gains nothing, and is found.

use sikkerkey_protocol::id::MachineId;
use sikkerkey_protocol::policy::{PolicyDocument, Ttl};
use sikkerkey_server::audit::verify::{Break, Verifier};
use sikkerkey_server::model::machine::Grantee;
use sikkerkey_server::model::secret::Secret;
use sikkerkey_server::model::{Entity, EntityKind};
use sikkerkey_server::store::StoreError;

use crate::database::is_postgres;
use crate::fixture::*;

/// Stops the server, does something to its database, and starts it again.
async fn after(server: Server, sql: &str) -> Result<Server, String> {
    let (clock, database) = (server.clock.clone(), server.database());
    let directory = server.stop().await;
    database.execute(sql).await;
    Server::open(directory, clock).await.map_err(|error| {
        assert!(error.downcast_ref::<StoreError>().is_some(), "{error:?}");
        error.to_string()
    })
}

/// What whoever owns the database does first.
pub fn unlocked(database: &TestDatabase) -> &'static str {
    database.by(
        "drop trigger audit_is_never_changed; drop trigger audit_is_deleted_up_to_its_base_only",
        "drop trigger audit_is_never_changed on audit; drop trigger audit_is_deleted_up_to_its_base_only on audit",
    )
}

#[tokio::test]
async fn a_row_that_was_changed_by_hand_is_named_and_refuses_to_start() {
    let (pod, grant) = (uuid(0x11), uuid(1));
    let cases = [
        ("update entity set doc = replace(doc, 'true', 'false') where kind = 'Machine'", format!("the Machine {pod}")),
        (
            "update entity set doc = replace(doc, 'sk_db', 'sk_xx') where kind = 'Grant' and id like '%01'",
            format!("the Grant {grant}"),
        ),
        ("update entity set seq = seq + 1 where kind = 'Account'", "the Account account".to_owned()),
        ("update entity set id = 'sk_dc' where kind = 'Secret'", "the Secret sk_dc".to_owned()),
        ("update entity set mac = substr(mac, 2) where kind = 'Fleet'", format!("the Fleet {}", uuid(0xf1))),
        ("delete from entity where kind = 'Machine' and id like '%12'", "a row that was removed".to_owned()),
        ("delete from version", "the missing value of sk_db".to_owned()),
        (
            "update meta set value = replace(value, '\"nonce_floor\":', '\"nonce_floor\":1') where name = 'head'",
            "the head".to_owned(),
        ),
        ("delete from meta where name = 'head'", "the head".to_owned()),
        ("DROP; delete from audit where seq = (select max(seq) from audit)", "the end of the audit".to_owned()),
    ];
    for (sql, names) in cases {
        let server = Server::new().await;
        let sql = &sql.replace("DROP", unlocked(&server.database()));
        let error = after(server, sql).await.err().unwrap_or_else(|| panic!("started after {sql}"));
        assert!(error.contains(&names), "{sql}: {error}");
    }
}

#[tokio::test]
async fn a_grant_that_was_revoked_cannot_be_put_back() {
    let server = Server::new().await;
    let database = server.database();
    let saved = database
        .query(database.by(
            "select format('insert into entity values (%Q, %Q, %Q, %d, x''%s'')', kind, id, doc, seq, hex(mac))
             from entity where kind = 'Grant' and id like '%01'",
            "select format('insert into entity values (%L, %L, %L, %s, decode(%L, ''hex''))', kind, id, doc, seq, encode(mac, 'hex'))
             from entity where kind = 'Grant' and id like '%01'",
        ))
        .await;
    server.remove(EntityKind::Grant, &uuid(1)).await;
    let error = after(server, &saved[0]).await.err().unwrap();
    assert!(error.contains("put back as it was before"), "{error}");
}

#[tokio::test]
async fn everything_is_back_after_a_restart() {
    let server = Server::new().await;
    assert_eq!(server.get(&Client::pod(), "/v1/secret/sk_db").await.status, 200);
    server.put(Entity::Grant(grant(9, Grantee::Machine(host().id), &["sk_db"]))).await;
    server.remove(EntityKind::Grant, &uuid(9)).await;
    let rows = server.audit().await;
    let server = server.restart().await.unwrap();
    assert_eq!(server.audit().await, rows);
    let answer = server.get(&Client::pod(), "/v1/secret/sk_db").await;
    assert_eq!(answer.text(), r#"{"value":"hunter2"}"#);
    let world = server.engine.app.live.read();
    assert_eq!(world.ledger.delivered(&pod().id, &"sk_db".parse().unwrap()), Some(1));
    assert_eq!(world.ledger.usage(&Grantee::Fleet(fleet().id), &"sk_db".parse().unwrap()).unwrap().reads, 2);
    assert!(world.ledger.last_seen(&pod().id).is_some());
    assert_eq!(world.ledger.last_seen(&uuid(0x33).parse::<MachineId>().unwrap()), None);
}

#[tokio::test]
async fn another_root_key_refuses_to_start_and_so_does_none() {
    let server = Server::new().await;
    let clock = server.clock.clone();
    let directory = server.stop().await;
    let path = directory.path().join("root.key");
    std::fs::write(&path, "ab".repeat(32)).unwrap();
    let error = Server::open(directory.clone(), clock.clone()).await.err().unwrap().to_string();
    assert!(error.contains("not the one the data was sealed with"), "{error}");
    if is_postgres() {
        return;
    }
    std::fs::remove_file(&path).unwrap();
    let error = Server::open(directory, clock).await.err().unwrap().to_string();
    assert!(error.contains("no root key"), "{error}");
}

#[tokio::test]
async fn a_database_of_a_newer_release_is_left_alone() {
    let server = Server::new().await;
    let sql = server.database().by(
        "insert into _sqlx_migrations (version, description, success, checksum, execution_time)
         values (9999, 'later', true, x'00', 0)",
        "insert into _sqlx_migrations (version, description, success, checksum, execution_time)
         values (9999, 'later', true, decode('00', 'hex'), 0)",
    );
    let error = after(server, sql).await.err().unwrap();
    assert!(error.contains("newer release"), "{error}");
}

#[tokio::test]
async fn two_servers_never_share_a_directory() {
    if is_postgres() {
        return;
    }
    let server = Server::new().await;
    let second = Server::open(server.directory.clone(), server.clock.clone()).await;
    let error = second.err().unwrap().to_string();
    assert!(error.contains("another sikkerkey-server is using"), "{error}");
}

#[tokio::test]
async fn a_value_moved_to_another_secret_or_version_does_not_open() {
    for sql in [
        // Another secret of the same project.
        "update version set (wrapped_key, ciphertext) =
            (select wrapped_key, ciphertext from version where secret = 'sk_other') where secret = 'sk_db'",
        // One half of it.
        "update version set ciphertext = (select ciphertext from version where secret = 'sk_other') where secret = 'sk_db'",
        // One byte less of it.
        "update version set ciphertext = substr(ciphertext, 2) where secret = 'sk_db'",
    ] {
        let server = Server::new().await;
        server.put_secret(secret("other", "shop"), "theirs").await;
        let server = after(server, sql).await.unwrap();
        let answer = server.get(&Client::pod(), "/v1/secret/sk_db").await;
        assert_eq!(answer.status, 503, "{sql}");
        assert!(!answer.text().contains("theirs"));
        let row = server.last_audit().await;
        assert!(row.detail.contains("does not open"), "{}", row.detail);
        // The others are not touched by it.
        server.put(Entity::Grant(grant(9, Grantee::Fleet(fleet().id), &["sk_other"]))).await;
        assert_eq!(server.get(&Client::pod(), "/v1/secret/sk_other").await.status, 200);
    }
}

#[tokio::test]
async fn the_audit_verifies_and_an_edit_is_found_at_its_row() {
    let server = Server::new().await;
    for _ in 0..5 {
        server.get(&Client::pod(), "/v1/secret/sk_db").await;
    }
    let rows = server.engine.app.records.after(0, 1000).await.unwrap();
    let mut verifier = Verifier::new(server.engine.app.keyring.audit());
    for row in &rows {
        verifier.next(row).unwrap();
    }
    assert_eq!(verifier.head().seq, u64::try_from(rows.len()).unwrap());

    let database = server.database();
    for sql in ["update audit set time = 1", "delete from audit"] {
        let refused = database.try_execute(sql).await.unwrap_err();
        assert!(refused.contains("append-only"), "{refused}");
    }
    database.execute(&format!("{}; update audit set entry = '{{}}' where seq = 3", unlocked(&database))).await;
    let rows = server.engine.app.records.after(0, 1000).await.unwrap();
    let mut verifier = Verifier::new(server.engine.app.keyring.audit());
    assert_eq!(rows.iter().try_for_each(|row| verifier.next(row)), Err(Break::Changed(3)));
}

#[tokio::test]
async fn rows_put_into_a_running_servers_database_do_nothing_and_refuse_the_next_start() {
    type Still = (fn() -> Client, &'static str, u16);
    let copy = |kind: &str, from: &str, to: &str, doc: &str| {
        format!(
            "insert into entity select kind, '{to}', {doc}, seq, mac from entity where kind = '{kind}' and id = '{from}'"
        )
    };
    let stranger: fn() -> Client = || Client { id: uuid(0x77), ..Client::host() };
    let cases: [(String, Still, String); 4] = [
        (
            copy(
                "Grant",
                &uuid(2),
                &uuid(9),
                &format!("replace(replace(doc, 'sk_db', 'sk_other'), '{}', '{}')", uuid(2), uuid(9)),
            ),
            (Client::host, "/v1/secret/sk_other", 403),
            format!("the Grant {}", uuid(9)),
        ),
        (
            copy("Machine", &uuid(0x12), &uuid(0x77), &format!("replace(doc, '{}', '{}')", uuid(0x12), uuid(0x77))),
            (stranger, "/v1/secret/sk_db", 401),
            format!("the Machine {}", uuid(0x77)),
        ),
        (
            "update entity set doc = replace(doc, '\"max_reads\":1', '\"max_reads\":9'),
                 mac = substr(mac, 2) where kind = 'Policy'"
                .to_owned(),
            (Client::pod, "/v1/secret/sk_db", 403),
            format!("the Policy {}", uuid(0x51)),
        ),
        (
            "delete from entity where kind = 'Policy'".to_owned(),
            (Client::pod, "/v1/secret/sk_db", 403),
            "a row that was removed".to_owned(),
        ),
    ];
    for (sql, (client, target, status), names) in cases {
        let server = Server::new().await;
        server.put_secret(secret("other", "shop"), "theirs").await;
        let ttl = Ttl { expires_at: None, max_reads: Some(1) };
        server.put(Entity::Policy(policy(PolicyDocument { ttl: Some(ttl), ..PolicyDocument::default() }))).await;
        server.put(Entity::Secret(Secret { policy: Some("guard".into()), version: 1, ..secret("db", "shop") })).await;
        assert_eq!(server.get(&Client::pod(), "/v1/secret/sk_db").await.status, 200);

        server.database().execute(&sql).await;
        assert_eq!(server.get(&client(), target).await.status, status, "{sql}");
        // What is written afterwards does not make it good either.
        server.put(Entity::Grant(grant(5, Grantee::Machine(host().id), &["sk_db"]))).await;
        assert_eq!(server.get(&client(), target).await.status, status, "{sql}");
        let error = server.restart().await.err().unwrap().to_string();
        assert!(error.contains(&names), "{sql}: {error}");
    }
}
