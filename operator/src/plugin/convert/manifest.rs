//! Manifests as they stand in files: documents of YAML or JSON as kubectl reads them, Lists taken apart.

use serde_json::Value;

use crate::yaml::{self, Place};

/// One object. Without `Debug`: it may be a Kubernetes Secret, with its values.
pub(super) struct Manifest {
    /// The file it came from.
    pub(super) file: String,
    /// The object.
    pub(super) object: Value,
}

/// A text that is no manifest. Says where, and nothing of what stands there.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("{file} is not YAML that kubectl reads, at line {line}, column {column}")]
pub struct Unreadable {
    file: String,
    line: usize,
    column: usize,
}

impl Manifest {
    /// All that stand in `text`, and what is none.
    pub(super) fn all(file: &str, text: &str) -> Result<Vec<Self>, Unreadable> {
        let mut found = Vec::new();
        let unreadable = |Place { line, column }| Unreadable { file: file.to_owned(), line, column };
        for object in yaml::documents(text).map_err(unreadable)? {
            add(file, object, &mut found);
        }
        Ok(found)
    }

    pub(super) fn kind(&self) -> &str {
        text(&self.object, "/kind")
    }

    /// The group of its `apiVersion`; empty for the core.
    pub(super) fn group(&self) -> &str {
        text(&self.object, "/apiVersion").split_once('/').map_or("", |(group, _)| group)
    }

    pub(super) fn name(&self) -> &str {
        text(&self.object, "/metadata/name")
    }

    /// The namespace, if it names one.
    pub(super) fn namespace(&self) -> Option<&str> {
        said(&self.object, "/metadata/namespace")
    }

    /// Names `namespace` if it names none.
    pub(super) fn put_into(&mut self, namespace: &str) {
        if self.namespace().is_none()
            && let Some(metadata) = self.object.get_mut("metadata").and_then(Value::as_object_mut)
        {
            metadata.insert("namespace".to_owned(), namespace.into());
        }
    }

    /// Which one, for a person.
    pub(super) fn title(&self) -> String {
        let name = if self.name().is_empty() { "without a name" } else { self.name() };
        match self.namespace() {
            Some(namespace) => format!("{} {namespace}/{name} ({})", self.kind(), self.file),
            None => format!("{} {name} ({})", self.kind(), self.file),
        }
    }
}

fn add(file: &str, mut object: Value, found: &mut Vec<Manifest>) {
    let is_list = text(&object, "/kind").ends_with("List") && object.get("items").is_some_and(Value::is_array);
    if let Some(Value::Array(items)) = object.get_mut("items").filter(|_| is_list).map(Value::take) {
        for item in items {
            add(file, item, found);
        }
    } else if !object.is_null() {
        found.push(Manifest { file: file.to_owned(), object });
    }
}

/// The text at `pointer`; empty if there is none.
pub(super) fn text<'a>(value: &'a Value, pointer: &str) -> &'a str {
    value.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}

/// The text at `pointer`, if there is one and something stands in it.
pub(super) fn said<'a>(value: &'a Value, pointer: &str) -> Option<&'a str> {
    value.pointer(pointer).and_then(Value::as_str).filter(|text| !text.is_empty())
}

/// The list at `pointer`; empty if there is none.
pub(super) fn list<'a>(value: &'a Value, pointer: &str) -> &'a [Value] {
    value.pointer(pointer).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn documents_and_lists_become_single_objects() {
        let text = "kind: A\n---\n---\nkind: List\nitems: [{kind: B}, {kind: CList, items: [{kind: C}]}]\n";
        let all = Manifest::all("x.yaml", text).unwrap();
        assert_eq!(all.iter().map(Manifest::kind).collect::<Vec<_>>(), ["A", "B", "C"]);
    }

    #[test]
    fn what_does_not_parse_is_told_without_what_stands_there() {
        let error = Manifest::all("x.yaml", "kind: Secret\nstringData:\n  a: \"hunter2\n").err().unwrap().to_string();
        assert!(
            error.starts_with("x.yaml is not YAML that kubectl reads, at line ") && !error.contains("hunter2"),
            "{error}"
        );
    }
}
