//! Requests that carry a password or a code: looked at where that holds nobody up, and only so often. The routes and the
//! pages of the dashboard use the same functions.

use axum::body::Body;
use axum::extract::State;
use axum::http::header::USER_AGENT;
use axum::http::request::Parts;
use axum::http::{HeaderMap, Request};
use axum::response::{IntoResponse, Response};
use serde::de::DeserializeOwned;
use sikkerkey_protocol::account::{ChangePassword, GiveCode, LogIn, LoggedIn, StepUp};
use sikkerkey_protocol::denial::DenialReason;

use super::{cookie, filled, renewed, same_origin, session};
use crate::app::App;
use crate::audit::entry::{Action, Actor, Entry};
use crate::decision::{Context, Decided, Decision};
use crate::http::agent::parse;
use crate::http::success::ok;
use crate::http::{TOKEN_BODY, signed};
use crate::ledger::ActivityKind;
use crate::lockout::people::Claim;
use crate::metrics::{LockKind, LockLabel};
use crate::model::account::Account;
use crate::policy::window::instant;
use crate::refusal::{Refusal, RefusalKind};
use crate::usecase::account::login::{self, ByPassword, BySecondFactor, Outcome};
use crate::usecase::account::password::{self, Password, Proof};
use crate::usecase::account::person::Person;
use crate::usecase::account::session::{self as sessions, Arrival, Renewed};
use crate::usecase::source::Source;
use crate::writer::ChangeRequest;

/// The longest e-mail address, in bytes (RFC 5321).
const EMAIL: usize = 254;

/// `POST /v1/account/login`
pub(super) async fn log_in(State(app): State<App>, request: Request<Body>) -> Response {
    let done = async {
        let (source, arrival, body) = received::<LogIn>(&app, request).await?;
        by_password(&app, source, arrival, body).await
    };
    match done.await {
        Ok(Outcome::In(session)) => {
            let mut response = ok(Ok(LoggedIn::In(session.answer)));
            cookie::set(&app, &session.token, &mut response);
            response
        }
        Ok(Outcome::Half(half)) => ok(Ok(LoggedIn::Half(half))),
        Err(refusal) => refusal.into_response(),
    }
}

/// `POST /v1/account/login/second-factor`
pub(super) async fn give_code(State(app): State<App>, request: Request<Body>) -> Response {
    let done = async {
        let (source, arrival, body) = received::<GiveCode>(&app, request).await?;
        by_code(&app, source, arrival, body).await
    };
    renewed(&app, done.await)
}

/// `POST /v1/account/step-up`
pub(super) async fn step_up(State(app): State<App>, request: Request<Body>) -> Response {
    let done = async {
        let (person, body) = filled::<StepUp>(&app, request).await?;
        prove_again(&app, person, "POST /v1/account/step-up", body).await
    };
    renewed(&app, done.await)
}

/// `POST /v1/account/password`
pub(super) async fn change_password(State(app): State<App>, request: Request<Body>) -> Response {
    let done = async {
        let (person, body) = filled::<ChangePassword>(&app, request).await?;
        set_password(&app, person, "POST /v1/account/password", body).await
    };
    renewed(&app, done.await)
}

/// The first step of a login.
pub async fn by_password(app: &App, source: Source, arrival: Arrival, body: LogIn) -> Result<Outcome, Refusal> {
    if body.email.len() > EMAIL {
        let text = format!("no e-mail address has more than {EMAIL} bytes");
        return Err(signed::misunderstood(app, source, Refusal::new(RefusalKind::Invalid, text)));
    }
    // It may have been made at another server a moment ago. Looked for in any case: whether one has to wait for the
    // database, or is told that it is away, would otherwise say which accounts there are.
    app.writer.catch_up_after_miss().await?;
    let account = account(app, &body.email);
    let claim = claimed(app, source, &body.email, account.as_ref());
    may_try(app, source, &claim)?;
    let stored = account.as_ref().and_then(|it| stored(app, it));
    let proof = app.passwords.verify(body.password, stored).await.map_err(|it| busy(app, source, it))?;
    let request = ByPassword { email: body.email, proof, code: body.code, arrival };
    let decide = move |context: &Context<'_>| login::by_password(context, source, &request);
    let outcome = proven(app, source, &claim, account.as_ref(), "POST /v1/account/login", decide).await?;
    if matches!(outcome, Outcome::In(_)) {
        app.people.succeeded(&claim);
    }
    Ok(outcome)
}

