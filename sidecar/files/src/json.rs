//! Format `JSON`: one object with a member for each input, in UTF-8 (RFC 8259), indented by two spaces, with a newline
//! at the end.
//!
//! A member's name is the input's `as`, or the Secret's name as it stands. Its value is a string for a plain secret and
//! for an input that names a field, and an object of strings, in the order of its fields, for a structured one. Values
//! are never taken for numbers or booleans: `"5432"` stays a string. Every Unicode text can be written.

use serde::ser::{Serialize, SerializeMap, Serializer};

use crate::buffer::Buffer;
use crate::names::{self, Value};
use crate::{Content, FileError, Source};

pub(crate) fn render(sources: &[Source<'_>]) -> Result<Content, FileError> {
    let mut text = Buffer::with_capacity(sources.iter().map(|source| source.text.expose().len() + 128).sum());
    let object = Object(names::members(sources)?);
    serde_json::to_writer_pretty(&mut text, &object).map_err(|_| FileError::Internal("JSON"))?;
    text.push(b"\n");
    Ok(text.into_content())
}

struct Object<'a>(Vec<(&'a str, Value)>);

impl Serialize for Object<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut object = serializer.serialize_map(Some(self.0.len()))?;
        for (name, value) in &self.0 {
            object.serialize_entry(name, value)?;
        }
        object.end()
    }
}

impl Serialize for Value {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Text(text) => text.reveal().serialize(serializer),
            Self::Fields(fields) => {
                let mut object = serializer.serialize_map(Some(fields.len()))?;
                for (name, text) in fields {
                    object.serialize_entry(name, &text.reveal())?;
                }
                object.end()
            }
        }
    }
}
