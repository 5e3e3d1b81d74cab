#![expect(clippy::needless_pass_by_value, reason = "json! reads best in the call itself")]

use serde_json::json;

use super::*;

fn verdict_at(kind: &str, object: &Value, old: Option<&Value>) -> Result<Vec<String>, (&'static str, String)> {
    let surroundings = Surroundings {
        now: "2026-11-24T00:00:00Z".parse().unwrap(),
        machine_exists: &|namespace, name| (namespace, name) == ("shop", "web"),
    };
    validate(kind, "shop", object, old, &surroundings).map_err(|invalid| (invalid.reason.as_str(), invalid.message))
}

fn verdict(kind: &str, spec: Value) -> Result<Vec<String>, (&'static str, String)> {
    verdict_at(kind, &object(kind, spec), None)
}

fn object(kind: &str, spec: Value) -> Value {
    json!({"apiVersion": "sikkerkey.com/v1alpha1", "kind": kind, "metadata": {"name": "x", "namespace": "shop"}, "spec": spec})
}

#[test]
fn a_good_object_of_each_kind_passes_without_a_warning() {
    let key = "A6EHv/POEL4dcN0Y50vAmWfk1jCbpQ1fHdyGZBJVMbg=";
    for (kind, spec) in [
        ("Machine", json!({"workload": {"serviceAccountNames": ["web"]}})),
        ("Machine", json!({"host": {"publicKey": key}})),
        ("Secret", json!({"source": {"generate": {}}})),
        ("Grant", json!({"machineRef": {"name": "web"}, "secretRefs": [{"name": "db"}]})),
        ("AccessPolicy", json!({"timeZone": "Europe/Oslo", "timeWindow": {"start": "06:00", "end": "20:00"}})),
        ("AccessPolicy", json!({"timeZone": "UTC", "rateCap": {"perDay": 5}})),
    ] {
        assert_eq!(verdict(kind, spec.clone()), Ok(vec![]), "{kind} {spec}");
    }
}

#[test]
fn what_a_schema_cannot_say_is_refused_with_what_would_be_right() {
    let weak = "AQAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=";
    let off_curve = "AgAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=";
    let cases = [
        (
            "AccessPolicy",
            json!({"ipAllowList": {"cidrs": ["10.0.0.0/8"]}, "rateCap": {"perMinute": 1}}),
            "UnknownField",
            "spec.ipAllowList is not a field: did you mean spec.ipAllowlist?",
        ),
        (
            "Secret",
            json!({"source": {"external": {}}, "policyRef": null}),
            "InvalidSpec",
            "spec.policyRef is null: remove the key or name a policy",
        ),
        (
            "AccessPolicy",
            json!({"timeZone": "Europe/Olso", "rateCap": {"perDay": 1}}),
            "InvalidSpec",
            "spec.timeZone: Europe/Olso is not a time zone of the IANA database: did you mean Europe/Oslo?",
        ),
        (
            "AccessPolicy",
            json!({"timeZone": "europe/oslo", "rateCap": {"perDay": 1}}),
            "InvalidSpec",
            "spec.timeZone: europe/oslo is not a time zone of the IANA database: did you mean Europe/Oslo?",
        ),
        (
            "AccessPolicy",
            json!({"timeZone": "Mars/Olympus_Mons", "rateCap": {"perDay": 1}}),
            "InvalidSpec",
            "spec.timeZone: Mars/Olympus_Mons is not a time zone of the IANA database: write one such as Europe/Oslo or UTC",
        ),
        (
            "Machine",
            json!({"host": {"publicKey": weak}}),
            "InvalidSpec",
            "spec.host.publicKey: the public key is weak (small order): make a new one",
        ),
        (
            "Machine",
            json!({"host": {"publicKey": off_curve}}),
            "InvalidSpec",
            "spec.host.publicKey: the public key is not a point of the Ed25519 curve in its canonical encoding",
        ),
        (
            "Grant",
            json!({"machineRef": {"name": "web"}, "secretRefs": [{"name": "db"}], "expireAt": "2027-01-01T00:00:00Z", "x": null}),
            "UnknownField",
            "spec.expireAt is not a field: did you mean spec.expiresAt?; spec.x is not a field: there are expiresAt, machineRef, secretRefs",
        ),
    ];
    for (kind, spec, reason, message) in cases {
        assert_eq!(verdict(kind, spec), Err((reason, message.to_owned())));
    }
}

