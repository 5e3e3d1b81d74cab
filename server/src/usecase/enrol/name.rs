//! The two small languages of an enrolment token.
//!
//! A *host name pattern* is text in which `*` stands for any characters, none included, and `?` for exactly one. It has to
//! fit the whole host name; letters of either case are the same, as in host names.
//!
//! A *name pattern* is text with these places: `{uuid8}` eight random hex digits, `{uuid}` a random UUID, `{hostname}` the
//! host name. There is nothing else in braces, and no way to write a brace. Neither language has regular expressions: a
//! pattern that means more than its author saw lets in whom he did not mean.

use wildmatch::WildMatch;

use crate::entropy::{self, Entropy};
use crate::usecase::admin::name_flaw;

const MAX_PATTERN: usize = 200;

/// Whether a host name fits a host name pattern.
pub fn fits(pattern: &str, hostname: &str) -> bool {
    WildMatch::new_case_insensitive(pattern).matches(hostname)
}

/// Whether it is a host name pattern. The error says what to write.
pub fn check_hostname_pattern(pattern: &str) -> Result<(), String> {
    let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'_' | b'*' | b'?');
    if pattern.is_empty() || pattern.len() > MAX_PATTERN || !pattern.bytes().all(plain) {
        return Err(format!(
            "{pattern} is no host name pattern: write letters, digits, '-', '.', '_', '*' for any characters and '?' for one"
        ));
    }
    Ok(())
}

/// Whether it is a name pattern. The error says what to write.
pub fn check_name_pattern(pattern: &str) -> Result<(), String> {
    let problem = |text: &str| Err(format!("{pattern} is no name pattern: {text}"));
    if pattern.len() > MAX_PATTERN || name_flaw(pattern).is_some() {
        return problem("write from 1 to 200 printable characters");
    }
    let mut rest = pattern;
    while let Some((before, after)) = rest.split_once('{') {
        let place = after.split_once('}');
        let Some((_, after)) = place.filter(|(name, _)| !before.contains('}') && PLACES.contains(name)) else {
            return problem("in braces stands {uuid8}, {uuid} or {hostname}, and nothing else");
        };
        rest = after;
    }
    if rest.contains('}') {
        problem("in braces stands {uuid8}, {uuid} or {hostname}, and nothing else")
    } else {
        Ok(())
    }
}

const PLACES: [&str; 3] = ["uuid8", "uuid", "hostname"];

/// Fills a name pattern that passed [`check_name_pattern`].
pub fn render(pattern: &str, hostname: &str, entropy: &dyn Entropy) -> String {
    let mut name = String::new();
    let mut rest = pattern;
    while let Some((before, after)) = rest.split_once('{') {
        let (place, after) = after.split_once('}').unwrap_or((after, ""));
        name.push_str(before);
        match place {
            "uuid8" => name.push_str(&entropy::text(entropy, b"0123456789abcdef", 8)),
            "uuid" => name.push_str(&entropy::uuid(entropy)),
            // What the machine says is put in as it is, never looked at for places again.
            "hostname" => name.push_str(hostname),
            _ => {}
        }
        rest = after;
    }
    name.push_str(rest);
    name
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::entropy::SystemEntropy;

    const BRACES: [char; 2] = ['{', '}'];

    proptest! {
        /// Whatever is written, it is refused or leaves no brace behind; and a pattern without places is the name.
        #[test]
        fn a_name_pattern_is_filled_whole(pattern in "([a-z -]{0,4}|[{}]|\\{uuid8\\}|\\{uuid\\}|\\{hostname\\}){0,6}") {
            if check_name_pattern(&pattern).is_ok() {
                let name = render(&pattern, "h", &SystemEntropy);
                let left = name.contains(BRACES);
                prop_assert!(!left, "{}", name);
                let is_plain = !pattern.contains(BRACES);
                prop_assert!(!is_plain || name == pattern);
            } else {
                let is_odd = pattern.is_empty() || pattern.contains(BRACES);
                prop_assert!(is_odd, "{}", pattern);
            }
        }

        #[test]
        fn a_host_name_without_signs_fits_itself_alone(pattern in "[a-z0-9.-]{1,12}", other in "[a-z0-9.-]{1,12}") {
            prop_assert!(fits(&pattern, &pattern));
            prop_assert_eq!(fits(&pattern, &other), pattern == other);
            let (wide, longer) = (format!("{pattern}*"), format!("{pattern}{other}"));
            prop_assert!(fits(&wide, &longer));
        }
    }

    #[test]
    fn a_host_name_fits_as_a_whole_and_in_either_case() {
        for (pattern, hostname, is_fit) in [
            ("ci-*", "ci-7", true),
            ("ci-*", "CI-7", true),
            ("ci-*", "xci-7", false),
            ("ci-?", "ci-7", true),
            ("ci-?", "ci-77", false),
            ("ci-?", "ci-", false),
            ("*.build.example.com", "a.b.build.example.com", true),
            ("*.build.example.com", "build.example.com", false),
            ("a.c", "abc", false),
            ("*", "", true),
            ("a*b*c", "aXbYbc", true),
        ] {
            assert_eq!(fits(pattern, hostname), is_fit, "{pattern} {hostname}");
        }
    }

    #[test]
    fn only_patterns_are_patterns() {
        for good in ["ci-*", "a", "*.example.com", "node?"] {
            assert_eq!(check_hostname_pattern(good), Ok(()), "{good}");
        }
        for bad in ["", "^ci$", "a b", "ci-[0-9]", "(a|b)"] {
            assert!(check_hostname_pattern(bad).unwrap_err().contains("is no host name pattern"), "{bad}");
        }
        for good in ["worker-{uuid8}", "plain", "{hostname} in {uuid}"] {
            assert_eq!(check_name_pattern(good), Ok(()), "{good}");
        }
        for bad in ["", "{uuid9}", "a{", "a}", "{{uuid8}}", "}{uuid8}", "a\nb", "a\u{200b}b", "{uuid8"] {
            assert!(check_name_pattern(bad).unwrap_err().contains("is no name pattern"), "{bad}");
        }
    }

    #[test]
    fn places_are_filled_once() {
        assert_eq!(render("a-{hostname}-b", "{uuid}", &SystemEntropy), "a-{uuid}-b");
        let name = render("worker-{uuid8}", "h", &SystemEntropy);
        assert!(name.len() == 15 && name[7..].bytes().all(|b| b.is_ascii_hexdigit()), "{name}");
        assert_eq!(render("{uuid}", "h", &SystemEntropy).len(), 36);
    }
}
