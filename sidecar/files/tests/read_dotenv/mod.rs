//! A strict reader of the dialect that format `DotEnv` describes, for its own tests and for fuzzing.

/// The names and values in `text`, or nothing if it is not of the dialect.
pub(crate) fn read(text: &str) -> Option<Vec<(String, String)>> {
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
