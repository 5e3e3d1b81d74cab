//! The root of the operator's small CA, and the leaves it issues. EC P-256. Pure but for the random source.

use std::collections::BTreeSet;
use std::fmt;

use k8s_openapi::jiff::{SignedDuration, Timestamp};
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, PublicKeyData, SanType,
};
use rustls::crypto::ring::sign::any_ecdsa_type;
use rustls::sign::CertifiedKey;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use thiserror::Error;
use time::OffsetDateTime;
use zeroize::Zeroizing;

use super::certificate::{Facts, Unreadable};
use super::name::Name;

/// Life of a root: ten years.
pub const ROOT_LIFE: SignedDuration = SignedDuration::from_hours(10 * 365 * 24);
/// Life of a leaf: thirty days.
pub const LEAF_LIFE: SignedDuration = SignedDuration::from_hours(30 * 24);
/// How far a certificate's life begins in the past, for clocks that are behind.
const SKEW: SignedDuration = SignedDuration::from_mins(5);

/// A root or a leaf could not be made or read.
#[derive(Debug, Error)]
pub enum RootError {
    /// The library refused.
    #[error("could not make a certificate")]
    Make(#[from] rcgen::Error),
    /// The clock says something impossible.
    #[error("the clock says {0}, for which no certificate can be made")]
    Clock(Timestamp),
    /// The certificate of the root is unreadable.
    #[error("the root's certificate is {0}")]
    Certificate(#[from] Unreadable),
    /// The key is not the certificate's.
    #[error("the root's private key does not belong to its certificate")]
    KeyMismatch,
    /// A key or a chain that TLS cannot use.
    #[error("could not use the certificate for TLS")]
    Tls(#[source] Box<dyn std::error::Error + Send + Sync>),
}

/// A root: its certificate, its private key and, around a change of root, what is trusted beside it.
pub struct Root {
    certificate: String,
    /// The certificate of the one before, whose leaves are still about.
    previous: Option<String>,
    /// This root's key, certified by the one before: for whoever trusts only that.
    cross: Option<String>,
    /// Trusted already; it signs nothing yet.
    next: Option<Box<Self>>,
    facts: Facts,
    issuer: Issuer<'static, KeyPair>,
}

impl Root {
    /// Makes a root whose life begins at `now`.
    pub fn generate(now: Timestamp) -> Result<Self, RootError> {
        let key = KeyPair::generate()?;
        // One more below it: the next root, for those who do not know that one yet.
        let params = authority(now, ROOT_LIFE, 1)?;
        let certificate = params.self_signed(&key)?.pem();
        let facts = Facts::of_pem(&certificate)?;
        let issuer = Issuer::new(params, key);
        Ok(Self { certificate, previous: None, cross: None, next: None, facts, issuer })
    }

    /// Reads a root that was stored.
    pub fn parse(certificate: &str, key: &str, previous: Option<&str>) -> Result<Self, RootError> {
        let key = KeyPair::from_pem(key)?;
        let facts = Facts::of_pem(certificate)?;
        if key.subject_public_key_info() != facts.public_key {
            return Err(RootError::KeyMismatch);
        }
        if let Some(previous) = previous {
            Facts::of_pem(previous)?;
        }
        let issuer = Issuer::from_ca_cert_pem(certificate, key)?;
        let (certificate, previous) = (certificate.to_owned(), previous.map(str::to_owned));
        Ok(Self { certificate, previous, cross: None, next: None, facts, issuer })
    }

    /// With a certificate of its key by the root before. One that is of another key is left out.
    #[must_use]
    pub fn crossed(mut self, cross: Option<&str>) -> Self {
        let is_ours = |cross: &&str| Facts::of_pem(cross).is_ok_and(|facts| facts.public_key == self.facts.public_key);
        self.cross = cross.filter(is_ours).map(str::to_owned);
        self
    }

    /// With the root that will take its place.
    #[must_use]
    pub fn announcing(mut self, next: Self) -> Self {
        self.next = Some(Box::new(next));
        self
    }

    /// The root that will take its place.
    pub fn next(&self) -> Option<&Self> {
        self.next.as_deref()
    }

    /// The certificate of the next root's key by this one; none for a root that bears another name.
    pub fn certify_next(&self, now: Timestamp) -> Result<Option<String>, RootError> {
        let Some(next) = self.next() else { return Ok(None) };
        let cross = authority(now, next.facts.not_after.duration_since(now), 0)?;
        let cross = cross.signed_by(next.issuer.key(), &self.issuer)?.pem();
        Ok(Facts::of_pem(&cross)?.is_named_as(&next.facts).then_some(cross))
    }

    /// Its certificate of the root before.
    pub fn cross_pem(&self) -> Option<&str> {
        self.cross.as_deref()
    }

    /// Its certificate, PEM.
    pub fn certificate_pem(&self) -> &str {
        &self.certificate
    }

    /// Its private key, PEM.
    pub fn key_pem(&self) -> Zeroizing<String> {
        Zeroizing::new(self.issuer.key().serialize_pem())
    }

    /// What stands in its certificate.
    pub fn facts(&self) -> &Facts {
        &self.facts
    }

    /// What others shall trust: this root, and around a change the one that comes and the one before.
    pub fn bundle_pem(&self) -> String {
        let next = self.next().map(Self::certificate_pem);
        [Some(self.certificate_pem()), next, self.previous.as_deref()].into_iter().flatten().map(with_newline).collect()
    }

    /// Issues a leaf for `names` with a fresh key. Who knows only the root before accepts it as well.
    pub fn issue(&self, names: &BTreeSet<Name>, now: Timestamp) -> Result<Leaf, RootError> {
        let key = KeyPair::generate()?;
        let common_name = names.iter().find(|name| name.to_string().len() <= 64);
        let mut params = params(&common_name.map_or_else(|| "sikkerkey".to_owned(), Name::to_string), now, LEAF_LIFE)?;
        params.subject_alt_names = names.iter().map(alternative_name).collect::<Result<_, _>>()?;
        params.is_ca = IsCa::ExplicitNoCa;
        params.use_authority_key_identifier_extension = true;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        let leaf = params.signed_by(&key, &self.issuer)?.pem();
        let facts = Facts::of_pem(&leaf)?;
        let certificate = [Some(leaf.as_str()), self.cross_pem()].into_iter().flatten().map(with_newline).collect();
        Ok(Leaf { certificate, key: Zeroizing::new(key.serialize_pem()), facts })
    }
}

impl fmt::Debug for Root {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Root").field("not_after", &self.facts.not_after).finish_non_exhaustive()
    }
}

/// A certificate, with those that lead from it to a root, and its key.
pub struct Leaf {
    certificate: String,
    key: Zeroizing<String>,
    facts: Facts,
}

impl Leaf {
    /// The certificate and those that lead to a root, PEM.
    pub fn certificate_pem(&self) -> &str {
        &self.certificate
    }

    /// The private key, PEM.
    pub fn key_pem(&self) -> &str {
        &self.key
    }

    /// What stands in the certificate.
    pub fn facts(&self) -> &Facts {
        &self.facts
    }

    /// Certificate and key, as TLS takes them: together, so that they can never be swapped one by one.
    pub fn certified_key(&self) -> Result<CertifiedKey, RootError> {
        let tls = |error: rustls_pki_types::pem::Error| RootError::Tls(Box::new(error));
        let chain =
            CertificateDer::pem_slice_iter(self.certificate.as_bytes()).collect::<Result<Vec<_>, _>>().map_err(tls)?;
        let key = PrivateKeyDer::from_pem_slice(self.key.as_bytes()).map_err(tls)?;
        let key = any_ecdsa_type(&key).map_err(|error| RootError::Tls(Box::new(error)))?;
        Ok(CertifiedKey::new(chain, key))
    }
}

impl fmt::Debug for Leaf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Leaf").field("names", &self.facts.names).finish_non_exhaustive()
    }
}

