//! What the client tries again before it raises or falls back to its cache: after 1, 2 and 4 seconds.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use futures::future::join_all;
use serde_json::{Value, json};
use sikkerkey_e2e::wait::wait_for;
use sikkerkey_server::clock::{Clock, SystemClock};

use crate::BOUND;
use crate::driver::Driver;
use crate::python::python;
use crate::refused::assert_raised;
use crate::secured::secured;
use crate::server::{Server, text};
use crate::team::{Host, PLAIN, Team};

/// One more process with the identity of `host`.
async fn again(team: &Team, host: &Host) -> Driver {
    let mut client = Driver::start(team.python, &host.home, &[]);
    client.does("open", json!([])).await;
    client
}

#[tokio::test]
async fn a_cap_that_is_reached_is_a_rate_limited_error() {
    let Some(python) = python("a_cap_that_is_reached_is_a_rate_limited_error") else { return };
    let team = Team::new(python).await;
    let mut host = team.host("web-1").await;
    // A zone in which it is about noon, so that the day does not end while the client tries again.
    let hour = SystemClock.now().0.div_euclid(3_600_000).rem_euclid(24);
    let zone = match hour - 12 {
        0 => "UTC".to_owned(),
        west @ 1.. => format!("Etc/GMT+{west}"),
        east => format!("Etc/GMT-{}", -east),
    };
    let policy = json!({"timeZone": zone, "rateCap": {"perDay": 1, "countedBy": "Machine"}});
    let file = team.server.file("once.json", &policy.to_string());
    team.server.admin(&["policy", "set", "--project", "shop", "--name", "once", "--file", text(&file)]).await;
    team.server.admin(&["policy", "bind", &team.plain, "--policy", "once"]).await;
    assert_eq!(host.client.get(&team.plain).await, Ok(json!(PLAIN)));
    assert_raised(
        host.client.get(&team.plain).await,
        "RateLimitedError",
        429,
        "the policy's cap of 1 reads a day is reached",
    );
    // What is not guarded goes on, and an export leaves out what is used up.
    let exported = host.client.call("export", &[]).await;
    assert_eq!(exported, Ok(json!({"DB_USERNAME": "shop", "DB_PASSWORD": "s3cret"})));
}

#[tokio::test]
async fn a_machine_in_a_hurry_is_slowed_down_and_notices_nothing() {
    let Some(python) = python("a_machine_in_a_hurry_is_slowed_down_and_notices_nothing") else { return };
    let team = Team::on(python, Server::start(&["--machine-rate", "1"]).await).await;
    let mut host = team.host("web-1").await;
    assert_eq!(slowed_down(&mut host.client).await, 0);
    // Two seconds' worth may come at once.
    for _ in 0..10 {
        assert_eq!(host.client.get(&team.plain).await, Ok(json!(PLAIN)));
        if slowed_down(&mut host.client).await > 0 {
            return;
        }
    }
    panic!("it was never slowed down");
}

/// How often the server has said that a machine asks too often.
async fn slowed_down(client: &mut Driver) -> u64 {
    let metrics = client.does("send", json!(["GET", "/metrics"])).await;
    let mut lines = metrics[1].as_str().unwrap().lines();
    let line = lines.find(|it| it.contains("cause=\"Rate\"")).unwrap_or("0");
    line.rsplit(' ').next().unwrap().parse().unwrap()
}

#[tokio::test]
async fn three_bad_signatures_lock_an_address_out_and_an_administrator_unlocks_it() {
    let Some(python) = python("three_bad_signatures_lock_an_address_out_and_an_administrator_unlocks_it") else {
        return;
    };
    let team = Team::new(python).await;
    let (mut host, mut other) = (team.host("web-1").await, team.pending("web-2").await);
    // Known from this address before anything goes wrong.
    assert_eq!(host.client.get(&team.plain).await, Ok(json!(PLAIN)));
    let key = other.home.join("vaults").join(&team.vault).join("private.pem");
    let right = std::fs::read(&key).unwrap();
    std::fs::copy(host.home.join("vaults").join(&team.vault).join("private.pem"), &key).unwrap();
    other.client.does("open", json!([])).await;
    for _ in 0..3 {
        assert_raised(other.client.get(&team.plain).await, "AuthenticationError", 401, "bad signature");
    }
    // Now the right key does not help either.
    std::fs::write(&key, right).unwrap();
    other.client.does("open", json!([])).await;
    assert_raised(other.client.get(&team.plain).await, "RateLimitedError", 429, "too many failed authentications");
    // The neighbour at the same address goes on.
    assert_eq!(host.client.get(&team.plain).await, Ok(json!(PLAIN)));
    team.server.admin(&["unlock", "--ip", "127.0.0.1", "--machine", &other.id]).await;
    assert_raised(other.client.get(&team.plain).await, "AccessDeniedError", 403, "waits for approval");
}

