use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use sikkerkey_protocol::error_body::ErrorCode;
use sikkerkey_protocol::kubernetes::{ApplySecret, Kind, SecretSource, SecretState};
use sikkerkey_protocol::sealed::{self, Binding, Content, PublishedKey};
use sikkerkey_protocol::secret_text::SecretText;

use crate::audit::entry::Action;
use crate::entropy::Entropy as _;
use crate::model::Entity;
use crate::model::account::Vault;
use crate::model::millis::Millis;
use crate::model::secret::{Sealing, SecretPhase};
use crate::refusal::{Refusal, RefusalKind};
use crate::usecase::admin::{sealing_key, secret};
use crate::usecase::fixture::{self, *};

const ELSEWHERE: &str = "the sealed value was sealed for another place or key, or altered";

/// Somebody at a computer of their own, with a public key.
struct Sealer {
    key: PublishedKey,
    cluster: Option<&'static str>,
    namespace: &'static str,
    name: Option<&'static str>,
}

impl Sealer {
    fn of(key: PublishedKey) -> Self {
        Self { key, cluster: Some("prod"), namespace: "shop", name: Some("db") }
    }

    fn bytes(&self, value: &str, fields: &[&str], at: Millis) -> Vec<u8> {
        let binding = Binding {
            vault: &self.key.vault,
            key_id: &self.key.key_id,
            cluster: self.cluster,
            namespace: self.namespace,
            name: self.name,
        };
        let content = Content {
            sealed_at: at.0,
            field_names: fields.iter().map(|it| (*it).to_owned()).collect(),
            value: SecretText::new(value.to_owned()),
        };
        let entropy = CountingEntropy::default();
        sealed::seal(&self.key.public_key, &binding, &content, |bytes| entropy.fill(bytes)).unwrap()
    }

    fn seal(&self, value: &str, at: Millis) -> SecretSource {
        self.source(&self.bytes(value, &[], at))
    }

    fn source(&self, bytes: &[u8]) -> SecretSource {
        SecretSource::Sealed {
            key_id: self.key.key_id.clone(),
            ciphertext: STANDARD.encode(bytes),
            namespace_scope: self.name.is_none(),
        }
    }
}

fn key_of(bench: &mut Bench) -> PublishedKey {
    bench.run(|it| sealing_key::show(it, &"vault_v".parse().unwrap())).unwrap()
}

fn apply(bench: &mut Bench, source: SecretSource) -> Result<SecretState, Refusal> {
    bench.apply_secret(ApplySecret { source, ..generated("db") })
}

fn apply_in(bench: &mut Bench, cluster: &str, source: SecretSource) -> Result<SecretState, Refusal> {
    let agent = Bench::agent(cluster);
    let request = ApplySecret { source, ..generated("db") };
    bench.run(|it| crate::usecase::kubernetes::secret::apply(it, &agent, fixture::source(), request))
}

#[test]
fn a_sealed_value_is_opened_once_and_the_same_again_changes_nothing() {
    let mut bench = Bench::new();
    let sealer = Sealer::of(key_of(&mut bench));
    let now = bench.now;
    let state = apply(&mut bench, sealer.seal("hunter2", now)).unwrap();
    assert_eq!((state.version, state.version_time), (1, Some(now.0)));
    assert_eq!(bench.actions(), [Action::ProjectCreate, Action::SecretCreate]);
    assert_eq!(bench.audit[1].detail, "Secret shop/db, version 1, sealed at 2026-03-04T12:00:00Z");
    assert_eq!(bench.value("db"), "hunter2");
    assert_eq!(bench.secret("db").sealing, Some(Sealing { at: now, is_source: true }));
    assert_eq!(apply(&mut bench, sealer.seal("hunter2", now)).unwrap().version, 1);
    assert_eq!((bench.changes, bench.audit.len()), (0, 0));
}

