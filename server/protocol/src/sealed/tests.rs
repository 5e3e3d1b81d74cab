use proptest::prelude::*;
use serde_json::json;

use super::*;

fn vault(name: &str) -> VaultId {
    format!("vault_{name}").parse().unwrap()
}

fn private(n: u8) -> SealingPrivateKey {
    SealingPrivateKey::derive(&[n; KEY])
}

fn content(value: &str, field_names: &[&str]) -> Content {
    Content {
        sealed_at: 1_795_000_000_123,
        field_names: field_names.iter().map(|it| (*it).to_owned()).collect(),
        value: SecretText::new(value.to_owned()),
    }
}

/// The same bytes in each run.
fn fill(bytes: &mut [u8]) {
    bytes.fill(7);
}

fn bytes(hex: &str) -> Vec<u8> {
    hex.as_bytes().chunks(2).map(|it| u8::from_str_radix(str::from_utf8(it).unwrap(), 16).unwrap()).collect()
}

fn parts(content: &Content) -> (i64, &[String], &str) {
    (content.sealed_at, &content.field_names, content.value.expose())
}

/// A vector. It was made by another implementation from RFC 9180 and the table of this module.
struct Golden {
    cluster: Option<&'static str>,
    name: Option<&'static str>,
    value: &'static str,
    fields: &'static [&'static str],
    hex: &'static str,
}

const GOLDEN: [Golden; 3] = [
    Golden {
        cluster: Some("prod"),
        name: Some("stripe-key"),
        value: "hunter2",
        fields: &[],
        hex: include_str!("golden/name.hex"),
    },
    Golden {
        cluster: None,
        name: Some("stripe-key"),
        value: "hunter2",
        fields: &[],
        hex: include_str!("golden/any_cluster.hex"),
    },
    Golden {
        cluster: Some("prod"),
        name: None,
        value: r#"{"user":"shop","password":"hunter2"}"#,
        fields: &["user", "password"],
        hex: include_str!("golden/namespace.hex"),
    },
];

#[test]
fn golden_vectors_are_sealed_and_open_to_the_same_bytes() {
    let (vault, key) = (vault("v"), private(1));
    let public = key.public_key().unwrap();
    assert_eq!(public.to_string(), "QYUjIP82dJX6UiyUy4OvOR5OiQGDknJbvyCY3ZMbxCQ=");
    for Golden { cluster, name, value, fields, hex } in GOLDEN {
        let binding = Binding { vault: &vault, key_id: "seal-1", cluster, namespace: "shop", name };
        let content = content(value, fields);
        let sealed = seal(&public, &binding, &content, fill).unwrap();
        assert_eq!(sealed, bytes(hex.trim()), "{binding:?}");
        assert_eq!(parts(&open(&key, &binding, &sealed).unwrap()), parts(&content));
    }
}

#[test]
fn the_bytes_are_those_of_the_table() {
    let vault = vault("v");
    let binding = Binding { vault: &vault, key_id: "k", cluster: Some("c"), namespace: "n", name: None };
    assert_eq!(binding.info(), b"\0\x13sikkerkey-sealed-v1\0\x07vault_v\0\x01k");
    assert_eq!(binding.associated_data(), b"\x01\0\x01c\0\x01n\0");
    let named = Binding { cluster: None, name: Some("db"), ..binding };
    assert_eq!(named.associated_data(), b"\0\0\x01n\x01\0\x02db");
    let content = Content { sealed_at: 258, ..content("xy", &["a"]) };
    let mut expected = b"\x01\0\0\0\0\0\0\x01\x02\0\x01\0\x01a\0\0\0\x02xy".to_vec();
    expected.resize(64, 0);
    assert_eq!(*content.encode().unwrap(), expected);
}

#[test]
fn what_is_sealed_for_any_cluster_opens_in_each_and_what_is_for_one_does_not() {
    let (vault, key) = (vault("v"), private(1));
    let public = key.public_key().unwrap();
    let one = Binding { vault: &vault, key_id: "k", cluster: Some("prod"), namespace: "shop", name: Some("db") };
    let any = Binding { cluster: None, ..one };
    let other = Binding { cluster: Some("test"), ..one };
    let for_any = seal(&public, &any, &content("x", &[]), fill).unwrap();
    for binding in [one, other, any] {
        assert_eq!(open(&key, &binding, &for_any).unwrap().value.expose(), "x");
    }
    let for_one = seal(&public, &one, &content("x", &[]), fill).unwrap();
    assert_eq!(open(&key, &one, &for_one).unwrap().value.expose(), "x");
    for binding in [other, any] {
        assert_eq!(open(&key, &binding, &for_one).unwrap_err(), OpenError::Elsewhere);
    }
}

