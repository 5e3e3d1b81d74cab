//! Clients that take more than their share.

use std::time::Duration;

use sikkerkey_server::clock::SystemClock;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::fixture::*;
use crate::process::Process;

/// What comes back for raw bytes, until the server closes or has answered.
async fn talk(process: &Process, text: &[u8]) -> String {
    let mut stream = TcpStream::connect(&process.address).await.unwrap();
    // The server may close before all is sent: that is an answer as well.
    drop(stream.write_all(text).await);
    let mut answer = vec![0; 4096];
    let read = timeout(Duration::from_secs(20), stream.read(&mut answer)).await.expect("an answer in time");
    String::from_utf8_lossy(&answer[..read.unwrap_or(0)]).into_owned()
}

#[tokio::test]
async fn what_is_too_large_is_cut_off_and_others_are_served() {
    let server = Server::new().await;
    let directory = server.stop().await;
    let process = Process::start(directory.path(), "info").await;

    let header = format!("GET /v1/secrets HTTP/1.1\r\nhost: x\r\nx-nonce: {}\r\n\r\n", "n".repeat(64 * 1024));
    let answer = talk(&process, header.as_bytes()).await;
    assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 431"), "{answer}");

    let headers: String = (0..200).map(|n| format!("x-header-{n}: x\r\n")).collect::<Vec<_>>().concat();
    let answer = talk(&process, format!("GET /v1/secrets HTTP/1.1\r\nhost: x\r\n{headers}\r\n").as_bytes()).await;
    assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 431"), "{answer}");

    let target = format!("GET /v1/secret/{} HTTP/1.1\r\nhost: x\r\n\r\n", "s".repeat(64 * 1024));
    let answer = talk(&process, target.as_bytes()).await;
    assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 4"), "{answer}");

    // An unknown sender's body is not read at all, however large he says that it is.
    let request = Client::new(uuid(0x99), 9).request(&SystemClock, "POST", "/v1/secrets/export", b"");
    let headers: Vec<_> = request.headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
    let headers = headers.concat();
    let body = format!("POST {} HTTP/1.1\r\nhost: x\r\ncontent-length: 999999999999\r\n{headers}\r\n", request.target);
    let answer = talk(&process, body.as_bytes()).await;
    assert!(answer.starts_with("HTTP/1.1 401"), "{answer}");

    let answer = talk(&process, b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03").await;
    assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 400"), "{answer}");

    let mut connection = process.connect().await;
    let request = Client::host().request(&SystemClock, "GET", "/v1/secret/sk_db", b"");
    assert_eq!(connection.send(request).await.unwrap().0, 200);
}

#[tokio::test]
async fn hundreds_of_connections_that_say_nothing_hold_nobody_up() {
    let server = Server::new().await;
    let directory = server.stop().await;
    let process = Process::start(directory.path(), "info").await;
    let mut idle = Vec::new();
    for n in 0..400 {
        let mut stream = TcpStream::connect(&process.address).await.unwrap();
        let text: &[u8] = if n % 2 == 0 { b"" } else { b"GET /v1/secrets HTTP/1.1\r\nhost: x\r\nx-nonce: " };
        stream.write_all(text).await.unwrap();
        idle.push(stream);
    }
    let mut connection = process.connect().await;
    for _ in 0..20 {
        let request = Client::host().request(&SystemClock, "GET", "/v1/secret/sk_db", b"");
        let answer = timeout(Duration::from_secs(10), connection.send(request)).await.expect("an answer in time");
        assert_eq!(answer.unwrap().0, 200);
    }
    drop(idle);
}
