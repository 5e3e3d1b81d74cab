//! Receiving a signed request.
//!
//! The order of the checks: address not locked out, headers and time, signer known, signer not locked out from here,
//! address on its vault's allowlist, signature over the raw bytes. What comes after that (nonce, standing, grant, policy) is the writer's.

use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::http::header::CONTENT_LENGTH;
use axum::http::request::Parts;
use axum::http::{HeaderMap, Request};
use axum::response::{IntoResponse, Response};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use sikkerkey_protocol::denial::DenialReason;
use sikkerkey_protocol::header::{AGENT_ID, HeaderError, MACHINE_ID, NONCE, SIGNATURE, SignedHeaders, TIMESTAMP};
use sikkerkey_protocol::id::{AgentId, MachineId};
use sikkerkey_protocol::key::PublicKey;
use tokio::time::timeout;

use super::listener::Peer;
use super::{AGENT_BODY, MACHINE_BODY};
use crate::app::App;
use crate::audit::entry::{Action, Actor, Entry};
use crate::decision::{Context, Decided, Decision};
use crate::ledger::ActivityKind;
use crate::lockout::Lock;
use crate::model::agent::Agent;
use crate::model::machine::Machine;
use crate::refusal::{Refusal, RefusalKind};
use crate::usecase::authenticate;
use crate::usecase::source::Source;
use crate::verify::{Received, Verified};
use crate::writer::ChangeRequest;

/// How long a client may take to send its body.
const BODY_TIME: Duration = Duration::from_secs(20);

/// Who may have signed.
enum Signer {
    Machine(Arc<Machine>),
    Agent(Box<Agent>),
}

/// Receives a request that a machine has to sign.
pub async fn machine(app: &App, request: Request<Body>) -> Result<Verified<Arc<Machine>>, Response> {
    let (received, signer) = known(app, request).await?;
    match signer {
        Signer::Machine(machine) => {
            let key = machine.public_key;
            checked(app, received, &key, machine).await
        }
        Signer::Agent(agent) => {
            let verified = checked(app, received, &agent.public_key.clone(), agent).await?;
            let actor = Actor::Agent(verified.signer().id.clone());
            let refusal =
                Refusal::new(RefusalKind::Forbidden, "an agent never reads values: this route answers machines");
            Err(refuse(app, verified.source(), actor, refusal).await)
        }
    }
}

/// Receives a request that an agent has to sign.
pub async fn agent(app: &App, request: Request<Body>) -> Result<Verified<Box<Agent>>, Response> {
    let (received, signer) = known(app, request).await?;
    match signer {
        Signer::Agent(agent) => checked(app, received, &agent.public_key.clone(), agent).await,
        Signer::Machine(machine) => {
            let key = machine.public_key;
            let verified = checked(app, received, &key, machine).await?;
            let actor = Actor::Machine(verified.signer().id.clone());
            let refusal = Refusal::new(RefusalKind::Forbidden, "a machine manages nothing: this route answers agents");
            Err(refuse(app, verified.source(), actor, refusal).await)
        }
    }
}

/// Where a request comes from.
pub fn source(app: &App, parts: &Parts) -> Source {
    let peer = parts.extensions.get::<Peer>().map_or(std::net::Ipv4Addr::UNSPECIFIED.into(), |peer| peer.0.ip());
    let forwarded = parts.headers.get_all("x-forwarded-for").iter().filter_map(|it| it.to_str().ok());
    // Collected, because the headers can be walked in one direction only.
    let forwarded: Vec<&str> = forwarded.collect();
    app.proxies.client(peer, forwarded.into_iter())
}

/// Answers that the address is locked out.
pub fn locked(app: &App, source: Source, lock: &Lock) -> Response {
    let now = app.clock.now();
    app.floods.count(ActivityKind::LockedOut, now, &source.address.to_string());
    let seconds = u64::try_from((lock.until.0 - now.0 + 999) / 1000).unwrap_or(1).max(1);
    let mut refusal = Refusal::new(
        RefusalKind::TooMany,
        "too many failed authentications from here: wait, or ask an administrator to unlock",
    )
    .denial(DenialReason::LockedOut);
    refusal.retry_after_seconds = Some(seconds);
    refusal.into_response()
}