#[test]
fn a_password_is_as_long_as_any_other_in_the_ciphertext() {
    let (vault, key) = (vault("v"), private(1));
    let binding = Binding { vault: &vault, key_id: "k", cluster: None, namespace: "n", name: None };
    let length = |n| seal(&key.public_key().unwrap(), &binding, &content(&"x".repeat(n), &[]), fill).unwrap().len();
    assert_eq!((length(1), length(49), length(50)), (MIN_CIPHERTEXT, MIN_CIPHERTEXT, MIN_CIPHERTEXT + BLOCK));
}

#[test]
fn what_is_too_large_is_not_sealed_and_the_largest_value_with_all_its_fields_is() {
    let (vault, key) = (vault("v"), private(1));
    let binding = Binding { vault: &vault, key_id: "k", cluster: None, namespace: "n", name: None };
    let public = key.public_key().unwrap();
    let names: Vec<String> = (0..64).map(|n| format!("{n:063}")).collect();
    let largest = Content { field_names: names, ..content(&"x".repeat(12 * 1024), &[]) };
    let sealed = seal(&public, &binding, &largest, fill).unwrap();
    assert_eq!(parts(&open(&key, &binding, &sealed).unwrap()), parts(&largest));
    assert!(STANDARD.encode(&sealed).len() <= 24 * 1024);
    assert_eq!(STANDARD.encode(vec![0; MAX_CIPHERTEXT]).len(), 24 * 1024);
    let refused = seal(&public, &binding, &content(&"x".repeat(MAX_CIPHERTEXT), &[]), fill);
    assert_eq!(refused.unwrap_err(), SealError::TooLarge);
}

#[test]
fn a_size_that_cannot_be_one_is_told_apart() {
    let (vault, key) = (vault("v"), private(1));
    let binding = Binding { vault: &vault, key_id: "k", cluster: None, namespace: "n", name: None };
    for length in [0, 31, MIN_CIPHERTEXT - 1, MAX_CIPHERTEXT + 1] {
        assert_eq!(open(&key, &binding, &vec![9; length]).unwrap_err(), OpenError::Size, "{length}");
    }
    assert_eq!(open(&key, &binding, &[0; MIN_CIPHERTEXT]).unwrap_err(), OpenError::Elsewhere, "a key of small order");
}

#[test]
fn a_key_of_small_order_is_sealed_to_by_nobody() {
    let vault = vault("v");
    let binding = Binding { vault: &vault, key_id: "k", cluster: None, namespace: "n", name: None };
    let refused = seal(&SealingPublicKey([0; KEY]), &binding, &content("x", &[]), fill);
    assert_eq!(refused.unwrap_err(), SealError::Key);
}

/// What somebody with the public key can put together by hand, sealed well.
#[test]
fn a_plaintext_that_was_put_together_otherwise_is_refused() {
    let good = content("xy", &["a"]).encode().unwrap();
    let changed = |change: fn(&mut Vec<u8>)| {
        let mut bytes = good.to_vec();
        change(&mut bytes);
        Content::decode(&bytes).unwrap_err()
    };
    assert_eq!(changed(|it| it[0] = 2), OpenError::Format(2));
    assert_eq!(changed(Vec::clear), OpenError::Content);
    assert_eq!(changed(|it| it.truncate(20)), OpenError::Content, "cut");
    assert_eq!(changed(|it| it[63] = 1), OpenError::Content, "padding");
    assert_eq!(changed(|it| it.extend([0; 64])), OpenError::Content, "more padding than there is need for");
    assert_eq!(changed(|it| it.extend([0; 1])), OpenError::Content, "no multiple");
    assert_eq!(changed(|it| it[9..11].fill(255)), OpenError::Content, "more fields than there are bytes");
    assert_eq!(changed(|it| it[14] = 255), OpenError::Content, "longer than there are bytes");
    assert_eq!(changed(|it| it[18] = 0xff), OpenError::Content, "no UTF-8");
}

