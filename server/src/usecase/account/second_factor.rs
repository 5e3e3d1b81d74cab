//! Second factors: codes of an app, and recovery codes for when it is lost.

use sikkerkey_protocol::account::{BegunTotp, RecoveryCodes};
use sikkerkey_protocol::secret_text::SecretText;
use zeroize::Zeroizing;

use super::person::Person;
use super::session::{self, Renewed};
use crate::audit::entry::Action;
use crate::crypto::CryptoError;
use crate::crypto::totp::Seed;
use crate::decision::{Context, Decided, Decision};
use crate::entropy;
use crate::model::Entity;
use crate::model::credential::{Begun, Credential, SecondFactor};
use crate::refusal::{Refusal, RefusalKind};
use crate::usecase::steps::Steps;

/// How many recovery codes are made.
pub const RECOVERY_CODES: usize = 10;
/// How long a second factor that was begun can be confirmed, in seconds.
const BEGUN_SECONDS: u64 = 15 * 60;
/// Nothing that is mistaken for another; 16 of these are 80 bits.
const ALPHABET: &[u8] = b"ABCDEFGHJKLMNPQRSTUVWXYZ23456789";
const CODE_LEN: usize = 16;

/// A second factor that is in force now, and the session that goes on under another token.
pub struct Confirmed {
    /// The session.
    pub renewed: Renewed,
    /// Shown once.
    pub recovery_codes: RecoveryCodes,
}

/// The credential after `code` was used, and what that was.
pub(super) fn used(
    context: &Context<'_>,
    credential: &Credential,
    code: &SecretText,
) -> Result<(Credential, &'static str), Refusal> {
    let Some(factor) = &credential.second_factor else { return Err(wrong()) };
    let typed = code.expose().chars().filter(|it| !it.is_whitespace() && *it != '-');
    let typed: Zeroizing<String> = Zeroizing::new(typed.take(2 * CODE_LEN).collect());
    if typed.len() == 6 {
        let seed = context.keyring.open_seed(&credential.account, &factor.seed).map_err(failed)?;
        let last_step = seed.step(&typed, context.now, factor.last_step).ok_or_else(wrong)?;
        let factor = SecondFactor { last_step, ..factor.clone() };
        return Ok((Credential { second_factor: Some(factor), ..credential.clone() }, "code"));
    }
    let mac = context.keyring.recovery_code(&credential.account, &typed.to_ascii_uppercase());
    let mut after = credential.clone();
    after.recovery_codes.retain(|it| *it != mac);
    if after.recovery_codes.len() == credential.recovery_codes.len() {
        return Err(wrong());
    }
    Ok((after, "recovery code"))
}

/// Begins a second factor: what is shown is put into an app. It is in force only when it is confirmed.
pub fn begin(context: &Context<'_>, person: &Person<'_>) -> Decided<BegunTotp> {
    session::require_fresh(context, person)?;
    let credential = credential(context, person)?;
    if credential.second_factor.is_some() {
        return Err(Refusal::new(RefusalKind::Conflict, "this account has a second factor already: remove it first"));
    }
    let seed = Seed::generate(context.entropy);
    let (secret, url) = seed.shown(&person.account.email).map_err(failed)?;
    let expires_at = context.now.plus_seconds(BEGUN_SECONDS);
    let sealed = context.keyring.seal_seed(&person.account.id, &seed, context.entropy).map_err(failed)?;
    let mut steps = Steps::default();
    let begun = Some(Begun { seed: sealed, expires_at });
    steps.put(Entity::Credential(Credential { begun, ..credential.clone() }));
    let detail = format!("account {} begins a second factor, which is not in force yet", person.account.email);
    steps.audit.push(person.entry(Action::SecondFactorAdd, detail));
    let answer = BegunTotp { secret: secret.into(), url: url.into(), expires_at: expires_at.0 };
    Ok(steps.decide(move |_| answer))
}

