//! Format `DotEnv`: lines of `NAME="value"`.
//!
//! # The dialect
//!
//! Each line is a name, `=`, a value in double quotes and a newline. Between the quotes a backslash makes the next
//! character mean itself for `\`, `"`, `$` and `` ` ``, and stands with `n` for a newline, with `r` for a carriage
//! return. Every other character means itself. Nothing is ever expanded, there are no comments, no blank lines, no
//! `export`. A POSIX shell that sources the file gets the same values, as long as they hold no newline and no carriage
//! return; the tests do it with dash, bash and busybox. A NUL is refused: no environment variable can hold one.
//!
//! A name is the input's `as`, as it stands. Without one it is the Secret's name in upper case, with `_` for what is
//! not a letter or digit, and with `_` in front of a leading digit. A structured secret gives one line for each field,
//! `{name}_{FIELD}`, in the order of its fields; an input that names one field gives one line under its own name.

use sikkerkey_protocol::sync::Input;

use crate::buffer::Buffer;
use crate::names::{self, Entry, Naming, upper};
use crate::{Content, FileError, Source};

pub(crate) fn render(sources: &[Source<'_>]) -> Result<Content, FileError> {
    let entries = names::entries::<DotEnv>(sources)?;
    let room = entries.iter().map(|entry| entry.name.len() + 2 * entry.text.expose().len() + 4).sum();
    let mut text = Buffer::with_capacity(room);
    for entry in &entries {
        add(&mut text, entry)?;
    }
    Ok(text.into_content())
}

pub(crate) struct DotEnv;

impl Naming for DotEnv {
    fn name(input: &Input, field: Option<&str>) -> String {
        let name = input.alias.clone().unwrap_or_else(|| default_name(&input.secret.name));
        field.map_or_else(|| name.clone(), |field| format!("{name}_{}", upper(field)))
    }
}

fn add(text: &mut Buffer, entry: &Entry<'_>) -> Result<(), FileError> {
    let value = entry.text.expose();
    if value.contains('\0') {
        return Err(FileError::Nul { input: entry.origin().to_string() });
    }
    text.push_str(&entry.name);
    text.push(b"=\"");
    for c in value.chars() {
        match c {
            '\\' | '"' | '$' | '`' => {
                text.push(b"\\");
                text.push_char(c);
            }
            '\n' => text.push(b"\\n"),
            '\r' => text.push(b"\\r"),
            c => text.push_char(c),
        }
    }
    text.push(b"\"\n");
    Ok(())
}

fn default_name(secret: &str) -> String {
    let name = upper(secret);
    if name.starts_with(|c: char| c.is_ascii_digit()) { format!("_{name}") } else { name }
}

#[cfg(test)]
#[path = "../tests/read_dotenv/mod.rs"]
mod read_dotenv;

#[cfg(test)]
mod tests {
    use std::process::Command;

    use proptest::prelude::*;
    use sikkerkey_protocol::secret_text::SecretText;

    use super::read_dotenv::read;
    use super::*;

    fn lines(values: &[(&str, &str)]) -> String {
        let mut text = Buffer::default();
        for (name, value) in values {
            let input = Input { secret: "shop/db".to_owned().try_into().unwrap(), field: None, alias: None };
            let value = SecretText::new((*value).to_owned());
            add(&mut text, &Entry { input: &input, field: None, name: (*name).to_owned(), text: value }).unwrap();
        }
        String::from_utf8(text.into_content().to_vec()).unwrap()
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

    proptest! {
        #[test]
        fn what_is_written_is_read_back(values in proptest::collection::vec("[^\0]{0,40}|[\\\\\"$`\n\r=#na ]{0,20}", 0..6)) {
            let named: Vec<_> = values.iter().enumerate().map(|(i, value)| (format!("N{i}"), value.clone())).collect();
            let borrowed: Vec<_> = named.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
            prop_assert_eq!(read(&lines(&borrowed)), Some(named));
        }
    }
}
