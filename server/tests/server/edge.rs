//! Requests as they stand on the wire.

use std::time::Duration;

use sikkerkey_protocol::canonical::string_to_sign;
use sikkerkey_server::clock::{Clock, SystemClock};
use sikkerkey_server::health::Missing;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::fixture::*;
use crate::process::Process;

const DB: &str = "/v1/secret/sk_db";
const EXPORT: &str = "/v1/secrets/export";
const BODY: &str = r#"{"projectId": "proj_shop"}"#;

async fn started() -> (std::sync::Arc<tempfile::TempDir>, Process) {
    let directory = Server::new().await.stop().await;
    let process = Process::start(directory.path(), "info").await;
    (directory, process)
}

/// A request by the host as text. `line` is what stands on the wire, `target` what is signed.
fn text(method: &'static str, line: &str, target: &str, more: &str, body: &str) -> String {
    let request = Client::host().request(&SystemClock, method, target, body.as_bytes());
    let headers: Vec<_> = request.headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
    format!("{method} {line} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n{more}{}\r\n{body}", headers.concat())
}

/// Everything that comes back until the server closes, as it was asked to.
async fn talk(process: &Process, text: &str) -> String {
    let mut stream = TcpStream::connect(&process.address).await.unwrap();
    drop(stream.write_all(text.as_bytes()).await);
    let mut answer = Vec::new();
    let read = stream.read_to_end(&mut answer);
    drop(timeout(Duration::from_secs(20), read).await.expect("an end in time"));
    String::from_utf8_lossy(&answer).into_owned()
}

fn assert_answer(answer: &str, status: u16, part: &str) {
    assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")) && answer.contains(part), "{status} {part}: {answer}");
    assert!(!answer.to_lowercase().contains("content-encoding"), "{answer}");
}

#[tokio::test]
async fn the_target_counts_as_it_stands_on_the_wire() {
    let (_directory, process) = started().await;
    let long = format!("/v1/secret/{}", "s".repeat(1200));
    for (line, target, status, part) in [
        (DB, DB, 200, "hunter2"),
        // What is escaped is another target, signed as it is sent, and nothing decodes it.
        ("/v1/secret/sk%5Fdb", "/v1/secret/sk%5Fdb", 404, "no such secret"),
        ("/v1/secret/sk%5Fdb", DB, 401, "bad signature"),
        ("/v1/secret/sk%5Fdb", "/v1/secret/sk%5fdb", 401, "bad signature"),
        ("/v1/secret/./sk_db", DB, 404, "no such route"),
        ("/v1//secret/sk_db", DB, 404, "no such route"),
        ("/v1/secret/sk_db/", DB, 404, "no such route"),
        // A colon shifts the fields of what is signed; the timestamp and the nonce cannot follow it.
        ("/v1/secret/sk_db:1", "/v1/secret/sk_db:1", 404, "no such secret"),
        ("/v1/secret/sk_db?", DB, 400, "takes no query"),
        ("/v1/secret/sk_db?a=b", DB, 400, "takes no query"),
        ("/v1/secret/sk_db?a=b", "/v1/secret/sk_db?a=b", 400, "takes no query"),
        ("http://x/v1/secret/sk_db", DB, 400, "no absolute target"),
        ("http://x/v1/secret/sk_db", "http://x/v1/secret/sk_db", 400, "no absolute target"),
        ("*", "*", 404, "no such route"),
        (&long, &long, 400, "more than 1024 bytes"),
    ] {
        let answer = talk(&process, &text("GET", line, target, "", "")).await;
        assert_answer(&answer, status, part);
    }
    // A fragment is dropped before anybody reads it: signed, it is a signature of something else.
    let answer = talk(&process, &text("GET", "/v1/secret/sk_db#x", "/v1/secret/sk_db#x", "", "")).await;
    assert_answer(&answer, 401, "bad signature");
}

