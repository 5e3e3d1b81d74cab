mod renewal;

use std::collections::BTreeSet;

use k8s_openapi::jiff::{SignedDuration, Timestamp};
use rustls::RootCertStore;
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::ServerCertVerifier;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};

use super::certificate::{Facts, Verdict, Why, judge};
use super::change::{SETTLE, Step, step};
use super::name::Name;
use super::root::{LEAF_LIFE, Leaf, ROOT_LIFE, Root, public_key_of};

fn now() -> Timestamp {
    "2026-11-24T12:00:00Z".parse().unwrap()
}

fn names(names: &[&str]) -> BTreeSet<Name> {
    names.iter().map(|name| name.parse().unwrap()).collect()
}

/// Whether a TLS client that trusts `bundle` accepts the leaf for `name` at `at`.
fn accepts(bundle: &str, leaf: &Leaf, name: &str, at: Timestamp) -> bool {
    chain_is_accepted(bundle, leaf.certificate_pem(), name, at)
}

/// The same of a leaf and what comes with it, as PEM.
fn chain_is_accepted(bundle: &str, chain: &str, name: &str, at: Timestamp) -> bool {
    let mut store = RootCertStore::empty();
    for root in CertificateDer::pem_slice_iter(bundle.as_bytes()) {
        store.add(root.unwrap()).unwrap();
    }
    let provider = std::sync::Arc::new(rustls::crypto::ring::default_provider());
    let verifier = WebPkiServerVerifier::builder_with_provider(store.into(), provider).build().unwrap();
    let chain: Vec<_> = CertificateDer::pem_slice_iter(chain.as_bytes()).map(Result::unwrap).collect();
    let name = ServerName::try_from(name.to_owned()).unwrap();
    let at = UnixTime::since_unix_epoch(std::time::Duration::from_secs(at.as_second().unsigned_abs()));
    verifier.verify_server_cert(&chain[0], &chain[1..], &name, &[], at).is_ok()
}

#[test]
fn a_client_that_trusts_the_bundle_accepts_a_leaf_for_its_names_only_while_it_is_good() {
    let root = Root::generate(now()).unwrap();
    let leaf = root.issue(&names(&["sikkerkey.example.com", "10.0.0.7", "fd00::7"]), now()).unwrap();
    for name in ["sikkerkey.example.com", "10.0.0.7", "fd00::7"] {
        assert!(accepts(&root.bundle_pem(), &leaf, name, now()), "{name}");
    }
    assert!(!accepts(&root.bundle_pem(), &leaf, "other.example.com", now()));
    assert!(!accepts(&root.bundle_pem(), &leaf, "10.0.0.7", now() + LEAF_LIFE + SignedDuration::from_mins(1)));
    let stranger = Root::generate(now()).unwrap();
    assert!(!accepts(&stranger.bundle_pem(), &leaf, "10.0.0.7", now()));
    assert!(leaf.certified_key().is_ok());
}

#[test]
fn a_stored_root_reads_back_and_issues_what_the_first_reader_trusts() {
    let root = Root::generate(now()).unwrap();
    let again = Root::parse(root.certificate_pem(), &root.key_pem(), None).unwrap();
    let leaf = again.issue(&names(&["a.example"]), now()).unwrap();
    assert!(accepts(&root.bundle_pem(), &leaf, "a.example", now()));
    assert_eq!(again.facts().not_after, now() + ROOT_LIFE);

    let stranger = Root::generate(now()).unwrap();
    let mixed = Root::parse(root.certificate_pem(), &stranger.key_pem(), None).unwrap_err();
    assert_eq!(mixed.to_string(), "the root's private key does not belong to its certificate");
    let torn = Root::parse("-----BEGIN", &root.key_pem(), None).unwrap_err();
    assert_eq!(torn.to_string(), "the root's certificate is not a certificate in PEM form");
}

#[test]
fn during_a_change_of_root_leaves_of_both_are_trusted() {
    let old = Root::generate(now()).unwrap();
    let fresh = Root::generate(now()).unwrap();
    let fresh = Root::parse(fresh.certificate_pem(), &fresh.key_pem(), Some(old.certificate_pem())).unwrap();
    for issuer in [&old, &fresh] {
        let leaf = issuer.issue(&names(&["a.example"]), now()).unwrap();
        assert!(accepts(&fresh.bundle_pem(), &leaf, "a.example", now()));
    }
}

