//! Format `DotEnv`: lines of `NAME="value"`.
//!
//! # The dialect
//!
//! Each line is a name, `=`, a value in double quotes and a newline. Between the quotes a backslash makes the next
//! character mean itself for `\`, `"`, `$` and `` ` ``, and stands with `n` for a newline, with `r` for a carriage
//! return. Every other character means itself. Nothing is ever expanded, there are no comments, no blank lines, no
//! `export`. A POSIX shell that sources the file gets the same values, as long as they hold no newline and no carriage
//! return.
//!
//! A name is the input's `as`, as it stands. Without one it is the Secret's name in upper case, with `_` for what is
//! not a letter or digit, and with `_` in front of a leading digit. A structured secret gives one line for each field,
//! `{name}_{FIELD}`, in the order of its fields; an input that names one field gives one line under its own name.

use std::collections::BTreeMap;

use zeroize::Zeroizing;

use crate::{Content, FileError, Source, fields};

pub(crate) fn render(sources: &[Source<'_>]) -> Result<Content, FileError> {
    let mut lines = Lines::default();
    for source in sources {
        let secret = &source.input.secret;
        let name = source.input.alias.clone().unwrap_or_else(|| default_name(&secret.name));
        if let Some(field) = &source.input.field {
            let text = fields::one(*source, field)?;
            lines.add(name, text.expose(), format!("field {field} of Secret {secret}"))?;
        } else if source.field_names.is_empty() {
            lines.add(name, source.text.expose(), format!("Secret {secret}"))?;
        } else {
            for (field, text) in fields::all(*source)? {
                let name = format!("{name}_{}", upper(&field));
                lines.add(name, text.expose(), format!("field {field} of Secret {secret}"))?;
            }
        }
    }
    Ok(lines.text)
}

#[derive(Default)]
struct Lines {
    text: Content,
    /// Which input gave a name.
    names: BTreeMap<String, String>,
}

impl Lines {
    fn add(&mut self, name: String, value: &str, input: String) -> Result<(), FileError> {
        if value.contains('\0') {
            return Err(FileError::Nul { input });
        }
        if let Some(first) = self.names.get(&name) {
            return Err(FileError::Collision { name, first: first.clone(), second: input });
        }
        // A buffer that grows leaves its old self behind unwiped, so room for the longest line is made by hand.
        let room = name.len() + 2 * value.len() + 4;
        let mut text = Zeroizing::new(Vec::with_capacity(self.text.len() + room));
        text.extend_from_slice(&self.text);
        text.extend_from_slice(name.as_bytes());
        text.extend_from_slice(b"=\"");
        for byte in value.bytes() {
            match byte {
                b'\\' | b'"' | b'$' | b'`' => text.extend_from_slice(&[b'\\', byte]),
                b'\n' => text.extend_from_slice(b"\\n"),
                b'\r' => text.extend_from_slice(b"\\r"),
                _ => text.push(byte),
            }
        }
        text.extend_from_slice(b"\"\n");
        self.text = text;
        self.names.insert(name, input);
        Ok(())
    }
}

fn default_name(secret: &str) -> String {
    let name = upper(secret);
    if name.starts_with(|c: char| c.is_ascii_digit()) { format!("_{name}") } else { name }
}

fn upper(name: &str) -> String {
    name.chars().map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_uppercase() } else { '_' }).collect()
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use proptest::prelude::*;

    use super::*;

    fn lines(values: &[(&str, &str)]) -> String {
        let mut lines = Lines::default();
        for (name, value) in values {
            lines.add((*name).to_owned(), value, (*name).to_owned()).unwrap();
        }
        String::from_utf8(lines.text.to_vec()).unwrap()
    }

    /// A strict reader of the dialect, written from its description above.
    fn read(text: &str) -> Option<Vec<(String, String)>> {
        let mut rest = text;
        let mut values = vec![];
        while !rest.is_empty() {
            let (name, after) = rest.split_once("=\"")?;
            if name.is_empty() || !name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_') {
                return None;
            }
            let mut value = String::new();
            let mut chars = after.chars();
            loop {
                match chars.next()? {
                    '"' => break,
                    '\\' => match chars.next()? {
                        'n' => value.push('\n'),
                        'r' => value.push('\r'),
                        c @ ('\\' | '"' | '$' | '`') => value.push(c),
                        _ => return None,
                    },
                    '$' | '`' | '\n' | '\r' => return None,
                    c => value.push(c),
                }
            }
            rest = chars.as_str().strip_prefix('\n')?;
            values.push((name.to_owned(), value));
        }
        Some(values)
    }

    #[test]
    fn each_special_character_is_escaped() {
        assert_eq!(
            lines(&[("A", "x"), ("B", "a\"b\\c$d`e\nf\rg#h 'i'=é")]),
            "A=\"x\"\nB=\"a\\\"b\\\\c\\$d\\`e\\nf\\rg#h 'i'=é\"\n"
        );
    }

    #[test]
    fn a_shell_that_sources_the_file_gets_the_same_value() {
        let value = r#"$(id) `id` ${HOME} "quoted" 'single' back\slash \n ! # ; & | > * ~ é"#;
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("app.env");
        std::fs::write(&path, lines(&[("BEFORE", "x"), ("VALUE", value)])).unwrap();
        let output = Command::new("sh").args(["-c", ". \"$0\" && printf %s \"$VALUE\""]).arg(&path).output().unwrap();
        assert!(output.status.success(), "{output:?}");
        assert_eq!(String::from_utf8(output.stdout).unwrap(), value);
    }

    #[test]
    fn a_name_is_in_upper_case_with_underscores() {
        for (secret, name) in [("db", "DB"), ("stripe-key", "STRIPE_KEY"), ("a.b-c", "A_B_C"), ("9lives", "_9LIVES")] {
            assert_eq!(default_name(secret), name);
        }
    }

    #[test]
    fn a_nul_is_refused() {
        let error = Lines::default().add("A".into(), "a\0b", "Secret shop/db".into()).unwrap_err();
        assert_eq!(error, FileError::Nul { input: "Secret shop/db".into() });
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_back(values in proptest::collection::vec("[^\0]{0,40}|[\\\\\"$`\n\r=#na ]{0,20}", 0..6)) {
            let named: Vec<_> = values.iter().enumerate().map(|(i, value)| (format!("N{i}"), value.clone())).collect();
            let borrowed: Vec<_> = named.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
            prop_assert_eq!(read(&lines(&borrowed)), Some(named));
        }
    }
}