#[tokio::test]
async fn a_signed_header_that_comes_twice_is_none() {
    let (_directory, process) = started().await;
    for (more, status, part) in [
        ("x-nonce: another\r\n", 401, "exactly once"),
        ("x-timestamp: 1\r\n", 401, "exactly once"),
        ("x-signature: AAAA\r\n", 401, "exactly once"),
        ("x-machine-id: 00000000-0000-4000-8000-000000000012\r\n", 401, "exactly once"),
        ("x-agent-id: 00000000-0000-4000-8000-000000000012\r\n", 401, "exactly once"),
        ("x-machine-id : 00000000-0000-4000-8000-000000000012\r\n", 400, ""),
        ("x-folded: a\r\n b\r\n", 400, ""),
    ] {
        let answer = talk(&process, &text("GET", "/v1/secret/sk_db", "/v1/secret/sk_db", more, "")).await;
        assert_answer(&answer, status, part);
    }
}

#[tokio::test]
async fn whatever_clients_leave_out_or_add_around_a_body_is_fine() {
    let (_directory, process) = started().await;
    let length = format!("content-length: {}\r\n", BODY.len());
    for (more, body) in [
        // The JDK's client sends neither length nor encoding with a POST without a body.
        ("", ""),
        ("content-length: 0\r\n", ""),
        ("accept-encoding: gzip, br, zstd\r\n", ""),
        (&*length, BODY),
        (&*format!("content-type: text/plain\r\n{length}"), BODY),
        (&*format!("content-type: application/json; charset=utf-8\r\n{length}"), BODY),
    ] {
        let answer = talk(&process, &text("POST", EXPORT, EXPORT, more, body)).await;
        assert_answer(&answer, 200, "hunter2");
    }
    // In pieces, of which the whole is signed.
    let request = text("POST", EXPORT, EXPORT, "transfer-encoding: chunked\r\n", BODY);
    let (head, _) = request.split_once("\r\n\r\n").unwrap();
    let (first, last) = BODY.split_at(9);
    let chunked = format!("{head}\r\n\r\n{:x}\r\n{first}\r\n{:x}\r\n{last}\r\n0\r\n\r\n", first.len(), last.len());
    assert_answer(&talk(&process, &chunked).await, 200, "hunter2");
    // Whoever waits for permission gets it.
    let more = format!("expect: 100-continue\r\n{length}");
    let request = text("POST", EXPORT, EXPORT, &more, BODY);
    let (head, body) = request.split_once("\r\n\r\n").unwrap();
    let mut stream = TcpStream::connect(&process.address).await.unwrap();
    stream.write_all(format!("{head}\r\n\r\n").as_bytes()).await.unwrap();
    let mut answer = [0; 25];
    timeout(Duration::from_secs(20), stream.read_exact(&mut answer)).await.unwrap().unwrap();
    assert_eq!(&answer, b"HTTP/1.1 100 Continue\r\n\r\n");
    stream.write_all(body.as_bytes()).await.unwrap();
    let mut answer = String::new();
    timeout(Duration::from_secs(20), stream.read_to_string(&mut answer)).await.unwrap().unwrap();
    assert_answer(&answer, 200, "hunter2");
}

#[tokio::test]
async fn a_body_in_two_lengths_or_beyond_its_length_is_not_two_requests() {
    let (_directory, process) = started().await;
    let both = "content-length: 0\r\ntransfer-encoding: chunked\r\n";
    let answer = talk(&process, &text("POST", EXPORT, EXPORT, both, "0\r\n\r\n")).await;
    assert!(!answer.contains("hunter2"), "{answer}");
    let two = "content-length: 0\r\ncontent-length: 5\r\n";
    assert_answer(&talk(&process, &text("POST", EXPORT, EXPORT, two, "")).await, 400, "");
    // What follows the answer of a connection that closes is never looked at.
    let more = text("GET", "/v1/secret/sk_db", "/v1/secret/sk_db", "", "");
    let answer = talk(&process, &format!("{}{more}", text("POST", EXPORT, EXPORT, "", ""))).await;
    assert_eq!(answer.matches("HTTP/1.1").count(), 1, "{answer}");
}

#[tokio::test]
async fn deep_json_is_an_answer_and_no_overflow() {
    let server = Server::new().await;
    for deep in ["[".repeat(100_000), r#"{"watch":"#.repeat(10_000), format!(r#"{{"watch":{}"#, "[".repeat(60_000))] {
        for route in ["/v1/secrets/poll", "/v1/secrets/list", "/v1/secrets/export", "/v1/machine/sync"] {
            let answer = server.post(&Client::host(), route, &deep).await;
            assert_eq!(answer.status, 400, "{route}: {}", answer.text());
        }
    }
}

