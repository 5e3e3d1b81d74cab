//! Format `INI`: a section for each structured secret, a line `key = value` for each of its fields. UTF-8.
//!
//! A section is named by the input's `as`, or by the Secret's name as it stands. Plain secrets and inputs that name a
//! field have no section of their own: they are keys of the section `[secrets]`, under the same kind of name. Sections
//! stand in the order in which they are first needed. Inputs of one section name share it, as long as no key is given
//! twice.
//!
//! # What reads it
//!
//! INI has no standard. What is written here is read back by Python's `configparser.ConfigParser(interpolation=None)`
//! with nothing else changed, from a file opened as UTF-8: `%`, `;`, `#`, `=`, `:` and quotes in a value mean themselves,
//! an empty value is empty. A value of several lines goes on in lines that are indented by a tab; many other readers
//! take only its first line.
//!
//! What would not be read back is refused: a value that begins or ends with white space (but for a line break as the
//! first); one with a carriage return, or with a NUL, which readers written in C take for its end; one in which a further
//! line begins or ends with white space, or begins with `#` or `;`; a key that is not made of letters, digits, `_`, `.`
//! and `-`; keys of one section that differ only in case, since `configparser` reads them all in lower case; a section
//! `DEFAULT`, which it takes for the defaults of all others.

use sikkerkey_protocol::sync::Input;

use crate::buffer::Buffer;
use crate::names::{self, Entry, Naming, Origin, own};
use crate::{Content, FileError, Source};

/// The section of what has none of its own.
const SHARED: &str = "secrets";

pub(crate) fn render(sources: &[Source<'_>]) -> Result<Content, FileError> {
    let entries = names::entries::<Ini>(sources)?;
    let mut sections: Vec<(&str, Vec<(&str, &Entry<'_>)>)> = vec![];
    for entry in &entries {
        let (section, key) = place(entry.input, entry.field.as_deref());
        check_key(key)?;
        check_value(entry)?;
        match sections.iter_mut().find(|(name, _)| *name == section) {
            Some((_, keys)) => keys.push((key, entry)),
            None => sections.push((section, vec![(key, entry)])),
        }
    }
    let room = entries.iter().map(|entry| entry.name.len() + 2 * entry.text.expose().len() + 8).sum();
    let mut text = Buffer::with_capacity(room);
    for (number, (section, keys)) in sections.iter().enumerate() {
        text.push_str(if number == 0 { "[" } else { "\n[" });
        text.push_str(section);
        text.push(b"]\n");
        for (key, entry) in keys {
            text.push_str(key);
            text.push(b" =");
            for (number, line) in entry.text.expose().split('\n').enumerate() {
                if number > 0 {
                    text.push(b"\n");
                }
                if !line.is_empty() {
                    text.push(if number == 0 { b" " } else { b"\t" });
                    text.push_str(line);
                }
            }
            text.push(b"\n");
        }
    }
    Ok(text.into_content())
}

/// What is wrong whatever the values are.
pub(crate) fn check(inputs: &[Input]) -> Result<(), FileError> {
    names::check_entries::<Ini>(inputs)?;
    inputs.iter().try_for_each(|input| {
        check_key(own(input))?;
        if input.field.is_none() && own(input) == "DEFAULT" { Err(FileError::DefaultSection) } else { Ok(()) }
    })
}

pub(crate) struct Ini;

impl Naming for Ini {
    fn name(input: &Input, field: Option<&str>) -> String {
        let (section, key) = place(input, field);
        format!("[{section}] {}", key.to_ascii_lowercase())
    }
}

fn place<'a>(input: &'a Input, field: Option<&'a str>) -> (&'a str, &'a str) {
    field.map_or((SHARED, own(input)), |field| (own(input), field))
}

fn check_key(key: &str) -> Result<(), FileError> {
    if !key.is_empty() && key.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-')) {
        Ok(())
    } else {
        Err(FileError::Name { name: format!("{key:?}") })
    }
}

fn check_value(entry: &Entry<'_>) -> Result<(), FileError> {
    let refused = |problem| Err(FileError::Ini { input: origin(entry), problem });
    let value = entry.text.expose();
    // A line break may come first, as it leaves the first line empty.
    if value.starts_with(|c| c != '\n' && is_space(c)) || value.ends_with(is_space) {
        return refused("begins or ends with white space, which is not read back");
    }
    if value.contains(['\0', '\r']) {
        return refused("holds a NUL or a carriage return, which readers take for an end");
    }
    for line in value.split('\n').skip(1) {
        if line.starts_with(['#', ';']) {
            return refused("has a line that begins with # or ;, which is read as a comment");
        }
        if line.starts_with(is_space) || line.ends_with(is_space) {
            return refused("has a line that begins or ends with white space, which is not read back");
        }
    }
    // The first of several lines ends where the second begins.
    if value.split_once('\n').is_some_and(|(first, _)| first.ends_with(is_space)) {
        return refused("has a line that begins or ends with white space, which is not read back");
    }
    Ok(())
}

fn origin(entry: &Entry<'_>) -> String {
    Origin::to_string(&entry.origin())
}

/// What Python calls space.
fn is_space(c: char) -> bool {
    c.is_whitespace() || ('\u{1c}'..='\u{1f}').contains(&c)
}
