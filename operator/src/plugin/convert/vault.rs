//! Annotations of vault-k8s: files that an agent of Vault wrote become files of ours in the same place.
//!
//! The common templates are converted: `{{ with secret "PATH" }}`, text, fields, `{{ end }}`. Loops, functions and what Vault
//! makes anew for each reader are not.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};
use sikkerkey_crds::file_mode::FileMode;
use sikkerkey_crds::machine::DeliveryMode;

use super::go_template::{self, Token};
use super::manifest::Manifest;
use super::report::{Converted, Obstacle};
use super::stock::{self, Piece};
use super::workload::{self, Wanted};
use super::{Choices, came_from, name, object};

const PREFIX: &str = "vault.hashicorp.com/";
const MOUNT_PATH: &str = "/vault/secrets";

/// Settings of the agent, its connection and its login, which end with it. What begins with one that ends in a dash.
const OF_THE_AGENT: &[&str] = &[
    "agent-auto-auth-exit-on-err",
    "agent-cache-",
    "agent-disable-",
    "agent-enable-quit",
    "agent-image",
    "agent-init-first",
    "agent-init-json-patch",
    "agent-inject-default-template",
    "agent-inject-status",
    "agent-json-patch",
    "agent-limits-",
    "agent-pre-populate",
    "agent-request-namespace",
    "agent-requests-",
    "agent-revoke-",
    "agent-run-as-",
    "agent-service-account-token-volume-name",
    "agent-set-security-context",
    "agent-telemetry-",
    "auth-",
    "ca-",
    "client-",
    "error-on-missing-key-",
    "go-max-procs",
    "log-",
    "namespace",
    "proxy-address",
    "role",
    "service",
    "template-",
    "tls-",
];

/// What the annotations ask for.
#[derive(Clone, Debug)]
pub(super) struct Asked {
    files: Vec<File>,
    containers: Option<BTreeSet<String>>,
    /// Whether files are written once.
    pub(super) mode: Option<DeliveryMode>,
    /// What is not as it was.
    pub(super) notes: Vec<String>,
    vault_namespace: Option<String>,
}

#[derive(Clone, Debug)]
struct File {
    mount_path: String,
    path: String,
    mode: Option<FileMode>,
    parts: Vec<Part>,
}

/// A part of a template.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    Text(String),
    /// A field of what stands in Vault at a path.
    Field {
        path: String,
        field: String,
    },
}

type Annotations = BTreeMap<String, String>;

/// What `pod` asks of Vault, taken out of it; none if it asks for nothing.
pub(super) fn take(pod: &mut Value) -> Result<Option<Asked>, Vec<Obstacle>> {
    let all = pod.pointer("/metadata/annotations").and_then(Value::as_object).into_iter().flatten();
    let of_vault: Vec<(&str, &Value)> =
        all.filter_map(|(key, value)| Some((key.strip_prefix(PREFIX)?, value))).collect();
    let no_text = of_vault.iter().filter(|(_, value)| !value.is_string() && !value.is_null()).map(|(key, _)| {
        let what = format!("annotation {key} is no text, so the API server would not take it");
        Obstacle::new(what, "Put its value in quotes, and convert again.")
    });
    let no_text: Vec<Obstacle> = no_text.collect();
    if !no_text.is_empty() {
        return Err(no_text);
    }
    let owned = |(key, value): (&str, &Value)| (key.to_owned(), value.as_str().unwrap_or_default().to_owned());
    let given: Annotations = of_vault.into_iter().map(owned).collect();
    if !is_true(given.get("agent-inject")) {
        return Ok(None);
    }
    let mut obstacles: Vec<Obstacle> = given.iter().filter_map(|(key, value)| obstacle(key, value)).collect();
    let mut files = Vec::new();
    for (raw, path) in given.iter().filter_map(|(key, path)| Some((key.strip_prefix("agent-inject-secret-")?, path))) {
        match file(raw, path, &given) {
            Ok(file) => files.push(file),
            Err(obstacle) => obstacles.push(obstacle),
        }
    }
    if files.is_empty() && obstacles.is_empty() {
        let what = "the agent is injected and writes no file (no agent-inject-secret-NAME)";
        obstacles.push(Obstacle::new(what, "Where the app asks Vault by itself there is nothing to convert."));
    }
    if !obstacles.is_empty() {
        return Err(obstacles);
    }
    let containers =
        given.get("agent-inject-containers").map(|names| names.split(',').map(|it| it.trim().to_owned()).collect());
    let once = is_true(given.get("agent-pre-populate-only"));
    if let Some(metadata) = pod.get_mut("metadata")
        && let Some(annotations) = metadata.get_mut("annotations").and_then(Value::as_object_mut)
    {
        annotations.retain(|key, _| !key.starts_with(PREFIX));
        if annotations.is_empty() {
            workload::remove(metadata, "annotations");
        }
    }
    Ok(Some(Asked {
        files,
        containers,
        mode: once.then_some(DeliveryMode::Init),
        notes: notes(&given),
        vault_namespace: given.get("namespace").cloned(),
    }))
}

