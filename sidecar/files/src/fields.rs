//! The fields of a structured value.

use std::collections::BTreeMap;

use sikkerkey_protocol::secret_text::SecretText;

use crate::{FileError, Source};

/// Every field with its name, in the secret's own order.
pub(crate) fn all(source: Source<'_>) -> Result<Vec<(String, SecretText)>, FileError> {
    let mut by_name = parse(source)?;
    source
        .field_names
        .iter()
        .map(|name| {
            let text = by_name.remove(name).ok_or_else(|| malformed(source))?;
            Ok((name.clone(), text))
        })
        .collect()
}

/// One field.
pub(crate) fn one(source: Source<'_>, field: &str) -> Result<SecretText, FileError> {
    let secret = || source.input.secret.clone();
    let names = source.field_names;
    if names.is_empty() {
        return Err(FileError::NotStructured { secret: secret(), field: field.to_owned() });
    }
    if !names.iter().any(|name| name == field) {
        return Err(FileError::FieldNotFound { secret: secret(), field: field.to_owned(), has: names.join(", ") });
    }
    parse(source)?.remove(field).ok_or_else(|| malformed(source))
}

fn parse(source: Source<'_>) -> Result<BTreeMap<String, SecretText>, FileError> {
    serde_json::from_str(source.text.expose()).map_err(|_| malformed(source))
}

fn malformed(source: Source<'_>) -> FileError {
    FileError::Malformed { secret: source.input.secret.clone() }
}
