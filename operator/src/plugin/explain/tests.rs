#![expect(clippy::needless_pass_by_value, reason = "tests hand over JSON literals")]

use std::path::Path;

use k8s_openapi::api::core::v1::Pod;
use serde_json::{Value, json};
use sikkerkey_crds::grant::Grant;
use sikkerkey_crds::machine::Machine;
use sikkerkey_crds::received::Received;
use sikkerkey_crds::secret::Secret;
use sikkerkey_protocol::denial::DenialReason;
use sikkerkey_protocol::explain::{ExplainedRule, Rule};

use super::look::SeenMachine;
use super::*;
use crate::plugin::cluster::Unreadable;

fn object<T: serde::de::DeserializeOwned>(kind: &str, name: &str, spec: Value, more: Value) -> T {
    let mut object = json!({
        "apiVersion": "sikkerkey.com/v1alpha1", "kind": kind,
        "metadata": {"name": name, "namespace": "shop", "uid": format!("{name}-uid"), "generation": 2},
        "spec": spec,
        "status": {"observedGeneration": 2, "conditions": [{
            "type": "Ready", "status": "True", "reason": "Ready", "message": "", "lastTransitionTime": "2026-06-01T14:01:00Z",
        }]},
    });
    json_patch::merge(&mut object, &more);
    serde_json::from_value(object).unwrap()
}

fn ready(status: &str, reason: &str, message: &str) -> Value {
    json!({"status": {"conditions": [{
        "type": "Ready", "status": status, "reason": reason, "message": message, "lastTransitionTime": "2026-06-01T14:01:00Z",
    }]}})
}

fn machine(more: Value) -> Received<Machine> {
    object("Machine", "web", json!({"workload": {"serviceAccountNames": ["web"]}}), more)
}

fn secret(more: Value) -> Secret {
    object("Secret", "db", json!({"source": {"generate": {}}}), more)
}

fn grant(more: Value) -> Grant {
    object("Grant", "web-reads", json!({"machineRef": {"name": "web"}, "secretRefs": [{"name": "db"}]}), more)
}

fn pod(more: Value) -> Pod {
    let mut pod = json!({
        "metadata": {"name": "web-1", "namespace": "shop", "uid": "pod-uid", "labels": {"sikkerkey.com/machine": "web"}},
        "spec": {"serviceAccountName": "web", "containers": [{"name": "app"}], "initContainers": [{"name": "sikkerkey"}]},
    });
    json_patch::merge(&mut pod, &more);
    serde_json::from_value(pod).unwrap()
}

/// Everything is as it should be.
fn seen() -> Seen {
    Seen {
        namespace: "shop".into(),
        secret_namespace: "shop".into(),
        secret_name: "db".into(),
        pod_name: Some("web-1".into()),
        pod: Some(Ok(Some(pod(json!({}))))),
        machine: Some(SeenMachine { name: "web".into(), found: Ok(Some(machine(json!({})))) }),
        secret: Ok(Some(secret(json!({})))),
        grants: Ok(vec![grant(json!({}))]),
        policy: None,
    }
}

fn explanation(denied: Option<(Rule, DenialReason, &str)>) -> ReadExplained {
    let rule = |rule, message: &str| match denied {
        Some((which, reason, message)) if which == rule => {
            ExplainedRule { rule, says: RuleSays::Denies, reason: Some(reason), message: message.into(), until: None }
        }
        _ => ExplainedRule { rule, says: RuleSays::Allows, reason: None, message: message.into(), until: None },
    };
    let off = ExplainedRule {
        rule: Rule::CoSign,
        says: RuleSays::Off,
        reason: None,
        message: "the policy does not ask for it".into(),
        until: None,
    };
    let explanation = Explanation {
        machine: "Machine shop/web".into(),
        secret: "shop/db".into(),
        address: "10.0.3.17".into(),
        at: 1_780_322_700_000,
        allowed: denied.is_none(),
        rules: vec![
            rule(Rule::Machine, "approved and enabled, until 2026-06-01T15:00:00Z"),
            rule(Rule::Grant, "granted by Grant shop/web-reads"),
            rule(Rule::TimeWindow, "open until Mon 18:00 Europe/Oslo"),
            off,
        ],
        changes_at: denied.map(|_| 1_780_326_000_000),
    };
    ReadExplained { not_held: vec![], enrolled: Some(true), explanation: Some(explanation) }
}

fn explained(seen: &Seen, answer: Option<Result<ReadExplained, Unanswered>>) -> Explained {
    Explained::of("pod/web-1 (skm/web)".into(), "sks/db".into(), seen, answer)
}

