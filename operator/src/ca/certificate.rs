//! What stands in a certificate, and whether it still serves. Pure.

use std::collections::BTreeSet;
use std::net::IpAddr;

use k8s_openapi::jiff::{SignedDuration, Timestamp};
use thiserror::Error;
use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::GeneralName;
use x509_parser::parse_x509_certificate;
use x509_parser::pem::parse_x509_pem;

use super::name::Name;

/// A text that holds no readable certificate.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("not a certificate in PEM form")]
pub struct Unreadable;

/// What stands in a certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Facts {
    /// Good from.
    pub not_before: Timestamp,
    /// Good until.
    pub not_after: Timestamp,
    /// For these names.
    pub names: BTreeSet<Name>,
    /// Its public key (`SubjectPublicKeyInfo`, DER).
    pub public_key: Vec<u8>,
    der: Vec<u8>,
}

impl Facts {
    /// Reads the first certificate of a PEM text.
    pub fn of_pem(pem: &str) -> Result<Self, Unreadable> {
        let (_, pem) = parse_x509_pem(pem.as_bytes()).map_err(|_| Unreadable)?;
        let (_, certificate) = parse_x509_certificate(&pem.contents).map_err(|_| Unreadable)?;
        let instant =
            |time: x509_parser::time::ASN1Time| Timestamp::from_second(time.timestamp()).map_err(|_| Unreadable);
        Ok(Self {
            not_before: instant(certificate.validity().not_before)?,
            not_after: instant(certificate.validity().not_after)?,
            names: names(&certificate)?,
            public_key: certificate.public_key().raw.to_vec(),
            der: pem.contents.clone(),
        })
    }

    /// Whether `issuer` signed this certificate.
    pub fn is_signed_by(&self, issuer: &Self) -> bool {
        let Ok((_, own)) = parse_x509_certificate(&self.der) else { return false };
        let Ok((_, issuer)) = parse_x509_certificate(&issuer.der) else { return false };
        own.issuer() == issuer.subject() && own.verify_signature(Some(issuer.public_key())).is_ok()
    }

    /// Whether both are certificates of the same name.
    pub fn is_named_as(&self, other: &Self) -> bool {
        let (own, other) = (parse_x509_certificate(&self.der), parse_x509_certificate(&other.der));
        own.is_ok_and(|(_, own)| other.is_ok_and(|(_, other)| own.subject() == other.subject()))
    }

    /// When to replace it: after two thirds of its life.
    pub fn renewal(&self) -> Timestamp {
        let life = self.not_after.duration_since(self.not_before);
        let two_thirds = SignedDuration::from_secs(life.as_secs() / 3 * 2);
        self.not_before.checked_add(two_thirds).unwrap_or(self.not_before)
    }
}

fn names(certificate: &X509Certificate<'_>) -> Result<BTreeSet<Name>, Unreadable> {
    let Some(extension) = certificate.subject_alternative_name().map_err(|_| Unreadable)? else {
        return Ok(BTreeSet::new());
    };
    let name = |name: &GeneralName<'_>| match name {
        GeneralName::DNSName(name) => Some(Name::Dns(name.to_ascii_lowercase())),
        GeneralName::IPAddress(bytes) => address(bytes).map(Name::Ip),
        _ => None,
    };
    Ok(extension.value.general_names.iter().filter_map(name).collect())
}

fn address(bytes: &[u8]) -> Option<IpAddr> {
    let four = <[u8; 4]>::try_from(bytes).map(IpAddr::from);
    let sixteen = <[u8; 16]>::try_from(bytes).map(IpAddr::from);
    four.or(sixteen).ok()
}

/// Why a certificate is issued.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    /// There is none, or none that can be read.
    Missing,
    /// Its key is another than the one beside it.
    OtherKey,
    /// Another root signed it.
    OtherRoot,
    /// It is not for all the names it must be for.
    OtherNames,
    /// Two thirds of its life are over, or it is not good yet.
    Due,
}

/// What to do about a certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It serves until then.
    Keep(Timestamp),
    /// A new one is needed.
    Issue(Why),
}

/// Whether the certificate that is there (with the public key of the private key beside it) serves for `names` under
/// `root` at `now`. Names it has beyond those do no harm.
pub fn judge(present: Option<(&Facts, &[u8])>, root: &Facts, names: &BTreeSet<Name>, now: Timestamp) -> Verdict {
    let Some((leaf, key)) = present else { return Verdict::Issue(Why::Missing) };
    if leaf.public_key != key {
        Verdict::Issue(Why::OtherKey)
    } else if !leaf.is_signed_by(root) {
        Verdict::Issue(Why::OtherRoot)
    } else if !leaf.names.is_superset(names) {
        Verdict::Issue(Why::OtherNames)
    } else if now >= leaf.renewal() || now < leaf.not_before {
        Verdict::Issue(Why::Due)
    } else {
        Verdict::Keep(leaf.renewal())
    }
}
