//! What a password may be, and setting one.
//!
//! A password is prepared as RFC 8265 (`OpaqueString`) says: spaces of every kind are one kind, and accents are composed
//! (NFC), so that it is the same on every keyboard. Nothing else is asked of it but length, and that it is none of those
//! that are tried first: rules about digits and signs make passwords worse (NIST SP 800-63B).

use sikkerkey_protocol::secret_text::SecretText;
use subtle::ConstantTimeEq;
use unicode_normalization::UnicodeNormalization;
use zeroize::Zeroizing;

use super::person::Person;
use super::second_factor;
use super::session::{self, Renewed};
use crate::audit::entry::Action;
use crate::decision::{Context, Decided};
use crate::model::Entity;
use crate::model::credential::Credential;
use crate::refusal::{Refusal, RefusalKind};
use crate::usecase::steps::Steps;

/// The fewest characters.
pub const SHORTEST: usize = 12;
/// The most bytes, as it is prepared.
pub const LONGEST: usize = 1024;

/// What is tried first among passwords of this length, in small letters.
const COMMON: [&str; 24] = [
    "123456789012",
    "1234567890123",
    "12345678901234",
    "123456789012345",
    "1234567890123456",
    "012345678910",
    "012345678912",
    "123123123123",
    "121212121212",
    "password1234",
    "password12345",
    "passwordpassword",
    "password123!",
    "passw0rd1234",
    "administrator",
    "administrator1",
    "adminadminadmin",
    "qwertyuiop12",
    "qwertyuiop123",
    "qwertyuiopasdfghjkl",
    "letmeinletmein",
    "iloveyou1234",
    "correcthorsebatterystaple",
    "sikkerkeysikkerkey",
];

/// A password that may be set.
pub struct Password(Zeroizing<String>);

/// What the hash of an account said of a password.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Proof {
    /// It is another one, or there is no such account.
    Wrong,
    /// It is this one.
    Right {
        /// The hash that said so. If the account has another by now, it proves nothing.
        stored: String,
        /// A hash of the same password that costs more to try.
        renewed: Option<String>,
    },
}

impl Password {
    /// Takes a password for the account of this e-mail address.
    pub fn new(text: &SecretText, email: &str) -> Result<Self, Refusal> {
        let refused = |text: String| Err(Refusal::new(RefusalKind::Invalid, text));
        if text.expose().len() > 4 * LONGEST {
            return refused(format!("the password is longer than {LONGEST} bytes: choose a shorter one"));
        }
        let password = prepared(text);
        if password.chars().any(char::is_control) {
            return refused("the password has a line break or another control character: leave it out".to_owned());
        }
        if password.chars().count() < SHORTEST {
            return refused(format!("the password has fewer than {SHORTEST} characters: choose a longer one"));
        }
        if password.len() > LONGEST {
            return refused(format!("the password is longer than {LONGEST} bytes: choose a shorter one"));
        }
        let small = Zeroizing::new(password.to_lowercase());
        let mut characters = small.chars();
        let first = characters.next();
        let is_one_character = characters.all(|it| Some(it) == first);
        if *small == email.trim().to_lowercase() {
            return refused("the password is the e-mail address: choose another".to_owned());
        }
        if is_one_character || COMMON.contains(&small.as_str()) {
            return refused("the password is one of those that are tried first: choose another".to_owned());
        }
        Ok(Self(password))
    }

    pub(crate) fn as_bytes(&self) -> &[u8] {
        self.0.as_bytes()
    }
}

impl std::fmt::Debug for Password {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("[redacted]")
    }
}

/// A password as it is hashed. What is far too long is no password, and is not looked at as a whole.
pub(crate) fn prepared(text: &SecretText) -> Zeroizing<String> {
    let text = text.expose();
    // Reserved whole, so that growing leaves no copy behind: composing makes at most three times as much (UAX #15).
    let mut prepared = Zeroizing::new(String::with_capacity(3 * text.len().min(4 * LONGEST)));
    if text.len() > 4 * LONGEST {
        return prepared;
    }
    let spaced = text.chars().map(|it| if it.is_whitespace() && !it.is_control() { ' ' } else { it });
    for character in spaced.nfc() {
        prepared.push(character);
    }
    prepared
}

impl Proof {
    /// The credential that it proves, as it is now.
    pub(crate) fn of<'s>(&self, context: &Context<'s>, account: &str) -> Option<&'s Credential> {
        let Self::Right { stored, .. } = self else { return None };
        let credential = context.state.credentials.get(account)?;
        let same: bool = credential.password.as_bytes().ct_eq(stored.as_bytes()).into();
        same.then_some(credential)
    }
}

/// A person sets another password. Their other sessions end, and this one goes on under another token.
///
/// Where there is a second factor it must have been given just now, and the old password alone proves nothing anew:
/// whoever found a session and the password would otherwise get from here to the second factor without a code.
pub fn change(context: &Context<'_>, person: &Person<'_>, proof: &Proof, hash: String) -> Decided<Renewed> {
    let Some(credential) = proof.of(context, &person.account.id) else {
        return Err(Refusal::new(RefusalKind::Forbidden, "the current password is another one: nothing was changed"));
    };
    let proven_at = if credential.second_factor.is_some() {
        second_factor::require_second(context, person)?;
        person.session.proven_at
    } else {
        context.now
    };
    let mut steps = Steps::default();
    let email = &person.account.email;
    steps.audit.push(person.entry(Action::PasswordChange, format!("account {email} set another password")));
    let credential = Credential { password: hash, password_set_at: context.now, ..credential.clone() };
    steps.put(Entity::Credential(credential));
    session::end_others(context, person, "the password was changed", &mut steps);
    session::renew(context, person, proven_at, person.session.second_factor, steps)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(text: &str) -> String {
        Password::new(&SecretText::new(text.into()), "jane.doe@example.com").unwrap_err().message
    }

    #[test]
    fn a_password_is_refused_for_what_is_wrong_with_it_and_never_repeated() {
        let long = "x1".repeat(513);
        for (password, text) in [
            ("", "the password has fewer than 12 characters: choose a longer one"),
            ("eleven char", "the password has fewer than 12 characters: choose a longer one"),
            // Eleven characters in 22 bytes.
            ("äöüäöüäöüäö", "the password has fewer than 12 characters: choose a longer one"),
            (&long, "the password is longer than 1024 bytes: choose a shorter one"),
            ("Jane.Doe@Example.com", "the password is the e-mail address: choose another"),
            ("Password1234", "the password is one of those that are tried first: choose another"),
            ("aaaaaaaaaaaaA", "the password is one of those that are tried first: choose another"),
            ("twelve chars\n", "the password has a line break or another control character: leave it out"),
        ] {
            assert_eq!(refused(password), text);
        }
    }

    #[test]
    fn a_password_needs_length_and_nothing_else() {
        for password in ["twelve chars", "gazing at goats", &"y7".repeat(512), "пароль на русском"] {
            Password::new(&SecretText::new(password.into()), "jane.doe@example.com").unwrap();
        }
    }

    #[test]
    fn spaces_are_one_kind_accents_are_composed_and_what_is_far_too_long_is_nothing() {
        let is = |text: &str| prepared(&SecretText::new(text.into()));
        assert_eq!(*is("a\u{a0}b\u{3000}c e\u{301}"), "a b c \u{e9}");
        assert_eq!(*is("a\tb\n"), "a\tb\n");
        assert_eq!(*is(&"x".repeat(4097)), "");
    }
}