#[test]
fn an_older_value_never_replaces_a_newer_one() {
    let mut bench = Bench::new();
    let sealer = Sealer::of(key_of(&mut bench));
    let (old, new, newest) = (bench.now, bench.now.plus_seconds(60), bench.now.plus_seconds(120));
    let leaked = sealer.seal("leaked", old);
    apply(&mut bench, sealer.seal("leaked", old)).unwrap();
    assert_eq!(apply(&mut bench, sealer.seal("fresh", new)).unwrap().version, 2);
    assert_eq!(bench.actions(), [Action::SecretUpdate]);
    let text = "the value of shop/db was sealed at 2026-03-04T12:00:00Z, and one that was sealed at 2026-03-04T12:01:00Z has been \
                in force: to go back to an earlier value, seal it again";
    let outdated = Some(ErrorCode::SealedValueOutdated);
    refused(apply(&mut bench, leaked), RefusalKind::Conflict, outdated, text);
    assert_eq!(bench.value("db"), "fresh");

    // The same value sealed later is no new version, and what was sealed before it is older from then on.
    assert_eq!(apply(&mut bench, sealer.seal("fresh", newest)).unwrap().version, 2);
    assert_eq!((bench.changes, bench.actions()), (1, vec![Action::SecretUpdate]));
    assert_eq!(bench.audit[0].detail, "Secret shop/db, version 2, sealed at 2026-03-04T12:02:00Z");
    let text = text.replace("12:01:00", "12:02:00").replace("12:00:00", "12:01:00");
    refused(apply(&mut bench, sealer.seal("other", new)), RefusalKind::Conflict, outdated, &text);
}

#[test]
fn a_structured_value_has_the_fields_it_was_sealed_with() {
    let mut bench = Bench::new();
    let sealer = Sealer::of(key_of(&mut bench));
    let text = r#"{"user":"shop","password":"hunter2"}"#;
    let bytes = sealer.bytes(text, &["user", "password"], bench.now);
    let state = apply(&mut bench, sealer.source(&bytes)).unwrap();
    assert_eq!(state.field_names, ["user", "password"]);
    assert_eq!(bench.value("db"), text);
    let bytes = sealer.bytes(text, &["user"], bench.now);
    let other = "the value has other fields than it is said to have: password";
    refused(apply(&mut bench, sealer.source(&bytes)), RefusalKind::Invalid, None, other);
}

#[test]
fn a_value_opens_only_as_what_it_was_sealed_for() {
    let mut bench = Bench::new();
    let (key, now) = (key_of(&mut bench), bench.now);
    let flipped = |mut sealer: Sealer| {
        let bytes = sealer.bytes("hunter2", &[], now);
        sealer.name = if sealer.name.is_some() { None } else { Some("db") };
        sealer.source(&bytes)
    };
    let sealer = || Sealer::of(key.clone());
    let mut altered = sealer().bytes("hunter2", &[], now);
    altered[40] ^= 1;
    let short = SecretSource::Sealed { key_id: key.key_id.clone(), ciphertext: "AAAA".into(), namespace_scope: false };
    let no_base64 = SecretSource::Sealed { key_id: key.key_id.clone(), ciphertext: "#".into(), namespace_scope: false };
    for (what, source, text) in [
        ("cluster", Sealer { cluster: Some("test"), ..sealer() }.seal("hunter2", now), ELSEWHERE),
        ("namespace", Sealer { namespace: "payments", ..sealer() }.seal("hunter2", now), ELSEWHERE),
        ("name", Sealer { name: Some("api"), ..sealer() }.seal("hunter2", now), ELSEWHERE),
        ("scope Name said Namespace", flipped(sealer()), ELSEWHERE),
        ("scope Namespace said Name", flipped(Sealer { name: None, ..sealer() }), ELSEWHERE),
        ("altered", sealer().source(&altered), ELSEWHERE),
        ("short", short, "a sealed value has from 112 to 18432 bytes"),
        ("no base64", no_base64, "the ciphertext is not base64"),
    ] {
        let refusal = apply(&mut bench, source).unwrap_err();
        assert_eq!((refusal.code, refusal.message.as_str()), (Some(ErrorCode::UnsealFailed), text), "{what}");
        assert!(bench.state.projects.is_empty());
    }
    apply(&mut bench, sealer().seal("hunter2", now)).unwrap();
    let mut whole = Bench::new();
    whole.put(Entity::SealingKey(bench.state.sealing_keys[&key.key_id].clone()));
    apply(&mut whole, Sealer { name: None, ..sealer() }.seal("hunter2", now)).unwrap();
    assert_eq!(whole.value("db"), "hunter2");
}

