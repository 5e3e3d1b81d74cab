use zeroize::Zeroizing;

use super::*;
use crate::entropy::SystemEntropy;

fn root(seed: u8) -> RootKey {
    RootKey::from_bytes(Zeroizing::new([seed; 32]))
}

fn keyring() -> Keyring {
    Keyring::new(Master::new("installation".into(), Zeroizing::new([7; 32])))
}

async fn wrapped_by(seed: u8) -> WrappedMaster {
    let wrapped = keyring().wrap_master(&root(seed), &SystemEntropy).await.unwrap();
    WrappedMaster::decode(&wrapped.encode().unwrap()).unwrap()
}

#[tokio::test]
async fn every_root_key_that_wraps_it_opens_the_same_master_key() {
    let (one, other) = (wrapped_by(1).await, wrapped_by(2).await);
    assert_ne!(one.by, other.by);
    for (wrapped, seed) in [(&one, 1), (&other, 2)] {
        let opened = wrapped.open(&root(seed)).await.unwrap();
        assert_eq!(opened.rows().mac(&[b"x"]), keyring().rows().mac(&[b"x"]));
    }
    assert!(matches!(one.open(&root(2)).await, Err(MasterError::WrongRootKey)));
    assert!(matches!(other.open(&root(1)).await, Err(MasterError::WrongRootKey)));
}

#[tokio::test]
async fn what_was_changed_does_not_open_under_the_right_key() {
    let good = wrapped_by(1).await;
    let other = Keyring::new(Master::new("other".into(), Zeroizing::new([8; 32])));
    let other = other.wrap_master(&root(1), &SystemEntropy).await.unwrap();
    for changed in [
        WrappedMaster { installation: "other".into(), ..good.clone() },
        WrappedMaster { wrapped: other.wrapped.clone(), ..good.clone() },
        WrappedMaster { check: other.check.clone(), ..good.clone() },
        WrappedMaster { wrapped: String::new(), ..good.clone() },
        WrappedMaster { wrapped: "*".into(), ..good.clone() },
    ] {
        assert!(matches!(changed.open(&root(1)).await, Err(MasterError::Damaged)), "{changed:?}");
    }
    assert!(matches!(WrappedMaster::decode("{}"), Err(MasterError::Damaged)));
}

#[tokio::test]
async fn the_stored_form_gives_nothing_of_a_key_away() {
    let text = wrapped_by(1).await.encode().unwrap();
    for key in [[1; 32], [7; 32]] {
        assert!(!text.contains(&STANDARD.encode(key)) && !text.contains(&hex(&key)));
    }
}

#[tokio::test]
async fn an_old_database_keeps_its_keys() {
    let old = Keyring::new(Master::new("installation".into(), Zeroizing::new([1; 32])));
    let check = hex(&old.check_value("installation"));
    let taken_over = Master::of_old("installation", &check, &root(1)).unwrap();
    assert_eq!(taken_over.audit().mac(&[b"x"]), old.audit().mac(&[b"x"]));
    assert!(matches!(Master::of_old("installation", &check, &root(2)), Err(MasterError::WrongRootKey)));
    assert!(matches!(Master::of_old("another", &check, &root(1)), Err(MasterError::WrongRootKey)));
    // The name and the wrap of a root key say nothing about what follows from the same bytes as a master key.
    assert!(!root(1).describe().contains(&check[..16]));
}
