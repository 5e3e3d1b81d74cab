//! The program itself: its commands, its signals, its exit codes.

use std::process::{Output, Stdio};
use std::time::{Duration, Instant};

use http::StatusCode;
use rustix::process::{Pid, Signal, kill_process};
use sikkerkey_protocol::Call;
use sikkerkey_protocol::enrolment::{Attest, Resign};
use sikkerkey_sidecar::wait;
use tokio::io::AsyncReadExt;
use tokio::process::{Child, Command};

use crate::peer::{Peer, error, raw};
use crate::pod::{Pod, eventually};

pub(crate) fn sidecar(peer: &Peer, pod: &Pod, command: &str) -> Command {
    let mut process = Command::new(env!("CARGO_BIN_EXE_sikkerkey-sidecar"));
    process
        .arg(command)
        .env_clear()
        .env("SIKKERKEY_ATTEST_URL", &peer.url)
        .env("SIKKERKEY_CA", &peer.authority.pem)
        .env("SIKKERKEY_MOUNT", pod.volume())
        .env("SIKKERKEY_TOKEN", pod.token_path())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true);
    process
}

pub(crate) async fn peer() -> Peer {
    let peer = Peer::start().await;
    peer.change(|world| {
        world.delivery.files = vec![raw("a", "a")];
        world.set("a", 1, "one");
    });
    peer
}

pub(crate) async fn run(peer: &Peer, pod: &Pod, command: &str) -> (Option<i32>, String) {
    let Output { status, stderr, .. } = sidecar(peer, pod, command).output().await.unwrap();
    (status.code(), String::from_utf8(stderr).unwrap())
}

/// What a sidecar has logged once it has said `text`.
pub(crate) async fn log_until(mut child: Child, text: &str) -> String {
    let mut stderr = child.stderr.take().unwrap();
    let mut log = String::new();
    let read = async {
        let mut bytes = [0; 4096];
        while !log.contains(text) {
            let length = stderr.read(&mut bytes).await.unwrap();
            assert!(length > 0, "it ended without saying {text:?}: {log}");
            log.push_str(&String::from_utf8_lossy(&bytes[..length]));
        }
    };
    let read = tokio::time::timeout(Duration::from_secs(20), read).await;
    assert!(read.is_ok(), "it has not said {text:?}: {log}");
    log
}

pub(crate) fn signal(child: &Child, signal: Signal) {
    let pid = Pid::from_raw(i32::try_from(child.id().unwrap()).unwrap()).unwrap();
    kill_process(pid, signal).unwrap();
}

#[tokio::test]
async fn wait_ends_when_the_files_are_there_and_a_signal_ends_run_with_its_identity() {
    let (peer, pod) = (peer().await, Pod::new(&Peer::start().await));
    assert_eq!(run(&peer, &pod, "ready").await, (Some(1), "the sidecar is not running\n".to_owned()));
    // As the kubelet does it: the hook starts together with the container.
    let waiting = sidecar(&peer, &pod, "wait").spawn().unwrap();
    let running = sidecar(&peer, &pod, "run").spawn().unwrap();
    let waited = waiting.wait_with_output().await.unwrap();
    assert_eq!((waited.status.code(), waited.stderr), (Some(0), vec![]));
    assert_eq!(pod.read("a").as_deref(), Some("one"));
    assert_eq!(run(&peer, &pod, "ready").await, (Some(0), String::new()));

    let limits = std::fs::read_to_string(format!("/proc/{}/limits", running.id().unwrap())).unwrap();
    let core = limits.lines().find(|line| line.starts_with("Max core file size")).unwrap();
    assert_eq!(core.split_whitespace().skip(4).take(2).collect::<Vec<_>>(), ["0", "0"]);

    signal(&running, Signal::TERM);
    let ended = running.wait_with_output().await.unwrap();
    let log = String::from_utf8(ended.stderr).unwrap();
    assert_eq!(ended.status.code(), Some(0), "{log}");
    assert_eq!(peer.world().count(Resign::PATH, 200), 1, "{log}");
    assert_eq!(peer.world().alive().len(), 0);
    assert_eq!(pod.read("a").as_deref(), Some("one"), "the application may still be stopping");
    assert_eq!(run(&peer, &pod, "ready").await, (Some(1), "the sidecar is not running\n".to_owned()));
}

