//! OBSERVABILITY.md says what there is, and nothing else.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;
use sikkerkey_e2e::helm::Helm;
use sikkerkey_e2e::yaml;

use crate::logged;
use crate::monitored::expositions;
use crate::variant::{Variant, one};

/// What each part is made of.
const SOURCES: [(&str, &[&str]); 3] = [
    ("the server", &["server/src", "server/traces/src"]),
    ("the operator", &["operator/src", "server/traces/src"]),
    ("a sidecar", &["sidecar/src", "sidecar/files/src", "server/traces/src"]),
];

fn document() -> String {
    std::fs::read_to_string(Helm::chart().join("OBSERVABILITY.md")).unwrap()
}

/// What stands below a heading, up to the next that is not below it.
fn section<'a>(document: &'a str, heading: &str) -> &'a str {
    let begin = document.find(&format!("\n{heading}\n")).unwrap_or_else(|| panic!("there is no {heading}"));
    let text = &document[begin + heading.len() + 2..];
    let depth = heading.split(' ').next().unwrap().len();
    let ends = (1..=depth).filter_map(|depth| text.find(&format!("\n{} ", "#".repeat(depth))));
    &text[..ends.min().unwrap_or(text.len())]
}

/// The rows of tables with a heading that begins with this column.
fn rows<'a>(section: &'a str, column: &str) -> Vec<Vec<&'a str>> {
    let cells = |line: &'a str| -> Vec<&'a str> { line.trim().trim_matches('|').split('|').map(str::trim).collect() };
    let from = section.lines().skip_while(|line| !line.starts_with(&format!("| {column} |")));
    from.skip(2).take_while(|line| line.starts_with('|')).map(cells).collect()
}

/// What stands in backticks.
fn code(cell: &str) -> BTreeSet<String> {
    cell.split('`').skip(1).step_by(2).map(str::to_owned).collect()
}

/// Name, type and labels of each metric of an exposition.
fn exposed(text: &str) -> BTreeMap<String, (String, BTreeSet<String>)> {
    let mut metrics = BTreeMap::new();
    for line in text.lines() {
        if let Some(described) = line.strip_prefix("# TYPE ") {
            let (name, kind) = described.split_once(' ').unwrap();
            // OpenMetrics names a counter without its end.
            let name =
                if kind == "counter" { format!("{}_total", name.trim_end_matches("_total")) } else { name.into() };
            metrics.insert(name, (kind.to_owned(), BTreeSet::new()));
        } else if let Some((name, labels)) = line.split_once('{') {
            let name = ["_bucket", "_sum", "_count"].iter().find_map(|end| name.strip_suffix(end)).unwrap_or(name);
            let labels = labels.split_once('}').unwrap().0.split(',').filter(|label| !label.is_empty());
            let labels = labels.map(|label| label.split_once('=').unwrap().0.to_owned());
            let (_, known) = metrics.get_mut(name).unwrap_or_else(|| panic!("{name} has no type"));
            known.extend(labels.filter(|label| label != "le"));
        }
    }
    metrics
}

#[test]
fn each_metric_has_a_row_and_each_row_a_metric() {
    let document = document();
    for (part, text) in expositions() {
        let table = rows(section(&document, &format!("### {part}")), "Metric");
        let documented: BTreeMap<_, _> = table
            .iter()
            .map(|row| {
                assert!(row.len() == 4 && row[3].len() > 10, "{row:?}");
                (row[0].trim_matches('`').to_owned(), (row[1].to_owned(), code(row[2])))
            })
            .collect();
        assert_eq!(documented.len(), table.len(), "{part}: a row stands twice");
        assert_eq!(documented, exposed(&text), "{part}: left, what the document has");
    }
}

#[test]
fn each_alert_links_to_a_paragraph_that_says_what_to_do() {
    let document = document();
    let alerts = section(&document, "## Alerts");
    let documented: BTreeSet<_> = alerts.lines().filter_map(|line| line.strip_prefix("### ")).collect();
    let mut known = BTreeSet::new();
    for (variant, url) in [("postgres", "https://runbooks.example.com/sikkerkey"), ("sqlite", "OBSERVABILITY.md")] {
        let more = "monitoring: {rules: {enabled: true}, podMonitor: {enabled: true}}\nsidecar: {statusAddress: 0.0.0.0:9917}\ntracing: {endpoint: 'http://otel:4318'}";
        let text = if variant == "sqlite" {
            crate::variant::helm().template(more).unwrap()
        } else {
            Variant::named(variant).text()
        };
        let objects: Vec<Value> = yaml::documents(&text).unwrap();
        let groups = one(&objects, "PrometheusRule", "sikkerkey")["spec"]["groups"].as_array().unwrap();
        for rule in groups.iter().flat_map(|group| group["rules"].as_array().unwrap()) {
            let name = rule["alert"].as_str().unwrap();
            // As GitHub and most others make an anchor of a heading.
            let expected = format!("{url}#{}", name.to_lowercase());
            assert_eq!(rule["annotations"]["runbook_url"], Value::from(expected), "{name}");
            known.insert(name.to_owned());
        }
    }
    assert_eq!(documented, known.iter().map(String::as_str).collect(), "left, what the document has");
    for name in documented {
        let paragraph = section(&document, &format!("### {name}")).trim();
        assert!(paragraph.len() > 100, "{name}: {paragraph}");
    }
}

#[test]
fn each_link_inside_the_document_leads_somewhere() {
    let document = document();
    let headings = document.lines().filter(|line| line.starts_with('#'));
    let anchors: BTreeSet<_> =
        headings.map(|line| line.trim_start_matches('#').trim().to_lowercase().replace(' ', "-")).collect();
    let links: BTreeSet<_> = document.split("](#").skip(1).map(|rest| rest.split_once(')').unwrap().0).collect();
    assert!(links.len() > 10, "{links:?}");
    let dead: Vec<_> = links.iter().filter(|link| !anchors.contains(**link)).collect();
    assert!(dead.is_empty(), "{dead:?}");
}

#[test]
fn each_field_of_the_log_has_a_row_and_each_row_a_field() {
    let document = document();
    for (part, sources) in SOURCES {
        let table = rows(section(&document, &format!("### Log of {part}")), "Field");
        let documented: BTreeSet<String> = table.iter().flat_map(|row| code(row[0])).collect();
        let logged = logged::lines(sources).into_iter().flat_map(|line| line.fields).collect();
        assert_eq!(documented, logged, "{part}: left, what the document has");
    }
}

#[test]
fn each_warning_has_a_row_and_each_row_a_warning() {
    let document = document();
    for (part, sources) in SOURCES {
        let table = rows(section(&document, &format!("### Log of {part}")), "Level");
        let documented: BTreeSet<(String, String)> = table
            .iter()
            .map(|row| {
                assert!(row.len() == 3 && !row[2].is_empty(), "{row:?}");
                (row[0].to_lowercase(), row[1].trim_matches('`').to_owned())
            })
            .collect();
        let logged = logged::lines(sources).into_iter().filter(|line| ["error", "warn"].contains(&&*line.level));
        let logged = logged.filter_map(|line| Some((line.level, line.message?))).collect();
        assert_eq!(documented, logged, "{part}: left, what the document has");
    }
}
