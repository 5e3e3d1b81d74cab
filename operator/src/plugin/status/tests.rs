use std::path::Path;

use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use k8s_openapi::jiff::SignedDuration;
use serde_json::{Value, json};

use super::*;
use crate::leader::ServerView;
use crate::plugin::cluster::Unreadable;

fn now() -> Timestamp {
    "2026-06-01T14:05:00Z".parse().unwrap()
}

fn golden() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden"))
}

/// The object of every state that the operator concludes.
fn states() -> Vec<(String, DynamicObject)> {
    let files = [("skm", "machines"), ("sks", "secrets"), ("skg", "grants"), ("skp", "accesspolicies")];
    let of_file = |(short, plural): (&str, &str)| {
        let text = std::fs::read_to_string(golden().join(format!("states/{plural}.yaml"))).unwrap();
        let documents = serde_yaml::Deserializer::from_str(&text).map(|document| {
            let mut state = <Value as serde::Deserialize>::deserialize(document).unwrap();
            (short.to_owned(), serde_json::from_value(state["object"].take()).unwrap())
        });
        documents.collect::<Vec<_>>()
    };
    files.into_iter().flat_map(of_file).collect()
}

fn lease(holder: &str, renewed: Timestamp, server: Option<&str>) -> Lease {
    let annotations = server.map(|server| [("sikkerkey.com/server".to_owned(), server.to_owned())].into());
    let spec = LeaseSpec {
        holder_identity: Some(holder.to_owned()),
        renew_time: Some(MicroTime(renewed)),
        ..LeaseSpec::default()
    };
    let mut lease = Lease { spec: Some(spec), ..Lease::default() };
    lease.metadata.annotations = annotations;
    lease
}

fn leads() -> LeaderView {
    LeaderView::of(Ok(Some(lease("operator-0_3c1f", now(), Some("Answers")))), "sikkerkey-system", now())
}

fn secret(more: &Value) -> DynamicObject {
    let mut object = json!({
        "apiVersion": "sikkerkey.com/v1alpha1",
        "kind": "Secret",
        "metadata": {"name": "db", "namespace": "shop", "generation": 2, "creationTimestamp": "2026-06-01T14:00:00Z"},
        "spec": {},
        "status": {"observedGeneration": 2, "conditions": [{
            "type": "Ready", "status": "True", "reason": "Ready", "message": "",
            "lastTransitionTime": "2026-06-01T14:01:00Z",
        }]},
    });
    json_patch::merge(&mut object, more);
    serde_json::from_value(object).unwrap()
}

fn found(more: &Value) -> Option<Value> {
    Finding::about("sks", &secret(more)).map(|finding| serde_json::to_value(finding).unwrap())
}

#[test]
fn every_state_that_a_contract_names_is_told_with_what_to_do() {
    let report = Report::of(leads(), &states());
    let path = golden().join("status.txt");
    let text = report.text(now(), false);
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(&path, &text).unwrap();
    }
    assert_eq!(text, std::fs::read_to_string(&path).unwrap_or_default(), "UPDATE_GOLDEN=1 rewrites it");
    for finding in &report.findings {
        let rows = finding.rows(now());
        assert!(!rows.is_empty(), "{finding:?}");
        assert!(rows.iter().all(|row| !row[3].is_empty() && !row[4].is_empty()), "{rows:?}");
    }
}

#[test]
fn an_object_in_force_is_not_mentioned() {
    assert_eq!(found(&json!({})), None);
    assert!(Report::of(leads(), &[("sks".to_owned(), secret(&json!({})))]).is_in_order());
}

