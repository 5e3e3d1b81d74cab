//! A server for https, with a certificate of an authority of its own.

use std::path::PathBuf;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, KeyUsagePurpose};

use crate::server::{Server, text};

/// A server for https that does not run yet.
pub(crate) struct Secured {
    pub(crate) server: Server,
    /// The certificate of its authority.
    pub(crate) trusted: PathBuf,
    /// What it has to be started with.
    pub(crate) arguments: [String; 4],
}

pub(crate) fn secured() -> Secured {
    secure(Server::new("https"), "localhost")
}

/// Gives a server a certificate of an authority of its own, for a name or an address.
pub(crate) fn secure(server: Server, name: &str) -> Secured {
    let mut params = CertificateParams::default();
    // With rcgen's own name for both, the certificate would be taken for its own issuer.
    params.distinguished_name.push(DnType::CommonName, "authority");
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::DigitalSignature];
    let authority = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
    params.use_authority_key_identifier_extension = true;
    let certificate = params.signed_by(&key, &authority).unwrap();
    let trusted = server.file("ca.crt", &authority.pem());
    let certificate = server.file("tls.crt", &certificate.pem());
    let key = server.file("tls.key", &key.serialize_pem());
    let [certificate, key] = [certificate, key].map(|it| text(&it).to_owned());
    Secured { server, trusted, arguments: ["--tls-cert".into(), certificate, "--tls-key".into(), key] }
}
