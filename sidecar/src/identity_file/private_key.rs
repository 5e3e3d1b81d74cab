//! `private.pem`: an Ed25519 key in PKCS#8 as RFC 8410 has it, version 1, unencrypted.
//!
//! That is one encoding of 48 bytes, of which the last 32 are the key. Any other is refused, also those that some SDKs
//! read: .NET's would take the last 32 bytes of whatever there is for the key.

use rustls_pki_types::PrivatePkcs8KeyDer;
use rustls_pki_types::pem::{Error, PemObject};
use sikkerkey_protocol::key::MachineKey;
use zeroize::Zeroizing;

/// `SEQUENCE { INTEGER 0, SEQUENCE { OID 1.3.101.112 }, OCTET STRING { OCTET STRING of 32 bytes } }` up to the key.
const HEAD: [u8; 16] = [0x30, 0x2e, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x04, 0x22, 0x04, 0x20];
/// `SEQUENCE { OID 1.3.101.112 }`: Ed25519.
const ALGORITHM: [u8; 7] = [0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70];
/// `INTEGER 1`: version 2, which may carry the public key behind the private one.
const VERSION_2: [u8; 3] = [0x02, 0x01, 0x01];

/// Why a file holds no key that can be used. Nothing of the file is in the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PrivateKeyError {
    /// No PEM, or PEM of something else.
    #[error(
        "it holds no PEM block of the label PRIVATE KEY: it should be what openssl genpkey -algorithm Ed25519 writes"
    )]
    NoKey,
    /// A PEM block that ends too early or is no base64.
    #[error("its PEM block is damaged: restore the file, or bootstrap this machine anew")]
    Damaged,
    /// A passphrase would be needed.
    #[error("the key is encrypted: store it without a passphrase, readable by its owner alone")]
    Encrypted,
    /// RSA, or another curve.
    #[error("the key is not an Ed25519 key: a machine's key is")]
    NotEd25519,
    /// PKCS#8 version 2.
    #[error(
        "the key is PKCS#8 version 2, with its public key: write it anew with openssl pkey -in OLD -out NEW, which writes \
         version 1"
    )]
    Version2,
    /// PKCS#8 that is no key.
    #[error("the key is not one of 32 bytes in PKCS#8 version 1: restore the file, or bootstrap this machine anew")]
    Malformed,
}

/// Reads the key of a PEM text.
pub(super) fn parse(pem: &[u8]) -> Result<MachineKey, PrivateKeyError> {
    let der = match PrivatePkcs8KeyDer::from_pem_slice(pem) {
        Ok(der) => Zeroizing::new(der),
        Err(Error::NoItemsFound) => return Err(other_block(pem)),
        Err(_) => return Err(PrivateKeyError::Damaged),
    };
    let der = der.secret_pkcs8_der();
    let seed: Option<&[u8; 32]> = der.strip_prefix(&HEAD).and_then(|seed| seed.try_into().ok());
    match seed {
        Some(seed) => Ok(MachineKey::from_seed(&Zeroizing::new(*seed))),
        None => Err(other_encoding(der)),
    }
}

fn other_block(pem: &[u8]) -> PrivateKeyError {
    let has = |label: &str| pem.windows(label.len()).any(|window| window == label.as_bytes());
    if has("-----BEGIN ENCRYPTED PRIVATE KEY-----") {
        PrivateKeyError::Encrypted
    } else if has(" PRIVATE KEY-----") {
        PrivateKeyError::NotEd25519
    } else {
        PrivateKeyError::NoKey
    }
}

fn other_encoding(der: &[u8]) -> PrivateKeyError {
    // The outer SEQUENCE has a length of one to three bytes; the version and the algorithm follow at once.
    let has = |part: &[u8], upto: usize| {
        der.get(..der.len().min(upto)).is_some_and(|head| head.windows(part.len()).any(|window| window == part))
    };
    if !has(&ALGORITHM, 16) {
        PrivateKeyError::NotEd25519
    } else if has(&VERSION_2, 8) {
        PrivateKeyError::Version2
    } else {
        PrivateKeyError::Malformed
    }
}

#[cfg(test)]
mod tests {
    use base64::Engine;
    use base64::engine::general_purpose::STANDARD;
    use sikkerkey_protocol::canonical::string_to_sign;

    use super::*;

    /// `protocol.md` 2.6: the key of the bytes 00 to 1f.
    const BODY: &str = "MC4CAQAwBQYDK2VwBCIEIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f";

