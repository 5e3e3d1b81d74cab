//! Java's readers. Bytes go in and out with their length before them, as `DataInputStream` has it.

use std::path::Path;
use std::process::Command;

use sikkerkey_protocol::sync::{Format, Input};

use crate::documents::{Value, documents};
use crate::outside::{is_there, run};

pub(crate) fn is_java_there(test: &str) -> bool {
    // A class in one file, compiled as it is run, needs the compiler's module.
    is_there(test, "java", &["--describe-module", "jdk.compiler"], "default-jdk-headless")
}

/// What program `class` of this directory prints of `parts`, whose number it is told.
pub(crate) fn java(class: &str, count: usize, parts: &[&[u8]]) -> Printed {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("input");
    let mut input = size(count).to_vec();
    for part in parts {
        input.extend(size(part.len()));
        input.extend(*part);
    }
    std::fs::write(&path, input).unwrap();
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/reference").join(class).with_extension("java");
    Printed(run(Command::new("java").arg(source).arg(&path)), 0)
}

fn size(size: usize) -> [u8; 4] {
    i32::try_from(size).unwrap().to_be_bytes()
}

/// What it printed, from where it was read on.
pub(crate) struct Printed(Vec<u8>, usize);

impl Printed {
    fn take(&mut self, count: usize) -> &[u8] {
        self.1 += count;
        &self.0[self.1 - count..self.1]
    }

    pub(crate) fn number(&mut self) -> usize {
        i32::from_be_bytes(self.take(4).try_into().unwrap()).try_into().unwrap()
    }

    pub(crate) fn flag(&mut self) -> bool {
        self.take(1) == [1]
    }

    pub(crate) fn bytes(&mut self) -> Vec<u8> {
        let count = self.number();
        self.take(count).to_vec()
    }

    pub(crate) fn text(&mut self) -> String {
        let units: Vec<_> = self.bytes().chunks(2).map(|unit| u16::from_be_bytes([unit[0], unit[1]])).collect();
        String::from_utf16(&units).unwrap()
    }

    pub(crate) fn is_over(&self) -> bool {
        self.1 == self.0.len()
    }
}

#[test]
fn java_reads_properties_as_they_were_and_would_write_them_the_same() {
    if !is_java_there("java_reads_properties_as_they_were_and_would_write_them_the_same") {
        return;
    }
    let documents = documents(Format::Properties, 400, |_| false);
    let contents: Vec<_> = documents.iter().map(|document| document.content.as_slice()).collect();
    let mut printed = java("ReadProperties", documents.len(), &contents);
    for document in &documents {
        let mut expected = vec![];
        for (input, value) in &document.inputs {
            match value {
                Value::Text(text) => expected.push((name(input, None), text.clone())),
                Value::Fields(fields) => {
                    expected.extend(fields.iter().map(|(field, text)| (name(input, Some(field)), text.clone())));
                }
            }
        }
        let mut read = vec![];
        let mut stored = String::new();
        for _ in 0..printed.number() {
            read.push((printed.text(), printed.text()));
            stored.push_str(&printed.text());
        }
        assert_eq!(read, expected, "{document:?}");
        assert_eq!(stored.as_bytes(), document.content, "{document:?}");
    }
    assert!(printed.is_over());
}

/// The rule of the table in crds/README.md.
fn name(input: &Input, field: Option<&str>) -> String {
    let upper = |text: &str| text.to_ascii_uppercase().replace(['.', '-'], "_");
    match (&input.alias, field) {
        (Some(alias), None) => alias.clone(),
        (Some(alias), Some(field)) => format!("{alias}.{field}"),
        (None, None) => upper(&input.secret.name),
        (None, Some(field)) => format!("{}_{}", upper(&input.secret.name), upper(field)),
    }
}
