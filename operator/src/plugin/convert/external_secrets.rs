//! External Secrets: an `ExternalSecret` becomes a Secret (sks) of the same fields. Where its values were is kept as an
//! annotation; they are set at the server, or taken from the Kubernetes Secret that External Secrets still writes.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::go_template::{self, Token};
use super::manifest::{Manifest, list, said, text};
use super::report::{Converted, Obstacle};
use super::stock::{self, Key, Piece};
use super::{Choices, Outcome, came_from, checked, name, object, origin};

/// The group of the kinds.
pub(super) const GROUP: &str = "external-secrets.io";
/// The group of generators.
pub(super) const GENERATORS: &str = "generators.external-secrets.io";

/// Generators by namespace and name.
pub(super) type Generators = BTreeMap<(Option<String>, String, String), Value>;

/// What else is of External Secrets: a reason and advice for what cannot be converted.
pub(super) fn other(kind: &str) -> Option<Obstacle> {
    match kind {
        "PushSecret" => Some(Obstacle::new(
            "it writes a Kubernetes Secret into another store",
            "Nothing of ours writes there: keep it, or have what made the value write it there.",
        )),
        "ClusterExternalSecret" => Some(Obstacle::new(
            "it stands for an ExternalSecret in each of several namespaces",
            "A value belongs to one namespace: keep it in one, with a Grant to a Machine of each other namespace whose allowFrom lists it.",
        )),
        _ => None,
    }
}

/// The Kubernetes Secret that it writes.
pub(super) fn target(manifest: &Manifest) -> &str {
    said(&manifest.object, "/spec/target/name").unwrap_or(manifest.name())
}

/// Its fields, where their values were, and what else to say.
#[derive(Default)]
struct Fields {
    names: Vec<String>,
    from: Vec<String>,
    notes: Vec<String>,
    /// The source, where the server makes the value.
    generate: Option<Value>,
}

/// Converts one `ExternalSecret`, which writes the Kubernetes Secret `target`.
pub(super) fn converted(manifest: &Manifest, target: &str, choices: &Choices<'_>, generators: &Generators) -> Outcome {
    let spec = manifest.object.get("spec").unwrap_or(&Value::Null);
    if !name::is_name(target) {
        return Err(Obstacle::new("it has no name", "Give it one, and convert again."));
    }
    let policy = text(spec, "/target/creationPolicy");
    if policy == "Merge" {
        let what = "it adds keys to a Kubernetes Secret that something else writes (creationPolicy: Merge)";
        return Err(Obstacle::new(
            what,
            "Convert that Secret with all its keys: give its manifest instead of this one.",
        ));
    }
    let type_ = text(spec, "/target/template/type");
    if type_.starts_with("kubernetes.io/dockerc") {
        let what = format!("what it writes is of type {type_}, which the kubelet reads");
        return Err(Obstacle::new(what, "Keep it: images are pulled before any pod runs."));
    }
    let mut fields = Fields::default();
    let store = store(spec);
    list(spec, "/data").iter().try_for_each(|entry| one(entry, &store, &mut fields))?;
    let several = list(spec, "/dataFrom");
    several.iter().try_for_each(|entry| all_of(entry, manifest, &store, choices, generators, &mut fields))?;
    if fields.names.is_empty() {
        return Err(Obstacle::new("it has neither data nor dataFrom", "There is nothing to convert: remove it."));
    }
    if let Some(twice) =
        fields.names.iter().enumerate().find(|(at, name)| fields.names.iter().take(*at).any(|it| it == *name))
    {
        let what = format!("two of its entries give {}", twice.1);
        return Err(Obstacle::new(what, "Give one of them another secretKey."));
    }
    // What is taken over is what the template made: the Kubernetes Secret has it.
    let templated = templated(spec, target, &fields.names)?;
    let keys = match templated {
        None => Key::fields(target, &fields.names),
        Some(keys) if choices.take_over => {
            if let Some(odd) = keys.keys().find(|key| !name::is_field(key)) {
                return Err(no_field(odd));
            }
            Key::fields(target, keys.keys())
        }
        Some(keys) => keys,
    };
    if !text(spec, "/refreshInterval").is_empty() {
        fields.notes.push(
            "refreshInterval has no counterpart: a value that is set at the server reaches running pods within seconds"
                .to_owned(),
        );
    }
    let mut comment = vec![origin(manifest)];
    let source = match fields.generate {
        _ if choices.take_over => {
            comment.push(format!("takes its value from Kubernetes Secret {target}, which External Secrets writes"));
            comment.push(
                "once the server has it: replace kubernetesSecret by external, and remove the ExternalSecret"
                    .to_owned(),
            );
            json!({"kubernetesSecret": {"name": target}})
        }
        Some(generate) => {
            comment.push("the server makes a new value: the one until now is not taken over".to_owned());
            json!({"generate": generate})
        }
        None => {
            comment.push(super::SET_IT.to_owned());
            json!({"external": {"fields": fields.names}})
        }
    };
    let object = object("Secret", manifest.namespace(), target, json!({"source": source}));
    let object = came_from(object, &fields.from.join("\n"));
    checked(&object)?;
    Ok((vec![Converted { comment, object }], keys, fields.notes))
}

