//! Thousands of clients that take their time, against the real binary.

use std::time::Duration;

use sikkerkey_server::clock::SystemClock;
use sikkerkey_server::model::Entity;
use sikkerkey_server::model::machine::Machine;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::fixture::*;
use crate::process::{Connection, Process};

/// Enough to see what each costs, and few enough for what a process may open.
const CONNECTIONS: usize = 2_400;

/// Resident memory in KiB.
fn memory(process: &Process) -> usize {
    let status = std::fs::read_to_string(format!("/proc/{}/status", process.child.id().unwrap())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().strip_suffix(" kB").unwrap().trim().parse().unwrap()
}

async fn read(connection: &mut Connection) {
    let request = Client::host().request(&SystemClock, "GET", "/v1/secret/sk_db", b"");
    let answer = timeout(Duration::from_secs(10), connection.send(request)).await.expect("an answer in time");
    assert_eq!(answer.unwrap().0, 200);
}

/// What a client has said that goes on for ever.
fn unfinished(n: usize) -> Vec<u8> {
    let nonce = "n".repeat(4_000);
    match n % 6 {
        0 => Vec::new(),
        1 => format!("GET /v1/secret/sk_db HTTP/1.1\r\nhost: x\r\nx-nonce: {nonce}").into_bytes(),
        2 => b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00".to_vec(),
        // One that is known, so that its body is waited for; it does not have to sign for that.
        3 | 4 => {
            let request = Client::host().request(&SystemClock, "POST", "/v1/secrets/poll", b"");
            let headers: Vec<_> = request.headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
            let head = "POST /v1/secrets/poll HTTP/1.1\r\nhost: x\r\ncontent-length: 131000\r\n";
            format!("{head}{}\r\n{}", headers.concat(), "b".repeat(if n % 6 == 3 { 1 } else { 60_000 })).into_bytes()
        }
        _ => b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03".to_vec(),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn thousands_of_slow_clients_take_bounded_memory_and_hold_nobody_up() {
    let directory = Server::new().await.stop().await;
    let process = Process::start(directory.path(), "info").await;
    let mut good = process.connect().await;
    for _ in 0..20 {
        read(&mut good).await;
    }
    let before = memory(&process);
    let mut slow = Vec::new();
    for n in 0..CONNECTIONS {
        let mut stream = TcpStream::connect(&process.address).await.unwrap();
        // A connection that sends nonsense is closed, and so may this one be while it is written to.
        drop(stream.write_all(&unfinished(n)).await);
        slow.push(stream);
        if n % 100 == 0 {
            read(&mut good).await;
            // Whoever comes new finds a place as well.
            read(&mut process.connect().await).await;
        }
    }
    for _ in 0..50 {
        read(&mut good).await;
    }
    // 400 bodies of 60 KB that are half there are 24 MB of it.
    let grown = memory(&process).saturating_sub(before) / 1024;
    assert!(grown < 160, "{CONNECTIONS} connections took {grown} MiB");
    drop(slow);
    read(&mut good).await;
}

#[tokio::test]
async fn a_body_larger_than_the_route_takes_is_refused_however_it_comes() {
    let directory = Server::new().await.stop().await;
    let process = Process::start(directory.path(), "info").await;
    let body = vec![b' '; 200_000];
    let request = Client::host().request(&SystemClock, "POST", "/v1/secrets/poll", &body);
    let (status, text) = process.connect().await.send(request.clone()).await.unwrap();
    assert_eq!(status, 400);
    assert!(String::from_utf8_lossy(&text).contains("larger than 128 KiB"), "{text:?}");

    // Without a length, it is found out on the way.
    let headers: Vec<_> = request.headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
    let head = "POST /v1/secrets/poll HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n";
    let mut stream = TcpStream::connect(&process.address).await.unwrap();
    stream.write_all(format!("{head}{}\r\n{:x}\r\n", headers.concat(), body.len()).as_bytes()).await.unwrap();
    // It may be closed before all is sent.
    drop(stream.write_all(&body).await);
    let mut answer = vec![0; 4096];
    let read = timeout(Duration::from_secs(20), tokio::io::AsyncReadExt::read(&mut stream, &mut answer)).await;
    let answer = String::from_utf8_lossy(&answer[..read.expect("an answer in time").unwrap_or(0)]).into_owned();
    assert!(
        answer.is_empty() || (answer.starts_with("HTTP/1.1 400") && answer.contains("larger than 128 KiB")),
        "{answer}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn those_who_wait_for_news_and_say_to_hold_thousands_take_no_memory_for_it() {
    const WAITING: u64 = 250;
    let server = Server::new().await;
    server.put(Entity::Machine(Machine { expires_at: None, ..pod() })).await;
    let directory = server.stop().await;
    let process = Process::start(directory.path(), "info").await;
    let others: Vec<_> = (0..2_400).map(|n| format!(r#""no-{n}/x":{{"denied":"NotGranted"}}"#)).collect();
    let held = format!(r#""shop/db":{{"version":{{"id":"sk_db","version":1}}}},{}"#, others.join(","));
    let body = format!(r#"{{"deliveryRevision":"rev1","held":{{{held}}},"waitSeconds":55}}"#);
    let mut waiting = Vec::new();
    let mut wait = async |count: u64| {
        for _ in 0..count {
            let request = Client::pod().request(&SystemClock, "POST", "/v1/machine/sync", body.as_bytes());
            let mut stream = TcpStream::connect(&process.address).await.unwrap();
            stream.write_all(&crate::wire::bytes(&request)).await.unwrap();
            waiting.push(stream);
        }
        let all = u64::try_from(waiting.len()).unwrap();
        let gauge = "sikkerkey_waiting_sidecars";
        crate::wire::until("all wait", async || crate::wire::metric(&process, gauge).await == all).await;
    };
    wait(20).await;
    let before = memory(&process);
    wait(WAITING).await;
    // What they say to hold is 80 KB of text, and half a megabyte in memory.
    let grown = memory(&process).saturating_sub(before) / 1024;
    assert!(grown < 60, "{WAITING} that wait took {grown} MiB");
}
