//! Whose request it is, by its cookie.

use std::fmt::Write as _;

use axum::http::Method;
use axum::http::request::Parts;
use sikkerkey_protocol::canonical::sha256_hex;
use sikkerkey_protocol::id::VaultId;
use sikkerkey_protocol::management::Scope;

use super::{cookie, same_origin};
use crate::app::App;
use crate::audit::entry::{Actor, Entry};
use crate::decision::{Context, Decided, Decision};
use crate::http::signed;
use crate::ledger::ActivityKind;
use crate::metrics::ShedCause;
use crate::model::account::Account;
use crate::rates::Asker;
use crate::refusal::{Refusal, RefusalKind};
use crate::usecase::account::person::{Person, no_session};
use crate::usecase::management::Manager;
use crate::usecase::source::Source;
use crate::writer::ChangeRequest;

/// Marks a request that an open page makes by itself: it keeps no session from ending.
pub const BY_ITSELF: &str = "sikkerkey-by-itself";

/// A request that carries a session which goes on. What it may do is decided when it is done: the session may end before.
#[derive(Clone, Debug)]
pub struct SignedIn {
    id: String,
    hash: String,
    account: Account,
    source: Source,
    /// Whether a page asks by itself: then nobody uses the session.
    by_itself: bool,
}

impl SignedIn {
    /// The account, as it was when the request came.
    pub fn account(&self) -> &Account {
        &self.account
    }

    /// The session's id.
    pub fn session(&self) -> &str {
        &self.id
    }

    /// From where it comes.
    pub fn source(&self) -> Source {
        self.source
    }
}

/// Finds out whose request it is.
pub async fn signed_in(app: &App, parts: &Parts) -> Result<SignedIn, Refusal> {
    let (source, now) = (signed::source(app, parts), app.clock.now());
    same_origin::looked_at_here(&parts.headers).map_err(|it| signed::misunderstood(app, source, it))?;
    let Some(token) = cookie::token(app, &parts.headers) else {
        // Every browser asks like that before its person logs in.
        app.floods.count(ActivityKind::Unauthenticated, now, &source.address.to_string());
        return Err(no_session());
    };
    let hash = sha256_hex(token.expose().as_bytes());
    let mut found = find(app, &hash, source);
    if found.as_ref().is_err_and(|(account, _)| account.is_none()) {
        // It may have begun at another server a moment ago.
        app.writer.catch_up_after_miss().await?;
        found = find(app, &hash, source);
    }
    match found {
        Ok((session, account)) => {
            app.rates.take(app.clock.steady(), Asker::Person, &account.id).map_err(|wait| {
                app.metrics.count_shed(ShedCause::Rate);
                app.floods.count(ActivityKind::RateLimited, now, &format!("{} from {}", account.email, source.address));
                Refusal::new(RefusalKind::TooMany, "this account asks too often: wait a moment")
                    .retry_after(wait.as_secs() + 1)
            })?;
            // Whoever does something uses the session, whatever they say.
            let by_itself = parts.method == Method::GET && parts.headers.contains_key(BY_ITSELF);
            Ok(SignedIn { id: session, hash, account, source, by_itself })
        }
        Err((account, refusal)) => {
            let actor = account.map_or(Actor::Anonymous, Actor::Person);
            Err(signed::refused(app, source, actor, refusal).await)
        }
    }
}

/// Does something in a person's name.
pub async fn change<A: Send + 'static>(
    app: &App,
    signed_in: SignedIn,
    what: &'static str,
    decide: impl FnOnce(&Context<'_>, &Person<'_>) -> Decided<A> + Send + 'static,
) -> Result<A, Refusal> {
    let SignedIn { hash, account, source, by_itself, .. } = signed_in;
    let decide = Box::new(move |context: &Context<'_>| {
        // As it is now: it may have ended since, here or at another server.
        let person = Person::admit(context, &hash, source)?;
        let mut decision = decide(context, &person)?;
        if let Some(used) = person.used(context).filter(|_| !by_itself) {
            // First: what the use case does with the session stands.
            decision.changes.insert(0, used);
        }
        Ok(decision)
    });
    let request =
        ChangeRequest { spend: None, actor: Actor::Person(account.id), source_ip: Some(source.address), what, decide };
    app.writer.change(request).await
}