/// Reads a body of bounded size in bounded time.
pub async fn read_body(headers: &HeaderMap, body: Body, limit: usize) -> Result<Bytes, Refusal> {
    let too_large = || Refusal::new(RefusalKind::Invalid, format!("the body is larger than {} KiB", limit / 1024));
    let announced = headers.get(CONTENT_LENGTH).and_then(|it| it.to_str().ok()).and_then(|it| it.parse::<usize>().ok());
    if announced.is_some_and(|length| length > limit) {
        return Err(too_large());
    }
    match timeout(BODY_TIME, Limited::new(body, limit).collect()).await {
        Ok(Ok(body)) => Ok(body.to_bytes()),
        Ok(Err(error)) if error.is::<LengthLimitError>() => Err(too_large()),
        Ok(Err(_)) => Err(Refusal::new(RefusalKind::Invalid, "the body could not be read")),
        Err(_) => Err(Refusal::new(RefusalKind::Invalid, "the body took too long to arrive")),
    }
}

/// Counts and answers a request that no route understands.
pub fn malformed(app: &App, source: Source, refusal: Refusal) -> Response {
    app.floods.count(ActivityKind::Malformed, app.clock.now(), &source.address.to_string());
    refusal.into_response()
}

/// Audits a refusal and answers it. Beyond a few a minute from one address it is counted instead, so that nobody grows
/// the disk without having signed anything.
pub async fn refuse(app: &App, source: Source, actor: Actor, refusal: Refusal) -> Response {
    let now = app.clock.now();
    if app.lockout.may_audit(now, source.address) {
        audit_refusal(app, source, actor, refusal).await.into_response()
    } else {
        app.floods.count(ActivityKind::Unauthenticated, now, &source.address.to_string());
        refusal.into_response()
    }
}

