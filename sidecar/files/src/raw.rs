//! Format `Raw`: the value, byte for byte, without a newline at the end. Of a structured secret its JSON text, or the
//! one field that the input names.

use sikkerkey_protocol::sync::Input;
use zeroize::Zeroizing;

use crate::{Content, FileError, Source, fields};

/// What is wrong whatever the values are.
pub(crate) fn check(inputs: &[Input]) -> Result<(), FileError> {
    match inputs {
        [input] if input.alias.is_some() => Err(FileError::RawName),
        [_] => Ok(()),
        _ => Err(FileError::NotOneInput(inputs.len())),
    }
}

pub(crate) fn render(sources: &[Source<'_>]) -> Result<Content, FileError> {
    let [source] = sources else { return Err(FileError::NotOneInput(sources.len())) };
    match &source.input.field {
        None => Ok(Zeroizing::new(source.text.expose().as_bytes().to_vec())),
        Some(field) => Ok(Zeroizing::new(fields::one(*source, field)?.expose().as_bytes().to_vec())),
    }
}
