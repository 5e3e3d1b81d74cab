//! Enrolling, renewing, and being refused.

use std::sync::atomic::Ordering;

use http::StatusCode;
use sikkerkey_protocol::Call;
use sikkerkey_protocol::enrolment::{Attest, Register, Renew};
use sikkerkey_protocol::key::PublicKey;
use sikkerkey_protocol::sync::Sync;

use crate::peer::{Authority, Fault, Peer, error, raw};
use crate::pod::{Pod, eventually};

async fn peer() -> Peer {
    let peer = Peer::start().await;
    peer.change(|world| {
        world.delivery.files = vec![raw("a", "a")];
        world.set("a", 1, "one");
    });
    peer
}

fn only_key(peer: &Peer) -> PublicKey {
    let world = peer.world();
    assert_eq!(world.alive().len(), 1);
    world.machines[world.alive()[0]].key
}

#[tokio::test]
async fn a_machine_that_is_refused_enrols_anew_with_the_present_token_and_a_fresh_key() {
    let peer = peer().await;
    let pod = Pod::started(&peer);
    pod.is_ready().await;
    let before = only_key(&peer);
    let generation = pod.generation();

    pod.set_token("the-token-that-the-kubelet-wrote-later");
    peer.change(|world| {
        world.token = "the-token-that-the-kubelet-wrote-later".to_owned();
        for machine in world.machines.values_mut() {
            machine.is_alive = false;
        }
        // Ends the answer that is held.
        world.set("a", 2, "two");
    });
    pod.has("a", "two").await;
    eventually("the fresh identity asks", || {
        peer.world().count(Sync::PATH, 401) == 1 && peer.world().machines.len() == 2
    })
    .await;
    assert_ne!(only_key(&peer), before);
    assert_ne!(pod.generation(), generation);

    // The values are still held: what has not changed is not read again.
    peer.change(|world| world.set("a", 3, "three"));
    pod.has("a", "three").await;
    pod.is_ready().await;
}

#[tokio::test]
async fn an_identity_is_renewed_before_it_ends_and_stays_the_same_machine() {
    let peer = peer().await;
    peer.change(|world| world.lifetime = 6000);
    let pod = Pod::started(&peer);
    pod.is_ready().await;
    let before = only_key(&peer);
    eventually("it has renewed twice", || peer.world().count(Renew::PATH, 200) == 2).await;
    assert_ne!(only_key(&peer), before);
    assert_eq!(peer.world().machines.len(), 1);
    assert_eq!(peer.world().count(Sync::PATH, 401), 0);
    assert_eq!(pod.random.0.lock().unwrap().len(), 3, "each key is fresh");
}

#[tokio::test]
async fn after_a_renewal_whose_answer_was_lost_the_fresh_key_is_tried_first() {
    let peer = peer().await;
    peer.change(|world| {
        world.lifetime = 6000;
        // Lost twice: the first on a connection that was kept is sent again.
        world.fail(Renew::PATH, Fault::LoseAnswer);
        world.fail(Renew::PATH, Fault::LoseAnswer);
    });
    let pod = Pod::started(&peer);
    pod.is_ready().await;
    let before = only_key(&peer);
    eventually("the lost renewal is noticed", || only_key(&peer) != before).await;
    let asked = peer.world().asked.len();
    eventually("it asks with the fresh key", || peer.world().asked.len() > asked).await;
    peer.change(|world| world.set("a", 2, "two"));
    pod.has("a", "two").await;
    assert_eq!(peer.world().machines.len(), 1, "it did not have to enrol anew");
}

#[tokio::test]
async fn after_a_renewal_that_never_arrived_the_old_key_is_tried_next() {
    let peer = peer().await;
    peer.change(|world| {
        world.lifetime = 6000;
        world.fail(Renew::PATH, Fault::Lose);
        world.fail(Renew::PATH, Fault::Lose);
    });
    let pod = Pod::started(&peer);
    pod.is_ready().await;
    let before = only_key(&peer);
    eventually("the fresh key was tried, and refused", || peer.world().count(Sync::PATH, 401) == 1).await;
    let asked = peer.world().asked.len();
    eventually("it asks with the old key", || peer.world().asked.len() > asked).await;
    assert_eq!(only_key(&peer), before);
    eventually("it renews after all", || peer.world().count(Renew::PATH, 200) == 1).await;
    assert_eq!(peer.world().machines.len(), 1, "it did not have to enrol anew");
}

#[tokio::test]
async fn a_refused_renewal_makes_it_enrol_anew() {
    let peer = peer().await;
    peer.change(|world| {
        world.lifetime = 6000;
        world.fail(Renew::PATH, error(StatusCode::UNAUTHORIZED, "bad signature", None));
    });
    let pod = Pod::started(&peer);
    pod.is_ready().await;
    eventually("it is another machine", || peer.world().machines.len() == 2).await;
    peer.change(|world| world.set("a", 2, "two"));
    pod.has("a", "two").await;
}

