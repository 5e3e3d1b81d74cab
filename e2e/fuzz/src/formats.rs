//! Up to three values, written in every format.

use std::collections::BTreeMap;

use serde_json::Value;
use sikkerkey_protocol::sync::{Format, Pkcs12};

use crate::parts::{CANARY, Given, file, parts, password as of_store, rendered};

#[path = "../../../sidecar/files/tests/read_dotenv/mod.rs"]
mod read_dotenv;

const FORMATS: [Format; 7] =
    [Format::Raw, Format::DotEnv, Format::Json, Format::Yaml, Format::Properties, Format::Ini, Format::Pkcs12];

/// Writes the values in every format, and reads them back where a reader is small enough to stand here.
pub fn run(data: &[u8]) {
    let mut parts = parts(data).into_iter();
    let mut value = || format!("{}{CANARY}", parts.next().unwrap_or_default());
    let (v, username, password) = (value(), value(), value());
    let given = [Given::plain("v", &v), Given::structured("db", &[("username", &username), ("password", &password)])];
    let mut raw = Given::plain("v", &v);
    raw.input.alias = None;
    let raw = [raw];
    if let Err(error) = store(false, &raw) {
        assert!(!error.contains(CANARY), "an error tells a value: {error}");
    }
    for format in FORMATS {
        let inputs: &[Given] = if format == Format::Raw { &raw } else { &given };
        let written =
            if format == Format::Pkcs12 { store(true, inputs) } else { rendered(&file(format, inputs), inputs) };
        let content = match written {
            Ok(content) => content,
            Err(error) => {
                assert!(!error.contains(CANARY), "an error tells a value: {error}");
                continue;
            }
        };
        match format {
            Format::Raw => assert_eq!(content, v.as_bytes()),
            Format::DotEnv => {
                let expected = [("v", &v), ("db_USERNAME", &username), ("db_PASSWORD", &password)];
                let expected = expected.map(|(name, value)| (name.to_owned(), value.clone())).to_vec();
                assert_eq!(read_dotenv::read(&text(content)), Some(expected));
            }
            Format::Json => same(serde_json::from_slice(&content).ok().as_ref(), &v, &username, &password),
            Format::Yaml => same(serde_yaml::from_slice(&content).ok().as_ref(), &v, &username, &password),
            // What reads these is tested beside what writes them.
            Format::Properties | Format::Ini | Format::Pkcs12 | Format::Template => {}
        }
    }
}

/// A store of the certificates in the values, or of the one value's key with its certificates.
fn store(trust_store: bool, inputs: &[Given]) -> Result<Vec<u8>, String> {
    let mut file = file(Format::Pkcs12, inputs);
    file.pkcs12 = Some(Pkcs12 { trust_store, alias: None, password: of_store() });
    rendered(&file, inputs)
}

/// The store that a key makes with its certificates, or why it makes none.
#[cfg(test)]
pub(crate) fn key_store(data: &[u8]) -> Result<Vec<u8>, String> {
    let value = format!("{}{CANARY}", parts(data).into_iter().next().unwrap_or_default());
    store(false, &[Given::plain("v", &value)])
}

fn text(content: Vec<u8>) -> String {
    String::from_utf8(content).unwrap_or_default()
}

fn same(document: Option<&Value>, v: &str, username: &str, password: &str) {
    let fields = BTreeMap::from([("username", username), ("password", password)]);
    let expected = serde_json::json!({"v": v, "db": fields});
    assert_eq!(document, Some(&expected));
}