fn is_true(given: Option<&String>) -> bool {
    given.is_some_and(|text| matches!(text.as_str(), "1" | "t" | "T" | "TRUE" | "true" | "True"))
}

fn is_of_the_agent(key: &str) -> bool {
    OF_THE_AGENT
        .iter()
        .any(|known| key == known.trim_end_matches('-') || known.ends_with('-') && key.starts_with(known))
}

fn notes(given: &Annotations) -> Vec<String> {
    let gone: Vec<&str> = given
        .keys()
        .map(String::as_str)
        .filter(|key| is_of_the_agent(key) && *key != "agent-pre-populate-only" && *key != "agent-inject-status")
        .collect();
    let mut notes = Vec::new();
    if !gone.is_empty() {
        notes.push(format!("settings of the agent of Vault end with it: {}", gone.join(", ")));
    }
    if given.contains_key("agent-pre-populate") && !is_true(given.get("agent-pre-populate")) {
        notes.push("the app waits for its files, which it did not (agent-pre-populate)".to_owned());
    }
    notes
}

/// An annotation that asks for what we do not do.
fn obstacle(key: &str, value: &str) -> Option<Obstacle> {
    let of = |what: String, advice: &str| Some(Obstacle::new(format!("annotation {key} {what}"), advice));
    let is_set = is_true(Some(&value.to_owned()));
    match key {
        "agent-inject-token" => of(
            "gives the app a token of Vault".to_owned(),
            "The app asks Vault by itself: change it to read files first.",
        ),
        "agent-configmap" | "agent-extra-secret" | "agent-copy-volume-mounts" => of(
            "configures the agent by other means".to_owned(),
            "Put what it asks for into annotations, and convert again.",
        ),
        "agent-cache-enable" if is_set => {
            of("has the app ask Vault through the agent".to_owned(), "Change the app to read files first.")
        }
        "agent-share-process-namespace" if is_set => of(
            "lets the agent send signals to the app".to_owned(),
            "Convert without it, then set shareProcessNamespace in the pod and delivery.onChange in the Machine.",
        ),
        "agent-share-process-namespace" => None,
        _ if key.starts_with("agent-inject-command") => of(
            "runs a command after each change".to_owned(),
            "Convert without it, and tell the app by delivery.onChange: an HTTP request or a signal.",
        ),
        _ if key.starts_with("agent-inject-template-file") => of(
            "names a template inside the image".to_owned(),
            "Put the template into agent-inject-template-NAME, and convert again.",
        ),
        "agent-inject" | "agent-inject-containers" | "agent-pre-populate-only" => None,
        _ if of_a_secret(key) || is_of_the_agent(key) => None,
        _ => of("is not known here".to_owned(), "Take it out if it does not matter, and convert again."),
    }
}

