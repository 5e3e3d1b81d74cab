#![expect(clippy::needless_pass_by_value, reason = "json! reads best in the call itself")]

use std::sync::Arc;

use kube::core::DeserializeGuard;
use kube::runtime::watcher::Event;
use serde_json::json;
use sikkerkey_crds::received::Received;

use super::*;
use crate::index::seen::Seen;

fn seen<K: Kind>(object: Value) -> Event<Seen<K>> {
    let guard: DeserializeGuard<Received<K>> = serde_json::from_value(object).unwrap();
    Event::Apply(guard.into())
}

fn named(kind: &str, place: &str, spec: Value) -> Value {
    let (namespace, name) = place.split_once('/').unwrap();
    json!({"apiVersion": "sikkerkey.com/v1alpha1", "kind": kind, "spec": spec,
           "metadata": {"name": name, "namespace": namespace, "uid": place, "generation": 1}})
}

/// A namespace whose Machine web reads db, which two policies could guard, and key, which four-eyes guards; and another,
/// whose Machine job reads db as well.
fn cluster() -> Arc<Index> {
    let (index, mut feeds) = Index::new();
    let pods = |place: &str, alive: i32, allow: Value| {
        let mut machine =
            named("Machine", place, json!({"workload": {"serviceAccountNames": ["a"]}, "allowFrom": allow}));
        machine["status"] = json!({"pods": {"alive": alive}});
        machine
    };
    feeds.machines.apply(&seen(pods("shop/web", 12, json!([]))));
    feeds.machines.apply(&seen(pods("hq/job", 30, json!([{"namespace": "shop", "kinds": ["Grant"]}]))));
    feeds.machines.apply(&seen(pods("hq/other", 99, json!([]))));
    let source = |source: &str, policy: &str| json!({"source": {source: {}}, "policyRef": {"name": policy}});
    feeds.secrets.apply(&seen(named("Secret", "shop/db", source("generate", "hours"))));
    feeds.secrets.apply(&seen(named("Secret", "shop/key", source("external", "four-eyes"))));
    for (name, machine, secrets, end) in [
        ("web-reads", json!({"name": "web"}), json!([{"name": "db"}, {"name": "key"}]), None),
        ("job-reads", json!({"name": "job", "namespace": "hq"}), json!([{"name": "db"}]), None),
        ("no-consent", json!({"name": "other", "namespace": "hq"}), json!([{"name": "db"}]), None),
        ("past", json!({"name": "old"}), json!([{"name": "db"}]), Some("2026-11-01T00:00:00Z")),
    ] {
        let mut spec = json!({"machineRef": machine, "secretRefs": secrets});
        if let Some(end) = end {
            spec["expiresAt"] = end.into();
        }
        feeds.grants.apply(&seen(named("Grant", &format!("shop/{name}"), spec)));
    }
    let boss =
        json!({"coSign": {"machineRef": {"name": "boss", "namespace": "hq"}, "window": "1h"}, "rotateAfterReads": 50});
    feeds.policies.apply(&seen(named("AccessPolicy", "shop/four-eyes", boss)));
    index
}

