use std::path::PathBuf;

use rcgen::{CertifiedKey, generate_simple_self_signed};
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, RootCertStore};
use tokio::io::duplex;
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
