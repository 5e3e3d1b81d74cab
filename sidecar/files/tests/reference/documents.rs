//! Files of values that nobody chose, and what a reader must find in them.

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;
use sikkerkey_files::FileError;
use sikkerkey_protocol::sync::{File, Format, Input};

use crate::bench::{Secrets, file, input};

/// What an input holds.
#[derive(Clone, Debug)]
pub(crate) enum Value {
    Text(String),
    Fields(Vec<(String, String)>),
}

/// A file and what is in it.
#[derive(Debug)]
pub(crate) struct Document {
    pub(crate) content: Vec<u8>,
    /// Each input with what it holds.
    pub(crate) inputs: Vec<(Input, Value)>,
}

/// Texts that readers are known to stumble over.
const NASTY: [&str; 44] = [
    "",
    " ",
    "  x",
    "x  ",
    "\t",
    "no",
    "NO",
    "y",
    "on",
    "true",
    "null",
    "~",
    "0123",
    "0x1f",
    "1e3",
    "-1.5",
    ".inf",
    "1:30",
    "2026-11-27",
    "<<",
    "=",
    "- a",
    "a: b",
    "# a",
    "a # b",
    "; a",
    "!a",
    "[a]",
    "{a}",
    "&a",
    "*a",
    "|",
    ">",
    "%(a)s",
    "%YAML",
    "\"a\"",
    "'a'",
    "\\",
    "a\\nb",
    "$HOME `id` $(id)",
    "---\na",
    "a\n#b\n c",
    "a\r\nb\rc",
    "\u{feff}a\u{2028}b\u{85}c\u{7f}",
];

/// All of Unicode, and above all what means something to somebody.
pub(crate) fn text() -> impl Strategy<Value = String> {
    prop_oneof![
        4 => vec(any::<char>(), 0..24).prop_map(|chars| chars.into_iter().collect()),
        3 => "[ -~]{0,24}",
        3 => "[\\\\\"'$`%#;:=!\\[\\] \t\n\r\x0b\x0c\x1c\x1f\0xé\u{85}\u{a0}\u{2028}\u{feff}]{0,12}",
        1 => "([!-~]{1,9}( [!-~]{1,9})?\n){0,4}[!-~]{1,9}",
        2 => select(&NASTY[..]).prop_map(str::to_owned),
    ]
}

fn name() -> impl Strategy<Value = String> {
    const NASTY: [&str; 12] = ["no", "null", "0123", "1e3", "y", "on", "true", "9lives", "1-2-3", "nan", "a.b-c", "x"];
    prop_oneof![select(&NASTY[..]).prop_map(str::to_owned), "[a-z0-9]([a-z0-9.-]{0,6}[a-z0-9])?"]
}

fn fields() -> impl Strategy<Value = Vec<(String, String)>> {
    let name = prop_oneof!["[A-Za-z_][A-Za-z0-9_.-]{0,6}", "[A-Za-z0-9_.-]{1,4}"];
    proptest::collection::btree_map(name, text(), 1..5).prop_map(|fields| fields.into_iter().rev().collect())
}

fn inputs() -> impl Strategy<Value = Vec<(Input, Value)>> {
    let alias = proptest::option::weighted(0.3, "[A-Za-z_][A-Za-z0-9_]{0,5}");
    let value = prop_oneof![2 => text().prop_map(Value::Text), 1 => fields().prop_map(Value::Fields)];
    let one = (name(), alias, value).prop_map(|(name, alias, value)| (input(&name, None, alias.as_deref()), value));
    proptest::collection::vec(one, 1..5)
}

/// As many documents of `format` as are asked for. What it refuses is passed over, if `may_refuse` says that it may.
pub(crate) fn documents(format: Format, count: usize, may_refuse: impl Fn(&FileError) -> bool) -> Vec<Document> {
    let mut runner = TestRunner::default();
    let strategy = inputs();
    let mut documents = vec![];
    for attempt in 0.. {
        assert!(attempt < 30 * count, "nearly all is refused");
        let inputs = strategy.new_tree(&mut runner).unwrap().current();
        match render(format, &inputs) {
            Ok(content) => documents.push(Document { content, inputs }),
            Err(FileError::Collision { .. }) => {}
            Err(error) => assert!(may_refuse(&error), "{error}: {inputs:?}"),
        }
        if documents.len() == count {
            break;
        }
    }
    documents
}

fn render(format: Format, inputs: &[(Input, Value)]) -> Result<Vec<u8>, FileError> {
    let mut secrets = Secrets::default();
    let mut names = vec![];
    for (input, value) in inputs {
        let name = &input.secret.name;
        if names.contains(&name) {
            // Two of one name would be one Secret of two values.
            let origin = format!("Secret {}", input.secret);
            return Err(FileError::Collision { name: name.clone(), first: origin.clone(), second: origin });
        }
        names.push(name);
        secrets = match value {
            Value::Text(text) => secrets.plain(name, text),
            Value::Fields(fields) => secrets.structured(name, fields),
        };
    }
    let file: File = file(format, inputs.iter().map(|(input, _)| input.clone()).collect());
    secrets.render(&file).map(|content| content.to_vec())
}

/// `as`, or the Secret's name.
pub(crate) fn own(input: &Input) -> &str {
    input.alias.as_ref().unwrap_or(&input.secret.name)
}
