//! Whoever can only write the database gains nothing, and is found.

use std::path::Path;

use sikkerkey_protocol::id::MachineId;
use sikkerkey_server::audit::verify::{Break, Verifier};
use sikkerkey_server::model::machine::Grantee;
use sikkerkey_server::model::{Entity, EntityKind};
use sikkerkey_server::store::StoreError;
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use sqlx::{AssertSqlSafe, ConnectOptions, Connection, Row};

use crate::fixture::*;

pub async fn connect(database: &Path) -> SqliteConnection {
    SqliteConnectOptions::new().filename(database).connect().await.unwrap()
}

/// The first column of each row.
pub async fn query(database: &Path, sql: &str) -> Vec<String> {
    let mut connection = connect(database).await;
    let rows = sqlx::query(AssertSqlSafe(sql)).fetch_all(&mut connection).await.unwrap();
    connection.close().await.unwrap();
    rows.iter().map(|row| row.get(0)).collect()
}

pub async fn execute(database: &Path, sql: &str) {
    let mut connection = connect(database).await;
    sqlx::raw_sql(AssertSqlSafe(sql)).execute(&mut connection).await.unwrap();
    connection.close().await.unwrap();
}

/// Stops the server, does something to its database, and starts it again.
async fn after(server: Server, sql: &str) -> Result<Server, String> {
    let clock = server.clock.clone();
    let directory = server.stop().await;
    execute(&directory.path().join("sikkerkey.db"), sql).await;
    Server::open(directory, clock).await.map_err(|error| {
        assert!(error.downcast_ref::<StoreError>().is_some(), "{error:?}");
        error.to_string()
    })
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
        ("update entity set mac = zeroblob(32) where kind = 'Fleet'", format!("the Fleet {}", uuid(0xf1))),
        ("delete from entity where kind = 'Machine' and id like '%12'", "a row that was removed".to_owned()),
        ("delete from version", "the missing value of sk_db".to_owned()),
        (
            "update meta set value = replace(value, '\"nonce_floor\":', '\"nonce_floor\":1') where name = 'head'",
            "the head".to_owned(),
        ),
        ("delete from meta where name = 'head'", "the head".to_owned()),
        (
            "drop trigger audit_is_deleted_up_to_its_base_only; delete from audit where seq = (select max(seq) from audit)",
            "the end of the audit".to_owned(),
        ),
    ];
    for (sql, names) in cases {
        let error = after(Server::new().await, sql).await.err().unwrap_or_else(|| panic!("started after {sql}"));
        assert!(error.contains(&names), "{sql}: {error}");
    }
}

#[tokio::test]
async fn a_grant_that_was_revoked_cannot_be_put_back() {
    let server = Server::new().await;
    let saved = query(
        &server.database(),
        "select format('insert into entity values (%Q, %Q, %Q, %d, x''%s'')', kind, id, doc, seq, hex(mac))
         from entity where kind = 'Grant' and id like '%01'",
    )
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
    std::fs::remove_file(&path).unwrap();
    let error = Server::open(directory, clock).await.err().unwrap().to_string();
    assert!(error.contains("no root key"), "{error}");
}

#[tokio::test]
async fn a_database_of_a_newer_release_is_left_alone() {
    let sql = "insert into _sqlx_migrations (version, description, success, checksum, execution_time)
         values (9999, 'later', true, x'00', 0)";
    let error = after(Server::new().await, sql).await.err().unwrap();
    assert!(error.contains("newer release"), "{error}");
}

#[tokio::test]
async fn two_servers_never_share_a_directory() {
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
        // One bit of it.
        "update version set ciphertext = cast(x'00' || substr(ciphertext, 2) as blob) where secret = 'sk_db'",
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
    let refused = sqlx::query("update audit set time = 1").execute(&mut connect(&database).await).await;
    assert!(refused.unwrap_err().to_string().contains("append-only"));
    execute(&database, "drop trigger audit_is_never_changed; update audit set entry = '{}' where seq = 3").await;
    let rows = server.engine.app.records.after(0, 1000).await.unwrap();
    let mut verifier = Verifier::new(server.engine.app.keyring.audit());
    assert_eq!(rows.iter().try_for_each(|row| verifier.next(row)), Err(Break::Changed(3)));
}