#[test]
fn who_knows_only_the_root_before_accepts_the_leaves_of_the_next_and_nobody_elses() {
    let [old, next, stranger] = [(), (), ()].map(|()| Root::generate(now()).unwrap());
    let crossing = |by: &Root, next: &Root| {
        let parse = |root: &Root| Root::parse(root.certificate_pem(), &root.key_pem(), None).unwrap();
        parse(by).announcing(parse(next)).certify_next(now()).unwrap().unwrap()
    };
    let leaf = |root: &Root, cross: &str| {
        let root = Root::parse(root.certificate_pem(), &root.key_pem(), None).unwrap().crossed(Some(cross));
        root.issue(&names(&["a.example"]), now()).unwrap()
    };
    let cross = crossing(&old, &next);
    for (cross, by_old) in [(&cross, true), (&crossing(&stranger, &next), false), (&crossing(&old, &stranger), false)] {
        let leaf = leaf(&next, cross);
        assert_eq!(accepts(&old.bundle_pem(), &leaf, "a.example", now()), by_old);
        assert!(accepts(&next.bundle_pem(), &leaf, "a.example", now()));
        assert!(leaf.certified_key().is_ok());
    }
    // What certifies the next root's key certifies no leaf of another's.
    assert!(!accepts(&old.bundle_pem(), &leaf(&stranger, &cross), "a.example", now()));
}

#[test]
fn a_next_root_is_made_when_it_is_due_or_asked_for_and_takes_over_when_it_has_been_trusted_for_a_while() {
    let alone = Root::generate(now()).unwrap();
    let second = SignedDuration::from_secs(1);
    let due = alone.facts().renewal();
    for (asked, at, expected) in [
        (false, now(), Step::Wait),
        (false, due - second, Step::Wait),
        (false, due, Step::Announce),
        (true, now(), Step::Announce),
    ] {
        assert_eq!(step(&alone, asked, now(), at), expected, "{asked} {at}");
    }
    let announcing = alone.announcing(Root::generate(now()).unwrap());
    for (asked, at, expected) in [
        (false, now(), Step::Wait),
        (true, now() + SETTLE - second, Step::Wait),
        (true, now() + SETTLE, Step::TakeOver),
        (false, due, Step::TakeOver),
    ] {
        assert_eq!(step(&announcing, asked, now(), at), expected, "{asked} {at}");
    }
}

#[test]
fn a_certificate_is_replaced_exactly_when_it_no_longer_serves() {
    let root = Root::generate(now()).unwrap();
    let other = Root::generate(now()).unwrap();
    let wanted = names(&["a.example", "10.0.0.7"]);
    let leaf = root.issue(&wanted, now()).unwrap();
    let key = public_key_of(leaf.key_pem()).unwrap();
    let wrong_key = public_key_of(root.issue(&wanted, now()).unwrap().key_pem()).unwrap();
    let facts: &Facts = leaf.facts();
    let due = facts.renewal();
    let second = SignedDuration::from_secs(1);
    assert!(due > now() + SignedDuration::from_hours(19 * 24) && due < now() + SignedDuration::from_hours(21 * 24));
    let cases = [
        (Some((facts, key.as_slice())), &root, names(&["a.example", "10.0.0.7"]), now(), Verdict::Keep(due)),
        (Some((facts, key.as_slice())), &root, names(&["a.example"]), now(), Verdict::Keep(due)),
        (Some((facts, key.as_slice())), &root, wanted.clone(), due - second, Verdict::Keep(due)),
        (Some((facts, key.as_slice())), &root, wanted.clone(), due, Verdict::Issue(Why::Due)),
        (Some((facts, key.as_slice())), &root, wanted.clone(), facts.not_before - second, Verdict::Issue(Why::Due)),
        (Some((facts, key.as_slice())), &root, names(&["b.example"]), now(), Verdict::Issue(Why::OtherNames)),
        (Some((facts, key.as_slice())), &other, wanted.clone(), now(), Verdict::Issue(Why::OtherRoot)),
        (Some((facts, wrong_key.as_slice())), &root, wanted.clone(), now(), Verdict::Issue(Why::OtherKey)),
        (None, &root, wanted.clone(), now(), Verdict::Issue(Why::Missing)),
    ];
    for (present, root, names, now, verdict) in cases {
        assert_eq!(judge(present, root.facts(), &names, now), verdict);
    }
}

#[test]
fn a_clock_beyond_all_calendars_is_an_error_not_a_panic() {
    assert!(Root::generate(Timestamp::MIN).is_err());
    assert!(Root::generate(Timestamp::MAX).is_err());
}

#[test]
fn nothing_that_prints_shows_a_key() {
    let root = Root::generate(now()).unwrap();
    let leaf = root.issue(&names(&["a.example"]), now()).unwrap();
    let printed = format!("{root:?} {leaf:?} {:?}", leaf.facts());
    assert!(!printed.contains("PRIVATE"), "{printed}");
}
