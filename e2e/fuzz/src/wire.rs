//! A message of any kind, or what is no JSON: headers, keys and a sealed value.

use std::sync::LazyLock;

use serde::Serialize;
use serde::de::DeserializeOwned;
use sikkerkey_protocol::header::SignedHeaders;
use sikkerkey_protocol::id::VaultId;
use sikkerkey_protocol::key::PublicKey;
use sikkerkey_protocol::sealed::{Binding, Content, SealingPrivateKey, SealingPublicKey, open, seal};
use sikkerkey_protocol::secret_text::SecretText;
use sikkerkey_protocol::{enrolment, kubernetes, report, sync};

/// Reads the bytes as everything that they could be.
pub fn run(data: &[u8]) {
    if !data.starts_with(b"{") {
        headers(&String::from_utf8_lossy(data));
        sealed(data);
        return;
    }
    message::<sync::Sync>(data);
    message::<sync::Synced>(data);
    message::<enrolment::Attest>(data);
    message::<enrolment::Register>(data);
    message::<enrolment::Renew>(data);
    message::<report::Report>(data);
    if let Ok(report) = serde_json::from_slice::<report::Report>(data) {
        assert!(report.message.starts_with(report.reason.gist(&report.message)));
    }
    message::<kubernetes::ApplyMachine>(data);
    message::<kubernetes::ApplySecret>(data);
    message::<kubernetes::ApplyGrant>(data);
    message::<kubernetes::ApplyPolicy>(data);
    message::<kubernetes::Delete>(data);
}

/// What is read is written as it was read.
fn message<T: Serialize + DeserializeOwned>(data: &[u8]) {
    let Ok(read) = serde_json::from_slice::<T>(data) else { return };
    let written = serde_json::to_vec(&read);
    assert!(written.is_ok(), "what was read cannot be written");
    let text = written.unwrap_or_default();
    let again = serde_json::from_slice::<T>(&text).and_then(|it| serde_json::to_vec(&it));
    assert_eq!(again.ok(), Some(text), "what was written is read as something else");
}

fn headers(text: &str) {
    let mut lines = text.split('\n');
    let (id, timestamp, nonce, signature) = (lines.next(), lines.next(), lines.next(), lines.next());
    if let Ok(parsed) = SignedHeaders::parse(id, timestamp, nonce, signature) {
        assert_eq!(Some(parsed.timestamp_text.as_str()), timestamp);
        assert_eq!(Some(parsed.nonce.as_str()), nonce);
        let _ = parsed.is_fresh(1_800_000_000);
        let parts = [parsed.machine_id.to_string(), parsed.timestamp_text.clone(), parsed.nonce.clone()];
        let [id, timestamp, nonce] = parts.each_ref().map(|it| Some(it.as_str()));
        assert_eq!(SignedHeaders::parse(id, timestamp, nonce, signature), Ok(parsed));
    }
    for line in text.lines() {
        let _ = line.parse::<PublicKey>();
        if let Ok(key) = line.parse::<SealingPublicKey>() {
            assert_eq!(key.to_string().parse(), Ok(key));
        }
    }
}

static KEY: LazyLock<SealingPrivateKey> = LazyLock::new(|| SealingPrivateKey::derive(&[7; 32]));

fn sealed(data: &[u8]) {
    let Ok(vault) = "vault_0123456789abcdef".parse::<VaultId>() else { return };
    let binding = Binding { vault: &vault, key_id: "k", cluster: Some("c"), namespace: "shop", name: Some("db") };
    assert!(open(&KEY, &binding, data).is_err(), "what nobody sealed was opened");
    let Ok(public) = KEY.public_key() else { return };
    let (names, value) = data.split_at(data.len() / 2);
    let names = String::from_utf8_lossy(names);
    let content = Content {
        sealed_at: 1,
        field_names: names.split('\n').map(str::to_owned).collect(),
        value: SecretText::new(String::from_utf8_lossy(value).into_owned()),
    };
    let Ok(mut ciphertext) = seal(&public, &binding, &content, |bytes| bytes.fill(9)) else { return };
    let opened = open(&KEY, &binding, &ciphertext).map(|it| (it.field_names, it.value.expose().to_owned()));
    assert_eq!(opened, Ok((content.field_names.clone(), content.value.expose().to_owned())));
    let elsewhere = Binding { name: Some("other"), ..binding };
    assert!(open(&KEY, &elsewhere, &ciphertext).is_err(), "it opened for another object");
    if let Some(byte) = ciphertext.get_mut(data.len() % 90) {
        *byte ^= 1;
        assert!(open(&KEY, &binding, &ciphertext).is_err(), "it opened although it was altered");
    }
}
