//! A template, then up to four values.

use sikkerkey_protocol::sync::{File, Format};

use crate::parts::{CANARY, Given, file, parts, rendered};

/// The longest content of a template.
const MAX_CONTENT: usize = 1 << 20;

/// Compiles and renders.
pub fn run(data: &[u8]) {
    let (file, given) = parse(data);
    let checked = sikkerkey_files::check(&file).map_err(|error| error.to_string());
    let first = rendered(&file, &given);
    assert_eq!(first, rendered(&file, &given), "the same input gave other content");
    match first {
        Ok(content) => {
            assert_eq!(checked, Ok(()), "admission refused what can be written");
            assert!(content.len() <= MAX_CONTENT, "{} bytes", content.len());
        }
        Err(error) => {
            assert!(checked.is_ok() || checked == Err(error.clone()), "{checked:?} at admission, then {error}");
            assert!(
                file.template.is_some_and(|it| it.contains(CANARY)) || !error.contains(CANARY),
                "an error tells a value: {error}"
            );
        }
    }
}

fn parse(data: &[u8]) -> (File, [Given; 3]) {
    let mut parts = parts(data).into_iter();
    let template = parts.next().unwrap_or_default();
    let mut value = || format!("{}{CANARY}", parts.next().unwrap_or_default());
    let (v, username, password, other) = (value(), value(), value(), value());
    let db = || Given::structured("db", &[("username", &username), ("password", &password), ("my-field", &other)]);
    let mut pw = db().field("password");
    pw.input.alias = Some("pw".into());
    let given = [Given::plain("v", &v), db(), pw];
    let mut file = file(Format::Template, &given);
    file.template = Some(template);
    (file, given)
}

/// What is written, or why nothing is.
#[cfg(test)]
pub(crate) fn content(data: &[u8]) -> Result<Vec<u8>, String> {
    let (file, given) = parse(data);
    rendered(&file, &given)
}