#[test]
fn what_no_condition_tells_is_found_too() {
    let deleting = json!({"metadata": {"deletionTimestamp": "2026-06-01T14:02:00Z"}});
    let mut held = deleting.clone();
    json_patch::merge(&mut held, &json!({"metadata": {"finalizers": ["sikkerkey.com/cleanup"]}}));
    for (more, reason, message) in [
        (held, "Deleting", "It is being deleted, and waits for the operator to take it out of force."),
        (deleting, "Deleting", "It is being deleted, and waits for what else holds it: see metadata.finalizers."),
        (json!({"metadata": {"generation": 3}}), "Pending", "The operator has not seen generation 3 yet."),
        (json!({"status": null}), "Pending", "The operator has not seen it yet."),
        (json!({"status": {"conditions": "nonsense"}}), "Pending", "The operator has not seen it yet."),
    ] {
        let told = found(&more).unwrap();
        assert_eq!((told["weight"].as_str(), told["reason"].as_str()), (Some("Mend"), Some(reason)), "{more}");
        assert_eq!(told["message"], message);
    }
}

#[test]
fn problems_of_an_object_in_force_stand_for_it() {
    let problem = json!({"pod": "web-1", "path": "db.env", "reason": "ReadDenied", "message": "Closed until Monday."});
    let object = secret(&json!({"status": {"problems": [problem]}}));
    let finding = Finding::about("skm", &object).unwrap();
    assert_eq!(finding.weight, Weight::Notice);
    let rows = finding.rows(now());
    assert_eq!(rows, [["shop", "skm/db", "", "ReadDenied", "pod web-1, file db.env: Closed until Monday."]]);
}

#[test]
fn a_message_cannot_command_the_terminal() {
    let ready = json!([{"type": "Ready", "status": "False", "reason": "InvalidSpec", "message": "a\u{1b}[2Jb",
        "lastTransitionTime": "2026-06-01T14:01:00Z"}]);
    let report = Report::of(leads(), &[("sks".to_owned(), secret(&json!({"status": {"conditions": ready}})))]);
    assert!(!report.text(now(), false).contains('\u{1b}'));
    assert!(report.text(now(), true).contains("\u{1b}[31mTo mend"), "colour is ours alone");
}

#[test]
fn the_operator_is_told_by_its_lease() {
    let ago = |seconds: i64| now() - SignedDuration::from_secs(seconds);
    let of = |lease| LeaderView::of(Ok(Some(lease)), "system", now());
    for (view, text, trouble) in [
        (leads(), "operator-0_3c1f leads, and the server answers it", false),
        (
            of(lease("a", ago(60), Some("Away"))),
            "a leads, and the server is away or sealed: changes wait, what is in force goes on",
            true,
        ),
        (of(lease("a", now() + SignedDuration::from_secs(300), None)), "a leads", false),
        (of(lease("a", ago(300), Some("Answers"))), "none leads: the last sign of one is 5m old. Changes wait", true),
        (of(lease("", ago(1), None)), "none leads: the last one has stopped. Changes wait", true),
        (
            LeaderView::of(Ok(None), "system", now()),
            "none has ever led in namespace system: --operator-namespace names another",
            true,
        ),
        (
            LeaderView::of(Err(Unreadable), "system", now()),
            "unknown: you may not get its Lease in namespace system",
            false,
        ),
    ] {
        assert_eq!((view.to_string().as_str(), view.is_trouble()), (text, trouble));
        assert_eq!(Report::of(view, &[]).is_in_order(), !trouble);
    }
}

#[test]
fn programs_read_the_same() {
    let report = Report::of(
        LeaderView::Leads { holder: "a".to_owned(), server: ServerView::Answers },
        &[("sks".to_owned(), secret(&json!({"metadata": {"generation": 3}})))],
    );
    assert_eq!(
        serde_json::to_value(&report).unwrap(),
        json!({
            "operator": {"state": "Leads", "holder": "a", "server": "Answers"},
            "objects": 1,
            "inOrder": 0,
            "findings": [{
                "weight": "Mend", "namespace": "shop", "object": "sks/db", "stalled": false, "reason": "Pending",
                "message": "The operator has not seen generation 3 yet.",
            }],
        })
    );
}
