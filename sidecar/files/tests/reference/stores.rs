//! Java, keytool and OpenSSL open PKCS#12 stores.

use std::process::Command;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use sikkerkey_protocol::sync::{File, Format};

use crate::bench::{Secrets, input, store};
use crate::java::{is_java_there, java};
use crate::outside::{is_there, run};
use crate::readme;

macro_rules! tls {
    ($name:literal) => {
        include_str!(concat!("../fixtures/tls/", $name))
    };
}

const ROOT: &str = tls!("root.crt");
const INTERMEDIATE: &str = tls!("intermediate.crt");

/// A store, its password, and what is in it: aliases with whether it is a key, and certificates.
struct Case {
    file: File,
    fields: Vec<(&'static str, String)>,
    password: &'static str,
    /// As openssl writes it.
    key: Option<&'static str>,
    entries: Vec<(&'static str, Vec<&'static str>)>,
}

impl Case {
    fn content(&self) -> Vec<u8> {
        let secrets = Secrets::default().plain("store", self.password).structured("tls", &self.fields);
        secrets.render(&self.file).unwrap().to_vec()
    }
}

fn cases() -> Vec<Case> {
    let tls = |alias| vec![input("tls", None, alias)];
    // As `kubernetes.io/tls` has them: sorted by name, the authority first.
    let fields = |key: &str, own: &str| {
        vec![("ca.crt", ROOT.to_owned()), ("tls.crt", format!("{own}{INTERMEDIATE}")), ("tls.key", key.to_owned())]
    };
    let key_store = |file, key: &'static str, own: &'static str, written: &'static str, alias, password| Case {
        file,
        fields: fields(key, own),
        password,
        key: Some(written),
        entries: vec![(alias, vec![own, INTERMEDIATE, ROOT])],
    };
    let (rsa, ec) = (tls!("rsa.key"), tls!("ec.key"));
    let all_printable =
        " !\"#$%&'()*+,-./0123456789:;<=>?@ABCDEFGHIJKLMNOPQRSTUVWXYZ[\\]^_`abcdefghijklmnopqrstuvwxyz{|}~";
    let trusted = format!("{INTERMEDIATE}\nnote\n{ROOT}{INTERMEDIATE}");
    vec![
        key_store(store(false, None, tls(None)), rsa, tls!("rsa.crt"), rsa, "tls", "changeit"),
        key_store(store(false, Some("web"), tls(None)), tls!("rsa-pkcs1.key"), tls!("rsa.crt"), rsa, "web", "x"),
        key_store(store(false, None, tls(Some("web"))), ec, tls!("ec.crt"), ec, "web", all_printable),
        key_store(store(false, Some("é ö"), tls(None)), tls!("ec-sec1.key"), tls!("ec.crt"), ec, "é ö", "changeit"),
        key_store(
            store(false, None, tls(None)),
            tls!("ec-no-public.key"),
            tls!("ec.crt"),
            tls!("ec-no-public.key"),
            "tls",
            "changeit",
        ),
        key_store(
            store(false, None, tls(None)),
            tls!("ed25519.key"),
            tls!("ed25519.crt"),
            tls!("ed25519.key"),
            "tls",
            "changeit",
        ),
        Case {
            file: store(false, None, vec![input("tls", Some("all"), None)]),
            fields: vec![("all", format!("# mine\r\n{}{rsa}", tls!("rsa.crt"))), ("other", "x".to_owned())],
            password: "changeit",
            key: Some(rsa),
            entries: vec![("tls", vec![tls!("rsa.crt")])],
        },
        Case {
            file: store(true, None, vec![input("tls", None, Some("CA"))]),
            fields: vec![("bundle", trusted), ("key", rsa.to_owned())],
            password: "changeit",
            key: None,
            entries: vec![("ca", vec![INTERMEDIATE]), ("ca-2", vec![ROOT])],
        },
        Case {
            file: store(true, Some("a"), vec![input("tls", Some("one"), None), input("tls", Some("two"), None)]),
            fields: vec![("one", ROOT.to_owned()), ("two", tls!("rsa.crt").to_owned())],
            password: "changeit",
            key: None,
            entries: vec![("a", vec![ROOT]), ("a-2", vec![tls!("rsa.crt")])],
        },
    ]
}

