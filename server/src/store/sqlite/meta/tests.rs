use sqlx::AssertSqlSafe;
use zeroize::Zeroizing;

use super::*;
use crate::entropy::SystemEntropy;
use crate::store::head::hex;

fn root(seed: u8) -> RootKey {
    RootKey::from_bytes(Zeroizing::new([seed; 32]))
}

async fn database() -> SqliteConnection {
    let mut connection = SqliteConnection::connect("sqlite::memory:").await.unwrap();
    super::super::MIGRATIONS.run_direct(None, &mut connection, false).await.unwrap();
    connection
}

async fn names(connection: &mut SqliteConnection) -> Vec<String> {
    sqlx::query_scalar("select name from meta order by name").fetch_all(connection).await.unwrap()
}

#[tokio::test]
async fn a_new_database_gets_a_master_key_and_keeps_it() {
    let mut database = database().await;
    let made = open_master(&mut database, &root(1), &SystemEntropy).await.unwrap();
    assert_eq!(names(&mut database).await, [HEAD, MASTER]);
    let again = open_master(&mut database, &root(1), &SystemEntropy).await.unwrap();
    assert_eq!(made.rows().mac(&[b"x"]), again.rows().mac(&[b"x"]));
    let other = open_master(&mut database, &root(2), &SystemEntropy).await;
    assert!(matches!(other, Err(StoreError::WrongRootKey)));
}

#[tokio::test]
async fn an_old_database_keeps_its_keys_and_can_change_its_root_key_from_then_on() {
    let mut database = database().await;
    let old = Keyring::new(Master::new("installation".into(), Zeroizing::new([1; 32])));
    let check = format!("installation {}", hex(&old.check_value("installation")));
    put(&mut database, OLD_CHECK, &check).await.unwrap();
    put(&mut database, HEAD, &Head::default().encode(old.rows()).unwrap()).await.unwrap();

    let wrong = open_master(&mut database, &root(2), &SystemEntropy).await;
    assert!(matches!(wrong, Err(StoreError::WrongRootKey)));
    let command = RootKey::command("/bin/false").unwrap();
    let command = open_master(&mut database, &command, &SystemEntropy).await;
    assert!(matches!(command, Err(StoreError::WrongRootKey)));
    assert_eq!(names(&mut database).await, [HEAD, OLD_CHECK]);

    // What fails on the way leaves the old database as it was.
    let full = "create trigger full before delete on meta begin select raise(abort, 'disk full'); end";
    sqlx::raw_sql(AssertSqlSafe(full)).execute(&mut database).await.unwrap();
    let failed = open_master(&mut database, &root(1), &SystemEntropy).await;
    assert!(matches!(failed, Err(StoreError::Write(_))));
    assert_eq!(names(&mut database).await, [HEAD, OLD_CHECK]);
    sqlx::raw_sql(AssertSqlSafe("drop trigger full")).execute(&mut database).await.unwrap();

    for _ in 0..2 {
        let keyring = open_master(&mut database, &root(1), &SystemEntropy).await.unwrap();
        assert_eq!(keyring.rows().mac(&[b"x"]), old.rows().mac(&[b"x"]));
        assert_eq!(names(&mut database).await, [HEAD, MASTER]);
        let head = value(&mut database, HEAD).await.unwrap().unwrap();
        assert!(Head::decode(keyring.rows(), &head).is_some());
    }
    let wrapped = old.wrap_master(&root(3), &SystemEntropy).await.unwrap();
    put(&mut database, MASTER, &wrapped.encode().unwrap()).await.unwrap();
    let keyring = open_master(&mut database, &root(3), &SystemEntropy).await.unwrap();
    assert_eq!(keyring.rows().mac(&[b"x"]), old.rows().mac(&[b"x"]));
}

#[tokio::test]
async fn a_master_key_that_is_gone_is_not_made_anew() {
    for left in [
        "delete from meta where name = 'master key'",
        "delete from meta; insert into entity values ('Vault', 'v', '{}', 1, x'')",
    ] {
        let mut database = database().await;
        open_master(&mut database, &root(1), &SystemEntropy).await.unwrap();
        sqlx::raw_sql(AssertSqlSafe(left)).execute(&mut database).await.unwrap();
        let error = open_master(&mut database, &root(1), &SystemEntropy).await.err().unwrap().to_string();
        assert!(error.contains("the missing master key"), "{error}");
        assert!(!names(&mut database).await.contains(&MASTER.to_owned()));
    }
}
