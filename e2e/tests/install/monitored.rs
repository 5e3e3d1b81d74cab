//! Alerts and dashboard ask for what server, operator and sidecars count.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde_json::Value;
use sikkerkey_e2e::helm::Helm;
use sikkerkey_operator::attest::denial::Denial;
use sikkerkey_operator::metrics::{Certificate, Outcome, Ready};
use sikkerkey_operator::serve::counters::{Counters, Route};
use sikkerkey_protocol::kubernetes::Kind;
use sikkerkey_server::metrics::{ClosedCause, DeliveryOutcome, LockKind, LockLabel, ShedCause, StatusLabel};
use sikkerkey_sidecar::status::{Board, Standing};

use crate::expression::{self, Matcher};
use crate::variant::{Variant, one};

/// What Prometheus and Kubernetes count.
const FOREIGN: [&str; 5] = [
    "up",
    "kube_pod_container_status_restarts_total",
    "kubelet_volume_stats_available_bytes",
    "kubelet_volume_stats_capacity_bytes",
    "apiserver_admission_webhook_rejection_count",
];
/// Labels that the scraper gives.
const OF_THE_SCRAPER: [&str; 3] = ["job", "namespace", "pod"];

/// Each sample that there is, with the values of its labels.
type Samples = BTreeMap<String, BTreeMap<String, BTreeSet<String>>>;