fn der(pem: &str) -> Vec<u8> {
    let body: String = pem.lines().filter(|line| !line.starts_with('-')).collect();
    STANDARD.decode(body).unwrap()
}

#[test]
fn java_opens_every_store() {
    if !is_java_there("java_opens_every_store") {
        return;
    }
    let cases = cases();
    let contents: Vec<_> = cases.iter().map(Case::content).collect();
    let parts: Vec<_> =
        cases.iter().zip(&contents).flat_map(|(case, content)| [case.password.as_bytes(), content]).collect();
    let mut printed = java("ReadStores", cases.len(), &parts);
    for case in &cases {
        let mut read = vec![];
        for _ in 0..printed.number() {
            let alias = printed.text();
            assert_eq!(printed.flag(), case.key.is_some(), "{alias}");
            let certificates: Vec<_> = (0..printed.number()).map(|_| printed.bytes()).collect();
            read.push((alias, certificates));
        }
        let expected = case.entries.iter().map(|(alias, certificates)| {
            ((*alias).to_owned(), certificates.iter().map(|pem| der(pem)).collect::<Vec<_>>())
        });
        assert_eq!(read, expected.collect::<Vec<_>>());
    }
    assert!(printed.is_over());
}

#[test]
fn openssl_opens_every_store() {
    if !is_there("openssl_opens_every_store", "openssl", &["version"], "openssl") {
        return;
    }
    for case in cases() {
        let directory = tempfile::tempdir().unwrap();
        let (path, password) = (directory.path().join("store.p12"), directory.path().join("password"));
        std::fs::write(&path, case.content()).unwrap();
        std::fs::write(&password, case.password).unwrap();
        let mut openssl = Command::new("openssl");
        openssl.args(["pkcs12", "-nodes", "-in"]).arg(&path).arg("-passin").arg(format!("file:{}", password.display()));
        // It prints aliases as Latin-1.
        let printed = run(&mut openssl);
        let printed = String::from_utf8_lossy(&printed);
        let blocks = |label: &str| {
            let (begin, end) = (format!("-----BEGIN {label}-----\n"), format!("-----END {label}-----"));
            let blocks = printed.split(&begin).skip(1).map(|rest| der(rest.split(&end).next().unwrap()));
            blocks.collect::<Vec<_>>()
        };
        let expected: Vec<_> = case.entries.iter().flat_map(|(_, pems)| pems.iter().map(|pem| der(pem))).collect();
        assert_eq!(blocks("CERTIFICATE"), expected);
        let key = blocks("PRIVATE KEY");
        assert_eq!(key.len(), usize::from(case.key.is_some()));
        if let (Some(key), Some(expected)) = (key.first(), case.key) {
            assert_eq!(*key, der(expected));
        }
    }
}

#[test]
fn keytool_lists_what_the_readme_says() {
    if !is_java_there("keytool_lists_what_the_readme_says") {
        return;
    }
    let examples = readme::examples().into_iter().filter(|(file, _)| file.format == Format::Pkcs12);
    let mut seen = 0;
    for (file, lines) in examples {
        seen += 1;
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join(&file.path);
        std::fs::write(&path, readme::secrets().render(&file).unwrap()).unwrap();
        let mut keytool = Command::new("keytool");
        keytool.args(["-list", "-storepass", "changeit", "-J-Duser.language=en", "-keystore"]).arg(&path);
        let printed = String::from_utf8(run(&mut keytool)).unwrap();
        // An entry is `alias, date, kind, `, and the date has a comma.
        let entries = printed.lines().filter(|line| line.contains("Entry")).map(|line| {
            let parts: Vec<_> = line.trim_end_matches([',', ' ']).split(", ").collect();
            format!("{}, {}", parts[0], parts[parts.len() - 1])
        });
        assert_eq!(entries.collect::<Vec<_>>(), lines, "{printed}");
    }
    assert!(seen >= 2, "a KeyStore and a TrustStore stand in crds/README.md");
}