#[test]
fn a_value_for_any_cluster_opens_in_each_cluster_of_the_vault_alone() {
    let mut bench = Bench::new();
    let (key, now) = (key_of(&mut bench), bench.now);
    let any = Sealer { cluster: None, ..Sealer::of(key.clone()) };
    for cluster in ["prod", "test"] {
        assert_eq!(apply_in(&mut bench, cluster, any.seal("hunter2", now)).unwrap().version, 1);
    }
    let one = Sealer::of(key).seal("hunter2", now);
    refused(apply_in(&mut bench, "test", one), RefusalKind::Invalid, Some(ErrorCode::UnsealFailed), ELSEWHERE);
}

#[test]
fn what_was_sealed_to_an_earlier_key_goes_on_opening_and_a_key_of_another_vault_is_unknown() {
    let mut bench = Bench::new();
    let (old, now) = (Sealer::of(key_of(&mut bench)), bench.now);
    let vault = old.key.vault.clone();
    let new = Sealer::of(bench.run(|it| sealing_key::rotate(it, &vault)).unwrap());
    assert_ne!(old.key.key_id, new.key.key_id);
    apply(&mut bench, old.seal("one", now)).unwrap();
    apply(&mut bench, new.seal("two", now.plus_seconds(1))).unwrap();
    assert_eq!((bench.value("db"), bench.secret("db").version), ("two".to_owned(), 2));

    let elsewhere: sikkerkey_protocol::id::VaultId = "vault_w".parse().unwrap();
    bench.put(Entity::Vault(Vault { id: elsewhere.clone(), account: "account".into(), name: "w".into() }));
    let foreign = Sealer::of(bench.run(|it| sealing_key::show(it, &elsewhere)).unwrap());
    let unknown = PublishedKey { key_id: "seal-gone".into(), ..old.key.clone() };
    let mut borrowed = Sealer::of(new.key.clone());
    borrowed.key.key_id.clone_from(&old.key.key_id);
    let (code, text) = (
        Some(ErrorCode::SealedKeyUnknown),
        "the sealing key is none of this vault's: seal the value again, to one that it has",
    );
    let later = now.plus_seconds(2);
    refused(apply(&mut bench, foreign.seal("x", later)), RefusalKind::Invalid, code, text);
    refused(apply(&mut bench, Sealer::of(unknown).seal("x", later)), RefusalKind::Invalid, code, text);
    let failed = apply(&mut bench, borrowed.seal("x", later));
    refused(failed, RefusalKind::Invalid, Some(ErrorCode::UnsealFailed), ELSEWHERE);
}

#[test]
fn a_value_from_the_future_is_refused_before_it_shuts_out_all_others() {
    let mut bench = Bench::new();
    let sealer = Sealer::of(key_of(&mut bench));
    let now = bench.now;
    let text = "the value says that it was sealed at 2026-03-04T12:10:01Z, which is still to come: correct the clock of the \
                computer that seals, and seal it again";
    refused(apply(&mut bench, sealer.seal("x", now.plus_seconds(601))), RefusalKind::Invalid, None, text);
    apply(&mut bench, sealer.seal("x", now.plus_seconds(600))).unwrap();
}

