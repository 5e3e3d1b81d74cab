//! What `kubectl get` and `kubectl describe` print of an object in each state of the contract.

use k8s_openapi::api::core::v1::ObjectReference;
use k8s_openapi::api::events::v1::Event;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{MicroTime, ObjectMeta};
use kube::api::{DynamicObject, Patch, PatchParams, PostParams};
use kube::core::GroupVersionKind;
use kube::discovery::ApiResource;
use kube::{Api, Client, ResourceExt};
use serde_json::json;
use sikkerkey_crds::crd::crds;

use crate::golden::assert_golden;
use crate::health::assert_judged_as_in_the_files;
use crate::states::{Kind, State, Told, kinds};
use crate::with_definitions;

const NAMESPACE: &str = "shop";
const SHORT_NAMES: [&str; 4] = ["skm", "sks", "skg", "skp"];
/// The states of which the whole description is kept; of the others it is looked at for what it must say.
const DESCRIBED: [(&str, &[&str]); 4] = [
    (
        "skm",
        &[
            "pending",
            "ready",
            "unknown-field",
            "secret-not-granted",
            "awaiting-bootstrap",
            "awaiting-approval",
            "suspended",
            "ready-host",
        ],
    ),
    ("sks", &["ready", "invalid-spec", "policy-not-found", "unseal-failed", "value-missing", "rotation-due"]),
    ("skg", &["ready", "ref-not-permitted", "secret-not-found", "expired", "ready-awaited", "adoption-required"]),
    ("skp", &["ready", "closed", "ref-not-permitted", "never-opens", "ended", "server-unreachable"]),
];

/// Puts an object with its status and its Event there.
async fn stored(client: &Client, kind: &Kind, state: &State) {
    let gvk = GroupVersionKind::gvk("sikkerkey.com", "v1alpha1", kind.name);
    let resource = ApiResource::from_gvk_with_plural(&gvk, kind.plural);
    let api: Api<DynamicObject> = Api::namespaced_with(client.clone(), NAMESPACE, &resource);
    let name = state.name();
    let mut object = state.object.clone();
    object.as_object_mut().unwrap().remove("status");
    let object: DynamicObject = serde_json::from_value(object).unwrap();
    let mut stored = api.create(&PostParams::default(), &object).await.unwrap();
    // A generation is a count of edits.
    let wanted = state.object["metadata"]["generation"].as_i64();
    for edit in [json!(true), json!(null)].into_iter().cycle().take(10) {
        if stored.metadata.generation == wanted {
            break;
        }
        let edit = Patch::Merge(json!({"spec": {"edited": edit}}));
        stored = api.patch(name, &PatchParams::default(), &edit).await.unwrap();
    }
    assert_eq!(stored.metadata.generation, wanted);
    if name != "pending" {
        let status = Patch::Merge(json!({"status": state.object["status"]}));
        stored = api.patch_status(name, &PatchParams::default(), &status).await.unwrap();
    }
    assert_eq!(stored.data["status"], state.object["status"], "{} {name}: stored as it was concluded", kind.name);
    assert_eq!(stored.data["spec"], state.object["spec"], "{} {name}", kind.name);
    if let Some(told) = &state.event {
        let events: Api<Event> = Api::namespaced(client.clone(), NAMESPACE);
        events.create(&PostParams::default(), &event(kind, &stored, told)).await.unwrap();
    }
}

fn event(kind: &Kind, object: &DynamicObject, told: &Told) -> Event {
    Event {
        metadata: ObjectMeta {
            name: Some(format!("{}.{}", object.name_any(), kind.plural)),
            namespace: Some(NAMESPACE.to_owned()),
            ..ObjectMeta::default()
        },
        action: Some("Reconcile".to_owned()),
        event_time: Some(MicroTime(k8s_openapi::jiff::Timestamp::UNIX_EPOCH)),
        note: Some(told.note.clone()),
        reason: Some(told.reason.clone()),
        regarding: Some(ObjectReference {
            api_version: Some("sikkerkey.com/v1alpha1".to_owned()),
            kind: Some(kind.name.to_owned()),
            name: object.metadata.name.clone(),
            namespace: object.metadata.namespace.clone(),
            uid: object.metadata.uid.clone(),
            ..ObjectReference::default()
        }),
        reporting_controller: Some("sikkerkey-operator".to_owned()),
        reporting_instance: Some("sikkerkey-operator-0".to_owned()),
        type_: Some(told.type_.clone()),
        ..Event::default()
    }
}

/// The columns that show how long ago something was.
fn ages() -> Vec<String> {
    let columns =
        crds().into_iter().flat_map(|crd| crd.spec.versions).filter_map(|version| version.additional_printer_columns);
    let ages = columns.flatten().filter(|column| column.type_ == "date").map(|column| column.name.to_uppercase());
    let ages: Vec<String> = ages.collect();
    assert!(ages.contains(&"AGE".to_owned()));
    ages
}

