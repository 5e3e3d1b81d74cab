//! `kubectl sikkerkey convert --seal` as a program: what it prints opens as the object that it is for.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test's helpers fail the test")]

use std::process::Command;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize as _;
use sikkerkey_crds::secret::Secret;
use sikkerkey_protocol::sealed::{self, Binding, PublishedKey, SUITE, SealingPrivateKey};

#[test]
fn sealed_values_open_as_their_own_objects() {
    let private = SealingPrivateKey::derive(&[9; 32]);
    let vault = "vault_v".parse().unwrap();
    let key = PublishedKey {
        vault: "vault_v".parse().unwrap(),
        key_id: "seal-1".to_owned(),
        suite: SUITE.to_owned(),
        public_key: private.public_key().unwrap(),
    };
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join("key.json"), serde_json::to_string(&key).unwrap()).unwrap();
    let manifests = "{apiVersion: v1, kind: Secret, metadata: {name: db}, stringData: {password: hunter2, user: shop}}\n---\n\
                     {apiVersion: v1, kind: Secret, metadata: {name: env}, data: {.env: aHVudGVyMw==}}\n";
    std::fs::write(directory.path().join("db-secret.yaml"), manifests).unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_kubectl-sikkerkey"))
        .current_dir(directory.path())
        .args(["convert", "-f", "db-secret.yaml", "-n", "shop", "--seal", "key.json", "--cluster", "prod"])
        .output()
        .unwrap();
    let told = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success(), "{told}");
    let text = String::from_utf8(output.stdout).unwrap();
    for clear in ["hunter2", "hunter3", "aHVudGVyMw=="] {
        assert!(!text.contains(clear) && !told.contains(clear), "{clear}");
    }
    let secrets = serde_yaml::Deserializer::from_str(&text).map(|it| Secret::deserialize(it).unwrap());
    let opened: Vec<_> = secrets
        .map(|secret| {
            let (name, source) = (secret.metadata.name.unwrap(), secret.spec.source.sealed.unwrap());
            let binding = Binding {
                vault: &vault,
                key_id: "seal-1",
                cluster: Some("prod"),
                namespace: "shop",
                name: Some(&name),
            };
            let content = sealed::open(&private, &binding, &STANDARD.decode(&source.ciphertext).unwrap()).unwrap();
            (name.clone(), content.value.expose().to_owned(), content.field_names)
        })
        .collect();
    let fields = vec!["password".to_owned(), "user".to_owned()];
    assert_eq!(
        opened,
        [
            ("db".to_owned(), r#"{"password":"hunter2","user":"shop"}"#.to_owned(), fields),
            ("env-env".to_owned(), "hunter3".to_owned(), vec![]),
        ]
    );
}