#[tokio::test]
async fn a_registration_whose_answer_was_lost_is_made_again_with_the_same_voucher() {
    let peer = peer().await;
    peer.change(|world| world.fail(Register::PATH, Fault::LoseAnswer));
    let pod = Pod::started(&peer);
    pod.is_ready().await;
    let world = peer.world();
    assert_eq!((world.vouchers.len(), world.machines.len(), world.count(Register::PATH, 200)), (1, 1, 1));
}

#[tokio::test]
async fn a_refused_enrolment_is_said_and_tried_again() {
    let peer = peer().await;
    peer.change(|world| {
        world.fail(Attest::PATH, error(StatusCode::FORBIDDEN, "ServiceAccount x may not assume Machine web", None));
    });
    let pod = Pod::started(&peer);
    pod.says("EnrolmentRefused").await;
    let message = pod.state().message;
    let expected = format!(
        "the operator does not vouch for this pod: {} answered 403 Forbidden: ServiceAccount x may not assume Machine web",
        peer.url
    );
    assert_eq!(message, expected);
    pod.is_ready().await;
}

#[tokio::test]
async fn a_token_that_is_not_accepted_is_read_again_each_time() {
    let peer = peer().await;
    let mut pod = Pod::new(&peer);
    pod.set_token("expired");
    pod.start();
    pod.says("EnrolmentFailed").await;
    assert!(
        pod.state().message.ends_with("answered 401 Unauthorized: the token is not valid"),
        "{}",
        pod.state().message
    );
    std::fs::remove_file(pod.token_path()).unwrap();
    eventually("the missing token is named", || pod.state().message.starts_with("cannot read the pod's token ")).await;
    pod.set_token(crate::peer::TOKEN);
    pod.is_ready().await;
}

#[tokio::test]
async fn a_wrong_clock_is_corrected_by_the_servers() {
    for ahead in [-7200, 3600] {
        let peer = peer().await;
        let mut pod = Pod::new(&peer);
        pod.clock.0.store(ahead * 1000, Ordering::Relaxed);
        pod.start();
        pod.is_ready().await;
        assert_eq!(peer.world().count(Sync::PATH, 401), 0, "the answer to the registration told the time");

        // The server's clock jumps while the sidecar runs.
        peer.change(|world| {
            world.ahead = 1200;
            world.set("a", 2, "two");
        });
        pod.has("a", "two").await;
        peer.change(|world| world.set("a", 3, "three"));
        pod.has("a", "three").await;
        assert_eq!(peer.world().machines.len(), 1, "a stale signature is no reason to enrol anew");
    }
}

#[tokio::test]
async fn only_the_certificates_of_the_pod_are_trusted_for_the_operator() {
    let peer = peer().await;
    let stranger = Peer::start().await;
    let mut pod = Pod::new(&stranger);
    pod.point_at(&peer.url);
    pod.start();
    pod.says("EnrolmentFailed").await;
    let message = pod.state().message;
    assert!(message.contains("cannot talk to") && message.contains("certificate"), "{message}");
    assert_eq!(peer.world().seen.len(), 0, "nothing was said to it");
}

#[tokio::test]
async fn what_the_operator_says_is_trusted_replaces_what_was_trusted_before() {
    let peer = peer().await;
    let next = Authority::new();
    let server = peer.also_listen(&next).await;
    peer.change(|world| {
        world.server_url = server;
        world.trust_bundle = next.pem.clone();
    });
    let pod = Pod::started(&peer);
    pod.is_ready().await;

    // Now the operator's own certificate is of an authority that is not trusted any more.
    peer.change(|world| {
        for machine in world.machines.values_mut() {
            machine.is_alive = false;
        }
        world.set("a", 2, "two");
    });
    pod.says("EnrolmentFailed").await;
    let message = pod.state().message;
    assert!(message.starts_with("the operator does not vouch for this pod: cannot talk to"), "{message}");
    assert!(pod.state().ready, "the files stay meanwhile");
}

#[tokio::test]
async fn a_bundle_or_a_server_that_cannot_be_used_is_named() {
    let peer = peer().await;
    let pod = Pod::new(&peer);
    drop(pod);
    for (bundle, url, message) in [
        ("", peer.url.clone(), "the operator sent certificates that cannot be used: the trust bundle holds no certificate".to_owned()),
        (
            &*peer.authority.pem,
            "http://server.shop.svc".to_owned(),
            "the operator names the server \"http://server.shop.svc\": not https: plain http is for loopback addresses only".to_owned(),
        ),
    ] {
        peer.change(|world| {
            world.trust_bundle = bundle.to_owned();
            world.server_url = url;
        });
        let pod = Pod::started(&peer);
        pod.says("EnrolmentFailed").await;
        assert_eq!(pod.state().message, message);
    }
}
