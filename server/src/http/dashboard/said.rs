//! What the page after a form says that was done. An address names it by a code, so that nobody writes texts there.

/// Each code and its text.
const TEXTS: &[(&str, &str)] = &[
    ("logged-out", "You are logged out."),
    ("session-ended", "Your session has ended, so this page was closed. Log in to go on."),
    (
        "machine-approved",
        "The machine is approved. It reads what is granted to it: add it to a project and grant it secrets next.",
    ),
    ("machine-denied", "The machine was denied, and its key is good for nothing."),
    ("machine-revoked", "Revoked: its requests are refused from now on."),
    (
        "machine-disabled",
        "The machine is disabled: it keeps its key and its grants, and reads nothing until it is enabled.",
    ),
    ("machine-enabled", "The machine is enabled."),
    ("machine-renamed", "The machine has its new name."),
    ("machine-extended", "The machine has more time."),
    ("machine-extension-reverted", "The last extension was taken back."),
    ("machine-guarded", "The guardrails hold from the next request on."),
    (
        "token-revoked",
        "The token lets nobody in any more. The machines that it has let in go on until their time is over.",
    ),
    ("proven-again", "You have proven who you are. For ten minutes you may change your second factor."),
    ("password-changed", "The password was changed. Your other sessions have ended."),
    ("session-revoked", "The session was ended."),
    ("sessions-revoked", "All your other sessions were ended."),
    ("second-factor-removed", "The second factor was removed. Your other sessions have ended."),
    ("policy-created", "The policy is in force. It guards nothing yet: choose secrets for it next."),
    ("policy-saved", "The policy is in force as it stands here."),
    ("policy-deleted", "The policy was deleted."),
    ("policy-bound", "The policy guards the secret from now on."),
    ("policy-unbound", "The policy does not guard the secret any more."),
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