/// The store that it names, for a person.
fn store(spec: &Value) -> String {
    let named = spec.get("secretStoreRef").unwrap_or(&Value::Null);
    let kind = said(named, "/kind").unwrap_or("SecretStore");
    format!("{kind} {}", text(named, "/name"))
}

fn no_field(key: &str) -> Obstacle {
    let what = format!(
        "{key} cannot be the name of a field, which has letters, digits, '_', '.' and '-', and begins with a letter or '_'"
    );
    Obstacle::new(what, "Give the secretKey another name, also where the app reads it.")
}

/// An entry of `data`.
fn one(entry: &Value, store: &str, fields: &mut Fields) -> Result<(), Obstacle> {
    let key = text(entry, "/secretKey");
    if !name::is_field(key) {
        return Err(no_field(key));
    }
    if entry.get("sourceRef").is_some_and(|it| it.get("generatorRef").is_some()) {
        return Err(Obstacle::new(
            format!("{key} comes from a generator"),
            "Make it a Secret (sks) of its own with source.generate.",
        ));
    }
    let remote = entry.get("remoteRef").unwrap_or(&Value::Null);
    let own_store = entry.pointer("/sourceRef/storeRef").map(|named| self::store(&json!({"secretStoreRef": named})));
    let store = own_store.as_deref().unwrap_or(store);
    let property = said(remote, "/property").map(|it| format!(", property {it}")).unwrap_or_default();
    fields.from.push(format!("{key}: {store}, key {}{property}", text(remote, "/key")));
    if let Some(version) = said(remote, "/version") {
        fields.notes.push(format!("{key} is pinned to version {version}: set the value of that version"));
    }
    if !matches!(text(remote, "/decodingStrategy"), "" | "None") {
        fields.notes.push(format!("{key} is decoded by {}: set it decoded", text(remote, "/decodingStrategy")));
    }
    fields.names.push(key.to_owned());
    Ok(())
}

/// An entry of `dataFrom`.
fn all_of(
    entry: &Value,
    manifest: &Manifest,
    store: &str,
    choices: &Choices<'_>,
    generators: &Generators,
    fields: &mut Fields,
) -> Result<(), Obstacle> {
    if let Some(named) = entry.pointer("/sourceRef/generatorRef") {
        return generated(named, manifest, generators, fields);
    }
    if entry.get("find").is_some() {
        let what = "dataFrom.find takes whatever the store has by a pattern";
        return Err(Obstacle::new(what, "Name each value under data, and convert again."));
    }
    if entry.get("rewrite").is_some() {
        return Err(Obstacle::new(
            "dataFrom.rewrite gives fields other names",
            "Name each value under data, and convert again.",
        ));
    }
    let Some(extract) = entry.get("extract") else {
        return Err(Obstacle::new(
            "dataFrom has an entry that is neither extract nor find",
            "Name each value under data, and convert again.",
        ));
    };
    let key = text(extract, "/key");
    let known = choices.fields.get(key).or_else(|| choices.fields.get(target(manifest)));
    let Some(known) = known else {
        let what = format!("dataFrom takes all fields of {key}, whose names stand in the store alone");
        return Err(Obstacle::new(what, format!("Say them: --fields {key}=FIELD,FIELD")));
    };
    for field in known {
        fields.from.push(format!("{field}: {store}, key {key}, property {field}"));
        fields.names.push(field.clone());
    }
    Ok(())
}

