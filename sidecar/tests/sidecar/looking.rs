//! What people and programs see of a sidecar: `/status`, `/metrics`, warnings.

use std::net::SocketAddr;
use std::sync::Arc;

use http::StatusCode;
use sikkerkey_protocol::Call;
use sikkerkey_protocol::denial::DenialReason;
use sikkerkey_protocol::enrolment::Register;
use sikkerkey_protocol::report::{Report, ReportReason};
use sikkerkey_sidecar::status::Board;
use sikkerkey_sidecar::status_server;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::peer::{Fault, Peer, TOKEN, error, raw};
use crate::pod::{Pod, eventually};
use crate::process::{log_until, sidecar};
use crate::skipped::skipped;

/// A value that is found nowhere by chance.
const CANARY: &str = "canary-4f1b9c7e2a";

/// An address on which nobody listens, below those that Linux gives by itself: no other test takes it before the sidecar does.
async fn free() -> SocketAddr {
    loop {
        let mut random = [0; 2];
        rustix::rand::getrandom(&mut random, rustix::rand::GetRandomFlags::empty()).unwrap();
        let address = SocketAddr::from(([127, 0, 0, 1], 11_000 + u16::from_ne_bytes(random) % 19_000));
        if TcpListener::bind(address).await.is_ok() {
            return address;
        }
    }
}

async fn ask(address: SocketAddr, request: &str) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).await.unwrap();
    text
}

async fn get(address: SocketAddr, path: &str) -> String {
    ask(address, &format!("GET {path} HTTP/1.1\r\nHost: sidecar\r\n\r\n")).await
}

fn status(answer: &str) -> serde_json::Value {
    serde_json::from_str(answer.split_once("\r\n\r\n").unwrap().1).unwrap()
}

