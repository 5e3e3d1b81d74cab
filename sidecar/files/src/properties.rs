//! Format `Properties`: lines of `name=value`, byte for byte what `java.util.Properties.store` writes, without its date.
//!
//! The file is ASCII: a character outside of it is `\uXXXX` for each of its UTF-16 units, so that it reads the same as
//! ISO-8859-1 and as UTF-8. In names and values `=`, `:`, `#`, `!` and `\` have a backslash before them, as do a space in
//! a name and one at the beginning of a value; `\t`, `\n`, `\r` and `\f` stand for those. Every Unicode text can be
//! written.
//!
//! # Names
//!
//! With `as`, names are Java's: `as: db` gives `db` for a plain secret or one field, and `db.password` for each field of
//! a structured one. Without, they are those of an environment: the Secret's name in upper case, with `_` for what is
//! not a letter or digit, and `DB_PASSWORD` for a field. A name stands once.

use std::fmt::Write;

use sikkerkey_protocol::sync::Input;

use crate::buffer::Buffer;
use crate::names::{self, Naming, upper};
use crate::{Content, FileError, Source};

pub(crate) fn render(sources: &[Source<'_>]) -> Result<Content, FileError> {
    let entries = names::entries::<Properties>(sources)?;
    let room = entries.iter().map(|entry| 2 * (entry.name.len() + entry.text.expose().len()) + 2).sum();
    let mut text = Buffer::with_capacity(room);
    for entry in &entries {
        escaped(&mut text, &entry.name, Spaces::All)?;
        text.push(b"=");
        escaped(&mut text, entry.text.expose(), Spaces::First)?;
        text.push(b"\n");
    }
    Ok(text.into_content())
}

pub(crate) struct Properties;

impl Naming for Properties {
    fn name(input: &Input, field: Option<&str>) -> String {
        match (&input.alias, field) {
            (Some(alias), None) => alias.clone(),
            (Some(alias), Some(field)) => format!("{alias}.{field}"),
            (None, None) => upper(&input.secret.name),
            (None, Some(field)) => format!("{}_{}", upper(&input.secret.name), upper(field)),
        }
    }
}

/// Which spaces are escaped.
#[derive(Clone, Copy, PartialEq)]
enum Spaces {
    First,
    All,
}

fn escaped(text: &mut Buffer, value: &str, spaces: Spaces) -> Result<(), FileError> {
    for (position, c) in value.char_indices() {
        match c {
            ' ' if position == 0 || spaces == Spaces::All => text.push(b"\\ "),
            '\t' => text.push(b"\\t"),
            '\n' => text.push(b"\\n"),
            '\r' => text.push(b"\\r"),
            '\u{c}' => text.push(b"\\f"),
            '=' | ':' | '#' | '!' | '\\' => {
                text.push(b"\\");
                text.push_char(c);
            }
            ' '..='~' => text.push_char(c),
            c => {
                for unit in c.encode_utf16(&mut [0; 2]) {
                    write!(text, "\\u{unit:04X}").map_err(|_| FileError::Internal("Properties"))?;
                }
            }
        }
    }
    Ok(())
}