/// The second step of a login.
pub async fn by_code(app: &App, source: Source, arrival: Arrival, body: GiveCode) -> Result<Renewed, Refusal> {
    let whose = || {
        let world = app.live.read();
        let credential = login::whose(&app.context(&world), &body.half_login);
        credential.and_then(|it| world.state.accounts.get(&it.account)).cloned()
    };
    let mut account = whose();
    if account.is_none() {
        // It may have been given by another server a moment ago.
        app.writer.catch_up_after_miss().await?;
        account = whose();
    }
    let Some(account) = account else {
        // Nobody can guess one, so it is not counted as a guess.
        let refusal = login::stale();
        refused(app, source, Actor::Anonymous, None, &refusal).await;
        return Err(refusal);
    };
    let claim = claimed(app, source, &account.email, Some(&account));
    may_try(app, source, &claim)?;
    let request = BySecondFactor { half: body.half_login, code: body.code, arrival };
    let decide = move |context: &Context<'_>| login::by_second_factor(context, source, &request);
    let what = "POST /v1/account/login/second-factor";
    let session = proven(app, source, &claim, Some(&account), what, decide).await?;
    app.people.succeeded(&claim);
    Ok(session)
}

/// A person with a session proves again who they are.
pub async fn prove_again(
    app: &App,
    person: session::SignedIn,
    what: &'static str,
    body: StepUp,
) -> Result<Renewed, Refusal> {
    let (claim, proof) = again(app, &person, body.password).await?;
    let (source, knows_password) = (person.source(), proof != Proof::Wrong);
    let request = sessions::StepUp { proof, code: body.code };
    let decide = move |context: &Context<'_>, person: &Person<'_>| sessions::step_up(context, person, &request);
    let done = session::change(app, person, what, decide).await;
    let is_wrong_code = |it: &Refusal| it.kind == RefusalKind::Unauthenticated;
    if !knows_password || done.as_ref().is_err_and(is_wrong_code) {
        failed(app, source, &claim).await;
    }
    done
}

/// A person with a session sets another password.
pub async fn set_password(
    app: &App,
    person: session::SignedIn,
    what: &'static str,
    body: ChangePassword,
) -> Result<Renewed, Refusal> {
    let source = person.source();
    let new = Password::new(&body.new_password, &person.account().email);
    let new = new.map_err(|it| signed::misunderstood(app, source, it))?;
    let (claim, proof) = again(app, &person, body.current_password).await?;
    let knows_password = proof != Proof::Wrong;
    // A wrong one is not worth another hash.
    let hash = match proof {
        Proof::Right { .. } => app.passwords.hash(new).await.map_err(|it| busy(app, source, it))?,
        Proof::Wrong => String::new(),
    };
    let decide = move |context: &Context<'_>, person: &Person<'_>| password::change(context, person, &proof, hash);
    let done = session::change(app, person, what, decide).await;
    if !knows_password {
        failed(app, source, &claim).await;
    }
    done
}

/// Receives a request of whoever has no session yet.
async fn received<B: DeserializeOwned>(app: &App, request: Request<Body>) -> Result<(Source, Arrival, B), Refusal> {
    let (parts, body) = request.into_parts();
    let Parts { headers, .. } = &parts;
    let source = signed::source(app, &parts);
    same_origin::json(app, headers).map_err(|it| signed::misunderstood(app, source, it))?;
    let arrival = arrival(app, headers);
    let body = app.bodies.receive(parts.headers, body, TOKEN_BODY).await;
    let body = body.and_then(|it| parse(&it)).map_err(|it| signed::misunderstood(app, source, it))?;
    Ok((source, arrival, body))
}

pub(in crate::http) fn arrival(app: &App, headers: &HeaderMap) -> Arrival {
    let user_agent = headers.get(USER_AGENT).and_then(|it| it.to_str().ok()).unwrap_or_default().to_owned();
    Arrival { user_agent, before: cookie::token(app, headers) }
}

/// Whether whoever has a session knows its password.
async fn again(
    app: &App,
    person: &session::SignedIn,
    password: sikkerkey_protocol::secret_text::SecretText,
) -> Result<(Claim, Proof), Refusal> {
    let (account, source) = (person.account(), person.source());
    let claim = claimed(app, source, &account.email, Some(account));
    may_try(app, source, &claim)?;
    let proof = app.passwords.verify(password, stored(app, account)).await.map_err(|it| busy(app, source, it))?;
    Ok((claim, proof))
}

