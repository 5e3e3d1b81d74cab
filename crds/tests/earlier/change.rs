//! What changed between two definitions of a kind that matters to whoever has objects of it.

use std::fmt;

use serde_json::Value;

/// A change.
#[derive(Debug)]
pub(crate) enum Change {
    /// Nothing makes good for it.
    Broken(String),
    /// A rule is narrower: objects that keep it not are stored already, and stay.
    Narrower(String),
}

impl Change {
    pub(crate) fn broken(&self) -> Option<&str> {
        match self {
            Self::Broken(said) => Some(said),
            Self::Narrower(_) => None,
        }
    }

    pub(crate) fn narrower(&self) -> Option<&str> {
        match self {
            Self::Broken(_) => None,
            Self::Narrower(said) => Some(said),
        }
    }
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (Self::Broken(said) | Self::Narrower(said)) = self;
        f.write_str(said)
    }
}

/// What changed between earlier definitions and later ones. A kind that came is no change.
pub(crate) fn changes(earlier: &[Value], later: &[Value]) -> Vec<Change> {
    let mut changes = Vec::new();
    for old in earlier {
        let name = old["metadata"]["name"].as_str().unwrap();
        match later.iter().find(|new| new["metadata"]["name"] == name) {
            None => changes.push(Change::Broken(format!("{name}: the definition was removed"))),
            Some(new) => definition(&old["spec"], &new["spec"], name, &mut changes),
        }
    }
    changes
}

fn definition(old: &Value, new: &Value, name: &str, changes: &mut Vec<Change>) {
    let mut broken = |said: String| changes.push(Change::Broken(format!("{name} {said}")));
    for key in ["group", "scope"] {
        if old[key] != new[key] {
            broken(format!("{key} is another"));
        }
    }
    for key in ["kind", "plural", "singular", "listKind"] {
        if !old["names"][key].is_null() && old["names"][key] != new["names"][key] {
            broken(format!("{key} is another"));
        }
    }
    for (key, what) in [("shortNames", "short name"), ("categories", "category")] {
        for gone in without(&old["names"][key], &new["names"][key]) {
            broken(format!("the {what} {} was removed", gone.as_str().unwrap()));
        }
    }
    for old in items(&old["versions"]).iter().filter(|version| version["served"] == true) {
        let version = old["name"].as_str().unwrap();
        let at = format!("{name} {version}");
        let still = |new: &&Value| new["name"] == version && new["served"] == true;
        match items(&new["versions"]).iter().find(still) {
            None => changes.push(Change::Broken(format!("{at}: is no longer served"))),
            Some(new) => self::version(old, new, &at, changes),
        }
    }
}

fn version(old: &Value, new: &Value, at: &str, changes: &mut Vec<Change>) {
    let has_status = |version: &Value| version["subresources"].get("status").is_some();
    if has_status(old) && !has_status(new) {
        changes.push(Change::Broken(format!("{at}: has no status any more")));
    }
    for gone in without(&old["selectableFields"], &new["selectableFields"]) {
        let path = gone["jsonPath"].as_str().unwrap();
        changes.push(Change::Broken(format!("{at}: {path} can no longer be selected by")));
    }
    let schema = |version: &Value| version["schema"]["openAPIV3Schema"].clone();
    self::schema(&schema(old), &schema(new), &Path { at: at.to_owned(), path: String::new() }, changes);
}

/// Where a schema stands.
struct Path {
    at: String,
    path: String,
}

impl Path {
    fn field(&self, name: &str) -> Self {
        let dot = if self.path.is_empty() { "" } else { "." };
        Self { at: self.at.clone(), path: format!("{}{dot}{name}", self.path) }
    }

    fn inside(&self, brackets: &str) -> Self {
        Self { at: self.at.clone(), path: format!("{}{brackets}", self.path) }
    }

    fn says(&self, what: &str) -> String {
        format!("{} {}: {what}", self.at, self.path)
    }
}

