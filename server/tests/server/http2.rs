//! The same server over HTTP/2.

use std::sync::Arc;

use axum::body::{Body, Bytes};
use axum::http::Request;
use http_body_util::BodyExt;
use hyper::client::conn::http2::{SendRequest, handshake};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rcgen::{CertifiedKey, generate_simple_self_signed};
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, RootCertStore};
use sikkerkey_server::audit::entry::Action;
use sikkerkey_server::clock::SystemClock;
use sikkerkey_server::model::Entity;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use crate::fixture::*;
use crate::process::Process;

pub type Sender = SendRequest<Body>;

pub async fn over(stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static) -> Sender {
    let (sender, connection) = handshake(TokioExecutor::new(), TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection);
    sender
}

pub async fn connect(process: &Process) -> Sender {
    over(TcpStream::connect(&process.address).await.unwrap()).await
}

/// A request as HTTP/2 wants it: with scheme and authority.
pub fn absolute(mut signed: Signed) -> Request<Body> {
    signed.target = format!("http://sikkerkey.test{}", signed.target);
    signed.build()
}

pub async fn send(sender: &mut Sender, request: Request<Body>) -> Result<(u16, Bytes), hyper::Error> {
    sender.ready().await?;
    let response = sender.send_request(request).await?;
    let status = response.status().as_u16();
    Ok((status, response.into_body().collect().await?.to_bytes()))
}

async fn prepared() -> Arc<tempfile::TempDir> {
    let server = Server::new().await;
    let mut machine = pod();
    machine.expires_at = None;
    server.put(Entity::Machine(machine)).await;
    server.stop().await
}

