//! `init`: the files once, and nothing that stays.

use std::process::Stdio;
use std::time::{Duration, Instant};

use http::StatusCode;
use rustix::process::Signal;
use sikkerkey_protocol::Call;
use sikkerkey_protocol::denial::DenialReason;
use sikkerkey_protocol::enrolment::{Attest, Resign};
use sikkerkey_protocol::sync::{ChangeAction, OnChange, Sync};
use sikkerkey_sidecar::init::{PATIENCE, RESIGNING, Unfinished, Why, write_once};
use tokio::net::TcpListener;

use crate::peer::{Fault, Peer, error, raw};
use crate::pod::{Pod, eventually};
use crate::process::{peer, run, sidecar, signal};

/// Long enough for any start, far below what `init` would wait by itself.
const AT_ONCE: Duration = Duration::from_secs(20);

#[tokio::test]
async fn the_whole_set_is_written_the_identity_given_up_and_nothing_stays() {
    let (peer, pod) = (peer().await, Pod::new(&Peer::start().await));
    let (code, log) = run(&peer, &pod, "init").await;
    assert_eq!(code, Some(0), "{log}");
    assert_eq!(pod.read("a").as_deref(), Some("one"));
    let world = peer.world();
    assert_eq!((world.machines.len(), world.alive().len()), (1, 0), "{log}");
    assert_eq!((world.count(Sync::PATH, 200), world.count(Resign::PATH, 200)), (1, 1), "it fetched once");
}

#[tokio::test]
async fn it_waits_for_a_required_file_and_not_for_an_optional_one() {
    let (peer, pod) = (peer().await, Pod::new(&Peer::start().await));
    peer.change(|world| {
        let mut optional = raw("optional", "never");
        optional.optional = true;
        world.deliver(vec![raw("a", "a"), raw("b", "b"), optional]);
    });
    let running = sidecar(&peer, &pod, "init").spawn().unwrap();
    pod.says("NotGranted").await;
    peer.change(|world| world.set("b", 1, "two"));
    let ended = running.wait_with_output().await.unwrap();
    let log = String::from_utf8(ended.stderr).unwrap();
    assert_eq!(ended.status.code(), Some(0), "{log}");
    assert_eq!((pod.read("b").as_deref(), pod.read("optional")), (Some("two"), None));
    assert_eq!(peer.world().alive().len(), 0);
}

#[tokio::test]
async fn a_file_that_waits_for_a_person_hides_none_that_has_to_be_repaired() {
    let peer = Peer::start().await;
    let pod = Pod::new(&peer);
    peer.change(|world| {
        world.deliver(vec![raw("a", "a"), raw("b", "b")]);
        world.deny("a", DenialReason::CoSignMissing, "");
    });
    let mut agent = pod.agent().before_the_application();
    agent.exchange().await;
    assert_eq!((agent.said().reason.as_str(), agent.said().ready), ("NotGranted", false));
    assert!(
        agent.said().message.starts_with("file b waits for Secret shop/b: NotGranted: "),
        "{}",
        agent.said().message
    );
    peer.change(|world| world.set("b", 1, "two"));
    agent.exchange().await;
    assert_eq!(agent.said().reason, "CoSignMissing", "what is left takes as long as it takes");
}

#[tokio::test]
async fn a_refused_pod_ends_at_once_with_the_reason_as_its_last_line() {
    let (peer, pod) = (peer().await, Pod::new(&Peer::start().await));
    let text = "Machine web does not exist in namespace shop: apply it before its pods";
    peer.change(|world| world.fail(Attest::PATH, error(StatusCode::FORBIDDEN, text, None)));
    let started = Instant::now();
    let (code, log) = run(&peer, &pod, "init").await;
    assert_eq!(code, Some(1), "{log}");
    let last = log.lines().last().unwrap();
    assert!(last.starts_with("EnrolmentRefused: the operator does not vouch for this pod: "), "{log}");
    assert!(last.ends_with(text), "{log}");
    assert!(started.elapsed() < AT_ONCE);
    assert_eq!(pod.read("a"), None);
}

/// By a clock of its own: the file of the token is all that it touches.
#[tokio::test]
async fn what_should_be_there_already_is_not_waited_for_for_ever() {
    let peer = Peer::start().await;
    let pod = Pod::new(&peer);
    std::fs::remove_file(pod.token_path()).unwrap();
    let mut agent = pod.agent().before_the_application();
    tokio::time::pause();
    let started = tokio::time::Instant::now();
    assert_eq!(write_once(&mut agent).await, Err(Why::GaveUp));
    assert_eq!(started.elapsed().as_secs(), PATIENCE.as_secs());
    let line = Unfinished::new(Why::GaveUp, agent.said()).to_string();
    assert!(line.starts_with("EnrolmentFailed: cannot read the pod's token "), "{line}");
    assert!(line.ends_with(" (gave up after 5 minutes)"), "{line}");
}

