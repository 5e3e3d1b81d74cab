//! Each request is good once.

use sikkerkey_server::audit::entry::Action;

use crate::fixture::*;

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_fifty_copies_at_once_exactly_one_is_answered() {
    let server = Server::new().await;
    for round in 0..10 {
        let nonce = format!("round-{round}");
        let request = Client::pod().request_with(START / 1000, &nonce, "GET", "/v1/secret/sk_db", b"");
        let before = server.audit().await.len();
        let mut tasks = tokio::task::JoinSet::new();
        for _ in 0..50 {
            let (router, request) = (server.router.clone(), request.clone());
            tasks.spawn(async move { send_to(&router, request).await });
        }
        let answers = tasks.join_all().await;
        let count = |status: u16| answers.iter().filter(|it| it.status == status).count();
        assert_eq!((count(200), count(401)), (1, 49));
        assert!(answers.iter().all(|it| it.text().contains("hunter2") == (it.status == 200)));
        let rows = server.audit().await.split_off(before);
        let actions = |action| rows.iter().filter(|it| it.action == action).count();
        assert_eq!((actions(Action::SecretRead), actions(Action::AuthFailure), rows.len()), (1, 49, 50));
    }
}

#[tokio::test]
async fn a_replay_is_refused_after_a_restart_and_after_the_purge() {
    let mut server = Server::new().await;
    let pod = Client::pod();
    let request = pod.request(&*server.clock, "GET", "/v1/secret/sk_db", b"");
    assert_eq!(server.send(request.clone()).await.status, 200);
    server = server.restart().await.unwrap();
    assert_eq!(server.send(request.clone()).await.status, 401);
    assert!(server.last_audit().await.detail.contains("received before"));

    // Purged when the server stops; a clock that goes back afterwards does not make it good again.
    server.clock.advance_seconds(1000);
    server = server.restart().await.unwrap();
    let nonces = server.database().query("select nonce from nonce").await;
    assert_eq!(nonces, Vec::<String>::new());
    server.clock.advance_seconds(-1000);
    server = server.restart().await.unwrap();
    assert_eq!(server.send(request).await.status, 401);
    assert!(server.last_audit().await.detail.contains("too old"));
}

#[tokio::test]
async fn a_nonce_is_used_up_whatever_the_timestamp() {
    let server = Server::new().await;
    let pod = Client::pod();
    let at = |time| pod.request_with(START / 1000 + time, "mine", "GET", "/v1/secret/sk_db", b"");
    assert_eq!(server.send(at(0)).await.status, 200);
    assert_eq!(server.send(at(1)).await.status, 401);
    let server = server.restart().await.unwrap();
    assert_eq!(server.send(at(2)).await.status, 401);
    // It is the machine's own: another may use the same.
    let other = Client::host().request_with(START / 1000, "mine", "GET", "/v1/secret/sk_db", b"");
    assert_eq!(server.send(other).await.status, 200);
    // Another spelling of the machine's id is the same machine.
    let spelled = at(0).with("x-machine-id", &uuid(0x11).to_uppercase().replace('-', ""));
    assert_eq!(server.send(spelled).await.status, 401);
}

#[tokio::test]
async fn a_badly_signed_request_burns_no_nonce() {
    let server = Server::new().await;
    let good = Client::pod().request_with(START / 1000, "mine", "GET", "/v1/secret/sk_db", b"");
    let bad = Client::new(uuid(0x11), 99).request_with(START / 1000, "mine", "GET", "/v1/secret/sk_db", b"");
    assert_eq!(server.send(bad).await.status, 401);
    assert_eq!(server.send(good).await.status, 200);
}

#[tokio::test]
async fn a_refused_request_burns_its_nonce_as_well() {
    let server = Server::new().await;
    let request = Client::pod().request(&*server.clock, "GET", "/v1/secret/sk_none", b"");
    assert_eq!(server.send(request.clone()).await.status, 404);
    assert_eq!(server.send(request).await.status, 401);
}