/// Every page there is, with its exit code.
fn pages() -> Vec<(&'static str, Explained)> {
    let closed = (Rule::TimeWindow, DenialReason::OutsideTimeWindow, "closed until Mon 06:00 Europe/Oslo");
    let not_granted = (
        Rule::Grant,
        DenialReason::NotGranted,
        "Secret shop/db is not granted to Machine shop/web: add it to a Grant in namespace shop",
    );
    let allowed = || Some(Ok(explanation(None)));
    let with = |change: fn(&mut Seen)| {
        let mut seen = seen();
        change(&mut seen);
        seen
    };
    let of_machine = |more| Some(SeenMachine { name: "web".into(), found: Ok(Some(machine(more))) });
    let no_label = with(|seen| {
        seen.pod = Some(Ok(Some(pod(json!({"metadata": {"labels": null}})))));
        seen.machine = None;
    });
    let no_pod = with(|seen| {
        seen.pod = Some(Ok(None));
        seen.machine = None;
    });
    let bare = with(|seen| seen.pod = Some(Ok(Some(pod(json!({"spec": {"initContainers": null}}))))));
    let served = with(|seen| {
        let ended = json!({"name": "sikkerkey", "image": "", "imageID": "", "ready": true, "restartCount": 0, "state": {"terminated": {"exitCode": 0}}});
        seen.pod = Some(Ok(Some(pod(json!({"status": {"initContainerStatuses": [ended]}})))));
    });
    let account = with(|seen| seen.pod = Some(Ok(Some(pod(json!({"spec": {"serviceAccountName": "other"}}))))));
    let no_machine = with(|seen| seen.machine = Some(SeenMachine { name: "web".into(), found: Ok(None) }));
    let no_secret = with(|seen| seen.secret = Ok(None));
    let no_grant = with(|seen| seen.grants = Ok(vec![]));
    let no_policy = with(|seen| seen.policy = Some(("hours".into(), Ok(None))));
    let mut suspended = seen();
    suspended.machine = of_machine(ready("True", "Suspended", "spec.suspend is true: nobody reads as this Machine."));
    let mut ended = seen();
    ended.grants = Ok(vec![grant(ready("True", "Expired", "Ended at 2026-05-01T00:00:00Z: it gives no access."))]);
    let mut behind = seen();
    behind.machine = of_machine(json!({"metadata": {"generation": 3}}));
    let blind = with(|seen| {
        seen.pod = Some(Err(Unreadable));
        seen.machine = Some(SeenMachine { name: "web".into(), found: Err(Unreadable) });
        seen.secret = Err(Unreadable);
        seen.grants = Err(Unreadable);
        seen.policy = Some(("hours".into(), Err(Unreadable)));
    });
    let suspends = (Rule::Machine, DenialReason::MachineSuspended, "Machine shop/web is suspended");
    let away = Unanswered::Away("failed calling webhook: connection refused".into());
    let not_held = ReadExplained { not_held: vec![Kind::Machine, Kind::Secret], enrolled: None, explanation: None };
    let not_enrolled = ReadExplained { enrolled: Some(false), ..explanation(None) };
    vec![
        ("it may", explained(&seen(), allowed())),
        ("a rule of the server denies", explained(&seen(), Some(Ok(explanation(Some(closed)))))),
        ("no label", explained(&no_label, None)),
        ("no pod", explained(&no_pod, None)),
        ("no sidecar", explained(&bare, allowed())),
        ("another service account", explained(&account, allowed())),
        ("no Machine", explained(&no_machine, None)),
        ("no Secret", explained(&no_secret, None)),
        ("no Grant", explained(&no_grant, Some(Ok(explanation(Some(not_granted)))))),
        ("no Grant, and nobody answers", explained(&no_grant, Some(Err(away.clone())))),
        ("no policy", explained(&no_policy, Some(Err(away.clone())))),
        ("suspended", explained(&suspended, Some(Ok(explanation(Some(suspends)))))),
        ("the Grant has ended", explained(&ended, Some(Ok(explanation(Some(not_granted)))))),
        ("the operator is behind", explained(&behind, allowed())),
        ("not held", explained(&seen(), Some(Ok(not_held)))),
        ("not enrolled", explained(&seen(), Some(Ok(not_enrolled.clone())))),
        ("files written once", explained(&served, Some(Ok(not_enrolled)))),
        ("nobody answers", explained(&seen(), Some(Err(away)))),
        ("nothing may be seen", explained(&blind, None)),
    ]
}