fn verdict_at(kind: &str, object: &Value, old: Option<&Value>) -> Result<Vec<String>, (&'static str, String)> {
    let index = cluster();
    let surroundings = Surroundings { now: "2026-11-24T00:00:00Z".parse().unwrap(), index: &index };
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
fn a_machine_whose_files_are_written_once_is_told_what_has_no_effect() {
    let told = |delivery: Value| {
        verdict("Machine", json!({"workload": {"serviceAccountNames": ["web"]}, "delivery": delivery})).unwrap()
    };
    let following = json!({
        "onRevoked": "Keep", "onClosed": "Keep", "maxStaleness": "1h", "onChange": {"httpPost": {"port": 80}},
    });
    assert_eq!(told(following.clone()), Vec::<String>::new());
    let mut once = following;
    once["mode"] = "Init".into();
    let said = told(once);
    assert_eq!(
        said[0],
        "spec.delivery.onChange has no effect in mode Init: files are written once, before the pod starts, and nothing is left \
         that could change them. Remove it, or use mode Sidecar."
    );
    let fields = ["onChange", "onRevoked", "onClosed", "maxStaleness"];
    let fields = fields.map(|field| format!("spec.delivery.{field} has no effect"));
    assert!(said.iter().zip(&fields).all(|(said, field)| said.starts_with(field)) && said.len() == 4, "{said:?}");
    assert_eq!(told(json!({"mode": "Init", "sizeLimit": "1Mi"})), Vec::<String>::new());
}

#[test]
fn a_machine_is_told_which_files_no_grant_covers() {
    let with = |name: &str, files: Value| {
        let mut machine =
            object("Machine", json!({"workload": {"serviceAccountNames": ["web"]}, "delivery": {"files": files}}));
        machine["metadata"]["name"] = name.into();
        verdict_at("Machine", &machine, None).unwrap()
    };
    let file = |secret: &str| json!({"path": secret, "secretRefs": [{"name": secret}]});
    assert_eq!(with("web", json!([file("db"), file("key")])), Vec::<String>::new());
    let lacks = |name: &str, namespace: &str| {
        let shown = if namespace == "shop" { name.to_owned() } else { format!("{namespace}/{name}") };
        format!(
            "File {name} needs Secret {shown}, which is not granted to this Machine: add it to a Grant in namespace {namespace}."
        )
    };
    assert_eq!(with("web", json!([file("db"), file("none")])), [lacks("none", "shop")]);
    assert_eq!(with("other", json!([file("db")])), [lacks("db", "shop")]);
    let elsewhere = json!([{"path": "t", "secretRefs": [{"name": "t", "namespace": "pay"}]}]);
    assert_eq!(with("web", elsewhere), [lacks("t", "pay")]);
    let optional = json!([{"path": "none", "optional": true, "secretRefs": [{"name": "none"}]}]);
    assert_eq!(with("web", optional), Vec::<String>::new());
    let said = with("web", (0..8).map(|n| file(&format!("n{n}"))).collect());
    assert_eq!(said.len(), 6);
    assert_eq!(said[5], "3 more files lack something: kubectl describe skm says what.");
}

#[test]
fn files_that_cannot_fit_their_volume_are_refused() {
    let files: Value =
        (0..16).map(|n| json!({"path": format!("f{n}"), "format": "JSON", "secretRefs": [{"name": "db"}]})).collect();
    let spec = |limit: &str| json!({"workload": {"serviceAccountNames": ["web"]}, "delivery": {"sizeLimit": limit, "files": files}});
    let refused = "spec.delivery.sizeLimit: 64Ki has no room for the files: whatever the values are, they take 68Ki at least, as \
                   each takes whole pages of 4Ki. Raise it, or write fewer files";
    assert_eq!(verdict("Machine", spec("64Ki")), Err(("InvalidSpec", refused.to_owned())));
    assert!(verdict("Machine", spec("68Ki")).is_ok());
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
fn a_ciphertext_that_cannot_be_one_is_refused_by_its_path() {
    let sealed = |ciphertext: &str| json!({"source": {"sealed": {"keyID": "seal-1", "ciphertext": ciphertext}}});
    let refused = |what: &str| Err(("InvalidSpec", format!("spec.source.sealed.ciphertext: {what}")));
    let whole = "A".repeat(152);
    assert_eq!(verdict("Secret", sealed(&whole)), Ok(vec![]));
    let not_base64 = || refused("not base64: copy it whole, as sikkerkey-operator seal prints it");
    assert_eq!(verdict("Secret", sealed(&whole[1..])), not_base64(), "cut");
    assert_eq!(verdict("Secret", sealed(&format!("{whole}\n"))), not_base64(), "a line break");
    let large = "A".repeat(24 * 1024);
    assert_eq!(verdict("Secret", sealed(&large)), Ok(vec![]));
    assert_eq!(
        verdict("Secret", sealed(&format!("{large}AAAA"))),
        refused("a sealed value has at most 24 KiB: divide it")
    );
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
fn a_policy_is_looked_at_together_with_the_secrets_that_name_it_and_those_who_read_them() {
    let spec = json!({"coSign": {"machineRef": {"name": "web"}, "window": "1h"}, "rateCap": {"perMinute": 20},
                      "rotateAfterReads": 40});
    let named_hours = named("AccessPolicy", "shop/hours", spec.clone());
    assert_eq!(
        verdict_at("AccessPolicy", &named_hours, None),
        Ok(vec![
            "spec.coSign.machineRef: Machine web co-signs for AccessPolicy hours and is itself granted Secret db: nobody \
             approves their own reads, so it cannot read that."
                .to_owned(),
            "spec.rateCap.perMinute: AccessPolicy hours lets all pods of Machine hq/job together read a Secret 20 times in a \
             minute, and 30 are alive: when they start at once, the others wait."
                .to_owned(),
            "spec.rotateAfterReads: Secret db is granted to 42 pods that are alive, and AccessPolicy hours makes a new value \
             after 40 reads: one more read by each is enough, every 5 minutes at the earliest."
                .to_owned(),
        ])
    );
    assert_eq!(verdict("AccessPolicy", spec.clone()), Ok(vec![]), "no Secret names x");
    let mut nameless = named_hours;
    nameless["metadata"] = json!({"generateName": "hours-"});
    assert_eq!(verdict_at("AccessPolicy", &nameless, None), Ok(vec![]));
}

#[test]
fn a_co_signer_that_does_not_exist_is_told_of_in_the_own_namespace_only() {
    let signed = |machine: Value| json!({"coSign": {"machineRef": machine, "window": "1h"}});
    let missing = "spec.coSign.machineRef: Machine boss does not exist in namespace shop (yet): reads that need its approval \
                   are denied until it does.";
    assert_eq!(verdict("AccessPolicy", signed(json!({"name": "boss"}))), Ok(vec![missing.to_owned()]));
    let explicit = signed(json!({"name": "boss", "namespace": "shop"}));
    assert_eq!(verdict("AccessPolicy", explicit), Ok(vec![missing.to_owned()]));
    assert_eq!(verdict("AccessPolicy", signed(json!({"name": "boss", "namespace": "hq"}))), Ok(vec![]));
}

#[test]
fn a_secret_and_a_grant_are_told_what_the_policy_that_is_there_makes_of_them() {
    let external = named("Secret", "shop/pin", json!({"source": {"external": {}}, "policyRef": {"name": "four-eyes"}}));
    assert_eq!(
        verdict_at("Secret", &external, None),
        Ok(vec![
            "The server makes no new value of Secret pin (external): after 50 reads under AccessPolicy four-eyes it becomes \
             due (RotationDue), and somebody has to set it."
                .to_owned()
        ])
    );
    let made = named("Secret", "shop/pin", json!({"source": {"generate": {}}, "policyRef": {"name": "four-eyes"}}));
    assert_eq!(verdict_at("Secret", &made, None), Ok(vec![]));
    let free = named("Secret", "shop/pin", json!({"source": {"external": {}}, "policyRef": {"name": "unknown"}}));
    assert_eq!(verdict_at("Secret", &free, None), Ok(vec![]));

    let grant = |machine: Value| json!({"machineRef": machine, "secretRefs": [{"name": "db"}, {"name": "key"}]});
    assert_eq!(
        verdict("Grant", grant(json!({"name": "boss", "namespace": "hq"}))),
        Ok(vec![
            "Machine hq/boss co-signs for AccessPolicy four-eyes and is itself granted Secret key: nobody approves their own \
             reads, so it cannot read that."
                .to_owned()
        ])
    );
    assert_eq!(verdict("Grant", grant(json!({"name": "web"}))), Ok(vec![]));
}

#[test]
fn a_key_with_our_prefix_that_means_nothing_is_refused() {
    let mut machine = object("Machine", json!({"host": {}}));
    machine["metadata"]["annotations"] = json!({"example.com/x": "y"});
    assert_eq!(verdict_at("Machine", &machine, None), Ok(vec![]));
    machine["metadata"]["labels"] = json!({"sikkerkey.com/machine": "x"});
    let refusal = verdict_at("Machine", &machine, None).unwrap_err();
    assert_eq!(refusal.0, "UnknownAnnotation");
    assert!(refusal.1.starts_with("sikkerkey.com/machine has no meaning on a Machine"), "{}", refusal.1);
    let mut secret = object("Secret", json!({"source": {"external": {}}}));
    secret["metadata"]["annotations"] = json!({"sikkerkey.com/note": "x"});
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

#[test]
fn an_original_that_is_to_go_is_warned_of_where_something_else_applies_the_object() {
    let secret = |source: Value, more: Value| {
        let mut object = object("Secret", json!({"source": source}));
        object["metadata"].as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        verdict_at("Secret", &object, None)
    };
    let to_go = || json!({"kubernetesSecret": {"name": "old", "onTaken": "Delete"}});
    let argo = || json!({"annotations": {"argocd.argoproj.io/tracking-id": "shop:sikkerkey.com/Secret:shop/x"}});
    let flux = || json!({"labels": {"kustomize.toolkit.fluxcd.io/name": "apps"}});
    for (source, more, manager) in [
        (to_go(), argo(), Some("Argo CD")),
        (to_go(), flux(), Some("Flux")),
        (to_go(), json!({}), None),
        (json!({"kubernetesSecret": {"name": "old"}}), argo(), None),
        (json!({"kubernetesSecret": {"name": "old", "onTaken": "Keep"}}), flux(), None),
        (json!({"generate": {}}), argo(), None),
    ] {
        let expected: Vec<String> = manager
            .map(|manager| {
                format!(
                    "spec.source.kubernetesSecret.onTaken is Delete, and {manager} applies this object: if it applies \
                     Kubernetes Secret old as well, that is not deleted, or comes back. Remove it there."
                )
            })
            .into_iter()
            .collect();
        assert_eq!(secret(source, more), Ok(expected));
    }
}

#[test]
fn a_template_that_no_value_could_save_is_refused_with_its_line() {
    let machine = |template: &str| {
        let files = json!([{
            "path": "url", "format": "Template", "template": template,
            "secretRefs": [{"name": "db"}, {"name": "stripe-key", "as": "key"}],
        }]);
        verdict("Machine", json!({"workload": {"serviceAccountNames": ["web"]}, "delivery": {"files": files}}))
    };
    let admitted = machine("{{ db.username }}:{{ db.password | urlencode }}@{{ key }}").unwrap();
    assert!(admitted.iter().all(|it| it.contains("not granted")), "{admitted:?}");
    for (template, message) in [
        (
            "a: b\nc: {{ db.username",
            "line 2, column 10, at `username`: syntax error: unexpected end of input, expected end of variable block",
        ),
        (
            "{% if false %}{{ pw }}{% endif %}",
            "line 1, column 18, at `pw`: pw is none of its inputs, which are db, key: name one of these, or add the Secret \
             to secretRefs with `as: pw`",
        ),
        (
            "{{ key | urlencod }}",
            "line 1, column 10, at `urlencod`: there is no filter urlencod: use b64encode, b64decode, json, urlencode, xml, \
             sh, sha256, upper, lower, trim, replace, indent, default, split, join, first, last, length, items",
        ),
    ] {
        let message = format!("spec.delivery.files[0]: cannot be written: template {message}");
        assert_eq!(machine(template), Err(("InvalidSpec", message)));
    }
    // One that would be the end of the process that parses it.
    let deep = machine(&format!("{{{{ {}1 }}}}", "-".repeat(8000))).unwrap_err().1;
    assert!(deep.contains("one tag has at most 200 words and signs"), "{deep}");
}

#[test]
fn an_object_beyond_any_good_one_is_refused_before_it_is_parsed_unless_it_is_being_deleted() {
    let object = |metadata: &str, spec: &str| format!(r#"{{"metadata":{{{metadata}}},"spec":{spec},"status":{{}}}}"#);
    // Not even JSON of the right shape: nobody has looked into it.
    let huge = format!("[{}0]", r#"{"a":0},"#.repeat(300_000));
    assert_eq!(bulk(&object("", r#"{"a":1}"#)).unwrap(), Bulk::Fits);
    let Bulk::TooLarge(invalid) = bulk(&object("", &huge)).unwrap() else { panic!("it is taken") };
    assert_eq!(invalid.reason, Reason::InvalidSpec);
    assert!(invalid.message.ends_with("the limit is 128 KiB: divide it"), "{}", invalid.message);
    let many = format!(r#""annotations":{huge}"#);
    assert!(matches!(bulk(&object(&many, "{}")).unwrap(), Bulk::TooLarge(_)));
    let deleted = r#""deletionTimestamp":"2026-11-27T00:00:00Z""#;
    assert_eq!(bulk(&object(deleted, &huge)).unwrap(), Bulk::BeingDeleted);
    assert!(bulk("{").is_err());
}

#[test]
fn a_time_zone_of_any_length_is_refused_at_once() {
    let zone = "Europe/Oslo".repeat(100_000);
    let spec = json!({"timeZone": zone, "timeWindow": {"start": "06:00", "end": "20:00"}});
    let policy = json!({"metadata": {"name": "p", "namespace": "shop"}, "spec": spec});
    let policy: AccessPolicy = serde_json::from_value(policy).unwrap();
    let flaw = policy::refuse_flaws(&policy.spec).unwrap_err().to_string();
    assert_eq!(
        flaw,
        "spec.timeZone: this is not a time zone of the IANA database: write one such as Europe/Oslo or UTC"
    );
}