#[test]
fn a_value_that_is_too_large_is_refused_as_that() {
    let mut bench = Bench::new();
    let (sealer, now) = (Sealer::of(key_of(&mut bench)), bench.now);
    apply(&mut bench, sealer.seal(&"x".repeat(12 * 1024), now)).unwrap();
    for (source, text) in [
        (sealer.seal(&"x".repeat(12 * 1024 + 1), now), "the value is larger than 12 KiB"),
        (sealer.source(&vec![0; 18 * 1024 + 1]), "the sealed value is larger than 24 KiB"),
    ] {
        refused(apply(&mut bench, source), RefusalKind::Invalid, Some(ErrorCode::ValueTooLarge), text);
    }
}

#[test]
fn a_kept_value_is_taken_over_and_remembers_how_old_it_is() {
    let mut bench = Bench::new();
    let sealer = Sealer::of(key_of(&mut bench));
    let (old, now) = (bench.now, bench.now.plus_seconds(60));
    let first = apply(&mut bench, sealer.seal("fresh", now)).unwrap();
    bench.delete(deleted(Kind::Secret, "db")).unwrap();
    assert_eq!(bench.secret("db").phase, SecretPhase::Retained);
    let outdated = apply(&mut bench, sealer.seal("leaked", old)).unwrap_err();
    assert_eq!(outdated.code, Some(ErrorCode::SealedValueOutdated));
    assert_eq!(bench.secret("db").phase, SecretPhase::Retained);
    let again = apply(&mut bench, sealer.seal("fresh", now)).unwrap();
    assert_eq!((again.secret_id, again.version), (first.secret_id, 1));

    let mut trash = deleted(Kind::Secret, "db");
    trash.trash = true;
    bench.delete(trash).unwrap();
    assert_eq!(
        apply(&mut bench, sealer.seal("another", old)).unwrap().version,
        1,
        "another secret, of which nothing is known"
    );
}

#[test]
fn another_source_in_between_brings_no_older_value_back() {
    let mut bench = Bench::new();
    let sealer = Sealer::of(key_of(&mut bench));
    let (old, now) = (bench.now, bench.now.plus_seconds(60));
    let id = apply(&mut bench, sealer.seal("sealed", now)).unwrap().secret_id;
    let value = || SecretText::new("by hand".into());
    let text = "the value of db stands sealed in Secret shop/db of cluster prod: seal another and apply that, or change its source to external";
    refused(bench.run(|it| secret::set(it, &id, value(), None)), RefusalKind::Conflict, None, text);

    apply(&mut bench, SecretSource::External { fields: vec![] }).unwrap();
    assert_eq!((bench.value("db"), bench.secret("db").version), ("sealed".to_owned(), 1));
    assert_eq!(bench.run(|it| secret::set(it, &id, value(), None)).unwrap(), 2);
    let outdated = apply(&mut bench, sealer.seal("older", old)).unwrap_err();
    assert_eq!(outdated.code, Some(ErrorCode::SealedValueOutdated));
    // What the object says is what is in force.
    assert_eq!(apply(&mut bench, sealer.seal("sealed", now)).unwrap().version, 3);
    assert_eq!(bench.value("db"), "sealed");
}

#[test]
fn a_supplied_value_becomes_a_sealed_one_without_a_new_version() {
    let mut bench = Bench::new();
    let sealer = Sealer::of(key_of(&mut bench));
    bench.apply_secret(supplied("db", "hunter2", &[])).unwrap();
    let now = bench.now;
    assert_eq!(apply(&mut bench, sealer.seal("hunter2", now)).unwrap().version, 1);
    assert_eq!(bench.secret("db").sealing, Some(Sealing { at: now, is_source: true }));
}

#[test]
fn a_secret_of_an_earlier_release_is_read_and_remembers_nothing() {
    let mut bench = Bench::new();
    bench.apply_secret(generated("db")).unwrap();
    let mut stored = serde_json::to_value(bench.secret("db")).unwrap();
    assert!(stored.as_object_mut().unwrap().remove("sealing").is_none(), "nothing is stored where nothing was sealed");
    let read: crate::model::secret::Secret = serde_json::from_value(stored).unwrap();
    assert_eq!(read.sealing, None);
}
