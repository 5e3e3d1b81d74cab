//! Sessions: beginning, renewing, listing and ending them.

use sikkerkey_protocol::account::{Changed, SessionOf, Sessions, VaultOf, Vaults, WhoAmI};
use sikkerkey_protocol::canonical::sha256_hex;
use sikkerkey_protocol::secret_text::SecretText;

use super::login::Second;
use super::password::Proof;
use super::person::{Person, by};
use crate::audit::entry::{Action, Entry};
use crate::decision::{Context, Decided};
use crate::model::account::Account;
use crate::model::millis::Millis;
use crate::model::session::Session;
use crate::model::{Entity, EntityKind};
use crate::refusal::{Refusal, RefusalKind};
use crate::state::State;
use crate::usecase::fresh_id::{fresh_token, fresh_uuid};
use crate::usecase::source::Source;
use crate::usecase::steps::Steps;

/// The most sessions of one account. Beyond it the one that was not used for longest ends.
const MOST: usize = 50;
/// The longest text of a browser about itself that is kept, in characters.
const USER_AGENT: usize = 256;

/// What a person brings along who is about to get a session.
#[derive(Clone, Debug, Default)]
pub struct Arrival {
    /// The browser's own word.
    pub user_agent: String,
    /// The token of a session that it had before. It ends: nobody else's session becomes this person's.
    pub before: Option<SecretText>,
}

/// A session that begins, or goes on under another token.
pub struct Renewed {
    /// The token. It is nowhere else.
    pub token: SecretText,
    /// What is told.
    pub answer: WhoAmI,
}

/// What is asked of a person who is to change how they prove who they are.
#[derive(Clone, Debug)]
pub struct StepUp {
    /// What the password proves.
    pub proof: Proof,
    /// A code.
    pub code: Option<SecretText>,
}

/// Begins a session.
pub(super) fn begin(
    context: &Context<'_>,
    account: &Account,
    source: Source,
    arrival: &Arrival,
    second_factor: bool,
    mut steps: Steps,
) -> Decided<Renewed> {
    let gone = arrival.before.as_ref().map(|it| sha256_hex(it.expose().as_bytes()));
    let gone = gone.and_then(|hash| context.state.session_with_hash(&hash));
    let entry = by(account, source, Action::SessionRevoke, String::new());
    if let Some(whose) = gone.and_then(|it| context.state.accounts.get(&it.account)) {
        end(gone.into_iter(), &entry, &whose.email, "somebody logged in with the same browser", &mut steps);
    }
    let mut others: Vec<&Session> = context.state.sessions_of(&account.id).filter(|it| Some(*it) != gone).collect();
    others.sort_by_key(|it| (it.used_at, &it.id));
    let oldest = others.iter().take((others.len() + 1).saturating_sub(MOST)).copied();
    end(oldest, &entry, &account.email, "there were too many", &mut steps);
    let (token, hash) = fresh_token("", context);
    let session = Session {
        id: fresh_uuid(context)?,
        hash: hash.to_string(),
        account: account.id.clone(),
        since: context.now,
        proven_at: context.now,
        used_at: context.now,
        address: source.address,
        user_agent: arrival.user_agent.chars().filter(|it| !it.is_control()).take(USER_AGENT).collect(),
        second_factor,
    };
    Ok(answer(token, session, steps))
}

/// Goes on under another token: whoever has the old one has nothing. The end after half a day stays where it is. The
/// person has proven who they are at `proven_at`: with whatever the account asks for, not with a part of it.
pub(super) fn renew(
    context: &Context<'_>,
    person: &Person<'_>,
    proven_at: Millis,
    second_factor: bool,
    mut steps: Steps,
) -> Decided<Renewed> {
    steps.remove(EntityKind::Session, &person.session.id);
    let (token, hash) = fresh_token("", context);
    let session = Session {
        id: fresh_uuid(context)?,
        hash: hash.to_string(),
        proven_at,
        used_at: context.now,
        second_factor,
        ..person.session.clone()
    };
    Ok(answer(token, session, steps))
}

