//! Format `Raw`: the value, byte for byte, without a newline at the end. Of a structured secret its JSON text, or the
//! one field that the input names.

use zeroize::Zeroizing;

use super::{Content, RenderError, Source, fields};

pub(super) fn render(sources: &[Source<'_>]) -> Result<Content, RenderError> {
    let [source] = sources else { return Err(RenderError::NotOneInput(sources.len())) };
    match &source.input.field {
        None => Ok(Zeroizing::new(source.value.text.expose().as_bytes().to_vec())),
        Some(field) => Ok(Zeroizing::new(fields::one(*source, field)?.expose().as_bytes().to_vec())),
    }
}