/// What a generator of External Secrets makes, as the server makes it.
fn generated(named: &Value, manifest: &Manifest, generators: &Generators, fields: &mut Fields) -> Result<(), Obstacle> {
    let (kind, name) = (text(named, "/kind"), text(named, "/name"));
    if !fields.names.is_empty() || fields.generate.is_some() || list(&manifest.object, "/spec/dataFrom").len() > 1 {
        let what = format!("{kind} {name} makes a value beside others");
        return Err(Obstacle::new(what, "Give what is generated an ExternalSecret of its own, and convert again."));
    }
    let place = (manifest.namespace().map(str::to_owned), kind.to_owned(), name.to_owned());
    let spec = generators.get(&place);
    let missing = || {
        let what = format!("{kind} {name}, which makes its value, is not among these manifests");
        Obstacle::new(what, "Give it as well.")
    };
    let field = match kind {
        "UUID" => json!({"name": "uuid", "charset": "UUID"}),
        "Password" => {
            let spec = spec.ok_or_else(missing)?;
            let length = spec.get("length").and_then(Value::as_i64).unwrap_or(24);
            if !(8..=1024).contains(&length) || spec.get("noUpper") == Some(&Value::Bool(true)) {
                let what = format!("Password {name} asks for a length or an alphabet that the server does not make");
                return Err(Obstacle::new(
                    what,
                    "Write the Secret (sks) by hand: kubectl explain sks.spec.source.generate.",
                ));
            }
            let charset = if spec.get("symbols") == Some(&json!(0)) { "Alphanumeric" } else { "Symbols" };
            json!({"name": "password", "length": length, "charset": charset})
        }
        _ => {
            let what = format!("generator {kind} {name} has no counterpart");
            return Err(Obstacle::new(what, "Keep it, or set a value at the server."));
        }
    };
    fields.names.push(text(&field, "/name").to_owned());
    fields.from.push(format!("{}: {kind} {name}", text(&field, "/name")));
    fields.generate = Some(json!({"fields": [field]}));
    Ok(())
}

/// The keys that its template makes; none if it has no template of keys.
fn templated(spec: &Value, secret: &str, fields: &[String]) -> Result<Option<BTreeMap<String, Key>>, Obstacle> {
    let template = spec.pointer("/target/template").unwrap_or(&Value::Null);
    if !list(template, "/templateFrom").is_empty() {
        let what = "its template stands elsewhere (templateFrom)";
        return Err(Obstacle::new(what, "Put the text into template.data, and convert again."));
    }
    let Some(data) = template.get("data").and_then(Value::as_object).filter(|data| !data.is_empty()) else {
        return Ok(None);
    };
    let mut keys = BTreeMap::new();
    for (key, value) in data {
        let unlike = |what: String| {
            let advice = "Only text and {{ .field }} are converted: write the file by hand in the Machine (crds/README.md, Templates), or \
                          take over what External Secrets makes of it with --take-over.";
            Obstacle::new(format!("template of {key}: {what}"), advice)
        };
        let tokens = go_template::tokens(value.as_str().unwrap_or_default());
        let tokens = tokens.ok_or_else(|| unlike("an action does not end".to_owned()))?;
        let pieces = tokens.into_iter().map(|token| match token {
            Token::Text(text) => Ok(Piece::Text(text)),
            Token::Action(action) => match go_template::field(&action, "") {
                Some(field) if fields.iter().any(|it| it == field) => {
                    Ok(Piece::Field { secret: secret.to_owned(), field: field.to_owned() })
                }
                Some(field) => Err(unlike(format!("there is no field {field}"))),
                None => Err(unlike(format!("{{{{ {action} }}}} is more than a field"))),
            },
        });
        let pieces: Vec<Piece> = pieces.collect::<Result<_, _>>()?;
        if !pieces.iter().any(|piece| matches!(piece, Piece::Field { .. })) {
            return Err(unlike("it has no secret in it, which is what a ConfigMap is for".to_owned()));
        }
        keys.insert(key.clone(), stock::key(pieces)?);
    }
    if text(template, "/mergePolicy") == "Merge" {
        for (field, plain) in Key::fields(secret, fields) {
            keys.entry(field).or_insert(plain);
        }
    }
    Ok(Some(keys))
}
