//! The server behind TLS.

use std::sync::Arc;
use std::time::Duration;

use rcgen::{CertifiedKey, generate_simple_self_signed};
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, RootCertStore};
use sikkerkey_server::clock::SystemClock;
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

use crate::fixture::*;
use crate::process::{Connection, Process};

#[tokio::test]
async fn reads_work_over_tls_and_plain_http_is_not_answered() {
    let server = Server::new().await;
    let directory = server.stop().await;
    let CertifiedKey { cert, signing_key } = generate_simple_self_signed(vec!["server.test".into()]).unwrap();
    let (cert_file, key_file) = (directory.path().join("tls.crt"), directory.path().join("tls.key"));
    std::fs::write(&cert_file, cert.pem()).unwrap();
    std::fs::write(&key_file, signing_key.serialize_pem()).unwrap();
    let arguments = ["--tls-cert", cert_file.to_str().unwrap(), "--tls-key", key_file.to_str().unwrap()];
    let process = Process::start_with(directory.path(), "info", &arguments).await;

    let mut roots = RootCertStore::empty();
    roots.add(cert.der().clone()).unwrap();
    let config = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let stream = TcpStream::connect(&process.address).await.unwrap();
    let name = ServerName::try_from("server.test").unwrap();
    let stream = TlsConnector::from(Arc::new(config)).connect(name, stream).await.unwrap();
    let mut connection = Connection::over(stream).await.unwrap();
    let request = Client::host().request(&SystemClock, "GET", "/v1/secret/sk_db", b"");
    let (status, body) = connection.send(request).await.unwrap();
    assert_eq!((status, &body[..]), (200, &br#"{"value":"hunter2"}"#[..]));

    let mut plain = TcpStream::connect(&process.address).await.unwrap();
    tokio::io::AsyncWriteExt::write_all(&mut plain, b"GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
    let mut answer = Vec::new();
    // A reset is as good as an end.
    drop(timeout(Duration::from_secs(20), plain.read_to_end(&mut answer)).await.expect("an end in time"));
    assert!(!answer.windows(4).any(|it| it == b"HTTP"), "{answer:?}");
}
