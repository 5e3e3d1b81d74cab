//! Writes a store (RFC 7292).

use der::asn1::{Any, BmpString, ObjectIdentifier, OctetString, SetOfVec};
use der::{Encode, ErrorKind};
use hmac::{Hmac, KeyInit, Mac};
use pkcs5::pbes2;
use pkcs12::cms::content_info::{CmsVersion, ContentInfo};
use pkcs12::cms::encrypted_data::EncryptedData;
use pkcs12::cms::enveloped_data::EncryptedContentInfo;
use pkcs12::kdf::{Pkcs12KeyType, derive_key};
use pkcs12::pbe_params::EncryptedPrivateKeyInfo;
use pkcs12::pfx::{Pfx, Version};
use pkcs12::{
    CertBag, DigestInfo, MacData, PKCS_12_CERT_BAG_OID, PKCS_12_PKCS8_KEY_BAG_OID, PKCS_12_X509_CERT_OID, SafeBag,
};
use sha2::{Digest, Sha256};
use x509_cert::attr::{Attribute, Attributes};
use x509_cert::spki::AlgorithmIdentifierOwned;
use zeroize::Zeroizing;

use super::entries::{Certificate, Contents};
use crate::Content;

/// Java's own number.
const ROUNDS: u32 = 10_000;
const BLOCK: usize = 16;

const DATA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.7.1");
const ENCRYPTED_DATA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.7.6");
const FRIENDLY_NAME: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.9.20");
const LOCAL_KEY_ID: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.9.21");
const SHA256: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.16.840.1.101.3.4.2.1");
/// By which Java knows a certificate that is trusted by itself, and not one of a chain.
const TRUSTED_KEY_USAGE: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.16.840.1.113894.746875.1.1");
const ANY_USAGE: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.37.0");

/// The store of `contents` under `password`, which is of printable ASCII.
pub(super) fn write(contents: &Contents, password: &str) -> der::Result<Content> {
    let salts = Salts::new(contents, password);
    let mut safes = vec![];
    let key_id = contents.certificates.first().map(|own| Sha256::digest(&own.der));
    let key_id = key_id.as_ref().and_then(|digest| digest.get(..20)).filter(|_| contents.key.is_some());
    if let Some((alias, pkcs8)) = &contents.key {
        let (encryption_algorithm, encrypted) = encrypt(pkcs8, password, &salts, "private key")?;
        let info = EncryptedPrivateKeyInfo { encryption_algorithm, encrypted_data: OctetString::new(encrypted)? };
        let bag = SafeBag {
            bag_id: PKCS_12_PKCS8_KEY_BAG_OID,
            bag_value: info.to_der()?,
            bag_attributes: Some(attributes(Some(alias), key_id, false)?),
        };
        let bags = OctetString::new(vec![bag].to_der()?)?;
        safes.push(ContentInfo { content_type: DATA, content: Any::encode_from(&bags)? });
    }
    let key_alias = contents.key.as_ref().map(|(alias, _)| alias.as_str());
    let certificates = contents.certificates.iter().enumerate();
    let bags = certificates.map(|(number, certificate)| match number {
        0 if key_id.is_some() => certificate_bag(certificate, key_alias, key_id),
        _ => certificate_bag(certificate, None, None),
    });
    let bags = bags.collect::<der::Result<Vec<_>>>()?.to_der()?;
    let (content_enc_alg, encrypted) = encrypt(&bags, password, &salts, "certificates")?;
    let encrypted = EncryptedData {
        version: CmsVersion::V0,
        enc_content_info: EncryptedContentInfo {
            content_type: DATA,
            content_enc_alg,
            encrypted_content: Some(OctetString::new(encrypted)?),
        },
        unprotected_attrs: None,
    };
    safes.push(ContentInfo { content_type: ENCRYPTED_DATA, content: Any::encode_from(&encrypted)? });

    let safes = safes.to_der()?;
    let mac_data = Some(authenticate(&safes, password, &salts)?);
    let auth_safe = ContentInfo { content_type: DATA, content: Any::encode_from(&OctetString::new(safes)?)? };
    Ok(Zeroizing::new(Pfx { version: Version::V3, auth_safe, mac_data }.to_der()?))
}

fn certificate_bag(certificate: &Certificate, name: Option<&str>, key_id: Option<&[u8]>) -> der::Result<SafeBag> {
    let bag = CertBag { cert_id: PKCS_12_X509_CERT_OID, cert_value: OctetString::new(certificate.der.as_slice())? };
    let is_trusted = certificate.alias.is_some();
    let attributes = attributes(certificate.alias.as_deref().or(name), key_id, is_trusted)?;
    Ok(SafeBag {
        bag_id: PKCS_12_CERT_BAG_OID,
        bag_value: bag.to_der()?,
        bag_attributes: (!attributes.is_empty()).then_some(attributes),
    })
}

fn attributes(name: Option<&str>, key_id: Option<&[u8]>, is_trusted: bool) -> der::Result<Attributes> {
    let mut attributes = Attributes::new();
    let mut add = |oid, value| {
        let mut values = SetOfVec::new();
        values.insert(value)?;
        attributes.insert(Attribute { oid, values })
    };
    if let Some(name) = name {
        add(FRIENDLY_NAME, Any::encode_from(&BmpString::from_utf8(name)?)?)?;
    }
    if let Some(key_id) = key_id {
        add(LOCAL_KEY_ID, Any::encode_from(&OctetString::new(key_id)?)?)?;
    }
    if is_trusted {
        add(TRUSTED_KEY_USAGE, Any::encode_from(&ANY_USAGE)?)?;
    }
    Ok(attributes)
}

