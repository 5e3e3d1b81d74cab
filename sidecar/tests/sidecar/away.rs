//! A server that is away, slow, full or out of its mind.

use std::time::Duration;

use http::StatusCode;
use sikkerkey_protocol::Call;
use sikkerkey_protocol::enrolment::{Attest, Register};
use sikkerkey_protocol::error_body::ErrorCode;
use sikkerkey_protocol::sync::{OnDenied, Sync};
use sikkerkey_sidecar::clock::rfc3339;

use crate::peer::{Fault, Peer, error, raw};
use crate::pod::{Pod, eventually};

async fn peer() -> Peer {
    let peer = Peer::start().await;
    peer.change(|world| {
        world.delivery.files = vec![raw("a", "a")];
        world.set("a", 1, "one");
    });
    peer
}

#[tokio::test]
async fn a_pod_that_starts_while_everything_is_away_starts_when_it_is_back() {
    let peer = peer().await;
    peer.change(|world| world.is_away = true);
    let pod = Pod::started(&peer);
    pod.says("EnrolmentFailed").await;
    assert!(!pod.state().ready);
    peer.change(|world| world.is_away = false);
    pod.is_ready().await;
}

#[tokio::test]
async fn files_stay_while_the_server_is_away_and_go_when_they_are_stale() {
    let peer = peer().await;
    peer.change(|world| world.delivery.max_staleness_seconds = 6);
    let pod = Pod::started(&peer);
    pod.is_ready().await;
    peer.change(|world| world.is_away = true);
    pod.says("ServerUnreachable").await;
    assert!(pod.state().ready && pod.state().message.contains(": files stay until "), "{}", pod.state().message);
    assert_eq!(pod.read("a").as_deref(), Some("one"));
    pod.says("FilesStale").await;
    assert_eq!(pod.read("a"), None);
    assert!(!pod.state().ready);

    peer.change(|world| world.is_away = false);
    pod.has("a", "one").await;
    pod.is_ready().await;
    let empty_handed = peer.world().asked.iter().filter(|ask| ask.held.is_empty()).count();
    assert_eq!(empty_handed, 2, "the values were forgotten with their files");
}

#[tokio::test]
async fn a_restarted_sidecar_does_not_give_stale_files_another_day() {
    let peer = peer().await;
    let mut pod = Pod::started(&peer);
    pod.is_ready().await;
    let until = pod.state().files_until.unwrap();
    pod.kill().await;
    peer.change(|world| world.is_away = true);
    let state = std::fs::read_to_string(pod.volume().join("..state")).unwrap();
    std::fs::write(pod.volume().join("..state"), state.replace(&until, &rfc3339(1_000_000_000_000))).unwrap();
    pod.start();
    assert_eq!(pod.read("a").as_deref(), Some("one"), "the server may be back in a moment");
    pod.says("FilesStale").await;
    assert_eq!(pod.read("a"), None);
}

#[tokio::test]
async fn a_server_that_holds_answers_is_not_taken_for_one_that_is_away() {
    let peer = peer().await;
    peer.change(|world| world.delivery.max_staleness_seconds = 5);
    let pod = Pod::started(&peer);
    pod.is_ready().await;
    eventually("several answers were held", || peer.world().count(Sync::PATH, 200) >= 4).await;
    assert_eq!(peer.world().asked.last().unwrap().wait_seconds, 2);
    assert_eq!(pod.state().reason, "Ready");
    assert_eq!(pod.read("a").as_deref(), Some("one"));
}

#[tokio::test]
async fn a_busy_server_is_not_asked_again_before_it_wants_it() {
    let peer = peer().await;
    peer.change(|world| {
        for _ in 0..3 {
            world.fail(Sync::PATH, error(StatusCode::SERVICE_UNAVAILABLE, "sealed", None));
        }
    });
    let pod = Pod::started(&peer);
    pod.says("ServerRefused").await;
    assert!(pod.state().message.ends_with("answered 503 Service Unavailable: sealed"), "{}", pod.state().message);
    pod.is_ready().await;
    assert_eq!(peer.world().count(Sync::PATH, 503), 3);
    assert_eq!(peer.world().count(Attest::PATH, 200), 1, "it kept its identity");
}

