//! Logging in, in one step or in two.

use sikkerkey_protocol::account::HalfLogin;
use sikkerkey_protocol::secret_text::SecretText;
use zeroize::Zeroizing;

use super::password::Proof;
use super::person::{by, require_standing};
use super::second_factor;
use super::session::{self, Arrival, Renewed};
use crate::audit::entry::Action;
use crate::decision::{Context, Decided, Decision};
use crate::lockout::network;
use crate::model::Entity;
use crate::model::account::Account;
use crate::model::credential::Credential;
use crate::model::millis::Millis;
use crate::refusal::{Refusal, RefusalKind};
use crate::usecase::source::Source;
use crate::usecase::steps::Steps;

/// How long the second step may take after the first, in seconds.
pub const HALF_SECONDS: u64 = 5 * 60;

/// The first step, and with a code the only one.
#[derive(Clone, Debug)]
pub struct ByPassword {
    /// The account's e-mail address.
    pub email: String,
    /// What its password proves.
    pub proof: Proof,
    /// A code.
    pub code: Option<SecretText>,
    /// What comes along.
    pub arrival: Arrival,
}

/// The second step.
#[derive(Clone, Debug)]
pub struct BySecondFactor {
    /// What the first step gave.
    pub half: SecretText,
    /// A code.
    pub code: SecretText,
    /// What comes along.
    pub arrival: Arrival,
}

/// What comes of the first step.
pub enum Outcome {
    /// A session.
    In(Renewed),
    /// The password is right, and a code is asked for.
    Half(HalfLogin),
}

/// What a second factor says.
pub(super) enum Second {
    /// The account has none.
    NotAsked,
    /// The account has one, and no code was given.
    Missing,
    /// It was right: the credential in which it is used, and what it was.
    Given(Box<Credential>, &'static str),
}

impl Second {
    /// Looks at the second factor of a credential.
    pub(super) fn of(
        context: &Context<'_>,
        credential: &Credential,
        code: Option<&SecretText>,
    ) -> Result<Self, Refusal> {
        if credential.second_factor.is_none() {
            return Ok(Self::NotAsked);
        }
        let Some(code) = code else { return Ok(Self::Missing) };
        let (after, how) = second_factor::used(context, credential, code)?;
        Ok(Self::Given(Box::new(after), how))
    }
}

/// The first step.
pub fn by_password(context: &Context<'_>, source: Source, request: &ByPassword) -> Decided<Outcome> {
    let account = context.state.account_named(request.email.trim()).ok_or_else(wrong)?;
    let credential = request.proof.of(context, &account.id).ok_or_else(wrong)?;
    require_standing(account)?;
    match Second::of(context, credential, request.code.as_ref())? {
        Second::NotAsked => {
            let begun = begin(context, source, account, credential.clone(), &request.proof, &request.arrival, None)?;
            Ok(map(begun, Outcome::In))
        }
        Second::Given(after, how) => {
            let begun = begin(context, source, account, *after, &request.proof, &request.arrival, Some(how))?;
            Ok(map(begun, Outcome::In))
        }
        Second::Missing => {
            let mut steps = Steps::default();
            let detail = format!("account {}: the password is right, a code is asked for", account.email);
            steps.audit.push(by(account, source, Action::SecondFactorAsk, detail));
            let expires_at = context.now.plus_seconds(HALF_SECONDS);
            let half_login = half(context, credential, expires_at);
            Ok(steps.decide(move |_| Outcome::Half(HalfLogin { half_login, expires_at: expires_at.0 })))
        }
    }
}

/// The second step.
pub fn by_second_factor(context: &Context<'_>, source: Source, request: &BySecondFactor) -> Decided<Renewed> {
    let credential = whose(context, &request.half).ok_or_else(stale)?;
    let account = context.state.accounts.get(&credential.account).ok_or_else(wrong)?;
    require_standing(account)?;
    let (after, how) = second_factor::used(context, credential, &request.code)?;
    let proof = Proof::Right { stored: credential.password.clone(), renewed: None };
    begin(context, source, account, after, &proof, &request.arrival, Some(how))
}

/// The refusal of a first step that is worth nothing any more.
pub fn stale() -> Refusal {
    let text = "the first step is too long ago, or the password was changed since: begin again with the password";
    Refusal::new(RefusalKind::Unauthenticated, text)
}

/// Whose first step it is that is brought along, if it is still good.
pub fn whose<'s>(context: &Context<'s>, half: &SecretText) -> Option<&'s Credential> {
    let mut parts = half.expose().split('.');
    let (account, expires_at) = (parts.next()?, parts.next()?);
    let credential = context.state.credentials.get(account)?;
    let expires_at = Millis(expires_at.parse().ok()?);
    let same = subtle::ConstantTimeEq::ct_eq(
        half.expose().as_bytes(),
        super::login::half(context, credential, expires_at).expose().as_bytes(),
    );
    (bool::from(same) && context.now < expires_at && credential.second_factor.is_some()).then_some(credential)
}

/// Nothing is stored for it. It names the password's hash and the second factor, and is worth nothing when they change.
fn half(context: &Context<'_>, credential: &Credential, expires_at: Millis) -> SecretText {
    let since = credential.second_factor.as_ref().map_or(0, |it| it.since.0);
    let mac = context.keyring.half_login(&[
        credential.account.as_bytes(),
        credential.password.as_bytes(),
        &since.to_be_bytes(),
        &expires_at.0.to_be_bytes(),
    ]);
    Zeroizing::new(format!("{}.{}.{}", credential.account, expires_at.0, mac)).into()
}

fn begin(
    context: &Context<'_>,
    source: Source,
    account: &Account,
    mut credential: Credential,
    proof: &Proof,
    arrival: &Arrival,
    second: Option<&'static str>,
) -> Decided<Renewed> {
    let mut steps = Steps::default();
    if let Proof::Right { renewed: Some(renewed), .. } = proof {
        credential.password.clone_from(renewed);
    }
    credential.remember(network(source.address));
    if context.state.credentials.get(&account.id) != Some(&credential) {
        steps.put(Entity::Credential(credential));
    }
    let with = second.map_or(String::new(), |how| format!(" and {how}"));
    steps.audit.push(by(account, source, Action::AccountLogin, format!("account {} by password{with}", account.email)));
    session::begin(context, account, source, arrival, second.is_some(), steps)
}

fn map<A: 'static, B: 'static>(decision: Decision<A>, f: fn(A) -> B) -> Decision<B> {
    let Decision { changes, audit, answer } = decision;
    Decision { changes, audit, answer: Box::new(move |context| f(answer(context))) }
}

/// What everybody hears who is not let in by a password.
fn wrong() -> Refusal {
    let text = "no account has this e-mail address and this password: try again, or ask whoever runs the server";
    Refusal::new(RefusalKind::Unauthenticated, text)
}
