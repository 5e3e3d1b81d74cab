//! Everything that reads what a stranger has written, on nonsense: it says no, and never panics.

use proptest::collection::vec;
use proptest::prelude::*;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use sikkerkey_protocol::enrolment::{Enrol, Register, Renew};
use sikkerkey_protocol::header::SignedHeaders;
use sikkerkey_protocol::id::{AgentId, FleetId, MachineId, ProjectId, SecretId, VaultId};
use sikkerkey_protocol::key::{PublicKey, Signature};
use sikkerkey_protocol::kubernetes::{
    ApplyGrant, ApplyMachine, ApplyPolicy, ApplySecret, Delete, GonePods, IssueVoucher, Login,
};
use sikkerkey_protocol::machine_plane::{Poll, Selection, VerifyAccess};
use sikkerkey_protocol::management::{BindPolicy, PolicyObject};
use sikkerkey_protocol::policy::PolicyDocument;
use sikkerkey_protocol::sync::{Delivery, SecretKey, Sync, Synced};
use sikkerkey_server::model::millis::Millis;
use sikkerkey_server::policy::check::check;
use sikkerkey_server::policy::window::window_state;
use sikkerkey_server::usecase::enrol::name;

use crate::fixture::*;

const CASES: u32 = 1_000;

fn config() -> ProptestConfig {
    // The same cases in every run, and no file beside the tests.
    ProptestConfig {
        cases: CASES,
        failure_persistence: None,
        rng_seed: prop::test_runner::RngSeed::Fixed(4),
        ..ProptestConfig::default()
    }
}

/// Text of any kind, and text that is nearly right.
fn text() -> impl Strategy<Value = String> {
    prop_oneof![
        any::<String>(),
        "[ -~]{0,140}",
        "[0-9a-fA-F{}-]{30,40}",
        "(urn:uuid:)?[0-9a-f]{8}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{12}",
        "[A-Za-z0-9+/]{43}=",
        "[A-Za-z0-9+/]{86}==",
        "(vault|sk|proj)_[A-Za-z0-9_-]{0,70}",
        "[+-]?[0-9]{1,20}",
        "[a-z.-]{0,20}/[a-zA-Z0-9.-]{0,20}",
    ]
}

/// What reads back what it has printed, or refuses to read.
fn reads_back<T: std::str::FromStr + ToString>(text: &str) {
    if let Ok(it) = text.parse::<T>() {
        assert_eq!(it.to_string().parse::<T>().map(|it| it.to_string()).ok(), Some(it.to_string()), "{text:?}");
    }
}

/// The same of a document.
fn document<T: DeserializeOwned + Serialize>(bytes: &[u8]) {
    if let Ok(it) = serde_json::from_slice::<T>(bytes) {
        let printed = serde_json::to_vec(&it).unwrap();
        let again: T = serde_json::from_slice(&printed).unwrap();
        assert_eq!(serde_json::to_vec(&again).unwrap(), printed);
    }
}

fn every_document(bytes: &[u8]) {
    document::<Sync>(bytes);
    document::<Synced>(bytes);
    document::<Delivery>(bytes);
    document::<Poll>(bytes);
    document::<PolicyObject>(bytes);
    document::<BindPolicy>(bytes);
    document::<Selection>(bytes);
    document::<VerifyAccess>(bytes);
    document::<Register>(bytes);
    document::<Enrol>(bytes);
    document::<Renew>(bytes);
    document::<Login>(bytes);
    document::<ApplyMachine>(bytes);
    document::<ApplySecret>(bytes);
    document::<ApplyGrant>(bytes);
    document::<ApplyPolicy>(bytes);
    document::<Delete>(bytes);
    document::<IssueVoucher>(bytes);
    document::<GonePods>(bytes);
    document::<PolicyDocument>(bytes);
}