/// What each part exposes when everything has happened once.
pub(crate) fn expositions() -> [(&'static str, String); 3] {
    let server = sikkerkey_server::metrics::Metrics::default();
    for status in [200, 404, 503] {
        server.responses.get_or_create(&StatusLabel { status }).inc();
    }
    for what in [LockKind::Address, LockKind::Pair, LockKind::Signer, LockKind::Tokens] {
        server.lockouts.get_or_create(&LockLabel { what }).inc();
    }
    for cause in [ShedCause::Writer, ShedCause::Verifier, ShedCause::Rate, ShedCause::Share] {
        server.count_shed(cause);
    }
    server.count_closed(ClosedCause::Idle);
    server.count_delivery(DeliveryOutcome::Delivered);
    server.show_certificate(Some(1));
    let operator = sikkerkey_operator::metrics::Metrics::new();
    for kind in [Kind::Machine, Kind::Secret, Kind::Grant, Kind::AccessPolicy] {
        operator.status_written(kind);
        for ready in [Ready::True, Ready::False, Ready::Unknown] {
            operator.objects(kind, ready, 1);
        }
        for outcome in [Outcome::Done, Outcome::Waits, Outcome::ServerAway, Outcome::Refused, Outcome::Failed] {
            operator.reconciled(kind, outcome);
        }
    }
    operator.watch_broke("pods");
    for certificate in [Certificate::Root, Certificate::Serving] {
        operator.certificate_ends(certificate, 1);
    }
    let counters = Counters::new();
    for route in [Route::Mutate, Route::Validate, Route::Attest, Route::Report, Route::Question] {
        counters.answered(route, "Admitted", Duration::from_millis(1));
    }
    let gone = Denial::MachineNotProgrammed { machine: "web".into() };
    for outcome in ["Vouched", Denial::PodGone.reason(), Denial::PodTerminating.reason(), gone.reason()] {
        counters.answered(Route::Attest, outcome, Duration::from_millis(1));
    }
    let sidecar = Board::default();
    sidecar.show(Standing { identity_expires_at: Some(1), last_sync: Some(1), ..Standing::default() });
    [
        ("Server", server.render()),
        ("Operator", counters.encode_after(&operator.encode())),
        ("Sidecar", sidecar.metrics()),
    ]
}

fn counted() -> Samples {
    let mut samples = Samples::new();
    let texts = expositions();
    for line in texts.iter().flat_map(|(_, text)| text.lines()).filter(|line| !line.starts_with('#')) {
        let (series, _) = line.rsplit_once(' ').unwrap();
        let (name, labels) = series.split_once('{').unwrap_or((series, ""));
        let known = samples.entry(name.to_owned()).or_default();
        for label in labels.trim_end_matches('}').split(',').filter(|label| !label.is_empty()) {
            let (label, value) = label.split_once('=').unwrap();
            known.entry(label.to_owned()).or_default().insert(value.trim_matches('"').to_owned());
        }
    }
    samples
}

/// Whether a value is one of those that a pattern with `.` and `|` means.
fn matches(pattern: &str, value: &str) -> bool {
    pattern.split('|').any(|one| {
        one.len() == value.len()
            && one.chars().zip(value.chars()).all(|(expected, found)| expected == '.' || expected == found)
    })
}

/// What a matcher asks for and does not exist.
fn asked_in_vain(matcher: &Matcher, values: &BTreeSet<String>) -> Option<String> {
    let patterns =
        if matcher.operator.contains('~') { matcher.value.split('|').collect() } else { vec![&*matcher.value] };
    let vain = patterns.into_iter().find(|pattern| !values.iter().any(|value| matches(pattern, value)));
    vain.map(str::to_owned)
}

/// Everything that is wrong with an expression; what it asks for.
fn judged(text: &str, samples: &Samples, asked: &mut BTreeSet<String>) -> Vec<String> {
    let selectors = expression::selectors(&text.replace("$__rate_interval", "5m"));
    assert!(!selectors.is_empty(), "{text} asks for nothing");
    let mut wrong = Vec::new();
    for selector in selectors.into_iter().filter(|selector| !FOREIGN.contains(&selector.name.as_str())) {
        let name = selector.name;
        let Some(labels) = samples.get(&name) else {
            wrong.push(format!("{text}: nobody counts {name}"));
            continue;
        };
        asked.insert(name.clone());
        for matcher in &selector.matchers {
            match labels.get(&matcher.label) {
                Some(values) => {
                    let vain = asked_in_vain(matcher, values);
                    wrong.extend(vain.map(|value| format!("{text}: {} of {name} is never {value}", matcher.label)));
                }
                None => wrong.push(format!("{text}: {name} has no label {}", matcher.label)),
            }
        }
        let unknown =
            selector.by.iter().filter(|by| !OF_THE_SCRAPER.contains(&by.as_str()) && !labels.contains_key(*by));
        wrong.extend(unknown.map(|by| format!("{text}: {name} has no label {by}")));
    }
    wrong
}

#[test]
fn alerts_and_dashboard_ask_for_nothing_that_nobody_counts() {
    let samples = counted();
    let objects = Variant::named("postgres").objects();
    let rules = one(&objects, "PrometheusRule", "sikkerkey");
    let groups = rules["spec"]["groups"].as_array().unwrap();
    let alerts: Vec<&Value> = groups.iter().flat_map(|group| group["rules"].as_array().unwrap()).collect();
    assert!(alerts.len() > 50, "{}", alerts.len());
    let dashboard = &one(&objects, "ConfigMap", "sikkerkey-dashboard")["data"]["sikkerkey.json"];
    let dashboard: Value = serde_json::from_str(dashboard.as_str().unwrap()).unwrap();
    let panels = dashboard["panels"].as_array().unwrap();
    let targets: Vec<&Value> = panels.iter().filter_map(|panel| panel["targets"].as_array()).flatten().collect();
    assert!(targets.len() > 30, "{}", targets.len());
    let mut asked = BTreeSet::new();
    let expressions = alerts.iter().chain(&targets).map(|it| it["expr"].as_str().unwrap());
    let wrong: Vec<String> = expressions.flat_map(|expression| judged(expression, &samples, &mut asked)).collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
    // What can be seen to go wrong is looked at by somebody.
    let base = |name: &str| {
        let ends = ["_bucket", "_count", "_sum"];
        ends.iter().find_map(|end| name.strip_suffix(end)).unwrap_or(name).to_owned()
    };
    let asked: BTreeSet<String> = asked.iter().map(|name| base(name)).collect();
    let unseen: BTreeSet<String> = samples.keys().map(|name| base(name)).filter(|name| !asked.contains(name)).collect();
    // How much goes together: of interest to whoever measures the server.
    let expected = [
        "sikkerkey_closed_connections_total",
        "sikkerkey_decide_seconds",
        "sikkerkey_decrypt_seconds",
        "sikkerkey_group_size",
        "sikkerkey_sidecar_files",
        "sikkerkey_verified_together",
    ];
    assert_eq!(
        unseen.iter().map(String::as_str).collect::<Vec<_>>(),
        expected,
        "neither alert nor panel looks at these"
    );
}

/// Else the check above proves nothing.
#[test]
fn an_expression_that_is_wrong_is_found() {
    let samples = counted();
    for (expression, said) in [
        ("rate(sikkerkey_responses[5m])", "nobody counts sikkerkey_responses"),
        (r#"sikkerkey_responses_total{code="200"}"#, "sikkerkey_responses_total has no label code"),
        (r#"sikkerkey_shed_total{cause=~"Writer|Reader"}"#, "cause of sikkerkey_shed_total is never Reader"),
        (r#"sikkerkey_operator_reconciles_total{outcome="Lost"}"#, "is never Lost"),
        ("sum by (name) (sikkerkey_lockouts_total)", "sikkerkey_lockouts_total has no label name"),
    ] {
        let wrong = judged(expression, &samples, &mut BTreeSet::new());
        assert!(wrong.len() == 1 && wrong[0].ends_with(said), "{wrong:?}");
    }
}

/// A person who is woken up reads what to do.
#[test]
fn every_alert_says_how_grave_it_is_and_what_to_do() {
    let objects = Variant::named("postgres").objects();
    let groups = &one(&objects, "PrometheusRule", "sikkerkey")["spec"]["groups"];
    for rule in groups.as_array().unwrap().iter().flat_map(|group| group["rules"].as_array().unwrap()) {
        let name = rule["alert"].as_str().unwrap();
        assert!(["critical", "warning", "info"].contains(&rule["labels"]["severity"].as_str().unwrap()), "{name}");
        for annotation in ["summary", "description"] {
            assert!(rule["annotations"][annotation].as_str().unwrap().len() > 10, "{name}: {annotation}");
        }
    }
}

#[test]
fn the_dashboard_is_the_file_that_people_can_import() {
    let file: Value =
        serde_json::from_str(&std::fs::read_to_string(Helm::chart().join("files/dashboard.json")).unwrap()).unwrap();
    let ids: BTreeSet<i64> = file["panels"].as_array().unwrap().iter().map(|it| it["id"].as_i64().unwrap()).collect();
    assert_eq!(ids.len(), file["panels"].as_array().unwrap().len(), "each panel has an id of its own");
    let objects = Variant::named("postgres").objects();
    let rendered = one(&objects, "ConfigMap", "sikkerkey-dashboard")["data"]["sikkerkey.json"].as_str().unwrap();
    assert_eq!(serde_json::from_str::<Value>(rendered).unwrap(), file);
}
