//! Format `YAML`: one mapping with a key for each input, in UTF-8, with a newline at the end. It is the same document as
//! that of format `JSON`: a string for a plain secret and for an input that names a field, a mapping of strings, indented
//! by two spaces, for a structured one. Keys are named as there.
//!
//! # Quoting
//!
//! Every key and every value is in double quotes on one line, so that no reader of YAML 1.1 or 1.2 takes `no` for a
//! boolean, `0123` or `1e3` for a number, `~` for nothing or `<<` for a merge. Between the quotes stand only characters
//! that both versions call printable; the others, line breaks of YAML 1.1 (U+0085, U+2028, U+2029) and byte order marks
//! are escapes: `\n`, `\r`, `\t`, `\"`, `\\` and `\uXXXX`, which are those of JSON as well. Every Unicode text can be
//! written.

use std::fmt::Write;

use crate::buffer::Buffer;
use crate::names::{self, Value};
use crate::{Content, FileError, Source};

pub(crate) fn render(sources: &[Source<'_>]) -> Result<Content, FileError> {
    let mut text = Buffer::with_capacity(sources.iter().map(|source| source.text.expose().len() + 128).sum());
    for (name, value) in names::members(sources)? {
        quoted(&mut text, name)?;
        match value {
            Value::Text(value) => {
                text.push(b": ");
                quoted(&mut text, value.expose())?;
                text.push(b"\n");
            }
            Value::Fields(fields) => {
                text.push(b":\n");
                for (field, value) in fields {
                    text.push(b"  ");
                    quoted(&mut text, &field)?;
                    text.push(b": ");
                    quoted(&mut text, value.expose())?;
                    text.push(b"\n");
                }
            }
        }
    }
    Ok(text.into_content())
}

fn quoted(text: &mut Buffer, value: &str) -> Result<(), FileError> {
    text.push(b"\"");
    for c in value.chars() {
        match c {
            '"' => text.push(b"\\\""),
            '\\' => text.push(b"\\\\"),
            '\n' => text.push(b"\\n"),
            '\r' => text.push(b"\\r"),
            '\t' => text.push(b"\\t"),
            c if is_printable(c) => text.push_char(c),
            c => write!(text, "\\u{:04x}", u32::from(c)).map_err(|_| FileError::Internal("YAML"))?,
        }
    }
    text.push(b"\"");
    Ok(())
}

/// Whether it may stand as itself: what YAML 1.1 and 1.2 both call printable and neither gives a meaning. What is not is
/// below U+10000.
fn is_printable(c: char) -> bool {
    match c {
        '\u{2028}' | '\u{2029}' | '\u{feff}' => false,
        ' '..='~' | '\u{a0}'..='\u{fffd}' => true,
        c => c >= '\u{10000}',
    }
}