fn of_a_secret(key: &str) -> bool {
    let of_each = ["agent-inject-secret-", "agent-inject-template-", "agent-inject-file-", "agent-inject-perms-"];
    let of_all = ["secret-volume-path", "preserve-secret-case"];
    of_each.iter().any(|it| key.starts_with(it)) || of_all.iter().any(|it| key.starts_with(it))
}

fn file(raw: &str, path: &str, given: &Annotations) -> Result<File, Obstacle> {
    let own = |key: &str| given.get(&format!("{key}-{raw}"));
    let keeps_case = is_true(own("preserve-secret-case").or_else(|| given.get("preserve-secret-case")));
    let name = if keeps_case { raw.to_owned() } else { raw.to_ascii_lowercase() };
    let mount_path =
        own("secret-volume-path").or_else(|| given.get("secret-volume-path")).map_or(MOUNT_PATH, String::as_str);
    let Some(template) = own("agent-inject-template") else {
        let what = format!("secret {raw} ({path}) has no template, and the agent's own writes a map of Go");
        let advice =
            format!("Give it an annotation agent-inject-template-{raw} that names the fields, and convert again.");
        return Err(Obstacle::new(what, advice));
    };
    let unlike = |what: String| {
        let advice = "Only {{ with secret \"PATH\" }}, text, {{ .Data.data.FIELD }} and {{ end }} are converted: write the file by hand in a \
                      Machine (crds/README.md, Templates).";
        Obstacle::new(format!("the template of secret {raw}: {what}"), advice)
    };
    let mode = own("agent-inject-perms").map(|text| {
        let bits = u16::from_str_radix(text, 8).map_err(|_| unlike(format!("its mode {text} is not octal")))?;
        Ok(FileMode::from_bits(bits & 0o555))
    });
    Ok(File {
        mount_path: mount_path.trim_end_matches('/').to_owned(),
        path: own("agent-inject-file").map_or(name, |file| file.trim_start_matches('/').to_owned()),
        mode: mode.transpose()?,
        parts: parts(template).map_err(unlike)?,
    })
}

/// The parts of a template, or what of it is more than text and fields.
fn parts(template: &str) -> Result<Vec<Part>, String> {
    let tokens = go_template::tokens(template).ok_or("an action does not end")?;
    let (mut parts, mut of) = (Vec::new(), None::<String>);
    for token in tokens {
        match (token, &of) {
            (Token::Text(text), _) => parts.push(Part::Text(text)),
            (Token::Action(action), None) => of = Some(path(&action)?),
            (Token::Action(action), Some(_)) if action == "end" => of = None,
            (Token::Action(action), Some(path)) => {
                let field = field(&action, path)?;
                parts.push(Part::Field { path: path.clone(), field });
            }
        }
    }
    if of.is_some() {
        return Err("it does not end what it begins".to_owned());
    }
    if !parts.iter().any(|part| matches!(part, Part::Field { .. })) {
        return Err("it writes no secret".to_owned());
    }
    Ok(parts)
}

/// The path of `with secret "PATH"`.
fn path(action: &str) -> Result<String, String> {
    let unlike = || format!("{{{{ {action} }}}} is more than with secret \"PATH\"");
    let quoted = action.strip_prefix("with").and_then(|rest| rest.trim_start().strip_prefix("secret"));
    let quoted = quoted.map(str::trim).ok_or_else(unlike)?;
    let path = quoted.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')).ok_or_else(unlike)?;
    let plain = |c: char| c.is_ascii_alphanumeric() || "/_-.".contains(c);
    if path.is_empty() || !path.chars().all(plain) {
        return Err(unlike());
    }
    Ok(path.to_owned())
}

