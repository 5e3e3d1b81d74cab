use proptest::prelude::*;

use super::*;
use crate::entropy::SystemEntropy;

fn keyring(seed: u8) -> Keyring {
    Keyring::new(Master::new("i".into(), Zeroizing::new([seed; 32])))
}

fn project(keyring: &Keyring, vault: &str, id: &str) -> Project {
    let (vault, id) = (vault.parse().unwrap(), id.parse().unwrap());
    Project {
        description: String::new(),
        created_at: None,
        wrapped_key: keyring.new_project_key(&vault, &id, &SystemEntropy).unwrap(),
        id,
        vault,
        name: "shop".into(),
        namespace: None,
        frozen: false,
    }
}

fn secret(id: &str) -> SecretId {
    id.parse().unwrap()
}

#[test]
fn the_same_value_is_never_sealed_the_same_way_twice() {
    let keyring = keyring(1);
    let project = project(&keyring, "vault_v", "proj_p");
    let seal = || keyring.seal(&project, &secret("sk_a"), 1, &SecretText::new("v".into()), &SystemEntropy).unwrap();
    let (one, other) = (seal(), seal());
    assert!(one.wrapped_key != other.wrapped_key && one.ciphertext != other.ciphertext);
}

#[test]
fn each_master_key_has_keys_of_its_own_for_each_purpose() {
    let (one, other) = (keyring(1), keyring(2));
    let macs = [one.rows(), one.audit(), other.rows(), other.audit()].map(|key| key.mac(&[b"x"]));
    for (i, mac) in macs.iter().enumerate() {
        assert!(macs.iter().skip(i + 1).all(|it| it != mac));
    }
    assert_ne!(one.check_value("i"), other.check_value("i"));
    assert_ne!(one.check_value("i"), one.check_value("j"));
}

proptest! {
    /// A row that is moved to another vault, project, secret, version or master key does not open, and neither does one in
    /// which any byte has changed.
    #[test]
    fn a_value_opens_in_its_own_place_only(value in ".{0,200}", place in 0usize..6, at in any::<prop::sample::Index>()) {
        let keyring = keyring(1);
        let home = project(&keyring, "vault_v", "proj_p");
        let (id, value) = (secret("sk_a"), SecretText::new(value));
        let sealed = keyring.seal(&home, &id, 3, &value, &SystemEntropy).unwrap();
        let opened = keyring.open(&home, &id, 3, &sealed).unwrap();
        prop_assert_eq!(opened.expose(), value.expose());
        prop_assert!(keyring.holds(&home, &id, 3, &sealed, &value).unwrap());
        prop_assert!(!keyring.holds(&home, &id, 3, &sealed, &SecretText::new("another".to_owned() + value.expose())).unwrap());

        let mut changed = sealed.clone();
        let opened = match place {
            0 => keyring.open(&home, &id, 4, &sealed),
            1 => keyring.open(&home, &secret("sk_b"), 3, &sealed),
            2 => keyring.open(&project(&keyring, "vault_v", "proj_q"), &id, 3, &sealed),
            // The same wrapped key, said to be another project's or another vault's.
            3 => keyring.open(&Project { id: "proj_q".parse().unwrap(), ..home }, &id, 3, &sealed),
            4 => keyring.open(&Project { vault: "vault_w".parse().unwrap(), ..home }, &id, 3, &sealed),
            _ => {
                let bytes = if at.index(2) == 0 { &mut changed.wrapped_key } else { &mut changed.ciphertext };
                let at = at.index(bytes.len());
                bytes[at] ^= 1;
                keyring.open(&home, &id, 3, &changed)
            }
        };
        prop_assert_eq!(opened.err(), Some(CryptoError::Open));
    }

    /// No two lists of parts have the same MAC, however their bytes are shared out.
    #[test]
    fn a_mac_tells_parts_apart(a in parts(), b in parts()) {
        let keyring = keyring(1);
        let mac = |parts: &[Vec<u8>]| keyring.rows().mac(&parts.iter().map(Vec::as_slice).collect::<Vec<_>>());
        prop_assert_eq!(a == b, mac(&a) == mac(&b));
    }
}

fn parts() -> impl Strategy<Value = Vec<Vec<u8>>> {
    prop::collection::vec(prop::collection::vec(0u8..2, 0..3), 0..3)
}

#[test]
fn what_is_sealed_anew_has_a_data_key_of_its_own_and_opens_only_as_the_version_it_is() {
    let keyring = keyring(1);
    let project = project(&keyring, "vault_v", "proj_p");
    let id = secret("sk_a");
    let text = SecretText::new(r#"{"user":"u","password":"old"}"#.into());
    let sealed = keyring.seal(&project, &id, 1, &text, &SystemEntropy).unwrap();
    let held = Version {
        vault: project.vault.clone(),
        project: project.id.clone(),
        secret: id.clone(),
        version: 1,
        time: crate::model::millis::Millis(0),
        field_names: vec!["user".into(), "password".into()],
        sealed: sealed.into(),
    };
    let again = keyring.reseal(&project, &held, 2, &BTreeMap::new(), &SystemEntropy).unwrap();
    assert_eq!(keyring.open(&project, &id, 2, &again).unwrap().expose(), text.expose());
    assert!(keyring.open(&project, &id, 1, &again).is_err());
    let data_key = |version, sealed: &Sealed| {
        let place = Place::DataKey(&project.vault, &project.id, &id, version);
        *envelope::open_key(&keyring.project_key(&project).unwrap(), place, &sealed.wrapped_key).unwrap()
    };
    assert_ne!(data_key(1, &held.sealed), data_key(2, &again));

    let replaced = BTreeMap::from([("password".to_owned(), SecretText::new("new".into()))]);
    let other = keyring.reseal(&project, &held, 2, &replaced, &SystemEntropy).unwrap();
    assert_eq!(keyring.open(&project, &id, 2, &other).unwrap().expose(), r#"{"user":"u","password":"new"}"#);
    // Fields that somebody changed beside what is sealed.
    let changed = Version { field_names: vec!["user".into()], ..held.clone() };
    let refused = keyring.reseal(&project, &changed, 2, &BTreeMap::new(), &SystemEntropy);
    assert!(matches!(refused, Err(ResealError::Crypto(CryptoError::Open))));
    let unknown = BTreeMap::from([("token".to_owned(), SecretText::new("new".into()))]);
    let refused = keyring.reseal(&project, &held, 2, &unknown, &SystemEntropy);
    assert!(matches!(refused, Err(ResealError::Value(ValueError::NoSuchField(_)))));
}
