//! What each Kubernetes Secret is for us once it is converted: which Secret (sks) gives which of its keys.

use std::collections::BTreeMap;

use sikkerkey_crds::machine::{DeliveryFile, FileFormat, FileSecretRef};

use super::name;
use super::report::Obstacle;

/// What one key is for us.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Key {
    /// A value, or a field of one.
    Value { secret: String, field: Option<String> },
    /// Text around fields.
    Template(Vec<Piece>),
}

impl Key {
    /// Each of these fields of a Secret (sks), by its name.
    pub(super) fn fields<'a>(secret: &str, names: impl IntoIterator<Item = &'a String>) -> BTreeMap<String, Self> {
        let field = |name: &String| Self::Value { secret: secret.to_owned(), field: Some(name.clone()) };
        names.into_iter().map(|name| (name.clone(), field(name))).collect()
    }
}

/// A part of a template.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Piece {
    /// Text.
    Text(String),
    /// A field of a Secret (sks).
    Field { secret: String, field: String },
}

/// What one Kubernetes Secret is for us.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Stocked {
    /// These are its keys.
    Keys(BTreeMap<String, Key>),
    /// It is not converted.
    Left(Obstacle),
}

/// The Kubernetes Secrets that manifests describe, by namespace (as it is written) and name.
#[derive(Debug, Default)]
pub(super) struct Stock(BTreeMap<(Option<String>, String), Stocked>);

impl Stock {
    pub(super) fn put(&mut self, namespace: Option<&str>, name: &str, stocked: Stocked) {
        self.0.insert((namespace.map(str::to_owned), name.to_owned()), stocked);
    }

    pub(super) fn find(&self, namespace: Option<&str>, name: &str) -> Option<&Stocked> {
        self.0.get(&(namespace.map(str::to_owned), name.to_owned()))
    }
}

/// The file that holds what `key` is.
pub(super) fn file(path: String, key: &Key) -> DeliveryFile {
    match key {
        Key::Value { secret, field } => {
            let input = FileSecretRef { name: secret.clone(), field: field.clone(), ..FileSecretRef::default() };
            DeliveryFile { path, secret_refs: vec![input], ..DeliveryFile::default() }
        }
        Key::Template(pieces) => {
            let mut inputs: Vec<FileSecretRef> = Vec::new();
            let text = pieces.iter().map(|piece| match piece {
                Piece::Text(text) => text.clone(),
                Piece::Field { secret, field } => {
                    let alias = name::alias(secret);
                    let text = variable(&alias, field);
                    if inputs.iter().all(|input| input.name != *secret) {
                        inputs.push(FileSecretRef {
                            name: secret.clone(),
                            alias: Some(alias),
                            ..FileSecretRef::default()
                        });
                    }
                    text
                }
            });
            let template = Some(text.collect());
            DeliveryFile {
                path,
                format: Some(FileFormat::Template),
                secret_refs: inputs,
                template,
                ..DeliveryFile::default()
            }
        }
    }
}

/// What a template writes for a field.
fn variable(alias: &str, field: &str) -> String {
    if field.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_') {
        format!("{{{{ {alias}.{field} }}}}")
    } else {
        format!("{{{{ {alias}[\"{field}\"] }}}}")
    }
}

/// A single field, or text around fields. Text that our language of templates would not leave as it is, is refused.
pub(super) fn key(pieces: Vec<Piece>) -> Result<Key, Obstacle> {
    if let [Piece::Field { secret, field }] = pieces.as_slice() {
        return Ok(Key::Value { secret: secret.clone(), field: Some(field.clone()) });
    }
    // A brace before a field would make three.
    let speaks = |text: &String| text.ends_with('{') || ["{{", "{%", "{#"].iter().any(|sign| text.contains(sign));
    if pieces.iter().any(|piece| matches!(piece, Piece::Text(text) if speaks(text))) {
        return Err(Obstacle::new(
            "the text of a template has {%, {#, or a brace in front of a field, which our templates read otherwise",
            "Write the template by hand, with the text inside {% raw %}: crds/README.md, Templates.",
        ));
    }
    Ok(Key::Template(pieces))
}