/// Does something in a vault in a person's name: the use cases of the management plane, as far as the person's role goes.
pub async fn manage<A: Send + 'static>(
    app: &App,
    signed_in: SignedIn,
    vault: VaultId,
    scope: Option<Scope>,
    what: &'static str,
    decide: impl FnOnce(&Context<'_>, &Manager<'_>) -> Decided<A> + Send + 'static,
) -> Result<A, Refusal> {
    change(app, signed_in, what, move |context, person| {
        decide(context, &Manager::person(context, *person, &vault, scope)?)
    })
    .await
}

/// Whether a person may do what takes `scope` in a vault, as things are.
pub fn may(app: &App, signed_in: &SignedIn, vault: &VaultId, scope: Option<Scope>) -> Result<(), Refusal> {
    let world = app.live.read();
    let context = app.context(&world);
    let person = Person::admit(&context, &signed_in.hash, signed_in.source)?;
    Manager::person(&context, person, vault, scope).map(drop)
}

/// Looks at something in a vault in a person's name, beside the writer. Before anything is answered it is written down that
/// somebody looks at this `page`: once in ten minutes, since a page that stays open looks again and again.
pub async fn look<A: Send + 'static>(
    app: &App,
    signed_in: &SignedIn,
    (vault, scope): (&VaultId, Option<Scope>),
    (what, page): (&'static str, &str),
    decide: impl Fn(&Context<'_>, &Manager<'_>) -> Decided<A> + Send + 'static,
) -> Result<A, Refusal> {
    // What was changed by way of another server a moment ago is seen.
    app.writer.catch_up().await?;
    let now = app.clock.now();
    let looked = {
        let world = app.live.read();
        let context = app.context(&world);
        Person::admit(&context, &signed_in.hash, signed_in.source).and_then(|person| {
            let is_due = !signed_in.by_itself && person.used(&context).is_some();
            let decision = decide(&context, &Manager::person(&context, person, vault, scope)?)?;
            let Decision { changes, audit, answer } = decision;
            Ok((is_due, changes.is_empty(), audit, answer(&context)))
        })
    };
    // By what would be written down: one address may stand for questions about different things.
    let look = looked.as_ref().map(|(.., audit, _)| sameness(page, audit)).ok();
    let is_known = look.as_ref().is_some_and(|it| app.looks.is_known(&signed_in.id, it, now));
    let person = signed_in.clone();
    let answer = match looked {
        Ok((false, true, _, answer)) if is_known => return Ok(answer),
        Ok((_, true, audit, answer)) => {
            // Decided beside the writer, so that whoever waits for the writer does not wait for a list. What is written down is
            // whose look it is, and that they may.
            let audit = if is_known { Vec::new() } else { audit };
            let write = move |_: &Context<'_>, _: &Manager<'_>| {
                Ok(Decision { changes: Vec::new(), audit, answer: Box::new(|_: &Context<'_>| ()) })
            };
            manage(app, person, vault.clone(), scope, what, write).await?;
            answer
        }
        // What is refused is refused where it is written down, too.
        Ok(_) | Err(_) => manage(app, person, vault.clone(), scope, what, decide).await?,
    };
    if let Some(look) = look.filter(|_| !is_known) {
        app.looks.remember(&signed_in.id, &look, now);
    }
    Ok(answer)
}

/// What two looks have alike that are one: hex SHA-256.
fn sameness(page: &str, audit: &[Entry]) -> String {
    let mut text = page.to_owned();
    for row in audit {
        // Writing to a String does not fail.
        let _ = write!(text, "\n{:?} {:?} {:?} {:?} {}", row.action, row.project, row.secret, row.machine, row.detail);
    }
    sha256_hex(text.as_bytes())
}

/// The session's id and its account; or whose it was, if it was anybody's, and why it is not good.
fn find(app: &App, hash: &str, source: Source) -> Result<(String, Account), (Option<String>, Refusal)> {
    let world = app.live.read();
    let context = app.context(&world);
    match Person::admit(&context, hash, source) {
        Ok(person) => Ok((person.session.id.clone(), person.account.clone())),
        Err(refusal) => Err((world.state.session_with_hash(hash).map(|it| it.account.clone()), refusal)),
    }
}
