use super::*;
use crate::refusal::RefusalKind;
use crate::usecase::admin::sealing_key;
use crate::usecase::fixture::*;

#[test]
fn the_first_who_asks_makes_the_key_and_everybody_after_gets_the_same() {
    let mut bench = Bench::new();
    let vault: VaultId = "vault_v".parse().unwrap();
    let by = || Entry::new(Action::SealingKeyCreate, crate::audit::entry::Actor::System);
    let first = bench.run(|it| publish(it, &vault, by())).unwrap();
    assert_eq!(bench.actions(), [Action::SealingKeyCreate]);
    assert_eq!(bench.audit[0].detail, format!("sealing key {}", first.key_id));
    assert!(first.key_id.starts_with("seal-2026-03-"), "{}", first.key_id);
    assert_eq!(bench.run(|it| sealing_key::show(it, &vault)).unwrap(), first);
    assert_eq!((bench.changes, bench.audit.len()), (0, 0));
}

#[test]
fn a_rotation_publishes_another_key_at_once_and_forgets_none() {
    let mut bench = Bench::new();
    let vault: VaultId = "vault_v".parse().unwrap();
    let keys: Vec<_> = (0..3).map(|_| bench.run(|it| sealing_key::rotate(it, &vault)).unwrap()).collect();
    let detail = format!("sealing key {}, in the place of {}", keys[2].key_id, keys[1].key_id);
    assert_eq!(bench.audit[0].detail, detail);
    assert_eq!(bench.run(|it| sealing_key::show(it, &vault)).unwrap(), keys[2]);
    let held: Vec<_> = bench.state.sealing_keys_of(&vault).into_iter().map(SealingKey::published).collect();
    assert_eq!(held, [keys[2].clone(), keys[1].clone(), keys[0].clone()]);
    for key in bench.state.sealing_keys.values() {
        let private = bench.keyring.sealing_key(key).unwrap();
        assert_eq!(private.public_key().unwrap(), key.public_key);
    }
}

#[test]
fn a_wrapped_key_opens_in_its_own_place_only() {
    let mut bench = Bench::new();
    let vault: VaultId = "vault_v".parse().unwrap();
    bench.run(|it| sealing_key::rotate(it, &vault)).unwrap();
    let key = bench.state.sealing_keys.values().next().unwrap();
    let mut changed = key.clone();
    changed.wrapped_key[20] ^= 1;
    for other in [
        SealingKey { vault: "vault_w".parse().unwrap(), ..key.clone() },
        SealingKey { id: "seal-1".into(), ..key.clone() },
        changed,
    ] {
        assert_eq!(bench.keyring.sealing_key(&other).err(), Some(crate::crypto::CryptoError::Open), "{other:?}");
    }
}

#[test]
fn a_vault_that_is_not_there_has_no_key() {
    let mut bench = Bench::new();
    let vault: VaultId = "vault_nowhere".parse().unwrap();
    let text = "there is no vault vault_nowhere: vault list shows them";
    refused(bench.run(|it| sealing_key::show(it, &vault)), RefusalKind::NotFound, None, text);
    refused(bench.run(|it| sealing_key::rotate(it, &vault)), RefusalKind::NotFound, None, text);
}
