//! A private key, and which certificates are its own.

use der::asn1::{Any, AnyRef, BitStringRef, ObjectIdentifier, OctetStringRef, UintRef};
use der::{Decode, Encode, Header, Sequence, SliceReader};
use ed25519_dalek::SigningKey;
use pkcs8::{AlgorithmIdentifierRef, PrivateKeyInfoRef};
use x509_cert::spki::{AlgorithmIdentifierOwned, SubjectPublicKeyInfoOwned};
use zeroize::Zeroizing;

use super::StoreProblem;
use super::pem::Block;

const RSA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.1");
const RSA_PSS: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.10");
const EC: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.2.1");
const ED25519: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.101.112");

/// A private key in PKCS#8, version 1, which is the one that every Java reads.
pub(super) struct PrivateKey {
    pub(super) pkcs8: Zeroizing<Vec<u8>>,
    public: Public,
}

/// The public half of a key.
#[derive(PartialEq)]
enum Public {
    /// What stands in the bit string of a certificate.
    Bits(Vec<u8>),
    /// Modulus and exponent.
    Rsa(Vec<u8>, Vec<u8>),
    /// The private key does not say; it is one of this algorithm.
    Unknown(AlgorithmIdentifierOwned),
}

/// RFC 5915.
#[derive(Sequence)]
struct EcPrivateKey<'a> {
    version: u8,
    private_key: &'a OctetStringRef,
    #[asn1(context_specific = "0", tag_mode = "EXPLICIT", optional = "true")]
    curve: Option<ObjectIdentifier>,
    #[asn1(context_specific = "1", tag_mode = "EXPLICIT", optional = "true")]
    public_key: Option<BitStringRef<'a>>,
}

/// RFC 8017.
#[derive(Sequence)]
struct RsaPublicKey<'a> {
    modulus: UintRef<'a>,
    exponent: UintRef<'a>,
}

impl PrivateKey {
    /// Reads a block whose label says that it is one.
    pub(super) fn parse(block: &Block<'_>) -> Result<Self, StoreProblem> {
        if block.label == "ENCRYPTED PRIVATE KEY" || block.is_encrypted() {
            return Err(StoreProblem::KeyEncrypted);
        }
        let der = block.der()?;
        let parsed = match block.label {
            "PRIVATE KEY" => Self::from_pkcs8(&der),
            "RSA PRIVATE KEY" => OctetStringRef::new(&der).and_then(|key| Self::new(RSA, Some(AnyRef::NULL), key)),
            "EC PRIVATE KEY" => Self::from_sec1(&der),
            _ => return Err(StoreProblem::KeyUnknown),
        };
        parsed.map_err(|_| StoreProblem::Key)
    }

    fn from_pkcs8(der: &[u8]) -> der::Result<Self> {
        let info = PrivateKeyInfoRef::try_from(der).map_err(|_| der::ErrorKind::Failed)?;
        Self::new(info.algorithm.oid, info.algorithm.parameters, info.private_key)
    }

    fn from_sec1(der: &[u8]) -> der::Result<Self> {
        let mut key = EcPrivateKey::from_der(der)?;
        // PKCS#8 has it outside.
        let curve = key.curve.take().ok_or(der::ErrorKind::Failed)?;
        Self::new(EC, Some(AnyRef::from(&curve)), OctetStringRef::new(&encoded(&key)?)?)
    }

    fn new(oid: ObjectIdentifier, parameters: Option<AnyRef<'_>>, key: &OctetStringRef) -> der::Result<Self> {
        let unknown = || {
            let parameters = parameters.map(|any| Any::encode_from(&any)).transpose()?;
            der::Result::Ok(Public::Unknown(AlgorithmIdentifierOwned { oid, parameters }))
        };
        let public = match oid {
            RSA | RSA_PSS => rsa_public(key.as_bytes())?,
            EC => {
                let key = EcPrivateKey::from_der(key.as_bytes())?;
                key.public_key.map_or_else(unknown, |bits| Ok(Public::Bits(bits.raw_bytes().to_vec())))?
            }
            ED25519 => {
                let seed = <&OctetStringRef>::from_der(key.as_bytes())?.as_bytes();
                let seed = seed.try_into().map_err(|_| der::ErrorKind::Failed)?;
                Public::Bits(SigningKey::from_bytes(seed).verifying_key().to_bytes().to_vec())
            }
            _ => unknown()?,
        };
        let info = PrivateKeyInfoRef::new(AlgorithmIdentifierRef { oid, parameters }, key);
        Ok(Self { pkcs8: encoded(&info)?, public })
    }

    /// Whether `spki` is its public half; none if it does not say.
    pub(super) fn fits(&self, spki: &SubjectPublicKeyInfoOwned) -> Option<bool> {
        let bits = spki.subject_public_key.raw_bytes();
        match &self.public {
            Public::Unknown(algorithm) => (spki.algorithm != *algorithm).then_some(false),
            Public::Bits(own) => Some(own == bits),
            own @ Public::Rsa(..) => {
                let theirs = RsaPublicKey::from_der(bits).ok();
                Some(theirs.is_some_and(|key| *own == rsa(key.modulus, key.exponent)))
            }
        }
    }
}

fn encoded(key: &impl Encode) -> der::Result<Zeroizing<Vec<u8>>> {
    // Room for all of it, so that nothing moves.
    let mut der = Zeroizing::new(Vec::with_capacity(usize::try_from(key.encoded_len()?)?));
    key.encode_to_vec(&mut der)?;
    Ok(der)
}

/// Of an `RSAPrivateKey`, whose second and third members it is.
fn rsa_public(der: &[u8]) -> der::Result<Public> {
    let mut reader = SliceReader::new(der)?;
    Header::decode(&mut reader)?;
    u8::decode(&mut reader)?;
    Ok(rsa(UintRef::decode(&mut reader)?, UintRef::decode(&mut reader)?))
}

fn rsa(modulus: UintRef<'_>, exponent: UintRef<'_>) -> Public {
    Public::Rsa(modulus.as_bytes().to_vec(), exponent.as_bytes().to_vec())
}