#[tokio::test]
async fn a_running_sidecar_says_how_it_stands_and_never_a_value() {
    let peer = Peer::start().await;
    peer.change(|world| {
        let mut optional = raw("optional", "never");
        optional.optional = true;
        world.delivery.files = vec![raw("a", "a"), raw("db/password", "db"), optional];
        world.set("a", 3, CANARY);
        world.set_fields("db", 1, &["password"], &format!(r#"{{"password":"{CANARY}"}}"#));
    });
    let (pod, address) = (Pod::new(&peer), free().await);
    let mut command = sidecar(&peer, &pod, "run");
    let mut running =
        command.env("SIKKERKEY_STATUS", address.to_string()).env("SIKKERKEY_LOG", "trace").spawn().unwrap();
    pod.is_ready().await;
    let said = status(&get(address, "/status").await);
    assert_eq!((&said["ready"], &said["reason"]), (&true.into(), &"Ready".into()));
    assert_eq!(said["machineId"], peer.world().alive()[0].to_string());
    assert_eq!(said["server"], peer.url);
    let files = said["files"].as_array().unwrap();
    let seen: Vec<_> = files
        .iter()
        .map(|file| {
            format!("{} {} {} {}", file["path"], file["present"], file["secrets"][0]["version"], file["reason"])
        })
        .collect();
    assert_eq!(seen, [r#""a" true 3 null"#, r#""db/password" true 1 null"#, r#""optional" false null "NotGranted""#,]);
    let metrics = get(address, "/metrics").await;
    assert!(metrics.starts_with("HTTP/1.1 200 OK\r\n") && metrics.contains("text/plain; version=0.0.4"), "{metrics}");
    for line in [
        "sikkerkey_sidecar_ready 1",
        "sikkerkey_sidecar_files 2",
        "sikkerkey_sidecar_enrolments_total{result=\"ok\"} 1",
    ] {
        assert!(metrics.contains(&format!("\n{line}\n")), "{line} in {metrics}");
    }

    // What is denied is kept, and said to be stale.
    peer.change(|world| world.deny("a", DenialReason::RateCapReached, "again at noon"));
    let kept = async {
        loop {
            let answer = get(address, "/status").await;
            if answer.contains("RateCapReached") {
                return answer;
            }
        }
    };
    let mut answers = tokio::time::timeout(std::time::Duration::from_secs(30), kept).await.unwrap();
    let said = status(&answers);
    assert_eq!((&said["files"][0]["stale"], &said["files"][0]["present"]), (&true.into(), &true.into()), "{answers}");
    assert!(get(address, "/metrics").await.contains("\nsikkerkey_sidecar_files_stale 1\n"));

    for (request, begin) in [
        ("POST /status HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n", "HTTP/1.1 405 "),
        ("GET / HTTP/1.1\r\nHost: x\r\n\r\n", "HTTP/1.1 404 "),
        ("GET /status/../metrics HTTP/1.1\r\nHost: x\r\n\r\n", "HTTP/1.1 404 "),
        ("no http at all\r\n\r\n", "HTTP/1.1 400 "),
    ] {
        let answer = ask(address, request).await;
        assert!(answer.starts_with(begin), "{request}: {answer}");
        answers.push_str(&answer);
    }
    let all = format!("{answers}{metrics}{}", pod.read("..manifest.json").unwrap());
    running.start_kill().unwrap();
    let log = String::from_utf8(running.wait_with_output().await.unwrap().stderr).unwrap();
    for secret in [CANARY, TOKEN] {
        assert!(!all.contains(secret) && !log.contains(secret));
    }
}

#[tokio::test]
async fn who_holds_connections_open_keeps_nobody_out_for_long() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let serving = tokio::spawn(async move { match status_server::serve(listener, Arc::<Board>::default()).await {} });
    let mut idle = vec![];
    for _ in 0..8 {
        idle.push(TcpStream::connect(address).await.unwrap());
    }
    let answer = tokio::time::timeout(std::time::Duration::from_secs(30), get(address, "/status")).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
    let long = format!("GET /status HTTP/1.1\r\nHost: x\r\nX: {}\r\n\r\n", "x".repeat(20_000));
    let mut stream = TcpStream::connect(address).await.unwrap();
    let _ = stream.write_all(long.as_bytes()).await;
    let mut text = vec![];
    let _ = stream.read_to_end(&mut text).await;
    assert!(!String::from_utf8_lossy(&text).starts_with("HTTP/1.1 200"));
    serving.abort();
}

#[tokio::test]
async fn an_address_that_is_taken_stops_nothing() {
    let peer = Peer::start().await;
    peer.change(|world| {
        world.delivery.files = vec![raw("a", "a")];
        world.set("a", 1, "one");
    });
    let pod = Pod::new(&peer);
    let taken = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let running = sidecar(&peer, &pod, "run").env("SIKKERKEY_STATUS", &address).spawn().unwrap();
    pod.is_ready().await;
    let log = log_until(running, "enrolled").await;
    assert!(log.contains("cannot answer /status and /metrics: does something else listen there?"), "{log}");
}

#[tokio::test]
async fn a_clock_that_is_far_off_is_said_once() {
    let peer = Peer::start().await;
    peer.change(|world| {
        world.delivery.files = vec![raw("a", "a")];
        world.set("a", 1, "one");
    });
    let mut pod = Pod::new(&peer);
    pod.clock.0.store(-120_000, std::sync::atomic::Ordering::Relaxed);
    let board = Arc::<Board>::default();
    pod.show_on(&board);
    pod.start();
    pod.is_ready().await;
    let warned = || {
        let said: serde_json::Value = serde_json::from_str(&board.status()).unwrap();
        let warnings = said["warnings"].as_array().unwrap().clone();
        (said["clockSkewSeconds"].as_i64().unwrap(), warnings)
    };
    eventually("it is said", || !warned().1.is_empty()).await;
    let (seconds, warnings) = warned();
    assert!((118..=121).contains(&seconds), "{seconds}");
    assert!(
        warnings[0].as_str().unwrap().starts_with("the node's clock differs from the server's by 1"),
        "{warnings:?}"
    );
    pod.clock.0.store(0, std::sync::atomic::Ordering::Relaxed);
    peer.change(|world| world.set("a", 2, "two"));
    eventually("it is right again", || warned().1.is_empty()).await;
}

#[tokio::test]
async fn what_stands_for_a_while_is_reported_once_and_an_ordinary_start_is_not() {
    use ReportReason::{CoSignAwaited, FilesRemoved, MachineReplaced, ReadDenied};
    // An ordinary start: the server is not there at once, and a Grant comes a moment after the pod.
    let calm = Peer::start().await;
    calm.change(|world| {
        world.delivery.files = vec![raw("a", "a")];
        world.deny("a", DenialReason::NotGranted, "");
        world.fail(Register::PATH, Fault::Lose);
    });
    let ordinary = Pod::started(&calm);
    ordinary.says("NotGranted").await;
    calm.change(|world| world.set("a", 1, "one"));
    ordinary.is_ready().await;

    let peer = Peer::start().await;
    peer.change(|world| {
        world.delivery.files = vec![raw("a", "a"), raw("b", "b")];
        world.set("a", 1, "one");
        world.deny("b", DenialReason::CoSignMissing, "waits for Machine hq/boss, request 1");
    });
    let mut pod = Pod::started(&peer);
    pod.says("CoSignMissing").await;
    let reports = || peer.world().reports.clone();
    eventually("it is reported", || !reports().is_empty()).await;
    let said = "file b waits for Secret shop/b: CoSignMissing: waits for Machine hq/boss, request 1";
    assert_eq!(reports(), [(CoSignAwaited, said.to_owned())]);

    // All is well, and then access to a file that was there is over.
    peer.change(|world| world.set("b", 1, "two"));
    pod.is_ready().await;
    peer.change(|world| world.deny("a", DenialReason::NotGranted, "the Grant is gone"));
    pod.lacks("a").await;
    eventually("it is reported", || reports().len() == 2).await;
    let said = "file a was removed: file a waits for Secret shop/a: NotGranted: the Grant is gone";
    assert_eq!(reports()[1], (FilesRemoved, said.to_owned()));

    // A file that is kept although it cannot be read any more; and the sidecar is another one.
    peer.change(|world| {
        world.set("a", 2, "one");
        world.deny("b", DenialReason::RateCapReached, "again at noon");
    });
    pod.kill().await;
    pod.start();
    eventually("both are reported", || reports().len() == 4).await;
    assert_eq!(reports()[2].0, MachineReplaced);
    let said = "file b waits for Secret shop/b: RateCapReached: again at noon";
    assert_eq!(reports()[3], (ReadDenied, said.to_owned()));
    // What it would have reported had longer time than any of these.
    assert_eq!((calm.world().count(Register::PATH, 200), ordinary.state().ready), (1, true));
    assert_eq!(calm.world().reports, []);
}

#[tokio::test]
async fn a_report_that_is_sent_away_for_a_while_comes_again() {
    let peer = Peer::start().await;
    peer.change(|world| {
        world.delivery.files = vec![raw("a", "a")];
        world.deny("a", DenialReason::NotGranted, "");
        world.fail(Report::PATH, error(StatusCode::TOO_MANY_REQUESTS, "this pod reports too often", None));
    });
    let _pod = Pod::started(&peer);
    eventually("it is reported", || !peer.world().reports.is_empty()).await;
    let world = peer.world();
    assert_eq!((world.count(Report::PATH, 429), world.count(Report::PATH, 200)), (1, 1));
}

/// The hook of the start fails, the kubelet ends the sidecar and starts it again, and so on for as long as the pod waits.
#[tokio::test]
async fn a_sidecar_that_gave_its_machine_up_leaves_none_to_be_replaced() {
    let peer = Peer::start().await;
    peer.change(|world| {
        world.delivery.files = vec![raw("a", "a")];
        world.deny("a", DenialReason::NotGranted, "");
    });
    let mut pod = Pod::new(&peer);
    for machines in 1..=2 {
        let mut agent = pod.agent();
        agent.exchange().await;
        assert_eq!((peer.world().machines.len(), agent.said().machine), (machines, true));
        agent.resign(std::time::Duration::from_secs(10)).await;
        assert_eq!((peer.world().alive().len(), agent.said().machine), (0, false));
    }
    pod.start();
    eventually("it is reported", || !peer.world().reports.is_empty()).await;
    assert_eq!(peer.world().reports.iter().map(|report| report.0).collect::<Vec<_>>(), [ReportReason::ReadDenied]);
}

#[tokio::test]
async fn a_server_that_is_away_at_the_start_is_reported_to_the_operator() {
    let (peer, server) = (Peer::start().await, Peer::start().await);
    peer.change(|world| world.server_url.clone_from(&server.url));
    server.change(|world| world.is_away = true);
    let _pod = Pod::started(&peer);
    eventually("it is reported", || !peer.world().reports.is_empty()).await;
    let (reason, message) = peer.world().reports[0].clone();
    assert_eq!(reason, ReportReason::EnrolmentFailed);
    assert!(message.starts_with("the server does not register this pod: "), "{message}");
}

#[tokio::test]
async fn values_are_not_written_onto_a_disk() {
    let peer = Peer::start().await;
    let (pod, disk) = (Pod::new(&peer), tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap());
    if rustix::fs::statfs(disk.path()).unwrap().f_type == rustix::fs::statfs("/dev/shm").unwrap().f_type {
        return skipped("values_are_not_written_onto_a_disk", "the build directory is in memory");
    }
    let output = sidecar(&peer, &pod, "run").env("SIKKERKEY_MOUNT", disk.path()).output().await.unwrap();
    let line = String::from_utf8(output.stderr).unwrap();
    let expected = format!(
        "{} is not in memory (tmpfs), and values are written nowhere else: the volume must be an emptyDir with medium Memory\n",
        disk.path().display()
    );
    assert_eq!((output.status.code(), line), (Some(1), expected));
    assert_eq!(peer.world().machines.len(), 0);
}