#[test]
fn a_published_key_is_a_small_json_file() {
    let key = PublishedKey {
        vault: vault("v"),
        key_id: "seal-1".to_owned(),
        suite: SUITE.to_owned(),
        public_key: private(1).public_key().unwrap(),
    };
    let json = serde_json::to_value(&key).unwrap();
    let expected = json!({"vaultID": "vault_v", "keyID": "seal-1",
        "suite": "DHKEM-X25519-HKDF-SHA256/HKDF-SHA256/AES-256-GCM",
        "publicKey": "QYUjIP82dJX6UiyUy4OvOR5OiQGDknJbvyCY3ZMbxCQ="});
    assert_eq!(json, expected);
    assert_eq!(serde_json::from_value::<PublishedKey>(json).unwrap(), key);
    assert_eq!("AAAA".parse::<SealingPublicKey>(), Err(SealingKeyError));
}

#[test]
fn nothing_of_a_private_key_or_a_value_is_printed() {
    let (key, content) = (private(1), content("hunter2", &["a"]));
    assert_eq!(format!("{key:?}"), "SealingPrivateKey");
    assert!(!format!("{content:?}").contains("hunter2"));
}

#[derive(Clone, Debug, PartialEq)]
struct Owned {
    vault: VaultId,
    key_id: String,
    cluster: Option<String>,
    namespace: String,
    name: Option<String>,
}

impl Owned {
    fn binding(&self) -> Binding<'_> {
        Binding {
            vault: &self.vault,
            key_id: &self.key_id,
            cluster: self.cluster.as_deref(),
            namespace: &self.namespace,
            name: self.name.as_deref(),
        }
    }
}

fn bindings() -> impl Strategy<Value = Owned> {
    let name = || "[ab]{1,3}";
    (name(), name(), proptest::option::of(name()), name(), proptest::option::of(name())).prop_map(
        |(vault, key_id, cluster, namespace, name)| Owned {
            vault: self::vault(&vault),
            key_id,
            cluster,
            namespace,
            name,
        },
    )
}

proptest! {
    #[test]
    fn what_is_sealed_opens_to_itself(
        binding in bindings(), sealed_at: i64, value in "\\PC{0,200}", fields in prop::collection::vec("[a-z]{1,9}", 0..5)
    ) {
        let key = private(3);
        let content = Content { sealed_at, field_names: fields, value: SecretText::new(value) };
        let sealed = seal(&key.public_key().unwrap(), &binding.binding(), &content, fill).unwrap();
        let opened = open(&key, &binding.binding(), &sealed).unwrap();
        prop_assert_eq!(parts(&opened), parts(&content));
    }

    #[test]
    fn any_other_place_and_any_other_key_opens_nothing(sealed_for in bindings(), opened_as in bindings(), n in 1u8..4) {
        let sealed = seal(&private(1).public_key().unwrap(), &sealed_for.binding(), &content("x", &[]), fill).unwrap();
        let for_any_cluster = Owned { cluster: opened_as.cluster.clone(), ..sealed_for.clone() };
        let fits = opened_as == sealed_for || (sealed_for.cluster.is_none() && opened_as == for_any_cluster);
        let opened = open(&private(n), &opened_as.binding(), &sealed);
        prop_assert_eq!(opened.map(drop), if fits && n == 1 { Ok(()) } else { Err(OpenError::Elsewhere) });
    }

    #[test]
    fn a_changed_byte_opens_nothing(place in any::<prop::sample::Index>(), change in 1u8..) {
        let (vault, key) = (vault("v"), private(1));
        let binding = Binding { vault: &vault, key_id: "k", cluster: Some("c"), namespace: "n", name: Some("x") };
        let mut sealed = seal(&key.public_key().unwrap(), &binding, &content("x", &[]), fill).unwrap();
        let place = place.index(sealed.len());
        sealed[place] ^= change;
        // X25519 ignores the highest bit of a key (RFC 7748), but HPKE takes the key as it was sent into its secret.
        prop_assert_eq!(open(&key, &binding, &sealed).unwrap_err(), OpenError::Elsewhere);
    }

    #[test]
    fn nonsense_is_refused(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        let vault = vault("v");
        let binding = Binding { vault: &vault, key_id: "k", cluster: None, namespace: "n", name: None };
        open(&private(1), &binding, &bytes).unwrap_err();
        Content::decode(&bytes).map(drop).unwrap_or_default();
    }
}
