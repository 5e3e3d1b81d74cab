//! Kubernetes Secrets: their values are taken over inside the cluster, or sealed. Nothing of them is printed in clear.

use std::collections::BTreeMap;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value, json};

use super::manifest::{Manifest, text};
use super::report::{Converted, Obstacle};
use super::stock::Key;
use super::{Choices, Outcome, name, object, origin};
use crate::controller::secret::original::{CoreSecret, TakenValue};

/// Types that something of Kubernetes or another program reads by themselves, and what to do.
const OTHERS: &[(&str, &str)] = &[
    ("kubernetes.io/dockerconfigjson", "The kubelet reads it to pull images, before any pod runs: keep it."),
    ("kubernetes.io/dockercfg", "The kubelet reads it to pull images, before any pod runs: keep it."),
    (
        "kubernetes.io/service-account-token",
        "Kubernetes writes it: use projected tokens (kubectl create token) instead, and delete it.",
    ),
    ("bootstrap.kubernetes.io/token", "Nodes join the cluster with it: keep it."),
    ("helm.sh/release.v1", "Helm keeps its releases in it: keep it."),
];

/// Converts one Kubernetes Secret.
pub(super) fn converted(manifest: &Manifest, choices: &mut Choices<'_>) -> Outcome {
    let own = manifest.name();
    if !name::is_name(own) {
        return Err(Obstacle::new("it has no name", "Give it one: generateName makes another one each time."));
    }
    let type_ = text(&manifest.object, "/type");
    if let Some((_, advice)) = OTHERS.iter().find(|(other, _)| *other == type_) {
        return Err(Obstacle::new(format!("it is of type {type_}"), *advice));
    }
    let ingress =
        "an Ingress or a Gateway that names it goes on reading the Kubernetes Secret: keep that where one does";
    let notes: Vec<String> = (type_ == "kubernetes.io/tls").then(|| ingress.to_owned()).into_iter().collect();
    let core = core(manifest)?;
    let keys = keys(&manifest.object);
    // Fields have names that a file and a template can say; a key of another name becomes a value of its own.
    if keys.iter().all(|key| name::is_field(key)) {
        let converted = one(manifest, own, None, &core, choices)?;
        return Ok((vec![converted], Key::fields(own, &keys), notes));
    }
    let (mut objects, mut stocked) = (Vec::new(), BTreeMap::new());
    for key in keys {
        let secret = name::slug(&format!("{own}-{key}")).ok_or_else(|| {
            Obstacle::new(format!("no name of an object can be made of key {key}"), "Give the key another name.")
        })?;
        if objects.iter().any(|it: &Converted| text(&it.object, "/metadata/name") == secret) {
            let what = format!("two of its keys would both become Secret (sks) {secret}");
            return Err(Obstacle::new(what, "Give one of the keys another name."));
        }
        objects.push(one(manifest, &secret, Some(&key), &core, choices)?);
        stocked.insert(key, Key::Value { secret, field: None });
    }
    Ok((objects, stocked, notes))
}

/// The Secret (sks) `secret` with the value of one key, or of all as fields.
fn one(
    manifest: &Manifest,
    secret: &str,
    key: Option<&str>,
    core: &CoreSecret,
    choices: &mut Choices<'_>,
) -> Result<Converted, Obstacle> {
    let own = manifest.name();
    let value: TakenValue = core.value(key).map_err(|flaw| {
        let verdict = flaw.unusable(own, key).or_else(|| flaw.unresolved(own, key));
        let message = verdict.map(|verdict| verdict.message).unwrap_or_default();
        Obstacle::new("its value cannot be one of ours", message)
    })?;
    let mut comment = vec![origin(manifest)];
    let source = if let Some(seal) = &mut choices.seal {
        let namespace = manifest.namespace().ok_or_else(|| {
            Obstacle::new("it names no namespace, for which its value would be sealed", "Give one with --namespace.")
        })?;
        json!({"sealed": seal(namespace, secret, &value).map_err(|error| Obstacle::new("its value is not sealed", error))?})
    } else {
        comment.push(format!("takes its value from Kubernetes Secret {own}, which has to be in the cluster"));
        if let Some(manager) = core.manager() {
            comment.push(format!("{manager} manages that: remove it there once the value is taken"));
        }
        match key {
            Some(key) => json!({"kubernetesSecret": {"name": own, "key": key}}),
            None => json!({"kubernetesSecret": {"name": own}}),
        }
    };
    let object = object("Secret", manifest.namespace(), secret, json!({"source": source}));
    Ok(Converted { comment, object })
}

fn keys(object: &Value) -> Vec<String> {
    let of = |part: &str| object.get(part).and_then(Value::as_object).into_iter().flat_map(Map::keys);
    let all: std::collections::BTreeSet<&String> = of("data").chain(of("stringData")).collect();
    all.into_iter().cloned().collect()
}

/// As the API server would store and send it, so that the very code looks at it that takes it over.
fn core(manifest: &Manifest) -> Result<CoreSecret, Obstacle> {
    let mut data = Map::new();
    let no_text = |key: &str| {
        let what = format!("the value of key {key} is no text, so the API server would not take it");
        Obstacle::new(what, "Put it in quotes: without them yes, no, on, off, y, n and numbers are no text to kubectl.")
    };
    for (part, is_plain) in [("data", false), ("stringData", true)] {
        for (key, value) in manifest.object.get(part).and_then(Value::as_object).into_iter().flatten() {
            let text = match value {
                Value::String(text) if is_plain => STANDARD.encode(text),
                // Line breaks of a folded text.
                Value::String(text) => text.split_ascii_whitespace().collect(),
                Value::Null => String::new(),
                _ => return Err(no_text(key)),
            };
            data.insert(key.clone(), text.into());
        }
    }
    let given = |part: &str| manifest.object.pointer(&format!("/metadata/{part}")).filter(|it| it.is_object());
    let metadata = json!({
        "uid": "", "resourceVersion": "", "labels": given("labels"), "annotations": given("annotations"),
    });
    let as_stored = json!({"metadata": metadata, "data": data, "type": manifest.object.get("type")});
    // The error would say what stands there.
    serde_json::from_value(as_stored).map_err(|_| {
        Obstacle::new(
            "it is no Kubernetes Secret that the API server would take",
            "Try it: kubectl apply --dry-run=server.",
        )
    })
}