    fn pem(label: &str, body: &str) -> String {
        format!("-----BEGIN {label}-----\n{body}\n-----END {label}-----\n")
    }

    fn der(change: impl FnOnce(&mut Vec<u8>)) -> String {
        let mut der = STANDARD.decode(BODY).unwrap();
        change(&mut der);
        pem("PRIVATE KEY", &STANDARD.encode(der))
    }

    #[test]
    fn the_key_of_the_protocol_signs_the_vectors_of_the_protocol() {
        let key = parse(pem("PRIVATE KEY", BODY).as_bytes()).unwrap();
        assert_eq!(key.public_key().to_string(), "A6EHv/POEL4dcN0Y50vAmWfk1jCbpQ1fHdyGZBJVMbg=");
        for (method, path, body, signature) in [
            (
                "GET",
                "/v1/secret/sk_a1b2c3d4e5",
                "",
                "WMI5naFwk1+xqOKsukrTFsCqnoCXIfLlGIwPWUplNEyLt7hqlpSlxcA7Pcvs6ywWJwvlQ7PFHVUBgzRFPocYAw==",
            ),
            (
                "POST",
                "/v1/secrets/list",
                r#"{"projectId":"proj_x9y8z7w6v5"}"#,
                "G06MZ3JXP7pMuZPu3zqU8khcAdt3IWnAl9d6Ac1NWh6RRs4p8eeXkglby6g7BHkGTYeDWUiitcwX0bjtvUIQCA==",
            ),
        ] {
            let message = string_to_sign(method, path, "1711468800", "AAAAAAAAAAAAAAAAAAAAAA==", body.as_bytes());
            assert_eq!(key.sign(&message).to_string(), signature);
        }
    }

    #[test]
    fn white_space_and_a_public_key_around_the_block_change_nothing() {
        let public = pem("PUBLIC KEY", "MCowBQYDK2VwAyEAA6EHv/POEL4dcN0Y50vAmWfk1jCbpQ1fHdyGZBJVMbg=");
        for text in [
            pem("PRIVATE KEY", BODY).trim_end().to_owned(),
            pem("PRIVATE KEY", BODY).replace('\n', "\r\n"),
            format!("{public}\n{}", pem("PRIVATE KEY", BODY)),
        ] {
            let key = parse(text.as_bytes()).unwrap();
            assert_eq!(key.public_key().to_string(), "A6EHv/POEL4dcN0Y50vAmWfk1jCbpQ1fHdyGZBJVMbg=", "{text}");
        }
    }

    #[test]
    fn any_other_form_is_refused_by_name() {
        use PrivateKeyError as E;
        let version_2 = der(|der| {
            der[1] = 0x51;
            der[4] = 1;
            der.extend([0x81, 0x21, 0]);
            der.extend([7; 32]);
        });
        // An RSA key and a P-256 key as `openssl genpkey` begins them, cut short: their algorithm is what counts.
        let rsa = "MIICdgIBADANBgkqhkiG9w0BAQEFAASCAmAwggJcAgEAAoGBAKq7";
        let p256 = "MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQg";
        let x25519 = der(|der| der[11] = 0x6e);
        for (text, error) in [
            (String::new(), E::NoKey),
            (BODY.to_owned(), E::NoKey),
            (pem("CERTIFICATE", BODY), E::NoKey),
            (pem("ENCRYPTED PRIVATE KEY", BODY), E::Encrypted),
            (pem("RSA PRIVATE KEY", BODY), E::NotEd25519),
            (pem("EC PRIVATE KEY", BODY), E::NotEd25519),
            (pem("OPENSSH PRIVATE KEY", BODY), E::NotEd25519),
            (pem("PRIVATE KEY", rsa), E::NotEd25519),
            (pem("PRIVATE KEY", p256), E::NotEd25519),
            (x25519, E::NotEd25519),
            (version_2, E::Version2),
            (format!("-----BEGIN PRIVATE KEY-----\n{BODY}\n"), E::Damaged),
            (pem("PRIVATE KEY", "MC4CAQAw*QYDK2VwBCIEIAAB"), E::Damaged),
            (der(|der| der.truncate(40)), E::Malformed),
            (der(|der| der.push(0)), E::Malformed),
            (der(|der| der[15] = 0x1f), E::Malformed),
            (pem("PRIVATE KEY", ""), E::NotEd25519),
        ] {
            assert_eq!(parse(text.as_bytes()).unwrap_err(), error, "{text}");
            let said = error.to_string();
            assert!(!said.contains("AAECAwQF") && !said.contains("MC4C"), "{said}");
        }
    }
}