/// The field that an action writes: of version 2 of the key-value engine, or of version 1 where the path says that it is one.
fn field(action: &str, path: &str) -> Result<String, String> {
    if let Some(field) = go_template::field(action, ".Data.data") {
        return Ok(field.to_owned());
    }
    let first = |field: &&str| !matches!(*field, "data" | "metadata");
    match go_template::field(action, ".Data").filter(first) {
        Some(field) if path.starts_with("secret/") || path.starts_with("kv") => Ok(field.to_owned()),
        Some(_) => Err(format!(
            "{path} is not known to be of the key-value engine: what Vault makes anew for each reader (databases, certificates, \
             clouds) has no counterpart"
        )),
        None => Err(format!("{{{{ {action} }}}} is more than a field")),
    }
}

/// What stands in Vault and becomes a Secret (sks), by namespace and path.
#[derive(Clone, Debug, Default)]
pub(super) struct Paths {
    found: BTreeMap<(Option<String>, String), Found>,
    /// Names of Secrets (sks) that are given away, by namespace.
    pub(super) taken: BTreeSet<(Option<String>, String)>,
}

#[derive(Clone, Debug)]
struct Found {
    name: String,
    fields: BTreeSet<String>,
    readers: BTreeSet<String>,
    vault_namespace: Option<String>,
}

impl Paths {
    /// The files that `asked` asks for, each of Secrets (sks) of this namespace.
    pub(super) fn files(&mut self, asked: &Asked, manifest: &Manifest) -> Result<Vec<Wanted>, Obstacle> {
        let mut wanted = Vec::new();
        for File { mount_path, path, mode, parts } in &asked.files {
            let pieces = parts.iter().map(|part| match part {
                Part::Text(text) => Ok(Piece::Text(text.clone())),
                Part::Field { path, field } => {
                    let secret = self.field(path, field, asked.vault_namespace.as_deref(), manifest)?;
                    Ok(Piece::Field { secret, field: field.clone() })
                }
            });
            let pieces: Vec<Piece> = pieces.collect::<Result<_, Obstacle>>()?;
            let mut file = stock::file(path.clone(), &stock::key(pieces)?);
            file.mode = *mode;
            let containers = asked.containers.clone();
            wanted.push(Wanted { mount_path: mount_path.clone(), files: vec![file], containers });
        }
        Ok(wanted)
    }

    /// The Secret (sks) that stands for what is at `path`, with this field.
    fn field(
        &mut self,
        path: &str,
        field: &str,
        vault_namespace: Option<&str>,
        manifest: &Manifest,
    ) -> Result<String, Obstacle> {
        let namespace = manifest.namespace().map(str::to_owned);
        let place = (namespace.clone(), path.to_owned());
        if !self.found.contains_key(&place) {
            let name = self.free_name(namespace.as_ref(), path).ok_or_else(|| {
                let what = format!("no name that is free says what {path} is");
                Obstacle::new(what, "Convert this workload by itself.")
            })?;
            self.taken.insert((namespace, name.clone()));
            let found = Found {
                name,
                fields: BTreeSet::new(),
                readers: BTreeSet::new(),
                vault_namespace: vault_namespace.map(str::to_owned),
            };
            self.found.insert(place.clone(), found);
        }
        let found = self.found.get_mut(&place).filter(|found| found.vault_namespace.as_deref() == vault_namespace);
        let found = found.ok_or_else(|| {
            let what = format!("{path} stands in several namespaces of Vault");
            Obstacle::new(what, "Convert this workload by itself.")
        })?;
        found.fields.insert(field.to_owned());
        found.readers.insert(manifest.title());
        Ok(found.name.clone())
    }

    /// Without its engine where that is free, else with it.
    fn free_name(&self, namespace: Option<&String>, path: &str) -> Option<String> {
        let within = path.split_once('/').map_or(path, |(_, rest)| rest);
        let within = within.strip_prefix("data/").unwrap_or(within);
        let names = [within, path].into_iter().filter_map(name::slug);
        names.into_iter().find(|name| !self.taken.contains(&(namespace.cloned(), name.clone())))
    }

