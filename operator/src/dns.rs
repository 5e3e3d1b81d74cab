//! Names as Kubernetes takes them from DNS.

/// Whether `text` is a DNS label (RFC 1123), as names of Machines and namespaces are.
pub(crate) fn is_label(text: &str) -> bool {
    text.len() <= 63 && is_name(text) && !text.contains('.')
}

/// Whether `text` is a DNS subdomain, as names of most objects are. As their schema's pattern has it: a dot may stand beside anything.
pub(crate) fn is_name(text: &str) -> bool {
    let edge = |b: Option<u8>| b.is_some_and(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
    let inner = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'-' | b'.');
    text.len() <= 253 && edge(text.bytes().next()) && edge(text.bytes().last()) && text.bytes().all(inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_label_is_of_one_part() {
        for good in ["web", "w", "0-1", "web-1", &"a".repeat(63)] {
            assert!(is_label(good), "{good}");
        }
        for bad in [
            "",
            ".",
            "..",
            "../web",
            "a/b",
            "a%2fb",
            "a?b",
            "a#b",
            "Web",
            "-a",
            "-web",
            "a-",
            "a.b",
            "web.1",
            "é",
            &"a".repeat(64),
        ] {
            assert!(!is_label(bad), "{bad}");
        }
    }

    #[test]
    fn a_name_may_have_several() {
        assert!(is_name("web.1") && !is_name("web.") && !is_name(&"a".repeat(254)));
    }
}