fn answer(token: SecretText, session: Session, mut steps: Steps) -> crate::decision::Decision<Renewed> {
    let id = session.id.clone();
    steps.put(Entity::Session(session));
    steps.decide(move |context| Renewed { token, answer: described(context, &id) })
}

/// Ends every other session of a person.
pub(super) fn end_others(context: &Context<'_>, person: &Person<'_>, why: &str, steps: &mut Steps) {
    let others = context.state.sessions_of(&person.account.id).filter(|it| it.id != person.session.id);
    end(others, &person.entry(Action::SessionRevoke, String::new()), &person.account.email, why, steps);
}

/// Ends sessions, with one row for all of them, which `entry` begins.
pub(crate) fn end<'s>(
    sessions: impl Iterator<Item = &'s Session>,
    entry: &Entry,
    email: &str,
    why: &str,
    steps: &mut Steps,
) -> usize {
    let mut ended = 0;
    for session in sessions {
        steps.remove(EntityKind::Session, &session.id);
        ended += 1;
    }
    if ended > 0 {
        let detail = format!("account {email}: {ended} sessions ended: {why}");
        steps.audit.push(Entry { detail, ..entry.clone() });
    }
    ended
}

/// The refusal of what asks for a proof that is not older than ten minutes.
pub(super) fn not_fresh() -> Refusal {
    let text = "prove who you are again first: give password and code at /v1/account/step-up";
    Refusal::new(RefusalKind::Forbidden, text)
}

/// Asks for a proof that is not older than ten minutes.
pub(super) fn require_fresh(context: &Context<'_>, person: &Person<'_>) -> Result<(), Refusal> {
    if person.session.is_fresh(context.now) { Ok(()) } else { Err(not_fresh()) }
}

/// A person proves again who they are.
pub fn step_up(context: &Context<'_>, person: &Person<'_>, request: &StepUp) -> Decided<Renewed> {
    let Some(credential) = request.proof.of(context, &person.account.id) else {
        return Err(Refusal::new(RefusalKind::Forbidden, "the password is another one: nothing was changed"));
    };
    let mut steps = Steps::default();
    let second = match Second::of(context, credential, request.code.as_ref())? {
        Second::Given(after, how) => {
            steps.put(Entity::Credential(*after));
            Some(how)
        }
        Second::NotAsked => None,
        Second::Missing => {
            return Err(Refusal::new(RefusalKind::Invalid, "this account has a second factor: give a code as well"));
        }
    };
    let with = second.map_or(String::new(), |how| format!(" and {how}"));
    let detail = format!("account {} proved again who it is, by password{with}", person.account.email);
    steps.audit.push(person.entry(Action::AccountLogin, detail));
    renew(context, person, context.now, second.is_some(), steps)
}

/// A person ends their own session.
pub fn log_out(_: &Context<'_>, person: &Person<'_>) -> Decided<Changed> {
    let mut steps = Steps::default();
    steps.remove(EntityKind::Session, &person.session.id);
    steps.audit.push(person.entry(Action::AccountLogout, format!("account {}", person.account.email)));
    Ok(steps.decide(|_| Changed::default()))
}

/// Ends one of a person's sessions, be it the one that asks.
pub fn revoke(context: &Context<'_>, person: &Person<'_>, id: &str) -> Decided<Changed> {
    let session = context.state.sessions.get(id).filter(|it| it.account == person.account.id);
    let session = session.filter(|it| !it.has_ended(context.now));
    let session =
        session.ok_or_else(|| Refusal::new(RefusalKind::NotFound, "this account has no session of that id"))?;
    let mut steps = Steps::default();
    let entry = person.entry(Action::SessionRevoke, String::new());
    end([session].into_iter(), &entry, &person.account.email, "revoked by the person", &mut steps);
    Ok(steps.decide(|_| Changed { sessions_ended: 1 }))
}

