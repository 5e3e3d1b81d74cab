use zeroize::Zeroizing;

use super::*;
use crate::entropy::SystemEntropy;
use crate::store::book::hex;
use crate::store::{DataDirectory, sqlite::Sqlite};

fn root(seed: u8) -> RootKey {
    RootKey::from_bytes(Zeroizing::new([seed; 32]))
}

/// An empty database. What it stands in lives as long as the test.
async fn database() -> (tempfile::TempDir, Backend) {
    let directory = tempfile::tempdir().unwrap();
    let locked = DataDirectory::lock(directory.path()).unwrap();
    (directory, Backend::Sqlite(Sqlite::open(&locked).await.unwrap()))
}

async fn names(backend: &mut Backend) -> Vec<String> {
    let rows = backend.fetch("select name from meta order by name", &[]).await.unwrap();
    rows.iter().map(|row| row.text(0).unwrap()).collect()
}

async fn put(backend: &mut Backend, name: &str, value: &str) {
    let sql = "insert into meta (name, value) values ($1, $2) on conflict (name) do update set value = excluded.value";
    write(backend, sql, &[Bind::Text(name), Bind::Text(value)]).await.unwrap();
}

#[tokio::test]
async fn a_new_database_gets_a_master_key_and_keeps_it() {
    let (_directory, mut database) = database().await;
    let made = open_master(&mut database, &root(1), &SystemEntropy).await.unwrap();
    assert_eq!(names(&mut database).await, ["head", MASTER]);
    let again = open_master(&mut database, &root(1), &SystemEntropy).await.unwrap();
    assert_eq!(made.rows().mac(&[b"x"]), again.rows().mac(&[b"x"]));
    let other = open_master(&mut database, &root(2), &SystemEntropy).await;
    assert!(matches!(other, Err(StoreError::WrongRootKey)));
}

#[tokio::test]
async fn an_old_database_keeps_its_keys_and_can_change_its_root_key_from_then_on() {
    let (_directory, mut database) = database().await;
    let old = Keyring::new(Master::new("installation".into(), Zeroizing::new([1; 32])));
    let check = format!("installation {}", hex(&old.check_value("installation")));
    put(&mut database, OLD_CHECK, &check).await;
    put(&mut database, "head", &Book::first_head(&old).unwrap()).await;

    let wrong = open_master(&mut database, &root(2), &SystemEntropy).await;
    assert!(matches!(wrong, Err(StoreError::WrongRootKey)));
    let command = RootKey::command("/bin/false").unwrap();
    let command = open_master(&mut database, &command, &SystemEntropy).await;
    assert!(matches!(command, Err(StoreError::WrongRootKey)));
    assert_eq!(names(&mut database).await, ["head", OLD_CHECK]);

    // What fails on the way leaves the old database as it was.
    let full = "create trigger full before update on meta begin select raise(abort, 'disk full'); end";
    write(&mut database, full, &[]).await.unwrap();
    let failed = open_master(&mut database, &root(1), &SystemEntropy).await;
    assert!(matches!(failed, Err(StoreError::Write(_))));
    assert_eq!(names(&mut database).await, ["head", OLD_CHECK]);
    write(&mut database, "drop trigger full", &[]).await.unwrap();

    for _ in 0..2 {
        let keyring = open_master(&mut database, &root(1), &SystemEntropy).await.unwrap();
        assert_eq!(keyring.rows().mac(&[b"x"]), old.rows().mac(&[b"x"]));
        assert_eq!(names(&mut database).await, ["head", MASTER]);
        assert_eq!(value(&mut database, "head").await.unwrap().unwrap(), Book::first_head(&old).unwrap());
    }
    let wrapped = old.wrap_master(&root(3), &SystemEntropy).await.unwrap();
    put(&mut database, MASTER, &wrapped.encode().unwrap()).await;
    let keyring = open_master(&mut database, &root(3), &SystemEntropy).await.unwrap();
    assert_eq!(keyring.rows().mac(&[b"x"]), old.rows().mac(&[b"x"]));
}

#[tokio::test]
async fn a_master_key_that_is_gone_is_not_made_anew() {
    for left in [
        "delete from meta where name = 'master key'",
        "delete from meta; insert into entity values ('Vault', 'v', '{}', 1, x'')",
    ] {
        let (_directory, mut database) = database().await;
        open_master(&mut database, &root(1), &SystemEntropy).await.unwrap();
        write(&mut database, left, &[]).await.unwrap();
        let error = open_master(&mut database, &root(1), &SystemEntropy).await.err().unwrap().to_string();
        assert!(error.contains("the missing master key"), "{error}");
        assert!(!names(&mut database).await.contains(&MASTER.to_owned()));
    }
}
