//! The application's process hears a signal when its files have changed.

use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::Stdio;
use std::sync::atomic::{AtomicU32, Ordering};

use rustix::process::geteuid;
use sikkerkey_protocol::sync::{ChangeAction, OnChange};
use tempfile::TempDir;
use tokio::process::{Child, Command};

use crate::peer::{Peer, raw};
use crate::pod::{Pod, eventually};
use crate::process::sidecar;
use crate::skipped::skipped;

/// A process with a name of its own, which writes down what it hears.
struct Application {
    name: String,
    directory: TempDir,
    process: Option<Child>,
}

impl Application {
    /// A shell script. `say TEXT` writes a line of the log, `stay` waits until the process is ended.
    fn new(script: &str) -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let name = format!("app{}.{}", std::process::id() % 1_000_000, NUMBER.fetch_add(1, Ordering::Relaxed));
        let directory = tempfile::tempdir().unwrap();
        let log = directory.path().join("log");
        let text = format!(
            "#!/bin/sh\nlog='{}'\nsay() {{ echo \"$1\" >> \"$log\"; }}\n\
             stay() {{ sleep 60 & while kill -0 $! 2>/dev/null; do wait $!; done; }}\n{script}\n",
            log.display()
        );
        std::fs::write(&log, "").unwrap();
        let program = directory.path().join(&name);
        // Not by this process: what another test forks meanwhile would hold the file open, and it could not be run.
        let written = directory.path().join("text");
        std::fs::write(&written, text).unwrap();
        assert!(std::process::Command::new("cp").arg(&written).arg(&program).status().unwrap().success());
        std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).unwrap();
        Self { name, directory, process: None }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn start(&mut self) {
        // Tests that run under nohup ignore SIGHUP, and so would what they start.
        let mut command = Command::new("env");
        command.arg("--default-signal=HUP").arg(self.path(&self.name));
        command.current_dir(self.directory.path()).stdin(Stdio::null()).kill_on_drop(true);
        self.process = Some(command.spawn().unwrap());
    }

    async fn started(script: &str) -> Self {
        let mut application = Self::new(script);
        application.start();
        application.says(&["up"]).await;
        application
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.path("log")).unwrap()
    }

    /// Waits until it has written these lines, and fails on others.
    async fn says(&self, lines: &[&str]) {
        let expected = format!("{}\n", lines.join("\n"));
        eventually(&format!("it says {lines:?}"), || {
            let log = self.log();
            assert!(expected.starts_with(&log), "{log:?} instead of {expected:?}");
            log == expected
        })
        .await;
    }
}

async fn peer_that_signals(name: &str, process_name: &str, debounce_millis: u64) -> Peer {
    let peer = Peer::start().await;
    peer.change(|world| {
        world.delivery.files = vec![raw("a", "a")];
        let action = ChangeAction::Signal { name: name.to_owned(), process_name: process_name.to_owned() };
        world.delivery.on_change = Some(OnChange { debounce_millis, action });
        world.set("a", 1, "value 1");
    });
    peer
}

async fn change(peer: &Peer, pod: &Pod, version: u64) {
    let value = format!("value {version}");
    peer.change(|world| world.set("a", version, &value));
    pod.has("a", &value).await;
}

/// By SIGHUP, once for each, and not at the start of the pod.
async fn hears_of_each_change(application: &Application) {
    let peer = peer_that_signals("SIGHUP", &application.name, 1).await;
    let pod = Pod::started(&peer);
    pod.is_ready().await;
    change(&peer, &pod, 2).await;
    application.says(&["up", "told"]).await;
    change(&peer, &pod, 3).await;
    application.says(&["up", "told", "told"]).await;
}

#[tokio::test]
async fn the_process_is_told_after_each_change_once_and_not_at_the_start() {
    let application = Application::started("trap 'say told' HUP; say up; stay").await;
    hears_of_each_change(&application).await;
}