/// Ends all of a person's sessions but the one that asks.
pub fn revoke_others(context: &Context<'_>, person: &Person<'_>) -> Decided<Changed> {
    let mut steps = Steps::default();
    let others = context.state.sessions_of(&person.account.id).filter(|it| it.id != person.session.id);
    let entry = person.entry(Action::SessionRevoke, String::new());
    let ended = end(others, &entry, &person.account.email, "all others revoked by the person", &mut steps);
    Ok(steps.decide(move |_| Changed { sessions_ended: ended }))
}

/// A person's sessions, that used last first.
pub fn list(context: &Context<'_>, person: &Person<'_>) -> Decided<Sessions> {
    let sessions = list_of(context, person.account, Some(&person.session.id));
    Ok(Steps::default().decide(move |_| sessions))
}

/// The sessions of an account that go on, that used last first.
pub(crate) fn list_of(context: &Context<'_>, account: &Account, current: Option<&str>) -> Sessions {
    let mut sessions: Vec<&Session> =
        context.state.sessions_of(&account.id).filter(|it| !it.has_ended(context.now)).collect();
    sessions.sort_by_key(|it| std::cmp::Reverse((it.used_at, &it.id)));
    Sessions { sessions: sessions.into_iter().map(|it| shown(it, current == Some(it.id.as_str()))).collect() }
}

fn shown(it: &Session, current: bool) -> SessionOf {
    SessionOf {
        id: it.id.clone(),
        current,
        since: it.since.0,
        last_used_at: it.used_at.0,
        ends_at: it.ends_at().0,
        address: it.address.to_string(),
        user_agent: it.user_agent.clone(),
        second_factor: it.second_factor,
    }
}

/// Who it is that asks.
pub fn who_am_i(_: &Context<'_>, person: &Person<'_>) -> Decided<WhoAmI> {
    let id = person.session.id.clone();
    Ok(Steps::default().decide(move |context| described(context, &id)))
}

/// The vaults in which a person may do something.
pub fn vaults(context: &Context<'_>, person: &Person<'_>) -> Decided<Vaults> {
    let vaults = vaults_of(context.state, person.account);
    Ok(Steps::default().decide(move |_| Vaults { vaults }))
}

/// The vaults in which an account may do something, by name.
pub fn vaults_of(state: &State, account: &Account) -> Vec<VaultOf> {
    let mut vaults: Vec<VaultOf> = state
        .vaults
        .values()
        .filter_map(|vault| {
            let role = state.role_in(&vault.id, &account.id)?;
            let active = crate::usecase::authenticate::require_active_account(state, &vault.id).is_ok();
            Some(VaultOf { vault_id: vault.id.clone(), name: vault.name.clone(), role, active })
        })
        .collect();
    vaults.sort_by(|a, b| (&a.name, a.vault_id.as_str()).cmp(&(&b.name, b.vault_id.as_str())));
    vaults
}

/// Whose session it is. It is looked at right after the change that put it there.
fn described(context: &Context<'_>, session: &str) -> WhoAmI {
    let state = context.state;
    let session = state.sessions.get(session);
    let account = session.and_then(|it| state.accounts.get(&it.account));
    let credential = account.and_then(|it| state.credentials.get(&it.id));
    WhoAmI {
        account_id: account.map(|it| it.id.clone()).unwrap_or_default(),
        email: account.map(|it| it.email.clone()).unwrap_or_default(),
        session_id: session.map(|it| it.id.clone()).unwrap_or_default(),
        session_ends_at: session.map(|it| it.ends_at().0).unwrap_or_default(),
        fresh_until: session
            .map(|it| it.proven_at.plus_seconds(crate::model::session::FRESH_SECONDS).0)
            .unwrap_or_default(),
        second_factor: credential.is_some_and(|it| it.second_factor.is_some()),
        recovery_codes_left: credential.map_or(0, |it| it.recovery_codes.len()),
    }
}