#[tokio::test]
async fn a_sealed_server_is_a_server_sealed_error_until_its_root_key_comes() {
    let Some(python) = python("a_sealed_server_is_a_server_sealed_error_until_its_root_key_comes") else { return };
    let mut server = Server::new("http");
    let key = server.file("root.key", &"5a".repeat(32));
    std::fs::set_permissions(&key, std::fs::Permissions::from_mode(0o400)).unwrap();
    let arguments = ["--root-key-file", text(&key)];
    server.run(&arguments).await;
    let mut team = Team::on(python, server).await;
    let mut host = team.host("web-1").await;
    let mut cached = again(&team, &host).await;
    cached.does("cache", json!([])).await;
    assert_eq!(cached.get(&team.plain).await, Ok(json!(PLAIN)));
    team.server.stop().await;
    let away = key.with_extension("away");
    std::fs::rename(&key, &away).unwrap();
    team.server.run(&arguments).await;

    let (plain, from_cache) = tokio::join!(host.client.get(&team.plain), cached.get(&team.plain));
    assert_raised(plain, "ServerSealedError", 503, "sealed");
    assert_eq!(from_cache, Ok(json!(PLAIN)));
    assert_eq!(cached.event().await, json!({"fallback": team.plain}));

    std::fs::rename(&away, &key).unwrap();
    let opens = wait_for("the server to open", BOUND, async || {
        let answer = host.client.does("send", json!(["GET", "/readyz"])).await;
        if answer[0] == 200 { Ok(()) } else { Err(answer.to_string()) }
    });
    opens.await.unwrap();
    assert_eq!(host.client.get(&team.plain).await, Ok(json!(PLAIN)));
    assert_eq!(cached.get(&team.plain).await, Ok(json!(PLAIN)));
    assert_eq!(cached.events_left(), Vec::<Value>::new());
}

#[tokio::test]
async fn a_cached_value_is_used_while_the_server_is_away_and_never_against_its_word() {
    let Some(python) = python("a_cached_value_is_used_while_the_server_is_away_and_never_against_its_word") else {
        return;
    };
    let mut team = Team::new(python).await;
    let mut host = team.host("web-1").await;
    let mut impatient = again(&team, &host).await;
    let (mut other, mut uncached) = (again(&team, &host).await, again(&team, &host).await);
    other.does("cache", json!([])).await;
    host.client.does("cache", json!([])).await;
    impatient.does("cache", json!([-1])).await;
    assert_eq!(host.client.get(&team.plain).await, Ok(json!(PLAIN)));
    let directory = host.home.join("vaults").join(&team.vault).join("cache");
    let files: Vec<_> = std::fs::read_dir(&directory).unwrap().map(|it| it.unwrap().file_name()).collect();
    assert_eq!(files, [format!("{}.skc", team.plain).as_str()]);
    assert_eq!(std::fs::metadata(&directory).unwrap().permissions().mode() & 0o777, 0o700);
    assert_eq!(std::fs::metadata(directory.join(&files[0])).unwrap().permissions().mode() & 0o777, 0o600);

    team.server.stop().await;
    let (one, missing, old, none) = tokio::join!(
        host.client.get(&team.plain),
        other.get(&team.structured),
        impatient.get(&team.plain),
        uncached.get(&team.plain),
    );
    assert_eq!(one, Ok(json!(PLAIN)));
    assert_eq!(host.client.event().await, json!({"fallback": team.plain}));
    for outcome in [missing, old, none] {
        assert_raised(outcome, "ApiError", 0, "Network error");
    }
    team.server.run(&[]).await;
    team.server.admin(&["machine", "disable", &host.id]).await;
    assert_raised(host.client.get(&team.plain).await, "AccessDeniedError", 403, "disabled");
    assert_eq!(host.client.events_left(), Vec::<Value>::new());
}

/// A client that finds nobody tries again; one whose connection is cut off without an answer does not, and its application
/// gets an exception that is none of the client's own. So a server that ends answers whoever has connected.
async fn started_anew(python: &'static Path, mut server: Server, arguments: &[&str], environment: &[(&str, &str)]) {
    server.run(arguments).await;
    let mut team = Team::on(python, server).await;
    let host = team.pending_with("web-1", environment).await;
    team.admit(&host).await;
    let (secret, is_over) = (team.plain.clone(), AtomicBool::new(false));
    let mut clients = Vec::new();
    for _ in 0..4 {
        let mut client = Driver::start(python, &host.home, environment);
        client.does("open", json!([])).await;
        clients.push((client, AtomicUsize::new(0)));
    }
    let (mut clients, reads): (Vec<_>, Vec<_>) = clients.into_iter().unzip();
    let reading = clients.iter_mut().zip(&reads).map(async |(client, reads)| {
        while !is_over.load(Ordering::Relaxed) {
            match client.get(&secret).await {
                Ok(value) => {
                    assert_eq!(value, json!(PLAIN));
                    reads.fetch_add(1, Ordering::Relaxed);
                }
                // It has found nobody for as long as it tries: a busy machine takes longer to start a server.
                nobody => assert_raised(nobody, "ApiError", 0, "Network error"),
            }
        }
    });
    let restarts = async {
        for _ in 0..5 {
            for it in &reads {
                it.store(0, Ordering::Relaxed);
            }
            let all_read = wait_for("reads of every client", BOUND, async || {
                let least = reads.iter().map(|it| it.load(Ordering::Relaxed)).min();
                if least > Some(3) { Ok(()) } else { Err(format!("{least:?}")) }
            });
            all_read.await.unwrap();
            team.server.stop().await;
            team.server.run(arguments).await;
        }
        is_over.store(true, Ordering::Relaxed);
    };
    tokio::join!(join_all(reading), restarts);
}

#[tokio::test]
async fn a_server_that_is_started_anew_cuts_nobody_off() {
    let Some(python) = python("a_server_that_is_started_anew_cuts_nobody_off") else { return };
    started_anew(python, Server::new("http"), &["--machine-rate", "0"], &[]).await;
}

#[tokio::test]
async fn a_server_that_is_started_anew_cuts_nobody_off_over_tls() {
    let Some(python) = python("a_server_that_is_started_anew_cuts_nobody_off_over_tls") else { return };
    let secured = secured();
    let [certificate_is, certificate, key_is, key] = secured.arguments.each_ref().map(String::as_str);
    let arguments = ["--machine-rate", "0", certificate_is, certificate, key_is, key];
    started_anew(python, secured.server, &arguments, &[("SSL_CERT_FILE", text(&secured.trusted))]).await;
}
