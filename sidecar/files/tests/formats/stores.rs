//! PKCS#12: which key and certificates are taken, what is refused, and that a store stays as it is.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use proptest::prelude::*;
use sha2::{Digest, Sha256};
use sikkerkey_protocol::sync::File;

use crate::bench::{Secrets, input, store};

macro_rules! tls {
    ($name:literal) => {
        include_str!(concat!("../fixtures/tls/", $name))
    };
}

const ROOT: &str = tls!("root.crt");
const INTERMEDIATE: &str = tls!("intermediate.crt");

fn secrets() -> Secrets {
    Secrets::default().plain("store", "changeit")
}

fn key_store() -> File {
    store(false, None, vec![input("tls", None, None)])
}

fn trust_store() -> File {
    store(true, None, vec![input("tls", None, None)])
}

/// Another certificate of the same key: the same one but for its signature, which nothing here checks.
fn resigned(certificate: &str) -> String {
    let body: String = certificate.lines().filter(|line| !line.starts_with('-')).collect();
    let mut der = STANDARD.decode(body).unwrap();
    *der.last_mut().unwrap() ^= 1;
    format!("-----BEGIN CERTIFICATE-----\n{}\n-----END CERTIFICATE-----\n", STANDARD.encode(der))
}

fn problem(file: &File, secrets: &Secrets) -> String {
    let text = secrets.render(file).unwrap_err().to_string();
    text.strip_prefix("cannot be written: Secret shop/tls ").unwrap_or(&text).to_owned()
}

#[test]
fn a_key_store_needs_one_key_and_its_certificate() {
    let (key, own) = (tls!("ec.key"), tls!("ec.crt"));
    let twice = format!("{own}{}", own.replace("-----\n", "-----\r\n"));
    let cut = own.split_at(200).0.to_owned();
    let damaged = own.replacen("MII", "M-I", 1);
    let no_certificate = "-----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----\n";
    let no_key = "-----BEGIN PRIVATE KEY-----\nMAA=\n-----END PRIVATE KEY-----\n";
    let unknown = "-----BEGIN DSA PRIVATE KEY-----\nMAA=\n-----END DSA PRIVATE KEY-----\n";
    let chain = format!("{own}{INTERMEDIATE}{ROOT}");
    for (key, certificates, expected) in [
        (key, &*chain, None),
        (key, &*twice, None),
        (tls!("ec-sec1.key"), &*chain, None),
        (tls!("ec-no-public.key"), &*chain, None),
        (tls!("ec-no-public.key"), own, None),
        (tls!("ec-no-public.key"), &*format!("{}{own}", tls!("rsa.crt")), None),
        (tls!("rsa.key"), tls!("rsa.crt"), None),
        (tls!("rsa-pkcs1.key"), tls!("rsa.crt"), None),
        (tls!("ed25519.key"), tls!("ed25519.crt"), None),
        ("", own, Some("holds no private key in PEM: a KeyStore needs one, beside its certificate")),
        (key, "", Some("holds no certificate in PEM")),
        (key, &*format!("{chain}{}", tls!("ec-sec1.key")), None),
        (
            key,
            tls!("rsa.key"),
            Some(
                "holds several private keys: a KeyStore takes one, so name the field that has it with its certificates",
            ),
        ),
        (key, &*format!("{ROOT}{INTERMEDIATE}"), Some("holds no certificate that belongs to its private key")),
        (tls!("rsa.key"), own, Some("holds no certificate that belongs to its private key")),
        (tls!("ed25519.key"), tls!("rsa.crt"), Some("holds no certificate that belongs to its private key")),
        (
            tls!("ec-no-public.key"),
            &*format!("{own}{}", resigned(own)),
            Some(
                "holds a private key without its public half, and several certificates that might be its own: write the key anew with openssl ec",
            ),
        ),
        (
            tls!("ec-encrypted.key"),
            own,
            Some("holds a private key with a passphrase: take it off with openssl pkcs8 -topk8 -nocrypt"),
        ),
        (
            tls!("rsa-encrypted.key"),
            own,
            Some("holds a private key with a passphrase: take it off with openssl pkcs8 -topk8 -nocrypt"),
        ),
        (unknown, own, Some("holds a private key of an unknown kind: convert it with openssl pkcs8 -topk8 -nocrypt")),
        (no_key, own, Some("holds a private key that cannot be read: convert it with openssl pkcs8 -topk8 -nocrypt")),
        (key, no_certificate, Some("holds a certificate that cannot be read: set it anew")),
        (key, &*cut, Some("holds a PEM block that is cut off or damaged: set it anew, from -----BEGIN to the end")),
        (key, &*damaged, Some("holds a PEM block that is cut off or damaged: set it anew, from -----BEGIN to the end")),
    ] {
        let secrets = secrets().structured("tls", &[("ca.crt", ROOT), ("tls.crt", certificates), ("tls.key", key)]);
        // The root is there all the same: without it where certificates are missing.
        let secrets = if certificates.is_empty() { self::secrets().plain("tls", key) } else { secrets };
        match expected {
            None => drop(secrets.render(&key_store()).unwrap()),
            Some(expected) => assert_eq!(problem(&key_store(), &secrets), expected),
        }
    }
}