#[test]
fn every_page_is_the_committed_one() {
    let text: Vec<String> =
        pages().iter().map(|(name, it)| format!("== {name}, exit {}\n\n{}", it.exit_code(), it.text(false))).collect();
    let text = text.join("\n");
    let path = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/explain.txt"));
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(path, &text).unwrap();
    }
    assert_eq!(text, std::fs::read_to_string(path).unwrap_or_default(), "UPDATE_GOLDEN=1 rewrites it");
}

#[test]
fn the_exit_code_is_the_answer() {
    let codes: Vec<(&str, u8)> = pages().iter().map(|(name, it)| (*name, it.exit_code())).collect();
    let may = ["it may", "the operator is behind", "not enrolled", "files written once"];
    let unknown = ["no pod", "nobody answers", "nothing may be seen"];
    for (name, code) in codes {
        let expected = if may.contains(&name) { 0 } else { 1 + u8::from(unknown.contains(&name)) };
        assert_eq!(code, expected, "{name}");
    }
}

#[test]
fn a_message_cannot_command_the_terminal() {
    let closed = (Rule::TimeWindow, DenialReason::OutsideTimeWindow, "a\u{1b}[2Jb");
    let page = explained(&seen(), Some(Ok(explanation(Some(closed)))));
    assert!(!page.text(false).contains('\u{1b}'));
    assert!(page.text(true).contains("\u{1b}[31mNO"), "colour is ours alone");
}

#[test]
fn programs_read_the_same() {
    let closed = (Rule::TimeWindow, DenialReason::OutsideTimeWindow, "closed");
    let told = serde_json::to_value(explained(&seen(), Some(Ok(explanation(Some(closed)))))).unwrap();
    assert_eq!((&told["verdict"], &told["secretNamespace"]), (&json!("MayNot"), &json!("shop")));
    let lines = told["lines"].as_array().unwrap();
    let denying: Vec<&Value> = lines.iter().filter(|line| line["outcome"] == "Denies").collect();
    assert_eq!(
        denying,
        [&json!({"outcome": "Denies", "about": "TimeWindow", "reason": "OutsideTimeWindow", "message": "closed"})]
    );
    assert_eq!(told["explanation"]["allowed"], false);
}

#[test]
fn the_server_is_asked_with_the_uids_of_what_was_seen() {
    let asked = question(&seen(), Some("10.1.2.3".parse().unwrap())).unwrap();
    assert_eq!((asked.machine.uid.as_str(), asked.secret.uid.as_str()), ("web-uid", "db-uid"));
    assert_eq!((asked.pod_uid.as_deref(), asked.address.as_deref()), (Some("pod-uid"), Some("10.1.2.3")));
    for missing in ["no Machine", "no Secret", "nothing may be seen"] {
        let page = pages().into_iter().find(|(name, _)| *name == missing).unwrap().1;
        assert!(page.explanation.is_none(), "{missing}");
    }
}

#[test]
fn who_and_what_are_read_from_the_command_line() {
    #[derive(clap::Parser)]
    struct Line {
        #[command(flatten)]
        options: ExplainOptions,
    }
    let read = |line: &str| {
        let words = std::iter::once("explain").chain(line.split(' '));
        asked(&<Line as clap::Parser>::try_parse_from(words).unwrap().options).map_err(|error| error.to_string())
    };
    let who_and_what = "say who and what: pod/NAME sks/NAME, or --machine NAME sks/NAME for pods that do not exist yet";
    for (line, expected) in [
        ("pod/web-1 secret/db", Ok((Reader::Pod("web-1".into()), "db".to_owned()))),
        ("skm/web sks/db", Ok((Reader::Machine("web".into()), "db".to_owned()))),
        ("--machine web sks/db", Ok((Reader::Machine("web".into()), "db".to_owned()))),
        ("sks/db --machine skm/web", Ok((Reader::Machine("web".into()), "db".to_owned()))),
        ("sks/db", Err(who_and_what.to_owned())),
        ("pod/web-1 sks/db --machine web", Err(who_and_what.to_owned())),
        ("skg/g sks/db", Err(who_and_what.to_owned())),
        ("pod/web-1 skp/hours", Err("\"skp/hours\" is not what is asked about here: write sks/NAME".to_owned())),
        (
            "pod/web-1 secret.v1/db",
            Err("\"secret.v1/db\" is a Kubernetes Secret: SikkerKey's are written sks/NAME".to_owned()),
        ),
    ] {
        assert_eq!(read(line), expected, "{line}");
    }
}
