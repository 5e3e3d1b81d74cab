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
    use super::*;

    #[test]
    fn names_are_what_the_schema_takes() {
        assert!(is_field("tls.crt") && is_field("_a-b") && !is_field(".env") && !is_field("1") && !is_field(""));
        assert!(is_file_path(".env") && is_file_path("a/.b/c") && !is_file_path("..data") && !is_file_path("a//b"));
        assert!(!is_file_path("-a") && !is_file_path("a/b/c/d/e/f/g/h/i"));
        assert!(
            is_mount_path("/etc/db") && !is_mount_path("etc") && !is_mount_path("/a/../b") && !is_mount_path("/a/")
        );
    }

    #[test]
    fn a_path_becomes_the_name_that_says_it() {
        assert_eq!(slug("Team_A/db.Prod"), Some("team-a-db-prod".to_owned()));
        assert_eq!(slug("//"), None);
        assert_eq!((alias("stripe-key").as_str(), alias("2fa").as_str()), ("stripe_key", "s_2fa"));
    }
}