#[tokio::test]
async fn one_request_signs_for_no_other() {
    // Everything that can be moved between the parts of what is signed, and both ways of sending it.
    let server = Server::new().await;
    let host = Client::host();
    let now = server.clock.now().seconds();
    let signature = |method: &str, target: &str, time: &str, nonce: &str, body: &[u8]| {
        host.key.sign(&string_to_sign(method, target, time, nonce, body)).to_string()
    };
    let time = now.to_string();
    let good = host.request_with(now, "nonce", "GET", "/v1/secret/sk_db", b"");
    for (what, forged) in [
        ("method", signature("POST", "/v1/secret/sk_db", &time, "nonce", b"")),
        ("lower case", signature("get", "/v1/secret/sk_db", &time, "nonce", b"")),
        ("target", signature("GET", "/v1/secret/sk_dbx", &time, "nonce", b"")),
        ("shifted", signature("GET", &format!("/v1/secret/sk_db:{time}"), "nonce", "", b"")),
        ("leading zero", signature("GET", "/v1/secret/sk_db", &format!("0{time}"), "nonce", b"")),
        ("nonce", signature("GET", "/v1/secret/sk_db", &time, "Nonce", b"")),
        ("body", signature("GET", "/v1/secret/sk_db", &time, "nonce", b" ")),
    ] {
        let answer = server.send(good.clone().with("x-signature", &forged).from("203.0.113.200")).await;
        assert_eq!(answer.status, 401, "{what}");
        assert!(answer.error().contains("bad signature"), "{what}: {}", answer.text());
        server.engine.app.lockout.lift_address("203.0.113.200".parse().unwrap());
        server.engine.app.lockout.lift_signer(&host.id);
    }
    assert_eq!(server.send(good).await.status, 200);
}

#[tokio::test]
async fn readyz_lists_all_that_is_missing() {
    let server = Server::new().await;
    let ready = || Signed {
        method: "GET",
        target: "/readyz".into(),
        headers: vec![],
        body: vec![],
        address: POD_ADDRESS.into(),
    };
    assert_eq!(server.send(ready()).await.text(), "ok\n");
    server.clock.set_skew(10_001);
    server.engine.app.health.set(Missing::RootKey, true);
    server.engine.stop_waiting();
    let answer = server.send(ready()).await;
    assert_eq!(answer.status, 503);
    assert_eq!(answer.json()["missing"], serde_json::json!(["clock", "root_key", "ending"]));
    assert!(answer.json()["error"].as_str().unwrap().contains("set it right; the server is sealed"));
    server.clock.set_skew(-10_000);
    assert_eq!(server.send(ready()).await.json()["missing"], serde_json::json!(["root_key", "ending"]));
}

#[tokio::test]
async fn no_signature_and_no_nonce_is_in_the_log_whatever_is_traced() {
    let directory = Server::new().await.stop().await;
    let process = Process::start(directory.path(), "trace").await;
    let mut second = crate::http2::connect(&process).await;
    let mut first = process.connect().await;
    let (host, now) = (Client::host(), SystemClock.now().seconds());
    let mut secrets = Vec::new();
    for (n, target) in ["/v1/secret/sk_db", "/v1/secret/sk_none", "/v1/secret/sk_db?query"].into_iter().enumerate() {
        for over in ["one", "two"] {
            let request = host.request_with(now, &format!("unmistakable-{over}-{n}-nonce"), "GET", target, b"");
            secrets.extend([request.headers[2].1.clone(), request.headers[3].1.clone()]);
            if over == "one" {
                first.send(request).await.unwrap();
            } else {
                crate::http2::send(&mut second, crate::http2::absolute(request)).await.unwrap();
            }
        }
    }
    let log = process.log.lock().await.clone();
    assert!(log.contains("h2") && log.contains("/v1/secret/sk_db"), "the log says too little to search");
    for secret in secrets {
        let line = log.lines().find(|line| line.contains(&secret));
        assert_eq!(line, None);
    }
}