#[test]
fn a_key_of_several_certificates_does_not_choose() {
    let other = resigned(tls!("ec.crt"));
    let secrets = secrets().plain("tls", &format!("{}{}{other}", tls!("ec.key"), tls!("ec.crt")));
    let expected = "holds several certificates that belong to its private key: leave the one to be shown";
    assert_eq!(problem(&key_store(), &secrets), expected);
}

#[test]
fn a_trust_store_takes_every_certificate_and_no_key() {
    let secrets = secrets().plain("tls", tls!("ec.key"));
    assert_eq!(problem(&trust_store(), &secrets), "holds no certificate in PEM");
}

#[test]
fn a_password_is_what_java_takes_and_is_not_told() {
    let render = |secrets: &Secrets| secrets.render(&trust_store()).map(drop).map_err(|error| error.to_string());
    let with = |password: &str| Secrets::default().plain("tls", ROOT).plain("store", password);
    let expected = "cannot be written: the password in Secret shop/store is empty or has characters other than printable \
                    ASCII, such as a line break at its end, which Java does not take: set it anew";
    for password in ["", "hunter2\n", "hünter2", "\u{1f511}", "a\tb", "\u{7f}"] {
        assert_eq!(render(&with(password)), Err(expected.to_owned()), "{password:?}");
    }
    render(&with("a b~!\"\\")).unwrap();
    let fields = Secrets::default().plain("tls", ROOT).structured("store", &[("a", "x"), ("b", "y")]);
    let expected =
        "needs a password from Secret shop/store, which has fields (a, b): name one with passwordRef.field".to_owned();
    assert_eq!(render(&fields), Err(expected));
}

/// A change here changes the file of every running pod at its sidecar's next update.
#[test]
fn a_store_of_the_same_secrets_is_the_same_one_everywhere() {
    let hash = |file: &File, password: &str, fields: &[(&str, &str)]| {
        let secrets = Secrets::default().plain("store", password).structured("tls", fields);
        let content = secrets.render(file).unwrap();
        assert_eq!(content, secrets.render(file).unwrap());
        STANDARD.encode(Sha256::digest(&*content))
    };
    let fields = [("ca.crt", ROOT), ("tls.crt", tls!("ec.crt")), ("tls.key", tls!("ec.key"))];
    assert_eq!(hash(&key_store(), "changeit", &fields), "ItXLD+zAqc6eXehAsvmqf58K1hg8UTlbxgJ53j/++jM=");
    assert_eq!(hash(&trust_store(), "changeit", &fields), "HZ4fx2CzewUf5HilHjqTnfKI5ZzUINOlmmDGyRU7KEY=");
    assert_ne!(hash(&key_store(), "changeit2", &fields), hash(&key_store(), "changeit", &fields));
    assert_ne!(
        hash(&store(false, Some("x"), key_store().inputs), "changeit", &fields),
        hash(&key_store(), "changeit", &fields)
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn hostile_pem_is_refused_and_never_panics(
        cut in 0usize..3000, flip in 0usize..3000, byte in any::<u8>(), noise in "[-A-Za-z \n=]{0,40}",
    ) {
        let whole = format!("{}{}{noise}", tls!("rsa.key"), tls!("rsa.crt"));
        let mut bytes = whole.into_bytes();
        let length = bytes.len();
        bytes[flip % length] = byte & 0x7f;
        bytes.truncate(length - cut % length);
        let secrets = secrets().plain("tls", std::str::from_utf8(&bytes).unwrap());
        drop(secrets.render(&key_store()));
        drop(secrets.render(&trust_store()));
    }
}
