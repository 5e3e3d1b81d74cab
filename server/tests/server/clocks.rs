//! Two servers on one database whose clocks differ.

use crate::fixture::*;
use crate::replicas::Two;

fn read_at(time: i64, nonce: &str) -> Signed {
    Client::host().request_with(START / 1000 + time, nonce, "GET", "/v1/secret/sk_db", b"")
}

async fn answer(server: &Server, request: Signed) -> (u16, String) {
    let answer = server.send(request).await;
    (answer.status.as_u16(), if answer.status == 200 { String::new() } else { answer.error() })
}

#[tokio::test]
async fn a_replay_is_refused_by_both_before_and_after_the_floor_passed_it() {
    let Two { servers: [slow, fast] } = Box::pin(Two::new()).await;
    let request = read_at(0, "mine");
    assert_eq!(answer(&slow, request.clone()).await.0, 200);
    fast.clock.advance_seconds(290);
    for server in [&fast, &slow] {
        let (status, text) = answer(server, request.clone()).await;
        assert!(status == 401 && text.contains("received before"), "{status} {text}");
    }
    // The nonce is one's own whatever the timestamp, at either server.
    for (server, time) in [(&fast, 200), (&slow, 50)] {
        let (status, text) = answer(server, read_at(time, "mine")).await;
        assert!(status == 401 && text.contains("received before"), "{status} {text}");
    }
    assert_eq!(answer(&fast, read_at(290, "late")).await.0, 200);

    // Its clock is far ahead: it purges what it takes to be old, and raises the floor for both.
    fast.clock.advance_seconds(1000);
    let fast = fast.restart().await.unwrap();
    let nonces = fast.database().query("select nonce from nonce").await;
    assert_eq!(nonces, Vec::<String>::new());
    // To the clock of the other the request is as fresh as it was.
    let (status, text) = answer(&slow, request.clone()).await;
    assert!(status == 401 && text.contains("too old for this server"), "{status} {text}");
    let (status, text) = answer(&fast, request.clone()).await;
    assert!(status == 401 && text.contains("outside the window"), "{status} {text}");
    // Neither does a clock that goes back make it good, nor another start.
    fast.clock.advance_seconds(-1290);
    let (fast, slow) = (fast.restart().await.unwrap(), slow.restart().await.unwrap());
    for server in [&fast, &slow] {
        let (status, text) = answer(server, request.clone()).await;
        assert!(status == 401 && text.contains("too old for this server"), "{status} {text}");
    }
    // And what lies above the floor is good once more: exactly once, wherever.
    slow.clock.advance_seconds(1290);
    fast.clock.advance_seconds(1300);
    let request = read_at(1290, "mine");
    assert_eq!(answer(&slow, request.clone()).await.0, 200);
    assert_eq!(answer(&fast, request).await.0, 401);
}