#[tokio::test]
async fn many_requests_share_one_connection_and_only_the_path_is_signed() {
    let directory = prepared().await;
    let process = Process::start(directory.path(), "info").await;
    let sender = connect(&process).await;
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..100 {
        let mut sender = sender.clone();
        tasks.spawn(async move {
            let request = Client::host().request(&SystemClock, "GET", "/v1/secret/sk_db", b"");
            send(&mut sender, absolute(request)).await.unwrap()
        });
    }
    for (status, body) in tasks.join_all().await {
        assert_eq!((status, &body[..]), (200, &br#"{"value":"hunter2"}"#[..]));
    }
    let mut sender = sender;
    for (method, target, body, status, answer) in [
        ("GET", "/v1/secret/sk_db?x=1", "", 400, "no query"),
        ("GET", "/v1/secret/sk_db?", "", 400, "no query"),
        ("GET", "/v1/secret/sk%5fdb", "", 404, "no such secret"),
        ("GET", "/v1/secret/sk:db", "", 404, "no such secret"),
        ("POST", "/v1/secrets/list", r#"{"projectId":"proj_shop"}"#, 200, "sk_db"),
        ("POST", "/v1/secrets/export", "", 200, "hunter2"),
        ("GET", "/v1/nothing", "", 404, "no such route"),
    ] {
        let request = Client::host().request(&SystemClock, method, target, body.as_bytes());
        let (got, text) = send(&mut sender, absolute(request)).await.unwrap();
        let text = String::from_utf8_lossy(&text).into_owned();
        assert!(got == status && text.contains(answer), "{method} {target}: {got} {text}");
    }
    // A header twice is none, and a replay is one over any version.
    let request = Client::host().request(&SystemClock, "GET", "/v1/secret/sk_db", b"");
    let (status, text) = send(&mut sender, absolute(request.clone().and("x-nonce", "another"))).await.unwrap();
    assert!(status == 401 && text.windows(12).any(|it| it == b"exactly once"), "{text:?}");
    assert_eq!(send(&mut sender, absolute(request.clone())).await.unwrap().0, 200);
    assert_eq!(process.connect().await.send(request).await.unwrap().0, 401);
}

#[tokio::test]
async fn under_tls_the_client_chooses_http_2_in_the_handshake() {
    let directory = prepared().await;
    let CertifiedKey { cert, signing_key } = generate_simple_self_signed(vec!["server.test".into()]).unwrap();
    let (cert_file, key_file) = (directory.path().join("tls.crt"), directory.path().join("tls.key"));
    std::fs::write(&cert_file, cert.pem()).unwrap();
    std::fs::write(&key_file, signing_key.serialize_pem()).unwrap();
    let arguments = ["--tls-cert", cert_file.to_str().unwrap(), "--tls-key", key_file.to_str().unwrap()];
    let process = Process::start_with(directory.path(), "info", &arguments).await;
    let mut roots = RootCertStore::empty();
    roots.add(cert.der().clone()).unwrap();
    let mut config = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    let stream = TcpStream::connect(&process.address).await.unwrap();
    let name = ServerName::try_from("server.test").unwrap();
    let stream = TlsConnector::from(Arc::new(config)).connect(name, stream).await.unwrap();
    assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"h2"[..]));
    let request = Client::pod().request(&SystemClock, "GET", "/v1/secret/sk_db", b"");
    let (status, body) = send(&mut over(stream).await, absolute(request)).await.unwrap();
    assert_eq!((status, &body[..]), (200, &br#"{"value":"hunter2"}"#[..]));
}

#[tokio::test]
async fn huge_headers_are_refused_and_the_server_goes_on() {
    let directory = prepared().await;
    let process = Process::start(directory.path(), "info").await;
    let mut sender = connect(&process).await;
    let request =
        Client::host().request(&SystemClock, "GET", "/v1/secret/sk_db", b"").with("x-huge", &"h".repeat(60_000));
    match send(&mut sender, absolute(request)).await {
        Ok((status, _)) => assert_eq!(status, 431),
        Err(error) => assert!(!error.is_timeout(), "{error}"),
    }
    let request = Client::host().request(&SystemClock, "GET", "/v1/secret/sk_db", b"");
    assert_eq!(send(&mut connect(&process).await, absolute(request)).await.unwrap().0, 200);
}

#[tokio::test]
async fn a_flood_of_resets_ends_the_connection_and_nothing_else() {
    let directory = prepared().await;
    let process = Process::start(directory.path(), "info").await;
    let mut stream = TcpStream::connect(&process.address).await.unwrap();
    stream.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00").await.unwrap();
    // HEADERS (`:method GET`, `:scheme http`, `:path /`, ended) and RST_STREAM (cancel), over and over.
    let mut frames = Vec::new();
    for n in 0..5_000_u32 {
        let id = (2 * n + 1).to_be_bytes();
        frames.extend([&[0, 0, 3, 1, 5][..], &id, &[0x82, 0x86, 0x84]].concat());
        frames.extend([&[0, 0, 4, 3, 0][..], &id, &[0, 0, 0, 8]].concat());
    }
    // It may be closed before all is sent.
    drop(stream.write_all(&frames).await);
    let mut answer = Vec::new();
    let read = tokio::io::AsyncReadExt::read_to_end(&mut stream, &mut answer);
    drop(tokio::time::timeout(std::time::Duration::from_secs(20), read).await.expect("it is closed in time"));
    // GOAWAY with ENHANCE_YOUR_CALM, unless the reset came first.
    let calm = answer.windows(17).any(|it| it[3] == 7 && it[13..17] == [0, 0, 0, 11]);
    assert!(calm || answer.is_empty(), "{answer:?}");
    let request = Client::host().request(&SystemClock, "GET", "/v1/secret/sk_db", b"");
    assert_eq!(process.connect().await.send(request).await.unwrap().0, 200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_ends_answers_what_has_begun_and_loses_no_row_of_it() {
    let server = Server::new().await;
    let clock = server.clock.clone();
    let directory = server.stop().await;
    let mut process = Process::start(directory.path(), "info").await;
    // Not hyper's client: it drops the answer to a request that it sent just before it heard that the connection ends.
    let stream = TcpStream::connect(&process.address).await.unwrap();
    let (sender, connection) = h2::client::handshake(stream).await.unwrap();
    tokio::spawn(connection);
    let mut tasks = tokio::task::JoinSet::new();
    let (answered, mut first) = tokio::sync::mpsc::unbounded_channel();
    for _ in 0..20 {
        let (mut sender, answered) = (sender.clone(), answered.clone());
        tasks.spawn(async move {
            let mut good = 0;
            loop {
                let request = Client::host().request(&SystemClock, "GET", "/v1/secret/sk_db", b"");
                let request = absolute(request).map(drop);
                // The connection is ending: no more is asked.
                let Ok(ready) = sender.ready().await else { return good };
                sender = ready;
                let Ok((response, _)) = sender.send_request(request, true) else { return good };
                let mut response = match response.await {
                    Ok(response) => response,
                    // It says that this request is beyond the last one it looked at.
                    Err(error) => {
                        assert!(error.is_go_away() && error.is_remote(), "{error}");
                        return good;
                    }
                };
                assert_eq!(response.status(), 200);
                let value = response.body_mut().data().await.unwrap().unwrap();
                assert_eq!(value, &br#"{"value":"hunter2"}"#[..]);
                good += 1;
                answered.send(()).unwrap();
            }
        });
    }
    for _ in 0..100 {
        first.recv().await.unwrap();
    }
    let pid = process.child.id().unwrap().to_string();
    assert!(std::process::Command::new("kill").arg(&pid).status().unwrap().success());
    let answered: usize = tasks.join_all().await.into_iter().sum();
    let status = tokio::time::timeout(std::time::Duration::from_secs(20), process.child.wait()).await.unwrap().unwrap();
    assert!(status.success(), "{status}");
    let server = Server::open(directory, clock).await.unwrap();
    let rows = server.audit().await.iter().filter(|it| it.action == Action::SecretRead).count();
    assert!(answered >= 100);
    // A graceful end leaves nobody without the answer to what was done for him.
    assert_eq!(rows, answered);
}