#[tokio::test]
async fn several_changes_are_one_signal() {
    let application = Application::started("trap 'say \"told:$(cat a)\"' USR1; say up; stay").await;
    let peer = peer_that_signals("SIGUSR1", &application.name, 1_500).await;
    let pod = Pod::started(&peer);
    std::os::unix::fs::symlink(pod.volume().join("a"), application.path("a")).unwrap();
    pod.is_ready().await;
    for version in 2..5 {
        change(&peer, &pod, version).await;
    }
    application.says(&["up", "told:value 4"]).await;
    change(&peer, &pod, 5).await;
    application.says(&["up", "told:value 4", "told:value 5"]).await;
}

#[tokio::test]
async fn of_a_server_with_workers_the_leading_process_is_told() {
    let script = "case $1 in
        worker) trap 'say worker' HUP; say up; stay;;
        *) trap 'say told' HUP; $0 worker & stay;;
    esac";
    let application = Application::started(script).await;
    hears_of_each_change(&application).await;
}

#[tokio::test]
async fn a_process_that_comes_later_is_told_when_it_is_there() {
    let mut application = Application::new("trap 'say told' USR2; say up; stay");
    let peer = peer_that_signals("SIGUSR2", &application.name, 1).await;
    let pod = Pod::started(&peer);
    pod.is_ready().await;
    change(&peer, &pod, 2).await;
    application.start();
    application.says(&["up", "told"]).await;
}

#[tokio::test]
async fn a_process_that_does_not_handle_the_signal_yet_is_not_ended_by_it() {
    let script = "say up; while ! test -e go; do sleep 0.05; done; trap 'say told' HUP; stay";
    let application = Application::started(script).await;
    let peer = peer_that_signals("SIGHUP", &application.name, 1).await;
    let pod = Pod::started(&peer);
    pod.is_ready().await;
    change(&peer, &pod, 2).await;
    let error = sikkerkey_sidecar::signal::send("SIGHUP", &application.name).unwrap_err().to_string();
    assert!(
        error.ends_with(
            "does not handle SIGHUP and would end: have it handle the signal, or use SIGTERM to have it restarted"
        ),
        "{error}"
    );
    std::fs::write(application.path("go"), "").unwrap();
    application.says(&["up", "told"]).await;
}

#[tokio::test]
async fn a_process_that_ignores_the_signal_is_named() {
    let application = Application::started("trap '' HUP; say up; stay").await;
    let error = sikkerkey_sidecar::signal::send("SIGHUP", &application.name).unwrap_err().to_string();
    assert!(error.ends_with("ignores SIGHUP: have it handle the signal, or name another one"), "{error}");
}

#[tokio::test]
async fn sigterm_ends_a_process_so_that_the_kubelet_starts_it_again() {
    let mut application = Application::started("say up; stay").await;
    let peer = peer_that_signals("SIGTERM", &application.name, 1).await;
    let pod = Pod::started(&peer);
    pod.is_ready().await;
    change(&peer, &pod, 2).await;
    let mut process = application.process.take().unwrap();
    let ended = tokio::time::timeout(std::time::Duration::from_secs(20), process.wait()).await.unwrap().unwrap();
    assert_eq!(std::os::unix::process::ExitStatusExt::signal(&ended), Some(15));
}

#[tokio::test]
async fn a_process_of_another_user_is_named_and_left_alone() {
    if !geteuid().is_root() {
        return skipped("a_process_of_another_user_is_named_and_left_alone", "it needs root, to be two users");
    }
    let application = Application::started("trap 'say told' HUP; say up; stay").await;
    let peer = peer_that_signals("SIGHUP", &application.name, 1).await;
    let pod = Pod::new(&peer);
    pod.give_to(65_534);
    let running = sidecar(&peer, &pod, "run").uid(65_534).gid(65_534).spawn().unwrap();
    pod.is_ready().await;
    change(&peer, &pod, 2).await;
    let log = crate::process::log_until(running, "tries again").await;
    assert!(log.contains("runs as another user than the sidecar, which may not signal it: give all containers of the pod one runAsUser"), "{log}");
    assert_eq!(application.log(), "up\n");
}
