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
    ("access-saved", "Saved. It is in force from now on."),
    (
        "access-merged",
        "Saved. Somebody else had made some of these changes already; what else was changed meanwhile stays.",
    ),
    ("canary-armed", "It is an armed canary: the next read springs it."),
    ("canary-disarmed", "It is a canary that is not armed: a read does nothing."),
    ("canary-removed", "It is an ordinary secret again. What it froze stays frozen."),
    ("machine-joined", "The machine is a member of the project. It reads nothing there until it is granted something."),
    ("machine-left", "The machine has left the project, and its grants there are gone."),
    ("note-saved", "The note was saved."),
    ("policy-bound", "The policy guards the secret from now on."),
    ("policy-unbound", "No policy guards the secret: a grant is enough."),
    ("schedule-off", "The schedule is paused: the value stays."),
    ("schedule-on", "The schedule is on again."),
    ("schedule-removed", "The schedule was removed. The value stays."),
    ("schedule-set", "The schedule was set."),
    ("secret-created", "The secret was created. Say next which machines may read it."),
    ("secret-purged", "The secret is gone for good."),
    ("secret-renamed", "The secret has another name."),
    ("secret-restored", "The secret is out of the trash. Whoever was granted it reads it again."),
    ("secret-waiting", "The secret is out of the trash. Its value waits for an object of its name in the cluster."),
    (
        "secret-unguarded",
        "The secret is out of the trash, and nobody reads it yet: the policy that it names is not in force.",
    ),
    ("secret-trashed", "The secret is in the trash: nobody reads it."),
    ("value-generated", "A new value was generated."),
    ("value-replaced", "The value was replaced. The one before stays in the versions."),
    ("value-rolled-back", "The value of the earlier version is the newest one again."),
    ("proven-again", "You have proven who you are. For ten minutes you may change your second factor."),
    ("password-changed", "The password was changed. Your other sessions have ended."),
    ("session-revoked", "The session was ended."),
    ("sessions-revoked", "All your other sessions were ended."),
    ("second-factor-removed", "The second factor was removed. Your other sessions have ended."),
    ("policy-created", "The policy is in force. It guards nothing yet: choose secrets for it next."),
    ("policy-saved", "The policy is in force as it stands here."),
    ("policy-deleted", "The policy was deleted."),
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