/// PBES2 as RFC 8018 has it. The one copy of `plain` becomes the ciphertext.
fn encrypt(
    plain: &[u8],
    password: &str,
    salts: &Salts,
    part: &str,
) -> der::Result<(AlgorithmIdentifierOwned, Vec<u8>)> {
    let parameters =
        pbes2::Parameters::generate_pbkdf2_sha256_aes256cbc(ROUNDS, &salts.of(part, "salt")?, salts.of(part, "iv")?)
            .map_err(|_| ErrorKind::Failed)?;
    let mut buffer = Zeroizing::new(Vec::with_capacity(plain.len() + BLOCK));
    buffer.extend_from_slice(plain);
    buffer.resize(plain.len() + BLOCK, 0);
    let encrypted = parameters.encrypt_in_place(password, &mut buffer, plain.len()).map_err(|_| ErrorKind::Failed)?;
    let algorithm =
        AlgorithmIdentifierOwned { oid: pbes2::PBES2_OID, parameters: Some(Any::encode_from(&parameters)?) };
    Ok((algorithm, encrypted.to_vec()))
}

fn authenticate(data: &[u8], password: &str, salts: &Salts) -> der::Result<MacData> {
    let salt = salts.of("authentication", "salt")?;
    // UTF-16 with an end, which of ASCII is a zero before each character.
    let mut wide = Zeroizing::new(Vec::with_capacity(2 * password.len() + 2));
    password.bytes().chain([0]).for_each(|b| wide.extend_from_slice(&[0, b]));
    let rounds = i32::try_from(ROUNDS).map_err(|_| ErrorKind::Failed)?;
    let key = Zeroizing::new(derive_key::<Sha256>(&wide, &salt, Pkcs12KeyType::Mac, rounds, 32));
    let mut mac = Hmac::<Sha256>::new_from_slice(&key).map_err(|_| ErrorKind::Failed)?;
    mac.update(data);
    Ok(MacData {
        mac: DigestInfo {
            algorithm: AlgorithmIdentifierOwned { oid: SHA256, parameters: Some(Any::null()) },
            digest: OctetString::new(mac.finalize().into_bytes().as_slice())?,
        },
        mac_salt: OctetString::new(salt)?,
        iterations: rounds,
    })
}

/// Salts and initialization vectors that are the same for the same contents and password, and for no others.
struct Salts(Zeroizing<[u8; 32]>);

impl Salts {
    fn new(contents: &Contents, password: &str) -> Self {
        let mut digest = Sha256::new();
        let mut part = |bytes: &[u8]| {
            digest.update((bytes.len() as u64).to_be_bytes());
            digest.update(bytes);
        };
        part(b"SikkerKey PKCS#12 contents");
        if let Some((alias, pkcs8)) = &contents.key {
            part(b"key");
            part(alias.as_bytes());
            part(pkcs8);
        }
        for certificate in &contents.certificates {
            part(b"certificate");
            part(certificate.alias.as_deref().unwrap_or_default().as_bytes());
            part(&certificate.der);
        }
        let digest = digest.finalize();
        let mut seed = Zeroizing::new([0; 32]);
        pbkdf2::pbkdf2_hmac::<Sha256>(password.as_bytes(), &digest, ROUNDS, seed.as_mut());
        Self(seed)
    }

    fn of(&self, part: &str, purpose: &str) -> der::Result<[u8; BLOCK]> {
        let mut mac = Hmac::<Sha256>::new_from_slice(self.0.as_ref()).map_err(|_| ErrorKind::Failed)?;
        mac.update(format!("SikkerKey PKCS#12 {part} {purpose}").as_bytes());
        let mut bytes = [0; BLOCK];
        bytes.iter_mut().zip(mac.finalize().into_bytes()).for_each(|(to, from)| *to = from);
        Ok(bytes)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn contents(key: Option<(&str, &[u8])>, certificates: &[(Option<&str>, &[u8])]) -> Contents {
        let certificates =
            certificates.iter().map(|(alias, der)| Certificate { alias: alias.map(Into::into), der: der.to_vec() });
        Contents {
            key: key.map(|(alias, pkcs8)| (alias.to_owned(), Zeroizing::new(pkcs8.to_vec()))),
            certificates: certificates.collect(),
        }
    }

    #[test]
    fn no_salt_is_used_for_two_things() {
        let of = |contents: &Contents, password: &str| {
            let salts = Salts::new(contents, password);
            let parts = ["private key", "certificates", "authentication"];
            parts.map(|part| ["salt", "iv"].map(|purpose| salts.of(part, purpose).unwrap()))
        };
        let chain = contents(Some(("a", b"key")), &[(None, b"one"), (None, b"two")]);
        assert_eq!(of(&chain, "pw"), of(&chain, "pw"));
        let all = [
            of(&chain, "pw"),
            of(&chain, "pw2"),
            of(&contents(Some(("b", b"key")), &[(None, b"one"), (None, b"two")]), "pw"),
            of(&contents(Some(("a", b"key2")), &[(None, b"one"), (None, b"two")]), "pw"),
            of(&contents(Some(("a", b"key")), &[(None, b"onet"), (None, b"wo")]), "pw"),
            of(&contents(Some(("a", b"key")), &[(None, b"one")]), "pw"),
            of(&contents(None, &[(None, b"one"), (None, b"two")]), "pw"),
            of(&contents(None, &[(Some("x"), b"one"), (None, b"two")]), "pw"),
        ];
        let distinct: BTreeSet<_> = all.iter().flatten().flatten().collect();
        assert_eq!(distinct.len(), all.len() * 6);
    }
}
