//! Names of other systems as names of ours.

pub(super) use crate::dns::{is_label, is_name};

/// The name of a field of a structured Secret: the schema's pattern.
pub(super) fn is_field(text: &str) -> bool {
    let first = |b: u8| b.is_ascii_alphabetic() || b == b'_';
    let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.' | b'-');
    text.len() <= 63 && text.bytes().next().is_some_and(first) && text.bytes().all(plain)
}

/// Where a file may stand beneath `mountPath`: the schema's pattern.
pub(super) fn is_file_path(text: &str) -> bool {
    let segment = |segment: &str| {
        let rest = segment.strip_prefix('.').unwrap_or(segment);
        let first = |b: u8| b.is_ascii_alphanumeric() || b == b'_';
        let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.' | b'-');
        rest.bytes().next().is_some_and(first) && rest.bytes().all(plain)
    };
    text.len() <= 200 && text.split('/').count() <= 8 && text.split('/').all(segment)
}

/// Where files may be mounted: the schema's pattern.
pub(super) fn is_mount_path(text: &str) -> bool {
    let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.' | b'-');
    let segment = |it: &str| !it.is_empty() && it != "." && it != ".." && it.bytes().all(plain);
    (2..=255).contains(&text.len()) && text.strip_prefix('/').is_some_and(|rest| rest.split('/').all(segment))
}

/// The name of an object that says what `text` says; none if nothing of it can stand in a name.
pub(super) fn slug(text: &str) -> Option<String> {
    let plain = |c: char| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '-' };
    let all: String = text.chars().map(plain).collect();
    let words: Vec<&str> = all.split('-').filter(|word| !word.is_empty()).collect();
    Some(words.join("-")).filter(|name| is_name(name))
}

/// The variable of a template that stands for the object `name`.
pub(super) fn alias(name: &str) -> String {
    let plain: String = name.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }).collect();
    let plain = if plain.starts_with(|c: char| c.is_ascii_digit()) { format!("s_{plain}") } else { plain };
    plain.chars().take(63).collect()
}

#[cfg(test)]
mod tests {
    use proptest::test_runner::{Config, TestRunner};
    use regex::Regex;
    use sikkerkey_crds::json_schema;
    use sikkerkey_crds::machine::Machine;

    use super::*;

    /// What the schema of Machines says of the text at `pointer` beneath `spec.delivery`.
    fn schema(pointer: &str) -> impl Fn(&str) -> bool + use<> {
        let machine = json_schema::strict::<Machine>().unwrap();
        let text =
            machine.pointer("/properties/spec/properties/delivery/properties").and_then(|it| it.pointer(pointer));
        let text = text.unwrap_or_else(|| panic!("{pointer} is not in {machine:#}"));
        let pattern = Regex::new(text["pattern"].as_str().unwrap()).unwrap();
        let length = |bound: &str| usize::try_from(text[bound].as_u64().unwrap()).unwrap();
        let lengths = length("minLength")..=length("maxLength");
        move |text| lengths.contains(&text.chars().count()) && pattern.is_match(text)
    }

    #[test]
    fn names_are_what_the_schema_takes() {
        const REFERENCE: &str = "/files/items/properties/secretRefs/items/properties";
        let (mount_path, path) = (schema("/mountPath"), schema("/files/items/properties/path"));
        let (field, name, named) = (
            schema(&format!("{REFERENCE}/field")),
            schema(&format!("{REFERENCE}/name")),
            schema(&format!("{REFERENCE}/as")),
        );
        let check = |text: &str| {
            // A rule of the schema beside its pattern.
            let goes_up = text.split('/').any(|segment| matches!(segment, "." | ".."));
            assert_eq!(is_mount_path(text), mount_path(text) && !goes_up, "mountPath {text:?}");
            assert_eq!(is_file_path(text), path(text), "path {text:?}");
            assert_eq!(is_field(text), field(text), "field {text:?}");
            assert_eq!(is_name(text), name(text), "name {text:?}");
            if is_name(text) {
                assert!(named(&alias(text)), "as {text:?}");
            }
        };
        for length in [0, 1, 2, 63, 64, 200, 201, 253, 254, 255, 256] {
            check(&"a".repeat(length));
            check(&format!("/{}", "a".repeat(length)));
        }
        for segments in 1..10 {
            check(&vec!["a"; segments].join("/"));
        }
        let mut runner = TestRunner::new(Config { cases: 4096, ..Config::default() });
        let outcome = runner.run(&"[-._/aB0~ \u{e9}\n]{0,6}", |text| {
            check(&text);
            Ok(())
        });
        outcome.unwrap();
    }

    #[test]
    fn a_path_becomes_the_name_that_says_it() {
        assert_eq!(slug("Team_A/db.Prod"), Some("team-a-db-prod".to_owned()));
        assert_eq!(slug("//"), None);
        assert_eq!((alias("stripe-key").as_str(), alias("2fa").as_str()), ("stripe_key", "s_2fa"));
    }
}
