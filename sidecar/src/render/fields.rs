//! The fields of a structured value.

use std::collections::BTreeMap;

use sikkerkey_protocol::secret_text::SecretText;

use super::{RenderError, Source};

/// Every field with its name, in the secret's own order.
pub(super) fn all(source: Source<'_>) -> Result<Vec<(String, SecretText)>, RenderError> {
    let mut by_name = parse(source)?;
    source
        .value
        .field_names
        .iter()
        .map(|name| {
            let text = by_name.remove(name).ok_or_else(|| malformed(source))?;
            Ok((name.clone(), text))
        })
        .collect()
}

/// One field.
pub(super) fn one(source: Source<'_>, field: &str) -> Result<SecretText, RenderError> {
    let secret = || source.input.secret.clone();
    let names = &source.value.field_names;
    if names.is_empty() {
        return Err(RenderError::NotStructured { secret: secret(), field: field.to_owned() });
    }
    if !names.iter().any(|name| name == field) {
        return Err(RenderError::FieldNotFound { secret: secret(), field: field.to_owned(), has: names.join(", ") });
    }
    parse(source)?.remove(field).ok_or_else(|| malformed(source))
}

fn parse(source: Source<'_>) -> Result<BTreeMap<String, SecretText>, RenderError> {
    serde_json::from_str(source.value.text.expose()).map_err(|_| malformed(source))
}

fn malformed(source: Source<'_>) -> RenderError {
    RenderError::Malformed { secret: source.input.secret.clone() }
}
