//! Python's readers.

use std::process::Command;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use proptest::strategy::{Strategy, ValueTree};
use proptest::test_runner::TestRunner;
use serde_json::{Value as Json, json};
use sikkerkey_files::FileError;
use sikkerkey_protocol::sync::Format;

use crate::bench::{Secrets, file, input};
use crate::documents::{Document, Value, documents, own, text};
use crate::outside::{is_there, run};

/// An interpreter with `module`. Another one may stand in the path before that of the distribution's packages.
fn python(test: &str, module: &str, package: &str) -> Option<&'static str> {
    let import = format!("import {module}");
    let has_module =
        |python: &str| Command::new(python).args(["-c", &import]).output().is_ok_and(|it| it.status.success());
    let others = "/usr/bin/python3";
    if has_module(others) {
        return Some(others);
    }
    is_there(test, "python3", &["-c", &import], package).then_some("python3")
}

fn read(python: &str, format: &str, documents: &[Document]) -> Vec<Json> {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("documents.json");
    let encoded: Vec<_> = documents.iter().map(|document| STANDARD.encode(&document.content)).collect();
    std::fs::write(&path, serde_json::to_vec(&encoded).unwrap()).unwrap();
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/reference/read.py");
    let printed = run(Command::new(python).args([script, format]).arg(&path));
    serde_json::from_slice(&printed).unwrap()
}

fn assert_all_read(python: &str, format: &str, documents: &[Document], expected: impl Fn(&Document) -> Json) {
    let read = read(python, format, documents);
    assert_eq!(read.len(), documents.len());
    for (document, read) in documents.iter().zip(read) {
        assert_eq!(read, expected(document), "{}\n{document:?}", String::from_utf8_lossy(&document.content));
    }
}

/// Pairs instead of objects, so that the order counts.
fn tree(document: &Document) -> Json {
    let member = |value: &Value| match value {
        Value::Text(text) => json!(text),
        Value::Fields(fields) => json!(fields),
    };
    document.inputs.iter().map(|(input, value)| json!([own(input), member(value)])).collect()
}

#[test]
fn python_reads_json_as_it_was() {
    if let Some(python) = python("python_reads_json_as_it_was", "json", "python3") {
        assert_all_read(python, "json", &documents(Format::Json, 400, |_| false), tree);
    }
}

#[test]
fn pyyaml_reads_yaml_as_it_was() {
    if let Some(python) = python("pyyaml_reads_yaml_as_it_was", "yaml", "python3-yaml") {
        assert_all_read(python, "yaml", &documents(Format::Yaml, 400, |_| false), tree);
    }
}

#[test]
fn configparser_reads_ini_as_it_was() {
    if let Some(python) = python("configparser_reads_ini_as_it_was", "configparser", "python3") {
        let refused = |error: &FileError| matches!(error, FileError::Ini { .. });
        assert_all_read(python, "ini", &documents(Format::Ini, 400, refused), |document| {
            json!([sections(document, str::to_ascii_lowercase), sections(document, str::to_owned)])
        });
    }
}

#[test]
fn configparser_would_not_read_back_what_ini_refuses() {
    let test = "configparser_would_not_read_back_what_ini_refuses";
    let Some(python) = python(test, "configparser", "python3") else { return };
    let mut runner = TestRunner::default();
    let mut refused = vec![];
    while refused.len() < 300 {
        let value = text().new_tree(&mut runner).unwrap().current();
        let is_refused = Secrets::default().plain("k", &value).render(&file(Format::Ini, vec![input("k", None, None)]));
        // A NUL is refused for the sake of other readers.
        if is_refused.is_err() && !value.contains('\0') {
            refused.push(value);
        }
    }
    // What a writer without these scruples would write.
    let documents: Vec<_> = refused
        .iter()
        .map(|value| format!("[secrets]\nk = {}\n", value.replace('\n', "\n\t")))
        .map(|content| Document { content: content.into_bytes(), inputs: vec![] })
        .collect();
    for (value, read) in refused.iter().zip(read(python, "broken-ini", &documents)) {
        assert_ne!(read, json!([["secrets", [["k", value]]]]), "refused for nothing");
    }
}

fn sections(document: &Document, key: impl Fn(&str) -> String) -> Vec<(String, Vec<(String, String)>)> {
    let mut sections: Vec<(String, Vec<_>)> = vec![];
    let mut add = |section: &str, entry| match sections.iter_mut().find(|(name, _)| name == section) {
        Some((_, entries)) => entries.push(entry),
        None => sections.push((section.to_owned(), vec![entry])),
    };
    for (input, value) in &document.inputs {
        match value {
            Value::Text(text) => add("secrets", (key(own(input)), text.clone())),
            Value::Fields(fields) => {
                for (field, text) in fields {
                    add(own(input), (key(field), text.clone()));
                }
            }
        }
    }
    sections
}
