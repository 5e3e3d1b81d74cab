//! A name service that comes and goes. The program has a file of names of its own, in a mount namespace of its own.

use std::path::PathBuf;
use std::process::Stdio;

use http::StatusCode;
use sikkerkey_protocol::Call;
use sikkerkey_protocol::enrolment::Attest;
use sikkerkey_protocol::sync::Sync;
use sikkerkey_sidecar::state::reason;
use tempfile::TempDir;
use tokio::process::{Child, Command};

use crate::peer::{NAME, Peer, raw};
use crate::pod::Pod;
use crate::skipped::skipped;

/// What the program takes for `/etc/hosts`. It is written over, not replaced: the mount shows this very file.
struct Names {
    directory: TempDir,
}

impl Names {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        std::fs::write(directory.path().join("nsswitch.conf"), "hosts: files\n").unwrap();
        let names = Self { directory };
        names.forget();
        names
    }

    fn know(&self) {
        std::fs::write(self.path("hosts"), format!("127.0.0.1 {NAME}\n")).unwrap();
    }

    fn forget(&self) {
        std::fs::write(self.path("hosts"), "").unwrap();
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// The program, which knows these names alone.
    fn run(&self, peer: &Peer, pod: &Pod) -> Child {
        let script = "mount --bind \"$1\" /etc/hosts && mount --bind \"$2\" /etc/nsswitch.conf && exec \"$3\" run";
        let mut command = unshare();
        command.args(["sh", "-c", script, "sh"]).arg(self.path("hosts")).arg(self.path("nsswitch.conf"));
        command
            .arg(env!("CARGO_BIN_EXE_sikkerkey-sidecar"))
            .env("SIKKERKEY_ATTEST_URL", peer.named_url())
            .env("SIKKERKEY_CA", &peer.authority.pem)
            .env("SIKKERKEY_MOUNT", pod.volume())
            .env("SIKKERKEY_TOKEN", pod.token_path())
            .stderr(Stdio::null())
            .kill_on_drop(true);
        command.spawn().unwrap()
    }
}

fn unshare() -> Command {
    let mut command = Command::new("unshare");
    let is_root = rustix::process::geteuid().is_root();
    command.arg("--mount").args(if is_root { &[][..] } else { &["--user", "--map-root-user"] });
    command
}

#[tokio::test]
async fn while_a_name_is_not_known_files_stay_and_then_all_goes_on() {
    if !unshare().arg("true").status().await.is_ok_and(|status| status.success()) {
        let test = "while_a_name_is_not_known_files_stay_and_then_all_goes_on";
        return skipped(test, "it needs `unshare --mount`, which is not allowed here");
    }
    let (peer, names) = (Peer::start().await, Names::new());
    peer.change(|world| {
        world.server_url = peer.named_url();
        world.delivery.files = vec![raw("a", "a")];
        world.set("a", 1, "one");
    });
    let pod = Pod::new(&peer);
    let _running = names.run(&peer, &pod);
    // At the start: the pod waits, and says for what.
    pod.says(reason::ENROLMENT_FAILED).await;
    let state = pod.state();
    assert!(!state.ready && state.message.contains(NAME), "{state:?}");
    names.know();
    pod.is_ready().await;

    // Later: the connection breaks while nobody knows the name.
    names.forget();
    peer.change(|world| world.is_away = true);
    pod.says(reason::SERVER_UNREACHABLE).await;
    let state = pod.state();
    assert!(state.ready && state.message.contains("files stay until"), "{state:?}");
    peer.change(|world| {
        world.is_away = false;
        world.set("a", 2, "two");
    });
    assert_eq!(pod.read("a").as_deref(), Some("one"));
    names.know();
    pod.has("a", "two").await;
    let world = peer.world();
    assert_eq!(world.count(Attest::PATH, StatusCode::OK.as_u16()), 1, "it is the same machine all the time");
    assert!(world.count(Sync::PATH, 401) == 0, "no signature was refused");
}