/// The public key (`SubjectPublicKeyInfo`, DER) of a private key in PEM form.
pub fn public_key_of(key_pem: &str) -> Option<Vec<u8>> {
    KeyPair::from_pem(key_pem).ok().map(|key| key.subject_public_key_info())
}

/// Of a certificate that signs others, with so many more of its kind between it and a leaf.
fn authority(now: Timestamp, life: SignedDuration, below: u8) -> Result<CertificateParams, RootError> {
    let mut params = params("SikkerKey CA", now, life)?;
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(below));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    Ok(params)
}

fn params(common_name: &str, now: Timestamp, life: SignedDuration) -> Result<CertificateParams, RootError> {
    let instant = |timestamp: Option<Timestamp>| {
        let seconds = timestamp.ok_or(RootError::Clock(now))?.as_second();
        OffsetDateTime::from_unix_timestamp(seconds).map_err(|_| RootError::Clock(now))
    };
    let mut params = CertificateParams::default();
    params.not_before = instant(now.checked_sub(SKEW).ok())?;
    params.not_after = instant(now.checked_add(life).ok())?;
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, common_name);
    Ok(params)
}

fn alternative_name(name: &Name) -> Result<SanType, RootError> {
    Ok(match name {
        Name::Dns(name) => SanType::DnsName(name.as_str().try_into()?),
        Name::Ip(address) => SanType::IpAddress(*address),
    })
}

fn with_newline(pem: &str) -> String {
    let mut pem = pem.to_owned();
    if !pem.ends_with('\n') {
        pem.push('\n');
    }
    pem
}
