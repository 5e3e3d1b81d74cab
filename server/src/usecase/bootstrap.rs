//! The script with which a host begins: who gets it.
//!
//! Fetching it uses nothing up and changes nothing; the token is used when the script registers ([`super::register`]).

use sikkerkey_protocol::id::VaultId;

use super::authenticate;
use super::source::Source;
use crate::audit::digest::Digest;
use crate::model::millis::Millis;
use crate::model::token::TokenPurpose;
use crate::refusal::{Refusal, RefusalKind};
use crate::state::State;

/// How a person gets another command.
const ANOTHER: &str = "ask for a new command: sikkerkey-server admin machine bootstrap, or kubectl sikkerkey bootstrap";

/// What a script is asked for with.
#[derive(Clone, Copy, Debug)]
pub struct Asked<'a> {
    /// The token's text.
    pub token: &'a str,
    /// Of a temporary machine: the vault that stands in the address.
    pub temporary_in: Option<&'a str>,
}

/// Whether `token` has the form of one: nothing else may ever stand in a script.
pub fn is_token(token: &str) -> bool {
    token.len() == 64 && token.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
}

/// The vault in which the host is going to be a machine.
pub fn vault<'a>(state: &'a State, now: Millis, source: Source, asked: Asked<'_>) -> Result<&'a VaultId, Refusal> {
    let refused = |text: String| Err(Refusal::new(RefusalKind::Unauthenticated, text));
    let found = state.tokens.get(&Digest::of(asked.token.as_bytes()));
    let found = found.filter(|it| match (&it.purpose, asked.temporary_in) {
        (TokenPurpose::Host(_), None) => true,
        (TokenPurpose::Host(host), Some(vault)) => host.lifetime_seconds.is_some() && it.vault.as_str() == vault,
        _ => false,
    });
    let Some(token) = found else {
        return refused(format!("this command's token is not known here, or ended some time ago: {ANOTHER}"));
    };
    if token.expires_at <= now {
        return refused(format!("this command was good for ten minutes, and they are over: {ANOTHER}"));
    }
    if token.used.is_some() {
        return refused(format!(
            "this command was used already, and works once. If that was not you, have the machine that waits for approval \
             denied. Then {ANOTHER}"
        ));
    }
    authenticate::may_connect(state, &token.vault, source.address)?;
    Ok(&token.vault)
}

#[cfg(test)]
mod tests {
    use sikkerkey_protocol::enrolment::Register;
    use sikkerkey_protocol::secret_text::SecretText;

    use super::*;
    use crate::usecase::admin::{agent, machine};
    use crate::usecase::fixture::*;

    fn asked(bench: &Bench, token: &SecretText, temporary_in: Option<&str>) -> Result<VaultId, String> {
        let asked = Asked { token: token.expose(), temporary_in };
        vault(&bench.state, bench.now, source(), asked).cloned().map_err(|it| {
            assert_eq!(it.kind, RefusalKind::Unauthenticated);
            it.message
        })
    }

    #[test]
    fn a_token_of_a_host_gets_the_script_until_it_is_used_or_over() {
        let mut bench = Bench::new();
        let id: VaultId = "vault_v".parse().unwrap();
        let token = bench.run(|it| machine::bootstrap(it, &id, None)).unwrap().0;
        for _ in 0..2 {
            assert_eq!(asked(&bench, &token, None), Ok(id.clone()));
        }
        let begins = |text: &str, with: &str| assert!(text.starts_with(with), "{text}");
        let register = |token: &SecretText| Register {
            token: token.clone(),
            public_key: key(1).public_key(),
            proof: None,
            hostname: Some("nas".into()),
            os: None,
        };
        let used = register(&token);
        bench.run(|it| super::super::register::register(it, source(), used)).unwrap();
        begins(&asked(&bench, &token, None).unwrap_err(), "this command was used already, and works once.");
        let token = bench.run(|it| machine::bootstrap(it, &id, None)).unwrap().0;
        bench.now = bench.now.plus_seconds(600);
        begins(&asked(&bench, &token, None).unwrap_err(), "this command was good for ten minutes");
    }

    #[test]
    fn a_token_for_something_else_and_one_of_another_address_are_not_known() {
        let mut bench = Bench::new();
        let id: VaultId = "vault_v".parse().unwrap();
        let standard = bench.run(|it| machine::bootstrap(it, &id, None)).unwrap().0;
        let temporary = bench.run(|it| machine::bootstrap_temporary(it, &id, None, 3600)).unwrap().0;
        let (of_agent, _) = bench.run(|it| agent::token(it, &id, "ci".into(), None)).unwrap();
        assert_eq!(asked(&bench, &temporary, Some("vault_v")), Ok(id.clone()));
        assert_eq!(asked(&bench, &temporary, None), Ok(id));
        let none = SecretText::new("0".repeat(64));
        for (token, vault) in
            [(&standard, Some("vault_v")), (&temporary, Some("vault_w")), (&of_agent, None), (&none, None)]
        {
            let text = asked(&bench, token, vault).unwrap_err();
            assert!(text.starts_with("this command's token is not known here"), "{text}");
        }
    }

    #[test]
    fn nothing_but_64_hex_digits_is_a_token() {
        assert!(is_token(&"0f".repeat(32)));
        let long = "0".repeat(65);
        for text in
            ["", "0f", &long, &"0F".repeat(32), &format!("{}'", "0".repeat(63)), &format!("{}\n", "0".repeat(63))]
        {
            assert!(!is_token(text), "{text:?}");
        }
    }
}