fn account(app: &App, email: &str) -> Option<Account> {
    app.live.read().state.account_named(email.trim()).cloned()
}

fn stored(app: &App, account: &Account) -> Option<String> {
    app.live.read().state.credentials.get(&account.id).map(|it| it.password.clone())
}

fn claimed(app: &App, source: Source, email: &str, account: Option<&Account>) -> Claim {
    let world = app.live.read();
    let credential = account.and_then(|it| world.state.credentials.get(&it.id));
    app.people.claim(email, source.address, credential.map_or(&[], |it| &it.addresses))
}

fn may_try(app: &App, source: Source, claim: &Claim) -> Result<(), Refusal> {
    let now = app.clock.now();
    app.people.check(now, claim).map_err(|seconds| {
        app.floods.count(ActivityKind::LockedOut, now, &source.address.to_string());
        let text = "too many failed logins: wait, or ask whoever runs the server to unlock";
        Refusal::new(RefusalKind::TooMany, text).denial(DenialReason::LockedOut).retry_after(seconds)
    })
}

fn busy(app: &App, source: Source, refusal: Refusal) -> Refusal {
    app.floods.count(ActivityKind::Overloaded, app.clock.now(), &source.address.to_string());
    refusal
}

/// Decides a login: first where it leaves nothing behind, so that what is refused never reaches the writer.
async fn proven<A: Send + 'static>(
    app: &App,
    source: Source,
    claim: &Claim,
    account: Option<&Account>,
    what: &'static str,
    decide: impl Fn(&Context<'_>) -> Decided<A> + Send + 'static,
) -> Result<A, Refusal> {
    let tried = {
        let world = app.live.read();
        decide(&app.context(&world)).map(drop)
    };
    let actor = account.map_or(Actor::Anonymous, |it| Actor::Person(it.id.clone()));
    let done = match tried {
        Ok(()) => {
            let (decide, source_ip) = (Box::new(decide), Some(source.address));
            let request = ChangeRequest { spend: None, actor, source_ip, what, decide };
            app.writer.change(request).await
        }
        Err(refusal) => {
            refused(app, source, actor, account, &refusal).await;
            Err(refusal)
        }
    };
    if done.as_ref().is_err_and(|it| it.kind == RefusalKind::Unauthenticated) {
        failed(app, source, claim).await;
    }
    done
}

/// Audits a login that is refused. Beyond a few a minute from one address it is counted instead.
async fn refused(app: &App, source: Source, actor: Actor, account: Option<&Account>, refusal: &Refusal) {
    let now = app.clock.now();
    if !app.lockout.may_audit(now, source.address) {
        app.floods.count(ActivityKind::Unauthenticated, now, &source.address.to_string());
        return;
    }
    // What was typed for an address may be a password: it is not repeated.
    let who = account.map_or_else(|| "no account".to_owned(), |it| format!("account {}", it.email));
    let detail = format!("{who}: {}", refusal.message);
    let entry = Entry { denial: refusal.denial, detail, ..Entry::new(Action::AccountLoginRefused, actor) };
    write(app, source, entry).await;
}

/// Counts a request that proved nothing.
async fn failed(app: &App, source: Source, claim: &Claim) {
    let now = app.clock.now();
    for lock in app.people.failed(now, claim) {
        app.metrics.lockouts.get_or_create(&LockLabel { what: LockKind::Pair }).inc();
        if !app.lockout.may_audit_lock(now) {
            app.floods.count(ActivityKind::LockedOut, now, &source.address.to_string());
            continue;
        }
        let detail = format!("{} cannot log in until {}", lock.what, instant(lock.until));
        let denial = Some(DenialReason::LockedOut);
        write(app, source, Entry { denial, detail, ..Entry::new(Action::LockoutStart, Actor::System) }).await;
    }
}

async fn write(app: &App, source: Source, entry: Entry) {
    let actor = entry.actor.clone();
    let entry = Entry { source_ip: Some(source.address), ..entry };
    let decide = Box::new(move |_: &Context<'_>| {
        Ok(Decision { changes: Vec::new(), audit: vec![entry], answer: Box::new(|_| ()) })
    });
    let request = ChangeRequest { spend: None, actor, source_ip: Some(source.address), what: "login", decide };
    // Whoever is refused is refused whether or not it could be written down.
    drop(app.writer.change(request).await);
}