fn schema(old: &Value, new: &Value, path: &Path, changes: &mut Vec<Change>) {
    let mut broken = |what: &str| changes.push(Change::Broken(path.says(what)));
    let another =
        ["type", "format", "default", "x-kubernetes-list-type", "x-kubernetes-list-map-keys", "x-kubernetes-map-type"];
    for key in another.into_iter().filter(|key| old.get(key) != new.get(key)) {
        broken(&format!("{key} is another"));
    }
    if old["nullable"] == true && new["nullable"] != true {
        broken("null can no longer be told from nothing");
    }
    let keeps = |schema: &Value| schema["x-kubernetes-preserve-unknown-fields"] == true;
    if keeps(old) && !keeps(new) {
        broken("unknown fields are no longer kept");
    }
    match (old["enum"].as_array(), new["enum"].as_array()) {
        (None, Some(_)) => broken("takes only some values"),
        (Some(_), Some(_)) => {
            for gone in without(&old["enum"], &new["enum"]) {
                broken(&format!("no longer takes {gone}"));
            }
        }
        (_, None) => {}
    }
    for name in without(&new["required"], &old["required"]) {
        let field = path.field(name.as_str().unwrap());
        changes.push(Change::Broken(field.says("became required")));
    }
    changes.extend(narrower(old, new).into_iter().map(|rule| Change::Narrower(path.says(&rule))));
    below(old, new, path, changes);
}

/// The same for what is inside.
fn below(old: &Value, new: &Value, path: &Path, changes: &mut Vec<Change>) {
    let mut both = |old: Option<&Value>, new: Option<&Value>, path: Path| match (old, new) {
        (Some(old), Some(new)) => schema(old, new, &path, changes),
        (Some(_), None) => changes.push(Change::Broken(path.says("the field was removed"))),
        // Who wrote an object before it did not know what it would mean.
        (None, Some(new)) if new.get("default").is_some() => {
            changes.push(Change::Broken(path.says("default is another")));
        }
        (None, _) => {}
    };
    let fields = |schema: &Value| schema["properties"].as_object().cloned().unwrap_or_default();
    let (before, after) = (fields(old), fields(new));
    let names = before.keys().chain(after.keys().filter(|name| !before.contains_key(*name)));
    for name in names {
        both(before.get(name), after.get(name), path.field(name));
    }
    both(old.get("items"), new.get("items"), path.inside("[]"));
    both(old.get("additionalProperties"), new.get("additionalProperties"), path.inside("{}"));
}

/// The rules of a schema that became narrower, by name.
fn narrower(old: &Value, new: &Value) -> Vec<String> {
    let number = |schema: &Value, key: &str| schema[key].as_f64();
    let lower = |key: &&str| match (number(old, key), number(new, key)) {
        (Some(old), Some(new)) => new < old,
        (None, new) => new.is_some(),
        (Some(_), None) => false,
    };
    let higher = |key: &&str| match (number(old, key), number(new, key)) {
        (Some(old), Some(new)) => new > old,
        (None, new) => new.is_some(),
        (Some(_), None) => false,
    };
    let pattern = (!new["pattern"].is_null() && new["pattern"] != old["pattern"]).then_some("pattern");
    let most = ["maxLength", "maxItems", "maxProperties", "maximum"].into_iter().filter(lower);
    let least = ["minLength", "minItems", "minProperties", "minimum"].into_iter().filter(higher);
    let rules = |schema: &Value| {
        let rules = items(&schema["x-kubernetes-validations"]).iter().map(|rule| rule["rule"].clone());
        Value::Array(rules.collect())
    };
    let added = without(&rules(new), &rules(old)).into_iter().map(|rule| format!("rule {}", rule.as_str().unwrap()));
    pattern.into_iter().chain(most).chain(least).map(str::to_owned).chain(added).collect()
}

fn items(list: &Value) -> &[Value] {
    list.as_array().map(Vec::as_slice).unwrap_or_default()
}

/// What is in a list and not in another one.
fn without(list: &Value, other: &Value) -> Vec<Value> {
    items(list).iter().filter(|item| !items(other).contains(item)).cloned().collect()
}