async fn audit_refusal(app: &App, source: Source, actor: Actor, refusal: Refusal) -> Refusal {
    let decide = Box::new(move |_: &Context<'_>| -> Decided<()> { Err(refusal) });
    let request = ChangeRequest { spend: None, actor, source_ip: Some(source.address), what: "authentication", decide };
    match app.writer.change(request).await {
        Err(refusal) => refusal,
        // It always refuses: that is what it was given.
        Ok(()) => authenticate::unknown(),
    }
}

/// Parses, and finds out who may have signed.
async fn known(app: &App, request: Request<Body>) -> Result<(Received, Signer), Response> {
    let (parts, body) = request.into_parts();
    let source = source(app, &parts);
    let now = app.clock.now();
    let claimed = once(&parts.headers, MACHINE_ID).and_then(|it| it.parse::<MachineId>().ok());
    let claimed = claimed.as_ref().map(MachineId::as_str);
    app.lockout.check(now, source.address, claimed).map_err(|lock| locked(app, source, &lock))?;

    let target = parts.uri.path().to_owned();
    if parts.uri.query().is_some() || parts.uri.scheme().is_some() {
        let text = "a signed route takes no query and no absolute target: what is not signed is not read";
        return Err(malformed(app, source, Refusal::new(RefusalKind::Invalid, text)));
    }
    let headers = match headers(&parts.headers) {
        Ok(headers) => headers,
        Err(error) => {
            let refusal = Refusal::new(RefusalKind::Unauthenticated, error.to_string());
            return Err(refuse(app, source, Actor::Anonymous, refusal).await);
        }
    };
    if !headers.is_fresh(now.seconds()) {
        let text = "the timestamp is outside the window of 300 s back and 60 s ahead: check the clock";
        let refusal = Refusal::new(RefusalKind::Unauthenticated, text);
        return Err(refuse(app, source, Actor::Machine(headers.machine_id), refusal).await);
    }
    let mut signer = find(app, &headers);
    if signer.is_none() && app.writer.catch_up_after_miss().await.is_ok() {
        // It may have registered at another server a moment ago.
        signer = find(app, &headers);
    }
    let Some(signer) = signer else {
        let id = headers.machine_id;
        if app.live.read().ledger.is_gone(id.as_str()) {
            return Err(refuse(app, source, Actor::Machine(id), authenticate::unknown()).await);
        }
        let locks = app.lockout.failed(now, source.address, None);
        return Err(failed(app, source, Actor::Machine(id), locks).await);
    };
    if let Signer::Machine(machine) = &signer {
        let connects = authenticate::may_connect(&app.live.read().state, &machine.vault, source.address);
        if let Err(refusal) = connects {
            return Err(refuse(app, source, Actor::Machine(headers.machine_id), refusal).await);
        }
    }
    let limit = match &signer {
        Signer::Machine(_) => MACHINE_BODY,
        Signer::Agent(_) => AGENT_BODY,
    };
    let body = read_body(&parts.headers, body, limit).await.map_err(|it| malformed(app, source, it))?;
    Ok((Received { method: parts.method.to_string(), target, headers, body, source }, signer))
}

async fn checked<P>(app: &App, received: Received, key: &PublicKey, signer: P) -> Result<Verified<P>, Response> {
    let (source, id) = (received.source, received.headers.machine_id.clone());
    if let Ok(verified) = received.verify(key, signer) {
        return Ok(verified);
    }
    let locks = app.lockout.failed(app.clock.now(), source.address, Some(id.as_str()));
    Err(failed(app, source, Actor::Machine(id), locks).await)
}

/// Audits a failure that counts, and the locks that it begins.
async fn failed(app: &App, source: Source, actor: Actor, locks: Vec<Lock>) -> Response {
    for lock in locks {
        let mut entry = Entry::new(Action::LockoutStart, Actor::System);
        entry.source_ip = Some(source.address);
        entry.denial = Some(DenialReason::LockedOut);
        entry.detail = format!("{} is locked out until {}", lock.what, crate::policy::window::instant(lock.until));
        let decide = Box::new(move |_: &Context<'_>| {
            Ok(Decision { changes: Vec::new(), audit: vec![entry], answer: Box::new(|_| ()) })
        });
        let request = ChangeRequest {
            spend: None,
            actor: Actor::System,
            source_ip: Some(source.address),
            what: "lockout",
            decide,
        };
        // The lock is in force whether or not it could be written down; the failure itself is answered below.
        drop(app.writer.change(request).await);
    }
    refuse(app, source, actor, authenticate::unknown()).await
}

fn find(app: &App, headers: &SignedHeaders) -> Option<Signer> {
    let world = app.live.read();
    if let Some(machine) = world.state.machines.get(&headers.machine_id) {
        return Some(Signer::Machine(Arc::clone(machine)));
    }
    let agent: AgentId = headers.machine_id.as_str().parse().ok()?;
    world.state.agents.get(&agent).cloned().map(Box::new).map(Signer::Agent)
}

fn headers(headers: &HeaderMap) -> Result<SignedHeaders, HeaderError> {
    let id = match (once(headers, MACHINE_ID), headers.contains_key(MACHINE_ID), headers.contains_key(AGENT_ID)) {
        (None, false, true) => once(headers, AGENT_ID),
        // Two names for the signer are one too many, whatever they say.
        (Some(_), _, true) => None,
        (id, ..) => id,
    };
    SignedHeaders::parse(id, once(headers, TIMESTAMP), once(headers, NONCE), once(headers, SIGNATURE))
}

/// The value of a header that is given exactly once.
fn once<'h>(headers: &'h HeaderMap, name: &str) -> Option<&'h str> {
    let mut values = headers.get_all(name).iter();
    let value = values.next()?;
    values.next().is_none().then(|| value.to_str().ok()).flatten()
}