/// Confirms a second factor by its first code. The person's other sessions end.
pub fn confirm(context: &Context<'_>, person: &Person<'_>, code: &SecretText) -> Decided<Confirmed> {
    session::require_fresh(context, person)?;
    let credential = credential(context, person)?;
    let begun = credential.begun.as_ref().filter(|it| context.now < it.expires_at);
    let begun = begun.ok_or_else(|| {
        let text = "no second factor was begun in the last 15 minutes: begin one, and confirm it with its code";
        Refusal::new(RefusalKind::Conflict, text)
    })?;
    let seed = context.keyring.open_seed(&credential.account, &begun.seed).map_err(failed)?;
    let typed: Zeroizing<String> = Zeroizing::new(code.expose().chars().filter(|it| !it.is_whitespace()).collect());
    let last_step = seed.step(&typed, context.now, 0).ok_or_else(|| {
        let text = "the code is not the one of this moment: compare the clock of your device, and try the next code";
        Refusal::new(RefusalKind::Invalid, text)
    })?;
    let factor = SecondFactor { seed: begun.seed.clone(), since: context.now, last_step };
    let (codes, macs) = recovery_codes(context, &person.account.id);
    let mut steps = Steps::default();
    steps.put(Entity::Credential(Credential {
        second_factor: Some(factor),
        begun: None,
        recovery_codes: macs,
        ..credential.clone()
    }));
    let detail = format!("account {} has a second factor from now on", person.account.email);
    steps.audit.push(person.entry(Action::SecondFactorAdd, detail));
    session::end_others(context, person, "a second factor was added", &mut steps);
    let Decision { changes, audit, answer } = session::renew(context, person, context.now, true, steps)?;
    let answer = Box::new(move |context: &Context<'_>| Confirmed { renewed: answer(context), recovery_codes: codes });
    Ok(Decision { changes, audit, answer })
}

/// Removes the second factor. The person's other sessions end.
pub fn remove(context: &Context<'_>, person: &Person<'_>) -> Decided<Renewed> {
    require_second(context, person)?;
    let mut steps = Steps::default();
    steps.put(Entity::Credential(without(credential(context, person)?)));
    let detail = format!("account {} has no second factor from now on", person.account.email);
    steps.audit.push(person.entry(Action::SecondFactorRemove, detail));
    session::end_others(context, person, "the second factor was removed", &mut steps);
    session::renew(context, person, context.now, false, steps)
}

/// Makes other recovery codes. Those from before are worth nothing.
pub fn renew_codes(context: &Context<'_>, person: &Person<'_>) -> Decided<RecoveryCodes> {
    require_second(context, person)?;
    let (codes, macs) = recovery_codes(context, &person.account.id);
    let mut steps = Steps::default();
    let credential = Credential { recovery_codes: macs, ..credential(context, person)?.clone() };
    steps.put(Entity::Credential(credential));
    let detail = format!("account {} has other recovery codes", person.account.email);
    steps.audit.push(person.entry(Action::RecoveryCodesCreate, detail));
    Ok(steps.decide(move |_| codes))
}

/// A credential without its second factor.
pub(crate) fn without(credential: &Credential) -> Credential {
    Credential { second_factor: None, begun: None, recovery_codes: Vec::new(), ..credential.clone() }
}

/// What is done to a second factor asks for it.
pub(super) fn require_second(context: &Context<'_>, person: &Person<'_>) -> Result<(), Refusal> {
    if credential(context, person)?.second_factor.is_none() {
        return Err(Refusal::new(RefusalKind::Conflict, "this account has no second factor: add one first"));
    }
    session::require_fresh(context, person)?;
    if person.session.second_factor { Ok(()) } else { Err(session::not_fresh()) }
}

fn credential<'s>(context: &Context<'s>, person: &Person<'_>) -> Result<&'s Credential, Refusal> {
    let credential = context.state.credentials.get(&person.account.id);
    credential.ok_or_else(|| Refusal::new(RefusalKind::Conflict, "this account has no password: log in again"))
}

fn recovery_codes(context: &Context<'_>, account: &str) -> (RecoveryCodes, Vec<String>) {
    let (mut shown, mut macs) = (Vec::new(), Vec::new());
    for _ in 0..RECOVERY_CODES {
        let code = entropy::text(context.entropy, ALPHABET, CODE_LEN);
        macs.push(context.keyring.recovery_code(account, &code));
        let mut text = Zeroizing::new(String::with_capacity(CODE_LEN + 3));
        for (place, character) in code.chars().enumerate() {
            if place > 0 && place % 4 == 0 {
                text.push('-');
            }
            text.push(character);
        }
        shown.push(text.into());
    }
    (RecoveryCodes { recovery_codes: shown }, macs)
}

/// What everybody hears whose code is not taken.
fn wrong() -> Refusal {
    let text = "the code is wrong, or was used before: wait for the next one, or use a recovery code";
    Refusal::new(RefusalKind::Unauthenticated, text)
}

fn failed(_: CryptoError) -> Refusal {
    Refusal::new(RefusalKind::Unavailable, "the server cannot look at the second factor: see its log")
}
