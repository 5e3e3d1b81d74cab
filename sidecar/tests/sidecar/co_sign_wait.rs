//! A pod whose secret waits for a second machine.

use std::process::Stdio;
use std::time::Duration;

use sikkerkey_protocol::Call;
use sikkerkey_protocol::denial::DenialReason::{CoSignMissing, CoSignRefused};
use sikkerkey_protocol::enrolment::Register;
use sikkerkey_protocol::sync::{Held, Sync};
use sikkerkey_sidecar::wait;

use crate::peer::{Peer, key, raw};
use crate::pod::{Pod, eventually};

const FIRST: &str = "waits for Machine hq/boss, request 6f1c2b3a-0000-4000-8000-000000000001";
const SECOND: &str = "waits for Machine hq/boss, request 7f1c2b3a-0000-4000-8000-000000000002";
const REFUSED: &str = "refused by Machine hq/boss until 2026-10-17T02:36:01Z";

/// A peer whose one secret waits for approval.
async fn peer() -> Peer {
    let peer = Peer::start().await;
    peer.change(|world| {
        world.delivery.files = vec![raw("password", "db")];
        world.deny("db", CoSignMissing, FIRST);
    });
    peer
}

fn said(reason: &str, words: &str) -> String {
    format!("file password waits for Secret shop/db: {reason}: {words}")
}

async fn says(pod: &Pod, message: &str) {
    eventually(message, || pod.state().message == message).await;
}

/// Waits until the sidecar's question with a denial for `reason` is held.
async fn is_held(peer: &Peer, reason: sikkerkey_protocol::denial::DenialReason) {
    eventually("the question is held", || {
        let world = peer.world();
        world.asked.last().is_some_and(|ask| {
            ask.wait_seconds > 0
                && ask.held.get(&key("db")) == Some(&Held::Denied(reason))
                && world.count(Sync::PATH, 200) + 1 == world.asked.len()
        })
    })
    .await;
}

#[tokio::test]
async fn an_approval_wakes_the_pod_and_until_then_it_asks_nothing() {
    let peer = peer().await;
    let pod = Pod::started(&peer);
    pod.says("CoSignMissing").await;
    let state = pod.state();
    assert_eq!((state.ready, state.message), (false, said("CoSignMissing", FIRST)));
    is_held(&peer, CoSignMissing).await;
    let asked = peer.world().asked.len();
    assert_eq!(asked, 2, "one answered, one held");

    peer.change(|world| world.set("db", 1, "s3cret"));
    pod.has("password", "s3cret").await;
    pod.is_ready().await;
    assert_eq!(pod.state().message, "1 file");
    assert_eq!(peer.world().count(Register::PATH, 200), 1);
}

#[tokio::test]
async fn a_refusal_is_said_and_the_next_request_and_its_approval_too() {
    let peer = peer().await;
    let pod = Pod::started(&peer);
    says(&pod, &said("CoSignMissing", FIRST)).await;
    is_held(&peer, CoSignMissing).await;

    peer.change(|world| world.deny("db", CoSignRefused, REFUSED));
    says(&pod, &said("CoSignRefused", REFUSED)).await;
    assert_eq!((pod.state().ready, pod.state().reason.as_str()), (false, "CoSignRefused"));
    is_held(&peer, CoSignRefused).await;

    peer.change(|world| world.deny("db", CoSignMissing, SECOND));
    says(&pod, &said("CoSignMissing", SECOND)).await;
    is_held(&peer, CoSignMissing).await;

    peer.change(|world| world.set("db", 1, "s3cret"));
    pod.has("password", "s3cret").await;
    pod.is_ready().await;
}

#[tokio::test]
async fn a_file_stays_while_approval_is_awaited_or_refused_and_the_state_says_whose() {
    let peer = peer().await;
    peer.change(|world| world.set("db", 1, "s3cret"));
    let pod = Pod::started(&peer);
    pod.is_ready().await;
    for (reason, name, words) in [(CoSignMissing, "CoSignMissing", FIRST), (CoSignRefused, "CoSignRefused", REFUSED)] {
        peer.change(|world| world.deny("db", reason, words));
        says(&pod, &format!("1 file; file password stays although Secret shop/db is refused: {name}: {words}")).await;
        assert!(pod.state().ready);
        assert_eq!(pod.read("password").as_deref(), Some("s3cret"));
    }
}

#[tokio::test]
async fn a_restarted_sidecar_goes_on_waiting_and_is_let_in_by_the_approval() {
    let peer = peer().await;
    let mut pod = Pod::started(&peer);
    says(&pod, &said("CoSignMissing", FIRST)).await;
    pod.kill().await;
    pod.start();
    assert_eq!(pod.state().reason, "Starting");
    says(&pod, &said("CoSignMissing", FIRST)).await;
    assert_eq!(peer.world().count(Register::PATH, 200), 2);
    is_held(&peer, CoSignMissing).await;
    peer.change(|world| world.set("db", 1, "s3cret"));
    pod.has("password", "s3cret").await;
    pod.is_ready().await;

    // The approval ends while nobody is there: the file that the last one wrote stays.
    pod.kill().await;
    peer.change(|world| world.deny("db", CoSignMissing, SECOND));
    pod.start();
    pod.is_ready().await;
    assert_eq!(pod.state().message, format!("1 file; as it was before, because {}", said("CoSignMissing", SECOND)));
    assert_eq!(pod.read("password").as_deref(), Some("s3cret"));
}

#[tokio::test]
async fn a_server_that_repeats_its_denial_at_once_is_asked_less_and_less_often() {
    let peer = peer().await;
    peer.change(|world| world.is_forgetful = true);
    let pod = Pod::started(&peer);
    eventually("it has asked four times", || peer.world().asked_at.len() == 4).await;
    let at = peer.world().asked_at.clone();
    // The second is the first that may be held.
    assert!(at[2] - at[1] >= Duration::from_secs(1), "{at:?}");
    assert!(at[3] - at[2] >= Duration::from_secs(2), "{at:?}");
    assert_eq!(pod.state().message, said("CoSignMissing", FIRST));

    // Other words for the same reason are said all the same.
    peer.change(|world| world.deny("db", CoSignMissing, SECOND));
    says(&pod, &said("CoSignMissing", SECOND)).await;
}

#[tokio::test]
async fn both_gates_tell_who_is_awaited() {
    let peer = peer().await;
    let pod = Pod::started(&peer);
    for (reason, name, words) in [(CoSignMissing, "CoSignMissing", FIRST), (CoSignRefused, "CoSignRefused", REFUSED)] {
        peer.change(|world| world.deny("db", reason, words));
        says(&pod, &said(name, words)).await;
        let line = format!("{name}: {}", said(name, words));

        let mut waited = Duration::ZERO;
        let pause = |moment| {
            waited += moment;
            moment
        };
        let error = wait::wait(&pod.volume(), wait::BOUND, pause).unwrap_err();
        assert_eq!(error.to_string(), line);
        assert!(waited >= wait::BOUND, "a person may still approve: {waited:?}");

        let ready = tokio::process::Command::new(env!("CARGO_BIN_EXE_sikkerkey-sidecar"))
            .arg("ready")
            .env_clear()
            .env("SIKKERKEY_MOUNT", pod.volume())
            .stdin(Stdio::null())
            .output()
            .await
            .unwrap();
        assert_eq!((ready.status.code(), String::from_utf8(ready.stderr).unwrap()), (Some(1), format!("{line}\n")));
    }
}
