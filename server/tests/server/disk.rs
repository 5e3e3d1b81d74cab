//! The disk below the embedded database fails: nothing leaves, nothing is lost.

use std::path::{Path, PathBuf};
use std::process::Command;

use sikkerkey_server::audit::entry::Action;
use sikkerkey_server::clock::{Clock as _, SystemClock};
use tempfile::TempDir;

use crate::fixture::*;
use crate::process::{Connection, Process};

/// A disk that fails when it is told to.
pub struct Disk {
    directory: TempDir,
}

impl Disk {
    pub fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/server/disk.c");
        let built = Command::new("cc")
            .args(["-shared", "-fPIC", "-O1", "-o"])
            .arg(directory.path().join("disk.so"))
            .arg(source)
            .arg("-ldl")
            .status();
        assert!(built.expect("a C compiler is installed").success());
        Self { directory }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    pub async fn start(&self, data: &Path) -> Process {
        let (shim, fault) = (self.path("disk.so"), self.path("fault"));
        let environment = [("LD_PRELOAD", shim.to_str().unwrap()), ("FAULT", fault.to_str().unwrap())];
        Process::spawn(data, "info", &[], &environment).await
    }

    pub fn fail(&self, how: &str) {
        std::fs::write(self.path("fault"), how).unwrap();
    }

    pub fn mend(&self) {
        std::fs::remove_file(self.path("fault")).unwrap();
    }
}

fn read(nonce: &str) -> Signed {
    Client::host().request_with(SystemClock.now().seconds(), nonce, "GET", "/v1/secret/sk_db", b"")
}

fn plain(target: &str) -> Signed {
    let address = "127.0.0.1".to_owned();
    Signed { method: "GET", target: target.into(), headers: vec![], body: vec![], address }
}

async fn status(connection: &mut Connection, request: Signed) -> (u16, bool) {
    let (status, body) = connection.send(request).await.unwrap();
    (status, String::from_utf8_lossy(&body).contains("hunter2"))
}

#[tokio::test]
async fn on_a_full_or_broken_disk_nothing_leaves_and_it_recovers_by_itself() {
    let disk = Disk::new();
    let server = Server::new().await;
    let TestDatabase::Sqlite(_) = server.database() else { return };
    let clock = server.clock.clone();
    let directory = server.stop().await;
    let mut process = disk.start(directory.path()).await;
    let mut connection = process.connect().await;
    assert_eq!(status(&mut connection, read("before")).await, (200, true));
    for how in ["full", "broken"] {
        disk.fail(how);
        let nonce = format!("during-{how}");
        assert_eq!(status(&mut connection, read(&nonce)).await, (503, false), "{how}");
        let export = Client::host().request(&SystemClock, "POST", "/v1/secrets/export", b"");
        assert_eq!(status(&mut connection, export).await, (503, false), "{how}");
        assert_eq!(status(&mut connection, plain("/readyz")).await.0, 503, "{how}");
        assert_eq!(status(&mut connection, plain("/healthz")).await.0, 200, "{how}");
        disk.mend();
        // The nonce was not burnt by what did not happen.
        assert_eq!(status(&mut connection, read(&nonce)).await, (200, true), "{how}");
        assert_eq!(status(&mut connection, plain("/readyz")).await.0, 200, "{how}");
    }
    process.child.kill().await.unwrap();
    let server = Server::open(directory, clock).await.unwrap();
    let reads = server.audit().await.iter().filter(|it| it.action == Action::SecretRead).count();
    assert_eq!(reads, 3);
}

#[tokio::test]
async fn a_sync_that_fails_ends_the_server_and_what_was_answered_is_there_afterwards() {
    let disk = Disk::new();
    let server = Server::new().await;
    let TestDatabase::Sqlite(_) = server.database() else { return };
    let clock = server.clock.clone();
    let directory = server.stop().await;
    let mut process = disk.start(directory.path()).await;
    let mut connection = process.connect().await;
    assert_eq!(status(&mut connection, read("before")).await, (200, true));
    disk.fail("sync");
    // It is answered that the server is unavailable, or not at all.
    if let Ok((status, body)) = connection.send(read("during")).await {
        assert!(status == 503 && !String::from_utf8_lossy(&body).contains("hunter2"), "{status} {body:?}");
    }
    let ended = process.ended().await;
    assert!(!ended.success());
    assert!(process.log.lock().await.contains("the writer ended"));
    disk.mend();
    let server = Server::open(directory, clock).await.unwrap();
    let rows = server.audit().await;
    assert!(rows.iter().any(|it| it.action == Action::SecretRead));
}
