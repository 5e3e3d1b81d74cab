use std::path::PathBuf;

use rcgen::{CertifiedKey, generate_simple_self_signed};
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, HandshakeKind, RootCertStore};
use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};
use tokio_rustls::{TlsAcceptor, TlsConnector};

use super::*;

struct Files {
    directory: tempfile::TempDir,
}

impl Files {
    fn new() -> Self {
        Self { directory: tempfile::tempdir().unwrap() }
    }

    fn cert(&self) -> PathBuf {
        self.directory.path().join("tls.crt")
    }

    fn key(&self) -> PathBuf {
        self.directory.path().join("tls.key")
    }

    /// Writes a certificate and its key; returns the certificate.
    fn write(&self) -> CertificateDer<'static> {
        let CertifiedKey { cert, signing_key } = generate_simple_self_signed(vec!["server.test".into()]).unwrap();
        std::fs::write(self.cert(), cert.pem()).unwrap();
        std::fs::write(self.key(), signing_key.serialize_pem()).unwrap();
        cert.der().clone()
    }
}

/// Whether a client that trusts `root` alone can talk to the server.
async fn trusts(root: &CertificateDer<'static>, server: &Arc<Certificate>) -> bool {
    let mut roots = RootCertStore::empty();
    roots.add(root.clone()).unwrap();
    let client = ClientConfig::builder_with_provider(Arc::new(default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let (near, far) = duplex(64 * 1024);
    let acceptor = TlsAcceptor::from(server.config().unwrap());
    let accepting = tokio::spawn(async move { acceptor.accept(far).await.is_ok() });
    let name = ServerName::try_from("server.test").unwrap();
    let connected = TlsConnector::from(Arc::new(client)).connect(name, near).await.is_ok();
    accepting.await.unwrap();
    connected
}

#[tokio::test]
async fn a_new_certificate_is_served_and_a_broken_one_leaves_the_old_in_force() {
    let files = Files::new();
    let first = files.write();
    let server = Arc::new(Certificate::read(&files.cert(), &files.key()).unwrap());
    assert!(trusts(&first, &server).await);

    let second = files.write();
    assert!(!trusts(&second, &server).await);
    server.reload().unwrap();
    assert!(trusts(&second, &server).await && !trusts(&first, &server).await);

    let key = std::fs::read(files.key()).unwrap();
    files.write();
    std::fs::write(files.key(), &key).unwrap();
    assert!(matches!(server.reload(), Err(TlsError::Mismatch(..))));
    assert!(trusts(&second, &server).await);
}

#[test]
fn what_is_wrong_with_the_files_is_said() {
    let files = Files::new();
    let read = || Certificate::read(&files.cert(), &files.key()).map(drop).unwrap_err();
    assert!(matches!(read(), TlsError::Certificates(..)));
    files.write();
    std::fs::write(files.cert(), "nothing").unwrap();
    assert!(matches!(read(), TlsError::Empty(..)));
    files.write();
    std::fs::write(files.key(), "nothing").unwrap();
    assert!(matches!(read(), TlsError::Key(..)));
}

/// One connection: how its handshake went, and which protocol was agreed on.
async fn connect(client: &Arc<ClientConfig>, server: &Arc<ServerConfig>) -> (HandshakeKind, Option<Vec<u8>>) {
    let (near, far) = duplex(64 * 1024);
    let acceptor = TlsAcceptor::from(Arc::clone(server));
    let accepting = tokio::spawn(async move {
        let mut stream = acceptor.accept(far).await.unwrap();
        stream.write_all(b"x").await.unwrap();
        stream.shutdown().await.unwrap();
    });
    let name = ServerName::try_from("server.test").unwrap();
    let mut stream = TlsConnector::from(Arc::clone(client)).connect(name, near).await.unwrap();
    // Tickets come after the handshake, with what is read next.
    let mut read = Vec::new();
    stream.read_to_end(&mut read).await.unwrap();
    accepting.await.unwrap();
    let connection = stream.get_ref().1;
    (connection.handshake_kind().unwrap(), connection.alpn_protocol().map(<[u8]>::to_vec))
}

#[tokio::test]
async fn clients_come_back_with_a_ticket_and_choose_their_protocol() {
    let files = Files::new();
    let root = files.write();
    let server = Arc::new(Certificate::read(&files.cert(), &files.key()).unwrap()).config().unwrap();
    for versions in [&[&rustls::version::TLS13], &[&rustls::version::TLS12]] {
        let mut roots = RootCertStore::empty();
        roots.add(root.clone()).unwrap();
        let mut client = ClientConfig::builder_with_provider(Arc::new(default_provider()))
            .with_protocol_versions(versions)
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        for (offered, agreed) in [
            (vec![], None),
            (vec![b"http/1.1".to_vec()], Some(b"http/1.1".to_vec())),
            (vec![b"http/1.1".to_vec(), b"h2".to_vec()], Some(b"h2".to_vec())),
        ] {
            client.alpn_protocols = offered;
            client.resumption = rustls::client::Resumption::in_memory_sessions(8);
            let client = Arc::new(client.clone());
            assert_eq!(connect(&client, &server).await, (HandshakeKind::Full, agreed.clone()));
            assert_eq!(connect(&client, &server).await, (HandshakeKind::Resumed, agreed));
        }
    }
}

#[tokio::test(start_paused = true)]
async fn files_that_change_are_taken_without_a_restart() {
    let files = Files::new();
    let age = |path: &Path, seconds| {
        let file = std::fs::File::options().write(true).open(path).unwrap();
        file.set_modified(SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)).unwrap();
    };
    let first = files.write();
    age(&files.cert(), 1);
    age(&files.key(), 1);
    let server = Arc::new(Certificate::read(&files.cert(), &files.key()).unwrap());
    let (stop, stopped) = watch::channel(false);
    let metrics = Arc::new(Metrics::default());
    let following = tokio::spawn(Arc::clone(&server).follow(Arc::clone(&metrics), stopped));
    tokio::time::sleep(LOOK * 2).await;
    let ends = server.ends().unwrap();
    let shown = format!("sikkerkey_certificate_expires_timestamp_seconds{{certificate=\"Serving\"}} {ends}\n");
    assert!(ends > 0 && metrics.render().contains(&shown), "{}", metrics.render());
    assert!(trusts(&first, &server).await);

    // The new certificate comes before its key: the old pair stays until both are there.
    let old_key = std::fs::read(files.key()).unwrap();
    let second = files.write();
    let new_key = std::fs::read(files.key()).unwrap();
    std::fs::write(files.key(), old_key).unwrap();
    age(&files.cert(), 2);
    tokio::time::sleep(LOOK * 2).await;
    assert!(trusts(&first, &server).await);
    assert!(metrics.render().contains("sikkerkey_failed_work_total{work=\"Certificate\"} "), "{}", metrics.render());
    assert!(!metrics.render().contains("sikkerkey_failed_work_total{work=\"Certificate\"} 0"), "{}", metrics.render());
    std::fs::write(files.key(), new_key).unwrap();
    age(&files.key(), 2);
    tokio::time::sleep(LOOK * 2).await;
    assert!(trusts(&second, &server).await && !trusts(&first, &server).await);
    stop.send_replace(true);
    following.await.unwrap();
}