#[tokio::test]
async fn a_suspended_machine_loses_its_files_as_it_was_said() {
    for (on_revoked, stays) in [(OnDenied::Remove, false), (OnDenied::Keep, true)] {
        let peer = peer().await;
        peer.change(|world| world.delivery.on_revoked = on_revoked);
        let pod = Pod::started(&peer);
        pod.is_ready().await;
        eventually("the second question is held", || peer.world().asked.len() == 2).await;
        let suspended = || error(StatusCode::FORBIDDEN, "the machine is suspended", Some(ErrorCode::MachineNotActive));
        peer.change(|world| {
            world.fail(Sync::PATH, suspended());
            world.fail(Sync::PATH, suspended());
            world.set("a", 2, "two");
        });
        pod.says("MachineSuspended").await;
        assert_eq!(pod.read("a").is_some(), stays);
        pod.has("a", "two").await;
        pod.is_ready().await;
    }
}

#[tokio::test]
async fn a_pod_that_may_not_enrol_any_more_loses_its_files_as_it_was_said() {
    for (on_revoked, stays) in [(OnDenied::Remove, false), (OnDenied::Keep, true)] {
        let peer = peer().await;
        peer.change(|world| world.delivery.on_revoked = on_revoked);
        let pod = Pod::started(&peer);
        pod.is_ready().await;
        eventually("the second question is held", || peer.world().asked.len() == 2).await;
        peer.change(|world| {
            for machine in world.machines.values_mut() {
                machine.is_alive = false;
            }
            for _ in 0..8 {
                let code = Some(ErrorCode::ServiceAccountNotAllowed);
                world.fail(Attest::PATH, error(StatusCode::FORBIDDEN, "the account may not assume the Machine", code));
            }
            // Ends the answer that is held.
            world.set("a", 2, "two");
        });
        pod.says("EnrolmentRefused").await;
        assert_eq!(pod.read("a").is_some(), stays);
    }
}

#[tokio::test]
async fn an_answer_that_is_not_understood_is_named_without_a_word_of_it() {
    let peer = peer().await;
    let pod = Pod::started(&peer);
    pod.is_ready().await;
    eventually("the second question is held", || peer.world().asked.len() == 2).await;
    peer.change(|world| {
        world.fail(Sync::PATH, Fault::Garble(r#"{"deliveryRevision":"1","secrets":{"shop/a":"hunter2"}}"#));
        world.set("a", 2, "two");
    });
    eventually("it is said", || pod.state().message.contains("body that is not understood (line 1, column ")).await;
    assert!(!pod.state().message.contains("hunter2"), "{}", pod.state().message);
    pod.is_ready().await;
}

#[tokio::test]
async fn an_answer_that_is_too_large_is_not_read() {
    let peer = peer().await;
    let large: &'static str = Box::leak("x".repeat(9 << 20).into_boxed_str());
    peer.change(|world| world.fail(Sync::PATH, Fault::Garble(large)));
    let pod = Pod::started(&peer);
    pod.says("ServerUnreachable").await;
    assert!(pod.state().message.contains("an answer of more than 8388608 bytes"), "{}", pod.state().message);
    pod.is_ready().await;
}

#[tokio::test]
async fn a_connection_that_was_kept_and_has_been_closed_costs_nothing() {
    let peer = peer().await;
    let pod = Pod::started(&peer);
    pod.is_ready().await;
    eventually("the second question is held", || peer.world().asked.len() == 2).await;
    let started = std::time::Instant::now();
    peer.change(|world| {
        world.fail(Sync::PATH, Fault::Lose);
        world.set("a", 2, "two");
    });
    // The held question is answered; the next one meets a connection that closes.
    pod.has("a", "two").await;
    peer.change(|world| world.set("a", 3, "three"));
    pod.has("a", "three").await;
    assert_eq!(pod.state().reason, "Ready", "it was tried again at once");
    assert!(started.elapsed() < Duration::from_secs(5));
    assert_eq!(peer.world().count(Register::PATH, 200), 1);
}
