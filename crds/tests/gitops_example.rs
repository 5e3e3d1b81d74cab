//! The example that the documentation gives reads into the types without a loss.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by a panic")]

use serde::Deserialize;
use serde_json::Value;
use sikkerkey_crds::{
    access_policy::AccessPolicy,
    crd::Kind,
    grant::Grant,
    machine::{ChangeNotice, ConsentKind, FileContent, FileFormat, Machine, Subject},
    names::API_VERSION,
    received::Received,
    secret::{Origin, Secret},
};

/// Every object of the four kinds in the example.
fn objects() -> Vec<Value> {
    serde_yaml::Deserializer::from_str(include_str!("fixtures/gitops.yaml"))
        .map(|document| Value::deserialize(document).unwrap())
        .filter(|object| object["apiVersion"] == API_VERSION)
        .collect()
}

fn named<K: Kind>(name: &str) -> Received<K> {
    let mut objects = objects().into_iter();
    let object = objects.find(|object| object["kind"] == K::KIND && object["metadata"]["name"] == name).unwrap();
    serde_json::from_value(object).unwrap()
}

fn assert_reads_without_a_loss<K: Kind>(raw: &Value) {
    let received: Received<K> = serde_json::from_value(raw.clone()).unwrap();
    assert_eq!(received.findings, [], "{raw}");
    let mut written = serde_json::to_value(&received.object).unwrap();
    let status = written.as_object_mut().unwrap().remove("status");
    assert_eq!((&written, status), (raw, None));
}

#[test]
fn every_object_of_the_example_is_read_and_written_back_unchanged() {
    let objects = objects();
    assert_eq!(objects.len(), 7);
    for raw in &objects {
        match raw["kind"].as_str().unwrap() {
            "Machine" => assert_reads_without_a_loss::<Machine>(raw),
            "Secret" => assert_reads_without_a_loss::<Secret>(raw),
            "Grant" => assert_reads_without_a_loss::<Grant>(raw),
            "AccessPolicy" => assert_reads_without_a_loss::<AccessPolicy>(raw),
            kind => panic!("{kind} is none of the four kinds"),
        }
    }
}

#[test]
fn the_views_of_the_machine_say_what_was_written_and_what_is_absent() {
    let machine = named::<Machine>("web");
    let Subject::Workload(workload) = machine.spec.subject().unwrap() else { panic!("a workload") };
    assert_eq!(workload.service_account_names, ["web"]);
    assert!(machine.spec.consents_to("payments", ConsentKind::Grant));
    assert!(!machine.spec.consents_to("payments", ConsentKind::AccessPolicy));
    assert!(!machine.spec.consents_to("shop", ConsentKind::Grant));

    let delivery = machine.spec.delivery();
    assert_eq!(delivery.mount_path(), "/run/secrets/sikkerkey");
    assert_eq!(delivery.size_limit().to_string(), "4Mi");
    assert_eq!(delivery.max_staleness().as_secs(), 8 * 3600);
    let on_change = delivery.on_change.as_ref().unwrap();
    assert_eq!(on_change.debounce().as_secs(), 5);
    let ChangeNotice::HttpPost(post) = on_change.notice().unwrap() else { panic!("a POST") };
    assert_eq!((post.port, post.path()), (8080, "/-/reload"));

    let [password, dot_env, template, token] = delivery.files() else { panic!("four files") };
    assert!(matches!(password.content(), Ok(FileContent::Raw(input)) if input.field.as_deref() == Some("password")));
    assert_eq!(password.mode().to_string(), "0444");
    assert!(matches!(dot_env.content(), Ok(FileContent::Named(FileFormat::DotEnv, [_, _]))));
    assert!(matches!(template.content(), Ok(FileContent::Template(text, _)) if text.starts_with("production:")));
    assert!(token.is_optional() && !password.is_optional());
    assert_eq!(token.secret_refs[0].namespace_or("shop"), "payments");
    assert_eq!(token.secret_refs[0].alias_in(FileFormat::DotEnv), "LEDGER_TOKEN");
    assert_eq!(token.secret_refs[0].alias_in(FileFormat::Yaml), "ledger-token");
}

#[test]
fn the_sources_of_the_secrets_are_told_apart() {
    assert!(
        matches!(named::<Secret>("db").spec.source.origin(), Ok(Origin::Generate(made)) if made.fields().len() == 2)
    );
    assert!(matches!(named::<Secret>("stripe-key").spec.source.origin(), Ok(Origin::Sealed(_))));
    assert!(matches!(named::<Secret>("ledger-token").spec.source.origin(), Ok(Origin::External(_))));
}

#[test]
fn the_window_of_the_policy_is_read_to_the_minute() {
    let policy = named::<AccessPolicy>("working-hours");
    let window = policy.spec.time_window.as_ref().unwrap();
    assert_eq!((window.start.minutes(), window.end.minutes(), window.days().len()), (6 * 60, 20 * 60, 5));
}
