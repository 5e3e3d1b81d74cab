//! What the page after a form says that was done. An address names it by a code, so that nobody writes texts there.

/// Each code and its text.
const TEXTS: &[(&str, &str)] = &[
    ("logged-out", "You are logged out."),
    ("session-ended", "Your session has ended, so this page was closed. Log in to go on."),
    ("proven-again", "You have proven who you are. For ten minutes you may change your second factor."),
    ("password-changed", "The password was changed. Your other sessions have ended."),
    ("session-revoked", "The session was ended."),
    ("sessions-revoked", "All your other sessions were ended."),
    ("second-factor-removed", "The second factor was removed. Your other sessions have ended."),
    ("project-created", "The project was created. Add machines and secrets to it next."),
    ("project-changed", "The project was changed."),
    ("project-deleted", "The project was deleted, with everything in it."),
    ("project-unfrozen", "The project is open again. Its machines read from now on."),
];

/// The text of a code.
pub(super) fn text(code: &str) -> Option<&'static str> {
    TEXTS.iter().find(|(it, _)| *it == code).map(|(_, text)| *text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_code_has_two_texts_and_each_is_a_sentence() {
        for (index, (code, text)) in TEXTS.iter().enumerate() {
            assert!(TEXTS.iter().skip(index + 1).all(|(other, _)| other != code), "{code}");
            assert!(text.ends_with('.'), "{text}");
            assert!(code.bytes().all(|it| it.is_ascii_lowercase() || it == b'-'), "{code}");
        }
    }
}