    /// The Secrets (sks). `choices` may know more fields than files name.
    pub(super) fn objects(&self, choices: &Choices<'_>) -> Vec<Converted> {
        let one = |((namespace, path), found): (&(Option<String>, String), &Found)| {
            let more = choices.fields.get(path).into_iter().flatten().cloned();
            let fields: BTreeSet<String> = found.fields.iter().cloned().chain(more).collect();
            let source = json!({"external": {"fields": fields}});
            let object = object("Secret", namespace.as_deref(), &found.name, json!({"source": source}));
            let of = found.vault_namespace.as_ref().map(|it| format!(" (namespace {it})")).unwrap_or_default();
            let object = came_from(object, &format!("Vault{of}, path {path}"));
            let mut comment: Vec<String> = found.readers.iter().map(|reader| format!("from {reader}")).collect();
            comment.push(super::SET_IT.to_owned());
            Converted { comment, object }
        };
        self.found.iter().map(one).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_common_templates_become_text_and_fields() {
        let of = |path: &str, field: &str| Part::Field { path: path.to_owned(), field: field.to_owned() };
        let text = |text: &str| Part::Text(text.to_owned());
        let template = "{{- with secret \"secret/data/shop/db\" -}}\npostgres://{{ .Data.data.user }}:{{ index .Data.data \"pass-word\" }}@db\n{{- end }}\n";
        let (db, old) = ("secret/data/shop/db", "kv/old");
        assert_eq!(
            parts(template),
            Ok(vec![text("postgres://"), of(db, "user"), text(":"), of(db, "pass-word"), text("@db"), text("\n")])
        );
        assert_eq!(parts("{{with secret \"kv/old\"}}{{.Data.key}}{{end}}"), Ok(vec![of(old, "key")]));
    }

    #[test]
    fn what_is_more_is_named() {
        for (template, what) in [
            (
                "{{ with secret \"database/creds/app\" }}{{ .Data.username }}{{ end }}",
                "database/creds/app is not known to be of",
            ),
            (
                "{{ with secret \"pki/issue/web\" \"common_name=a\" }}{{ .Data.certificate }}{{ end }}",
                "is more than with secret",
            ),
            ("{{ with secret \"secret/data/a?version=2\" }}{{ .Data.data.b }}{{ end }}", "is more than with secret"),
            (
                "{{ with secret \"secret/data/a\" }}{{ range $k, $v := .Data.data }}x{{ end }}{{ end }}",
                "{{ range $k, $v := .Data.data }}",
            ),
            (
                "{{ with secret \"secret/data/a\" }}{{ .Data.data.b | toJSON }}{{ end }}",
                "{{ .Data.data.b | toJSON }} is more than a field",
            ),
            ("{{ with secret \"secret/data/a\" }}{{ .Data.data }}{{ end }}", "{{ .Data.data }} is more than a field"),
            ("{{ with secret \"secret/data/a\" }}{{ .Data.data.b }}", "it does not end what it begins"),
            ("{{ with secret \"secret/data/a\" }}x{{ end }}", "it writes no secret"),
            ("{{ .Data.data.b }}", "{{ .Data.data.b }} is more than with secret"),
            ("{{ end }}", "{{ end }} is more than with secret"),
        ] {
            let told = parts(template).unwrap_err();
            assert!(told.contains(what), "{template}: {told}");
        }
    }

    #[test]
    fn every_annotation_is_converted_gone_or_an_obstacle() {
        for (key, value, is_obstacle) in [
            ("role", "web", false),
            ("agent-limits-cpu", "1", false),
            ("agent-cache-enable", "false", false),
            ("agent-cache-enable", "true", true),
            ("agent-inject-secret-db", "secret/data/db", false),
            ("secret-volume-path-db", "/x", false),
            ("agent-inject-command-db", "kill -HUP 1", true),
            ("agent-inject-template-file-db", "/t", true),
            ("agent-configmap", "x", true),
            ("agent-inject-token", "true", true),
            ("roles", "web", true),
        ] {
            assert_eq!(obstacle(key, value).is_some(), is_obstacle, "{key}");
        }
    }
}