fn documents() -> Vec<Value> {
    let held =
        serde_json::json!({"shop/db": {"version": {"id": "sk_db", "version": 1}}, "a/b": {"denied": "NotGranted"}});
    let mut documents = vec![
        serde_json::json!({"deliveryRevision": "rev1", "held": held, "waitSeconds": 55}),
        serde_json::json!({"watch": ["sk_db"]}),
        serde_json::to_value(delivery(&["db", "api"])).unwrap(),
        serde_json::json!({
            "timeZone": "Europe/Oslo", "timeWindow": {"days": ["Mon", "Sun"], "start": "22:00", "end": "06:00"},
            "ipAllowlist": ["10.0.0.0/8", "::ffff:10.0.0.0/104"], "rateCap": {"perMinute": 10, "perDay": 1, "countedBy": "Pod"},
            "coSign": {"machine": {"namespace": "a", "name": "b"}, "windowSeconds": 60},
            "ttl": {"expiresAt": 1, "maxReads": 5}, "rotateAfterReads": 3,
        }),
    ];
    documents.extend(crate::nonsense::documents());
    documents
}

/// Anything that JSON can say.
fn json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        text().prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 24, 4, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..4).prop_map(Value::from),
            vec((text(), inner), 0..4).prop_map(|it| Value::Object(it.into_iter().collect())),
        ]
    })
}

/// Puts something else at the place that is the n-th when all are counted.
fn replace(value: &mut Value, n: &mut usize, with: &Value) {
    if *n == 0 {
        *value = with.clone();
    }
    *n = n.wrapping_sub(1);
    match value {
        Value::Array(it) => it.iter_mut().for_each(|it| replace(it, n, with)),
        Value::Object(it) => it.values_mut().for_each(|it| replace(it, n, with)),
        _ => {}
    }
}

/// A policy that is taken can be decided by, at any instant.
fn decide_by(document: &PolicyDocument, minutes: i64) {
    if check(document).is_ok() {
        let now = Millis(START.saturating_add(minutes * 60_000));
        window_state(document, now).unwrap_or_else(|error| panic!("{error} {document:?}"));
    }
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn headers_ids_and_keys_say_no_to_nonsense(id in text(), time in text(), nonce in text(), signature in text(), now: i64) {
        let parsed = SignedHeaders::parse(Some(&id), Some(&time), Some(&nonce), Some(&signature));
        if let Ok(headers) = parsed {
            prop_assert_eq!((&headers.timestamp_text, &headers.nonce), (&time, &nonce));
            headers.is_fresh(now / 2);
        }
        for text in [&id, &time, &nonce, &signature] {
            reads_back::<MachineId>(text);
            reads_back::<AgentId>(text);
            reads_back::<FleetId>(text);
            reads_back::<VaultId>(text);
            reads_back::<ProjectId>(text);
            reads_back::<SecretId>(text);
            reads_back::<PublicKey>(text);
            reads_back::<Signature>(text);
            if let Ok(key) = SecretKey::try_from((*text).clone()) {
                prop_assert_eq!(&String::from(key), text);
            }
            name::fits(text, &id);
            name::fits(&id, text);
            name::render(text, &id, &sikkerkey_server::entropy::SystemEntropy);
        }
    }

    #[test]
    fn bodies_of_any_bytes_and_of_any_json_are_read_or_refused(bytes in vec(any::<u8>(), 0..300), value in json()) {
        every_document(&bytes);
        every_document(value.to_string().as_bytes());
    }

    #[test]
    fn bodies_that_are_nearly_right_are_read_or_refused(which: prop::sample::Index, mut place in 0..60_usize, with in json()) {
        let mut documents = documents();
        let document = which.get_mut(&mut documents);
        replace(document, &mut place, &with);
        every_document(document.to_string().as_bytes());
    }

    #[test]
    fn a_policy_file_of_any_content_is_refused_or_can_be_decided_by(mut place in 0..30_usize, with in json(), minutes in -10_000_000..10_000_000_i64) {
        let mut document = documents().swap_remove(3);
        replace(&mut document, &mut place, &with);
        if let Ok(document) = serde_json::from_value::<PolicyDocument>(document) {
            decide_by(&document, minutes);
        }
    }
}
