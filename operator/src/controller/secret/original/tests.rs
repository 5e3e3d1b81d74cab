#![expect(clippy::needless_pass_by_value, reason = "tests hand over JSON literals")]

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;

fn core(more: Value) -> CoreSecret {
    let metadata = json!({"name": "old", "namespace": "shop", "uid": "u", "resourceVersion": "7"});
    let mut object = json!({"apiVersion": "v1", "kind": "Secret", "metadata": metadata});
    for (key, value) in more.as_object().unwrap() {
        match (key.as_str(), value.as_object()) {
            ("metadata", Some(more)) => object["metadata"].as_object_mut().unwrap().extend(more.clone()),
            _ => object[key] = value.clone(),
        }
    }
    serde_json::from_slice(&serde_json::to_vec(&object).unwrap()).unwrap()
}

fn with(data: &[(&str, &[u8])]) -> CoreSecret {
    let data: Value = data.iter().map(|(key, value)| ((*key).to_owned(), json!(STANDARD.encode(value)))).collect();
    core(json!({"data": data}))
}

#[test]
fn one_key_is_a_plain_value_and_all_keys_are_fields() {
    let old = with(&[("user", b"shop"), ("password", "h\"ü\\\n".as_bytes()), ("tls.crt", b"")]);
    for (key, text, fields) in [
        (Some("password"), "h\"ü\\\n", vec![]),
        (Some("user"), "shop", vec![]),
        (None, r#"{"password":"h\"ü\\\n","tls.crt":"","user":"shop"}"#, vec!["password", "tls.crt", "user"]),
    ] {
        let value = old.value(key).unwrap();
        assert_eq!((value.text.expose(), value.field_names), (text, fields.into_iter().map(str::to_owned).collect()));
    }
}

#[test]
fn what_is_no_value_is_refused_with_what_to_do() {
    let long = "k".repeat(64);
    let many: Vec<String> = (0..65).map(|at| format!("k{at}")).collect();
    let many: Vec<(&str, &[u8])> = many.iter().map(|key| (key.as_str(), b"x".as_slice())).collect();
    let cannot = |what: &str| format!("Kubernetes Secret old cannot be taken over: {what}");
    for (data, key, reason, message) in [
        (
            with(&[("a", b"x")]),
            Some("b"),
            Reason::KubernetesSecretKeyNotFound,
            "Kubernetes Secret old has no key b; it has a.".to_owned(),
        ),
        (
            core(json!({})),
            Some("b"),
            Reason::KubernetesSecretKeyNotFound,
            "Kubernetes Secret old has no key b; it has none.".to_owned(),
        ),
        (
            with(&["g", "f", "e", "d", "c", "b", "a"].map(|key| (key, b"x".as_slice()))),
            Some("h"),
            Reason::KubernetesSecretKeyNotFound,
            "Kubernetes Secret old has no key h; it has a, b, c, d, e, and 2 more.".to_owned(),
        ),
        (core(json!({})), None, Reason::KubernetesSecretInvalid, cannot("it has no keys. Give it a value.")),
        (
            core(json!({"data": null})),
            None,
            Reason::KubernetesSecretInvalid,
            cannot("it has no keys. Give it a value."),
        ),
        (with(&[("a", b"")]), Some("a"), Reason::KubernetesSecretInvalid, cannot("key a is empty. Give it a value.")),
        (
            with(&[("a", b"x"), ("b", b"\xff\xfehunter2")]),
            None,
            Reason::KubernetesSecretInvalid,
            cannot("key b is not UTF-8 text. Encode it, for example in base64."),
        ),
        (
            with(&[("b", b"hunter2\xff")]),
            Some("b"),
            Reason::KubernetesSecretInvalid,
            cannot("key b is not UTF-8 text. Encode it, for example in base64."),
        ),
        (
            with(&[(long.as_str(), b"x")]),
            None,
            Reason::KubernetesSecretInvalid,
            cannot(&format!(
                "key {long} is longer than the 63 characters of a field. Take one key with spec.source.kubernetesSecret.key."
            )),
        ),
        (
            with(&many),
            None,
            Reason::KubernetesSecretInvalid,
            cannot("it has more than 64 keys. Take one with spec.source.kubernetesSecret.key."),
        ),
        (
            with(&[("a", &[b'x'; 12 * 1024 + 1])]),
            Some("a"),
            Reason::ValueTooLarge,
            "The value is larger than 12 KiB.".into(),
        ),
        (with(&[("a", &[b'x'; 12 * 1024])]), None, Reason::ValueTooLarge, "The value is larger than 12 KiB.".into()),
        (with(&[("a", &[1; 4 * 1024])]), None, Reason::ValueTooLarge, "The value is larger than 12 KiB.".into()),
    ] {
        let flaw = data.value(key).unwrap_err();
        let (unresolved, unusable) = (flaw.unresolved("old", key), flaw.unusable("old", key));
        assert!(unresolved.is_some() != unusable.is_some(), "{flaw:?}");
        let verdict = unresolved.or(unusable).unwrap();
        assert_eq!((verdict.reason, verdict.message), (reason, message));
    }
    assert!(with(&[("a", &[b'x'; 12 * 1024])]).value(Some("a")).is_ok(), "the limit itself");
}

#[test]
fn nothing_that_prints_shows_a_value() {
    let password = STANDARD.encode("hunter2");
    let last_applied = format!("{{\"data\":{{\"a\":\"{password}\"}}}}");
    let old = core(json!({
        "data": {"a": password},
        "metadata": {"annotations": {"kubectl.kubernetes.io/last-applied-configuration": last_applied}},
    }));
    let value = old.value(Some("a")).unwrap();
    assert_eq!(value.text.expose(), "hunter2");
    let printed = format!("{old:?} {value:?}");
    assert!(!printed.contains("hunter2") && !printed.contains(&password), "{printed}");
}

#[test]
fn what_something_else_manages_is_known_by_owner_mark_or_type() {
    let owner = json!([{"apiVersion": "external-secrets.io/v1", "kind": "ExternalSecret", "name": "db", "uid": "x"}]);
    for (object, expected) in [
        (json!({}), None),
        (json!({"metadata": {"ownerReferences": owner}}), Some("ExternalSecret db")),
        (json!({"metadata": {"labels": {"app.kubernetes.io/managed-by": "Helm"}}}), Some("Helm")),
        (json!({"metadata": {"annotations": {"argocd.argoproj.io/tracking-id": "x"}}}), Some("Argo CD")),
        (json!({"type": "helm.sh/release.v1"}), Some("Helm")),
        (json!({"type": "kubernetes.io/service-account-token"}), Some("the token controller of Kubernetes")),
        (json!({"type": "Opaque"}), None),
    ] {
        assert_eq!(core(object.clone()).manager().as_deref(), expected, "{object}");
    }
    assert!(!core(json!({})).is_going());
    assert!(core(json!({"metadata": {"deletionTimestamp": "2026-01-01T00:00:00Z"}})).is_going());
}

#[test]
fn why_it_stays_says_what_to_do() {
    for (keeper, message) in [
        (
            Keeper::Manager("Argo CD".into()),
            "Kubernetes Secret old was not deleted: Argo CD manages it. Remove it there.",
        ),
        (
            Keeper::Others(vec!["a".into(), "b".into()]),
            "Kubernetes Secret old was not deleted: sks/a, sks/b take from it as well, and keep it or have not taken it yet.",
        ),
        (
            Keeper::Refused,
            "Kubernetes Secret old was not deleted: the API server does not let the operator. Delete it yourself.",
        ),
    ] {
        let verdict = keeper.verdict("old");
        assert_eq!((verdict.reason, verdict.message.as_str()), (Reason::OriginalKept, message));
    }
}

proptest! {
    #[test]
    fn whatever_text_stands_there_comes_out_of_the_json_as_it_was(
        data in proptest::collection::btree_map("[-._a-zA-Z0-9]{1,63}", ".{0,40}", 1..20),
    ) {
        let fields: Vec<(&str, &[u8])> = data.iter().map(|(key, text)| (key.as_str(), text.as_bytes())).collect();
        let value = with(&fields).value(None).unwrap();
        let read: BTreeMap<String, String> = serde_json::from_str(value.text.expose()).unwrap();
        prop_assert_eq!(&read, &data);
        prop_assert_eq!(value.field_names, data.into_keys().collect::<Vec<_>>());
    }

    #[test]
    fn whatever_bytes_stand_there_are_taken_whole_or_refused(
        data in proptest::collection::btree_map("[-._a-zA-Z0-9]{1,70}", proptest::collection::vec(any::<u8>(), 0..20), 0..5),
    ) {
        let fields: Vec<(&str, &[u8])> = data.iter().map(|(key, bytes)| (key.as_str(), bytes.as_slice())).collect();
        let is_good = !data.is_empty()
            && data.iter().all(|(key, bytes)| key.len() <= 63 && std::str::from_utf8(bytes).is_ok());
        prop_assert_eq!(with(&fields).value(None).is_ok(), is_good);
        for (key, bytes) in &data {
            let taken = with(&fields).value(Some(key)).map(|value| value.text.expose().as_bytes().to_vec()).ok();
            let is_good = !bytes.is_empty() && std::str::from_utf8(bytes).is_ok();
            prop_assert_eq!(taken, is_good.then(|| bytes.clone()));
        }
    }
}
