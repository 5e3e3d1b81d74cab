//! The value that is to be sealed.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::str::FromStr;

use serde::Serializer as _;
use sikkerkey_protocol::sealed::Content;
use sikkerkey_protocol::secret_text::SecretText;
use zeroize::Zeroizing;

/// The longest value, in bytes; of a structured one, of its JSON.
const MAX_VALUE: usize = 12 * 1024;
const MAX_FIELDS: usize = 64;

/// A field and the file its content is in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FieldFile {
    /// Its name.
    pub name: String,
    /// The file; `-` is standard input.
    pub file: PathBuf,
}

impl FromStr for FieldFile {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (name, file) = text.split_once('=').ok_or("write NAME=FILE: the content stands in a file")?;
        let first = |b: u8| b.is_ascii_alphabetic() || b == b'_';
        let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.' | b'-');
        if name.len() > 63 || !name.bytes().next().is_some_and(first) || !name.bytes().all(plain) {
            return Err(
                "a field is named by up to 63 letters, digits, '_', '.' and '-', and begins with a letter or '_'"
                    .into(),
            );
        }
        if file.is_empty() {
            return Err(format!("field {name} has no file: write {name}=FILE"));
        }
        Ok(Self { name: name.to_owned(), file: file.into() })
    }
}

/// Where a value comes from.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sources<'a> {
    pub(super) fields: &'a [FieldFile],
    pub(super) value_file: Option<&'a Path>,
}

/// A value that was read.
#[derive(Debug)]
pub(super) struct Value {
    text: SecretText,
    field_names: Vec<String>,
    /// Of some part of it: often nobody meant it.
    pub(super) ends_with_line_break: bool,
}

/// Why a value is not taken. Says nothing about it.
#[derive(Debug, thiserror::Error)]
pub enum ValueError {
    /// It would have to be typed.
    #[error(
        "the value is read from standard input, which is a terminal: pipe the value in, or name a file by --value-file (- to type it all the same)"
    )]
    Terminal,
    /// Two fields from one standard input.
    #[error("standard input is given for more than one field")]
    InputTwice,
    /// A field twice.
    #[error("field {0} is given twice")]
    FieldTwice(String),
    /// Too many fields.
    #[error("a structured value has at most {MAX_FIELDS} fields")]
    Fields,
    /// It cannot be read.
    #[error("cannot read the value from {0} as UTF-8 text")]
    Read(String, #[source] io::Error),
    /// There is nothing.
    #[error("{0} is empty: there is nothing to seal")]
    Empty(String),
    /// There is too much.
    #[error("the value is larger than 12 KiB")]
    TooLarge,
    /// It cannot be put together.
    #[error("cannot put the fields together as JSON")]
    Json(#[source] serde_json::Error),
}

impl Value {
    /// What is sealed.
    pub(super) fn content(&self, sealed_at: i64) -> Content {
        Content { sealed_at, field_names: self.field_names.clone(), value: self.text.clone() }
    }
}

/// Reads a value. `input` is standard input.
pub(super) fn read(sources: Sources<'_>, input: &mut impl Read, is_terminal: bool) -> Result<Value, ValueError> {
    let dash = Path::new("-");
    if sources.fields.is_empty() {
        if is_terminal && sources.value_file.is_none() {
            return Err(ValueError::Terminal);
        }
        let text = read_one(sources.value_file.unwrap_or(dash), input)?;
        let ends_with_line_break = text.ends_with('\n');
        return Ok(Value { text: text.into(), field_names: Vec::new(), ends_with_line_break });
    }
    if sources.fields.len() > MAX_FIELDS {
        return Err(ValueError::Fields);
    }
    if sources.fields.iter().filter(|it| it.file == dash).count() > 1 {
        return Err(ValueError::InputTwice);
    }
    let mut fields: Vec<(&str, Zeroizing<String>)> = Vec::with_capacity(sources.fields.len());
    for field in sources.fields {
        if fields.iter().any(|(name, _)| *name == field.name) {
            return Err(ValueError::FieldTwice(field.name.clone()));
        }
        fields.push((&field.name, read_one(&field.file, input)?));
    }
    // Reserved whole, so that growing leaves no copy behind: JSON makes at most six bytes of one.
    let size = fields.iter().map(|(name, text)| 6 + name.len() + 6 * text.len()).sum::<usize>() + 2;
    let mut bytes = Zeroizing::new(Vec::with_capacity(size));
    let shown = fields.iter().map(|(name, text)| (*name, text.as_str()));
    serde_json::Serializer::new(&mut *bytes).collect_map(shown).map_err(ValueError::Json)?;
    if bytes.len() > MAX_VALUE {
        return Err(ValueError::TooLarge);
    }
    Ok(Value {
        text: utf8(&mut bytes).map_err(|error| ValueError::Read("the fields".to_owned(), error))?.into(),
        ends_with_line_break: fields.iter().any(|(_, text)| text.ends_with('\n')),
        field_names: fields.into_iter().map(|(name, _)| name.to_owned()).collect(),
    })
}

fn read_one(file: &Path, input: &mut impl Read) -> Result<Zeroizing<String>, ValueError> {
    let (from, is_input) = match file.to_str() {
        Some("-") => ("standard input".to_owned(), true),
        _ => (file.display().to_string(), false),
    };
    // One more than fits, so that a value that is too long is refused rather than cut; and room for it from the start.
    let mut bytes = Zeroizing::new(vec![0; MAX_VALUE + 1]);
    let read =
        if is_input { fill(&mut bytes, input) } else { File::open(file).and_then(|mut it| fill(&mut bytes, &mut it)) };
    let length = read.map_err(|error| ValueError::Read(from.clone(), error))?;
    if length > MAX_VALUE {
        return Err(ValueError::TooLarge);
    }
    if length == 0 {
        return Err(ValueError::Empty(from));
    }
    bytes.truncate(length);
    utf8(&mut bytes).map_err(|error| ValueError::Read(from, error))
}

/// Reads until the end or until the buffer is full, without a buffer in between.
fn fill(bytes: &mut [u8], from: &mut impl Read) -> io::Result<usize> {
    let mut length = 0;
    while let Some(rest) = bytes.get_mut(length..).filter(|rest| !rest.is_empty()) {
        match from.read(rest) {
            Ok(0) => break,
            Ok(more) => length += more,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(length)
}

fn utf8(bytes: &mut Zeroizing<Vec<u8>>) -> io::Result<Zeroizing<String>> {
    String::from_utf8(std::mem::take(&mut **bytes)).map(Zeroizing::new).map_err(|error| {
        drop(Zeroizing::new(error.into_bytes()));
        io::Error::new(io::ErrorKind::InvalidData, "it is no UTF-8")
    })
}
