//! The certificates, keys and kubeconfigs of one cluster.

use std::fs;
use std::io;
use std::net::{IpAddr, Ipv4Addr};
use std::path::PathBuf;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa,
    KeyPair, KeyUsagePurpose,
};
use serde_json::{Value, json};

use crate::run_directory::RunDirectory;

/// Why the certificates of a cluster could not be made.
#[derive(Debug, thiserror::Error)]
pub enum CertificateError {
    /// A certificate could not be made.
    #[error("cannot make a certificate")]
    Make(#[from] rcgen::Error),
    /// A file could not be written.
    #[error("cannot write the certificates")]
    Write(#[from] io::Error),
}

/// For whom the certificates are.
pub(crate) struct Names {
    /// The address that clients use.
    pub(crate) api_server: IpAddr,
    /// Its port.
    pub(crate) port: u16,
    /// The node and its address, if there is one.
    pub(crate) node: Option<(String, IpAddr)>,
}

/// The files of a cluster's certificates.
#[derive(Clone, Debug)]
pub(crate) struct Pki {
    directory: PathBuf,
}

impl Pki {
    pub(crate) fn files(run: &RunDirectory) -> Self {
        Self { directory: run.join("pki") }
    }

    pub(crate) fn certificate(&self, name: &str) -> PathBuf {
        self.directory.join(format!("{name}.crt"))
    }

    pub(crate) fn key(&self, name: &str) -> PathBuf {
        self.directory.join(format!("{name}.key"))
    }

    /// The public key by which service account tokens are verified.
    pub(crate) fn service_account_public_key(&self) -> PathBuf {
        self.directory.join("service-account.pub")
    }

    /// The private key that signs service account tokens.
    pub(crate) fn service_account_key(&self) -> PathBuf {
        self.key("service-account")
    }
}

/// Makes everything, and answers the administrator's kubeconfig. Each component gets the name to which Kubernetes' own roles are bound.
pub(crate) fn make(run: &RunDirectory, names: &Names) -> Result<Value, CertificateError> {
    let pki = Pki::files(run);
    let authority = authority()?;
    fs::write(pki.certificate("ca"), authority.pem())?;
    let server = format!("https://{}:{}", names.api_server, names.port);

    let local = [IpAddr::V4(Ipv4Addr::LOCALHOST), names.api_server, IpAddr::V4(crate::node::network::API_SERVICE)];
    let api_server = Subject { name: "kube-apiserver", group: None, addresses: &local };
    let host_names = ["kubernetes", "kubernetes.default", "kubernetes.default.svc", "localhost"];
    issue(&authority, &api_server, &host_names)?.write(&pki, "apiserver")?;

    for (file, name, group) in [
        ("admin", "kubernetes-admin", Some("system:masters")),
        ("apiserver-kubelet-client", "kube-apiserver-kubelet-client", Some("system:masters")),
        ("controller-manager", "system:kube-controller-manager", None),
        ("scheduler", "system:kube-scheduler", None),
        ("proxy", "system:kube-proxy", None),
    ] {
        let issued = issue(&authority, &Subject { name, group, addresses: &[] }, &[])?;
        issued.write(&pki, file)?;
        fs::write(run.join("kubeconfig").join(file), issued.kubeconfig(&server, &authority.pem()).to_string())?;
    }
    if let Some((node, address)) = &names.node {
        // One certificate for both directions: client of the API server, and server for it.
        let name = format!("system:node:{node}");
        let subject = Subject { name: &name, group: Some("system:nodes"), addresses: std::slice::from_ref(address) };
        let issued = issue(&authority, &subject, &[node])?;
        issued.write(&pki, "kubelet")?;
        fs::write(run.join("kubeconfig/kubelet"), issued.kubeconfig(&server, &authority.pem()).to_string())?;
    }
    let tokens = KeyPair::generate()?;
    fs::write(pki.service_account_key(), tokens.serialize_pem())?;
    fs::write(pki.service_account_public_key(), tokens.public_key_pem())?;

    let admin = fs::read(run.join("kubeconfig/admin"))?;
    serde_json::from_slice(&admin).map_err(|error| CertificateError::Write(error.into()))
}

struct Subject<'a> {
    name: &'a str,
    group: Option<&'a str>,
    addresses: &'a [IpAddr],
}

struct Issued {
    certificate: String,
    key: String,
}

impl Issued {
    fn write(&self, pki: &Pki, name: &str) -> io::Result<()> {
        fs::write(pki.certificate(name), &self.certificate)?;
        fs::write(pki.key(name), &self.key)
    }

    /// JSON is YAML too.
    fn kubeconfig(&self, server: &str, authority: &str) -> Value {
        json!({
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "e2e", "cluster": {"server": server, "certificate-authority-data": STANDARD.encode(authority)}}],
            "users": [{"name": "e2e", "user": {
                "client-certificate-data": STANDARD.encode(&self.certificate),
                "client-key-data": STANDARD.encode(&self.key),
            }}],
            "contexts": [{"name": "e2e", "context": {"cluster": "e2e", "user": "e2e"}}],
            "current-context": "e2e",
        })
    }
}

fn authority() -> Result<CertifiedIssuer<'static, KeyPair>, rcgen::Error> {
    let mut params = CertificateParams::default();
    params.distinguished_name = distinguished_name("sikkerkey-e2e", None);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign, KeyUsagePurpose::DigitalSignature];
    CertifiedIssuer::self_signed(params, KeyPair::generate()?)
}

fn issue(
    authority: &CertifiedIssuer<'_, KeyPair>,
    subject: &Subject<'_>,
    host_names: &[&str],
) -> Result<Issued, rcgen::Error> {
    let mut names: Vec<String> = host_names.iter().map(|name| (*name).to_owned()).collect();
    names.extend(subject.addresses.iter().map(ToString::to_string));
    let mut params = CertificateParams::new(names)?;
    params.distinguished_name = distinguished_name(subject.name, subject.group);
    params.use_authority_key_identifier_extension = true;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    if !params.subject_alt_names.is_empty() {
        params.extended_key_usages.push(ExtendedKeyUsagePurpose::ServerAuth);
    }
    let key = KeyPair::generate()?;
    let certificate = params.signed_by(&key, authority)?;
    Ok(Issued { certificate: certificate.pem(), key: key.serialize_pem() })
}

fn distinguished_name(name: &str, group: Option<&str>) -> DistinguishedName {
    let mut distinguished = DistinguishedName::new();
    distinguished.push(DnType::CommonName, name);
    if let Some(group) = group {
        distinguished.push(DnType::OrganizationName, group);
    }
    distinguished
}