/// The tables with each age as `~`, and as wide as that makes them.
fn without_ages(tables: &str) -> String {
    let ages = ages();
    let tables = tables.trim_end().split("\n\n").map(|table| {
        let lines: Vec<&str> = table.lines().collect();
        let starts = starts(lines[0]);
        let rows: Vec<Vec<String>> = lines.iter().map(|line| cells(line, &starts)).collect();
        let header = rows[0].clone();
        let rows = rows.into_iter().enumerate().map(|(number, row)| {
            let cell = |(cell, title): (String, &String)| {
                if number > 0 && !cell.is_empty() && ages.contains(title) { "~".to_owned() } else { cell }
            };
            row.into_iter().zip(&header).map(cell).collect::<Vec<_>>()
        });
        let rows: Vec<Vec<String>> = rows.collect();
        let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap();
        let widths: Vec<usize> = (0..header.len()).map(width).collect();
        let line = |row: &Vec<String>| {
            let cells: Vec<String> = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}")).collect();
            cells.join("   ").trim_end().to_owned() + "\n"
        };
        rows.iter().map(line).collect::<String>()
    });
    tables.collect::<Vec<_>>().join("\n")
}

/// Where the columns begin: titles stand above the first letter of their cells.
fn starts(header: &str) -> Vec<usize> {
    let letters: Vec<char> = header.chars().collect();
    let begins = |&at: &usize| letters[at] != ' ' && (at == 0 || letters[at - 1] == ' ');
    (0..letters.len()).filter(begins).collect()
}

fn cells(line: &str, starts: &[usize]) -> Vec<String> {
    let letters: Vec<char> = line.chars().collect();
    let ends = starts.iter().skip(1).copied().chain([usize::MAX]);
    let cell = |(&start, end): (&usize, usize)| {
        let end = end.min(letters.len());
        letters.get(start..end).unwrap_or_default().iter().collect::<String>().trim_end().to_owned()
    };
    starts.iter().zip(ends).map(cell).collect()
}

/// The descriptions, by object, without what no two runs have in common.
fn descriptions(said: &str) -> Vec<String> {
    said.trim_end().split("\n\n\n").map(|one| one.lines().map(masked).collect()).collect()
}

fn masked(line: &str) -> String {
    for title in ["  Creation Timestamp:", "  Resource Version:", "  UID:"] {
        if line.starts_with(title) {
            return format!("{title} ~\n");
        }
    }
    let words: Vec<&str> = line.split_whitespace().collect();
    match words.as_slice() {
        // Of the table of Events: type, reason, age, source, message.
        [type_ @ ("Normal" | "Warning"), reason, _, source, ..] => {
            let (_, message) = line.split_once(source).unwrap();
            format!("  {type_}  {reason}  ~  {source}  {}\n", message.trim())
        }
        ["Type", "Reason", "Age", "From", "Message"] => "  Type  Reason  Age  From  Message\n".to_owned(),
        [dashes, ..] if dashes.starts_with("----") => String::new(),
        _ => format!("{}\n", line.trim_end()),
    }
}

fn name_of(description: &str) -> &str {
    let line = description.lines().find_map(|line| line.strip_prefix("Name:")).unwrap();
    line.trim()
}

/// The text on one line with single spaces: long messages are broken into lines nowhere, but who knows.
fn flat(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[tokio::test]
async fn a_person_who_looks_sees_how_it_stands_and_what_to_do() {
    let cluster = with_definitions().await;
    let kubectl = cluster.kubectl();
    let client = cluster.admin().unwrap();
    kubectl.run(["create", "namespace", NAMESPACE]).await.unwrap();
    let kinds = kinds();
    for kind in &kinds {
        for state in &kind.states {
            stored(&client, kind, state).await;
        }
    }
    let everything = kubectl.run(["get", "sikkerkey", "-n", NAMESPACE, "-o", "json"]).await.unwrap();
    assert_judged_as_in_the_files(&serde_json::from_str(&everything).unwrap());

    let all = kubectl.run(["get", "sikkerkey", "-n", NAMESPACE]).await.unwrap();
    assert_golden("get-sikkerkey.txt", &format!("$ kubectl get sikkerkey -n shop\n{}", without_ages(&all)));
    for (kind, short) in kinds.iter().zip(SHORT_NAMES) {
        let wide = kubectl.run(["get", short, "-n", NAMESPACE, "-o", "wide"]).await.unwrap();
        let wide = format!("$ kubectl get {short} -n shop -o wide\n{}", without_ages(&wide));
        assert_golden(&format!("get-{}-wide.txt", kind.plural), &wide);

        let said = kubectl.run(["describe", short, "-n", NAMESPACE]).await.unwrap();
        let descriptions = descriptions(&said);
        assert_eq!(descriptions.len(), kind.states.len());
        for state in &kind.states {
            let description = descriptions.iter().find(|one| name_of(one) == state.name()).unwrap();
            let ready = state.condition("Ready").unwrap();
            let told = state
                .event
                .iter()
                .map(|told| format!("{} {} ~ sikkerkey-operator {}", told.type_, told.reason, told.note));
            let message = ready["message"].as_str().unwrap().to_owned();
            for expected in told.chain([message]) {
                assert!(flat(description).contains(&flat(&expected)), "{expected}\nis not in\n{description}");
            }
        }
        let (_, names) = DESCRIBED.iter().find(|(of, _)| *of == short).unwrap();
        let shown = names.iter().map(|name| {
            let description = descriptions.iter().find(|one| name_of(one) == *name).unwrap();
            format!("$ kubectl describe {short} {name} -n shop\n{description}")
        });
        assert_golden(&format!("describe-{}.txt", kind.plural), &shown.collect::<Vec<_>>().join("\n"));
    }
    cluster.stop().await;
}
