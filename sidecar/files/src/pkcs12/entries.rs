//! From inputs to what a store holds.

use std::collections::BTreeSet;

use der::Decode;
use sikkerkey_protocol::secret_text::SecretText;
use sikkerkey_protocol::sync::Pkcs12;
use x509_cert::certificate::{CertificateInner, Raw, TbsCertificateInner};
use x509_cert::ext::pkix::BasicConstraints;
use zeroize::Zeroizing;

use super::StoreProblem;
use super::key::PrivateKey;
use super::pem;
use crate::{FileError, Source, fields, names};

/// What a store holds.
pub(super) struct Contents {
    /// Alias and PKCS#8.
    pub(super) key: Option<(String, Zeroizing<Vec<u8>>)>,
    /// The key's own comes first.
    pub(super) certificates: Vec<Certificate>,
}

pub(super) struct Certificate {
    /// Under which it is trusted; none in a chain.
    pub(super) alias: Option<String>,
    pub(super) der: Vec<u8>,
}

/// What a `KeyStore` holds.
pub(super) fn key_and_chain(settings: &Pkcs12, source: Source<'_>) -> Result<Contents, FileError> {
    let problem = |problem| refused(source, problem);
    let found = Found::read(source)?;
    let mut keys = found.keys.into_iter();
    let key = keys.next().ok_or_else(|| problem(StoreProblem::NoKey))?;
    if keys.next().is_some() {
        return Err(problem(StoreProblem::SeveralKeys));
    }
    let own = own_certificate(&key, &found.certificates).map_err(problem)?;
    Ok(Contents {
        key: Some((name(settings, source).to_owned(), key.pkcs8)),
        certificates: chain(own, found.certificates).map(|der| Certificate { alias: None, der }).collect(),
    })
}

/// The certificate of number `own`, the one that signs it, and so on, then those that have no part in it.
fn chain(own: usize, mut certificates: Vec<(Vec<u8>, Parsed)>) -> impl Iterator<Item = Vec<u8>> {
    let mut chain: Vec<(Vec<u8>, Parsed)> = vec![];
    let mut next = Some(own);
    while let Some(number) = next {
        let certificate = certificates.remove(number);
        let issuer = certificate.1.tbs_certificate().issuer();
        next = certificates.iter().position(|(_, parsed)| parsed.tbs_certificate().subject() == issuer);
        chain.push(certificate);
    }
    chain.into_iter().chain(certificates).map(|(der, _)| der)
}

/// What a `TrustStore` holds.
pub(super) fn trusted(settings: &Pkcs12, sources: &[Source<'_>]) -> Result<Contents, FileError> {
    let mut certificates: Vec<Certificate> = vec![];
    let mut aliases = BTreeSet::new();
    for source in sources {
        let found = Found::read(*source)?;
        let name = name(settings, *source);
        if found.certificates.is_empty() {
            return Err(refused(*source, StoreProblem::NoCertificate));
        }
        for (der, _) in found.certificates {
            if certificates.iter().any(|known| known.der == der) {
                continue;
            }
            let mut alias = name.to_owned();
            let mut number = 1;
            while !aliases.insert(alias.to_lowercase()) {
                number += 1;
                alias = format!("{name}-{number}");
            }
            certificates.push(Certificate { alias: Some(alias), der });
        }
    }
    Ok(Contents { key: None, certificates })
}

fn name<'a>(settings: &'a Pkcs12, source: Source<'a>) -> &'a str {
    settings.alias.as_deref().unwrap_or_else(|| names::own(source.input))
}

type Parsed = CertificateInner<Raw>;

/// What one input holds.
#[derive(Default)]
struct Found {
    /// Each once.
    keys: Vec<PrivateKey>,
    /// Each once, in their order.
    certificates: Vec<(Vec<u8>, Parsed)>,
}

impl Found {
    fn read(source: Source<'_>) -> Result<Self, FileError> {
        let texts: Vec<SecretText> = if let Some(field) = &source.input.field {
            vec![fields::one(source, field)?]
        } else if source.field_names.is_empty() {
            vec![source.text.clone()]
        } else {
            fields::all(source)?.into_iter().map(|(_, text)| text).collect()
        };
        let mut found = Self::default();
        for text in &texts {
            found.take(text.expose()).map_err(|problem| refused(source, problem))?;
        }
        Ok(found)
    }

    fn take(&mut self, text: &str) -> Result<(), StoreProblem> {
        for block in pem::blocks(text)? {
            if matches!(block.label, "CERTIFICATE" | "X509 CERTIFICATE") {
                let der = block.der()?.to_vec();
                let parsed = Parsed::from_der(&der).map_err(|_| StoreProblem::Certificate)?;
                if self.certificates.iter().all(|(known, _)| *known != der) {
                    self.certificates.push((der, parsed));
                }
            } else if block.label.ends_with("PRIVATE KEY") {
                let key = PrivateKey::parse(&block)?;
                // cert-manager, for one, writes it a second time together with the certificate.
                if self.keys.iter().all(|known| known.pkcs8 != key.pkcs8) {
                    self.keys.push(key);
                }
            }
        }
        Ok(())
    }
}

fn refused(source: Source<'_>, problem: StoreProblem) -> FileError {
    FileError::Store { secret: source.input.secret.clone(), problem }
}

/// Which certificate belongs to `key`.
fn own_certificate(key: &PrivateKey, certificates: &[(Vec<u8>, Parsed)]) -> Result<usize, StoreProblem> {
    if certificates.is_empty() {
        return Err(StoreProblem::NoCertificate);
    }
    let numbered = || certificates.iter().map(|(_, parsed)| parsed.tbs_certificate()).enumerate();
    let (mut own, mut may_be) = (vec![], vec![]);
    for (number, certificate) in numbered() {
        match key.fits(certificate.subject_public_key_info()) {
            Some(true) => own.push(number),
            Some(false) => {}
            None => may_be.push((number, certificate)),
        }
    }
    let is_unclear = !may_be.is_empty();
    if is_unclear {
        let signs_another = |number, subject| numbered().any(|(other, it)| other != number && it.issuer() == subject);
        may_be.retain(|(number, certificate)| !signs_another(*number, certificate.subject()));
        if may_be.len() > 1 {
            may_be.retain(|(_, certificate)| !is_authority(certificate));
        }
        own = may_be.into_iter().map(|(number, _)| number).collect();
    }
    match (own.as_slice(), is_unclear) {
        ([own], _) => Ok(*own),
        (_, true) => Err(StoreProblem::Unclear),
        ([], false) => Err(StoreProblem::OtherCertificates),
        (_, false) => Err(StoreProblem::SeveralCertificates),
    }
}

fn is_authority(certificate: &TbsCertificateInner<Raw>) -> bool {
    matches!(certificate.get_extension::<BasicConstraints>(), Ok(Some((_, constraints))) if constraints.ca)
}