#[tokio::test]
async fn a_signal_ends_the_wait_at_once_with_what_was_awaited() {
    let (peer, pod) = (peer().await, Pod::new(&Peer::start().await));
    peer.change(|world| world.deny("a", DenialReason::CoSignMissing, "waits for Machine shop/boss, request 7"));
    let running = sidecar(&peer, &pod, "init").spawn().unwrap();
    eventually("it waits with a question that the server holds", || {
        peer.world().asked.last().is_some_and(|ask| ask.wait_seconds > 0)
    })
    .await;
    let started = Instant::now();
    signal(&running, Signal::TERM);
    let ended = running.wait_with_output().await.unwrap();
    let log = String::from_utf8(ended.stderr).unwrap();
    assert_eq!(ended.status.code(), Some(1), "not 0: no application starts without its files: {log}");
    assert!(started.elapsed() < AT_ONCE);
    assert_eq!(
        log.lines().last().unwrap(),
        "asked to end before the files were there: CoSignMissing: file a waits for Secret shop/a: CoSignMissing: waits for \
         Machine shop/boss, request 7"
    );
    assert_eq!(peer.world().alive().len(), 0, "it gives its identity up all the same");
}

#[tokio::test]
async fn a_server_that_does_not_hear_the_end_is_told_again() {
    for fault in [Fault::Lose, Fault::LoseAnswer, error(StatusCode::SERVICE_UNAVAILABLE, "sealed", None)] {
        let (peer, pod) = (peer().await, Pod::new(&Peer::start().await));
        peer.change(|world| world.fail(Resign::PATH, fault));
        let (code, log) = run(&peer, &pod, "init").await;
        assert_eq!(code, Some(0), "{log}");
        assert_eq!(peer.world().alive().len(), 0, "{log}");
    }
}

#[tokio::test]
async fn a_server_that_is_away_for_the_end_is_named_and_holds_nobody_back_for_long() {
    let (peer, pod) = (peer().await, Pod::new(&Peer::start().await));
    peer.change(|world| {
        for _ in 0..1000 {
            world.fail(Resign::PATH, Fault::Lose);
        }
    });
    let started = Instant::now();
    let (code, log) = run(&peer, &pod, "init").await;
    assert_eq!(code, Some(0), "{log}");
    assert!(log.contains("nobody has this machine's key any more, and the operator revokes it with its pod"), "{log}");
    assert!(started.elapsed() < RESIGNING + AT_ONCE);
    assert_eq!(pod.read("a").as_deref(), Some("one"));
    assert_eq!(peer.world().alive().len(), 1, "until its pod is gone, or it expires");
}

#[tokio::test]
async fn what_is_run_again_enrols_anew_and_puts_what_is_right_over_what_it_finds() {
    let (peer, pod) = (peer().await, Pod::new(&Peer::start().await));
    assert_eq!(run(&peer, &pod, "init").await.0, Some(0));
    peer.change(|world| {
        world.set("a", 2, "two");
        world.set("b", 1, "b");
        world.deliver(vec![raw("a", "a"), raw("moved", "b")]);
    });
    let (code, log) = run(&peer, &pod, "init").await;
    assert_eq!(code, Some(0), "{log}");
    assert_eq!((pod.read("a").as_deref(), pod.read("moved").as_deref()), (Some("two"), Some("b")));
    let world = peer.world();
    assert_eq!((world.machines.len(), world.alive().len()), (2, 0));
}

#[tokio::test]
async fn what_is_run_again_keeps_no_file_that_it_may_not_read() {
    let (peer, pod) = (peer().await, Pod::new(&Peer::start().await));
    assert_eq!(run(&peer, &pod, "init").await.0, Some(0));
    peer.change(|world| world.deny("a", DenialReason::CoSignMissing, ""));
    let running = sidecar(&peer, &pod, "init").spawn().unwrap();
    pod.says("CoSignMissing").await;
    assert_eq!(pod.read("a"), None);
    peer.change(|world| world.set("a", 2, "two"));
    assert_eq!(running.wait_with_output().await.unwrap().status.code(), Some(0));
    assert_eq!(pod.read("a").as_deref(), Some("two"));
}

#[tokio::test]
async fn old_files_are_not_taken_for_right_while_the_server_is_away() {
    let (peer, pod) = (peer().await, Pod::new(&Peer::start().await));
    assert_eq!(run(&peer, &pod, "init").await.0, Some(0));
    peer.change(|world| world.is_away = true);
    let mut running = sidecar(&peer, &pod, "init").spawn().unwrap();
    pod.says("EnrolmentFailed").await;
    assert!(running.try_wait().unwrap().is_none(), "the application waits");
    peer.change(|world| world.is_away = false);
    let ended = running.wait_with_output().await.unwrap();
    assert_eq!(ended.status.code(), Some(0), "{}", String::from_utf8_lossy(&ended.stderr));
}

#[tokio::test]
async fn nobody_is_told_of_changes_before_the_application_runs() {
    let application = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = application.local_addr().unwrap().port();
    let (peer, pod) = (peer().await, Pod::new(&Peer::start().await));
    peer.change(|world| {
        let action = ChangeAction::HttpPost { port, path: "/reload".to_owned() };
        world.delivery.on_change = Some(OnChange { debounce_millis: 0, action });
        world.deliver(vec![raw("a", "a"), raw("b", "b"), raw("c", "c")]);
    });
    let running = sidecar(&peer, &pod, "init").stderr(Stdio::null()).spawn().unwrap();
    pod.has("a", "one").await;
    peer.change(|world| world.set("b", 1, "two"));
    // A set that replaces another one: a sidecar tells of it.
    pod.has("b", "two").await;
    let told = tokio::time::timeout(Duration::from_secs(1), application.accept()).await;
    assert!(told.is_err(), "there is no application yet");
    peer.change(|world| world.set("c", 1, "three"));
    assert_eq!(running.wait_with_output().await.unwrap().status.code(), Some(0));
}