#[test]
fn an_object_beyond_128_kib_is_refused_but_not_for_what_its_author_did_not_write() {
    let filler = "x".repeat(130 * 1024);
    let mut large = object("Secret", json!({"source": {"external": {}}}));
    large["metadata"]["annotations"] = json!({"note": filler});
    assert_eq!(
        verdict_at("Secret", &large, None),
        Err(("InvalidSpec", "the object has 131 KiB, the limit is 128 KiB: divide it".to_owned()))
    );
    let mut applied = object("Secret", json!({"source": {"external": {}}}));
    applied["metadata"]["annotations"] = json!({"kubectl.kubernetes.io/last-applied-configuration": filler});
    applied["metadata"]["managedFields"] = json!([{"fieldsV1": {"f:x": filler}}]);
    assert_eq!(verdict_at("Secret", &applied, None), Ok(vec![]));
}

#[test]
fn warnings_name_what_has_no_effect() {
    assert_eq!(
        verdict(
            "Grant",
            json!({"machineRef": {"name": "job"}, "secretRefs": [{"name": "db"}], "expiresAt": "2026-01-01T00:00:00Z"})
        ),
        Ok(vec![
            "Machine job does not exist in namespace shop (yet).".to_owned(),
            "spec.expiresAt 2026-01-01T00:00:00Z is past: the Grant gives no access.".to_owned(),
        ])
    );
    let across = json!({"machineRef": {"name": "job", "namespace": "other"}, "secretRefs": [{"name": "db"}]});
    assert_eq!(verdict("Grant", across), Ok(vec![]), "nothing leaks about another namespace");
    assert_eq!(
        verdict("AccessPolicy", json!({"ttl": {"expiresAt": "2026-11-24T00:00:00Z"}})),
        Ok(vec![
            "spec.ttl.expiresAt 2026-11-24T00:00:00Z is past: every read of the bound Secrets is denied.".to_owned()
        ])
    );
}

#[test]
fn a_key_with_our_prefix_that_means_nothing_is_refused() {
    let mut machine = object("Machine", json!({"host": {}}));
    machine["metadata"]["annotations"] = json!({"sikkerkey.com/bootstrap": "h,t", "example.com/x": "y"});
    assert_eq!(verdict_at("Machine", &machine, None), Ok(vec![]));
    machine["metadata"]["labels"] = json!({"sikkerkey.com/machine": "x"});
    let refusal = verdict_at("Machine", &machine, None).unwrap_err();
    assert_eq!(refusal.0, "UnknownAnnotation");
    assert!(refusal.1.starts_with("sikkerkey.com/machine has no meaning on a Machine"), "{}", refusal.1);
    let mut secret = object("Secret", json!({"source": {"external": {}}}));
    secret["metadata"]["annotations"] = json!({"sikkerkey.com/bootstrap": "h,t"});
    assert_eq!(verdict_at("Secret", &secret, None).unwrap_err().0, "UnknownAnnotation");
}

#[test]
fn what_was_stored_before_a_check_can_still_be_labelled_finalised_and_deleted() {
    let mut bad = object("AccessPolicy", json!({"ipAllowList": {}, "timeZone": "Nowhere"}));
    bad["metadata"]["labels"] = json!({"sikkerkey.com/old": "x"});
    let mut labelled = bad.clone();
    labelled["metadata"]["finalizers"] = json!(["sikkerkey.com/cleanup"]);
    assert_eq!(verdict_at("AccessPolicy", &labelled, Some(&bad)), Ok(vec![]));
    let mut edited = bad.clone();
    edited["spec"]["rateCap"] = json!({"perMinute": 1});
    assert_eq!(verdict_at("AccessPolicy", &edited, Some(&bad)).unwrap_err().0, "UnknownField");
    edited["metadata"]["deletionTimestamp"] = json!("2026-11-24T00:00:00Z");
    assert_eq!(verdict_at("AccessPolicy", &edited, Some(&bad)), Ok(vec![]));
}