#[tokio::test]
async fn a_signal_ends_run_even_when_the_server_is_away() {
    let (peer, pod) = (peer().await, Pod::new(&Peer::start().await));
    let running = sidecar(&peer, &pod, "run").spawn().unwrap();
    pod.is_ready().await;
    peer.change(|world| world.is_away = true);
    let started = Instant::now();
    signal(&running, Signal::TERM);
    let ended = running.wait_with_output().await.unwrap();
    assert_eq!(ended.status.code(), Some(0));
    assert!(started.elapsed().as_secs() < 10, "{:?}", started.elapsed());
}

#[tokio::test]
async fn a_refused_pod_is_told_so_at_once() {
    let (peer, pod) = (peer().await, Pod::new(&Peer::start().await));
    peer.change(|world| {
        for _ in 0..100 {
            let text =
                "the pod's service account may not assume Machine web: add it to spec.workload.serviceAccountNames";
            world.fail(Attest::PATH, error(StatusCode::FORBIDDEN, text, None));
        }
    });
    let started = Instant::now();
    let _running = sidecar(&peer, &pod, "run").spawn().unwrap();
    let (code, line) = run(&peer, &pod, "wait").await;
    assert_eq!(code, Some(1));
    assert!(line.starts_with("EnrolmentRefused: the operator does not vouch for this pod: "), "{line}");
    assert!(line.ends_with("add it to spec.workload.serviceAccountNames\n") && line.lines().count() == 1, "{line}");
    assert!(started.elapsed() < wait::BOUND / 4, "{:?}", started.elapsed());
}

#[tokio::test]
async fn a_killed_process_is_followed_by_another_machine() {
    let (peer, pod) = (peer().await, Pod::new(&Peer::start().await));
    let mut first = sidecar(&peer, &pod, "run").spawn().unwrap();
    pod.is_ready().await;
    first.kill().await.unwrap();
    let _second = sidecar(&peer, &pod, "run").spawn().unwrap();
    eventually("there is another machine", || peer.world().machines.len() == 2).await;
    pod.is_ready().await;
    assert_eq!(peer.world().alive().len(), 1);
}

#[tokio::test]
async fn two_sidecars_do_not_share_a_volume() {
    let (peer, pod) = (peer().await, Pod::new(&Peer::start().await));
    let _first = sidecar(&peer, &pod, "run").spawn().unwrap();
    pod.is_ready().await;
    let (code, line) = run(&peer, &pod, "run").await;
    assert_eq!((code, line), (Some(1), format!("another sidecar is at work in {}\n", pod.volume().display())));
    assert_eq!(peer.world().machines.len(), 1);
}

#[tokio::test]
async fn a_bad_command_line_or_environment_says_what_to_do() {
    let (peer, pod) = (peer().await, Pod::new(&Peer::start().await));
    assert_eq!(
        run(&peer, &pod, "start").await,
        (Some(2), "\"start\" is no command: say run, init, wait, ready or cosign (--help says more)\n".to_owned())
    );
    for (variable, value, line) in [
        ("SIKKERKEY_CA", "", "SIKKERKEY_CA is not set: it is set by the webhook that injects the sidecar\n"),
        ("SIKKERKEY_CA", "none", "SIKKERKEY_CA: the trust bundle holds no certificate\n"),
        (
            "SIKKERKEY_ATTEST_URL",
            "http://operator.svc",
            "SIKKERKEY_ATTEST_URL: not https: plain http is for loopback addresses only\n",
        ),
        (
            "SIKKERKEY_MOUNT",
            "/nowhere",
            "cannot write in /nowhere, where the volume should be mounted: No such file or directory (os error 2)\n",
        ),
    ] {
        let output = sidecar(&peer, &pod, "run").env(variable, value).output().await.unwrap();
        assert_eq!((output.status.code(), String::from_utf8(output.stderr).unwrap()), (Some(1), line.to_owned()));
    }
    let help = sidecar(&peer, &pod, "help").output().await.unwrap();
    assert!(help.status.success() && String::from_utf8(help.stdout).unwrap().contains("SIKKERKEY_ATTEST_URL"));
}
