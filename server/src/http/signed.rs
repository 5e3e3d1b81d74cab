//! Receiving a signed request.
//!
//! The order of the checks: address and signer not locked out, target, headers and time, signer known, address on its
//! vault's allowlist, its rate, the server's load, the body, the signature over the raw bytes. What is cheap comes first:
//! nothing is received or verified for whom the answer is known. What comes after that (nonce, standing, grant, policy) is
//! the writer's.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::http::request::Parts;
use axum::http::{HeaderMap, Request, Version};
use axum::response::{IntoResponse, Response};
use sikkerkey_protocol::denial::DenialReason;
use sikkerkey_protocol::header::{AGENT_ID, HeaderError, MACHINE_ID, NONCE, SIGNATURE, SignedHeaders, TIMESTAMP};
use sikkerkey_protocol::id::{AgentId, MachineId};
use sikkerkey_protocol::key::PublicKey;
use sikkerkey_traces::span;
use tracing::Instrument as _;

use super::listener::Peer;
use super::{AGENT_BODY, MACHINE_BODY};
use crate::app::App;
use crate::audit::entry::{Action, Actor, Entry};
use crate::decision::{Context, Decided, Decision};
use crate::ledger::ActivityKind;
use crate::lockout::Lock;
use crate::metrics::{LockLabel, ShedCause};
use crate::model::agent::Agent;
use crate::model::machine::Machine;
use crate::model::millis::Millis;
use crate::rates::Asker;
use crate::refusal::{Refusal, RefusalKind};
use crate::usecase::authenticate;
use crate::usecase::source::Source;
use crate::verify::{Received, Unverified, Verified};
use crate::writer::{ChangeRequest, overloaded};

/// The longest target, in bytes: an id and what stands around it. It is kept until the body is there.
const TARGET: usize = 1024;

/// Who may have signed.
enum Signer {
    Machine(Arc<Machine>),
    Agent(Box<Agent>),
}

impl Signer {
    fn asker(&self) -> Asker {
        match self {
            Self::Machine(_) => Asker::Machine,
            Self::Agent(_) => Asker::Agent,
        }
    }
}

/// Receives a request that a machine has to sign.
pub async fn machine(app: &App, request: Request<Body>) -> Result<Verified<Arc<Machine>>, Response> {
    let (received, signer) = known(app, request).await?;
    match signer {
        Signer::Machine(machine) => {
            let key = machine.public_key;
            checked(app, received, Asker::Machine, &key, machine).await
        }
        Signer::Agent(agent) => {
            let verified = checked(app, received, Asker::Agent, &agent.public_key.clone(), agent).await?;
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
        Signer::Agent(agent) => checked(app, received, Asker::Agent, &agent.public_key.clone(), agent).await,
        Signer::Machine(machine) => {
            let key = machine.public_key;
            let verified = checked(app, received, Asker::Machine, &key, machine).await?;
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
    lockout(app, source, lock).into_response()
}

/// Counts a request of an address that is locked out, and says so.
pub fn lockout(app: &App, source: Source, lock: &Lock) -> Refusal {
    let now = app.clock.now();
    app.floods.count(ActivityKind::LockedOut, now, &source.address.to_string());
    let seconds = u64::try_from((lock.until.0 - now.0 + 999) / 1000).unwrap_or(1).max(1);
    Refusal::new(
        RefusalKind::TooMany,
        "too many failed authentications from here: wait, or ask an administrator to unlock",
    )
    .denial(DenialReason::LockedOut)
    .retry_after(seconds)
}

/// Counts and answers a request that no route understands.
pub fn malformed(app: &App, source: Source, refusal: Refusal) -> Response {
    misunderstood(app, source, refusal).into_response()
}

/// [`malformed`], before it is answered.
pub fn misunderstood(app: &App, source: Source, refusal: Refusal) -> Refusal {
    app.floods.count(ActivityKind::Malformed, app.clock.now(), &source.address.to_string());
    refusal
}

/// Audits a refusal and answers it. Beyond a few a minute from one address it is counted instead, so that nobody grows
/// the disk without having signed anything.
pub async fn refuse(app: &App, source: Source, actor: Actor, refusal: Refusal) -> Response {
    refused(app, source, actor, refusal).await.into_response()
}

/// [`refuse`], before it is answered.
pub async fn refused(app: &App, source: Source, actor: Actor, refusal: Refusal) -> Refusal {
    let now = app.clock.now();
    if app.lockout.may_audit(now, source.address) {
        audit_refusal(app, source, actor, refusal).await
    } else {
        app.floods.count(ActivityKind::Unauthenticated, now, &source.address.to_string());
        refusal
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
    let headers = headers(&parts.headers);
    {
        // A machine that is known here goes on although its neighbours have locked the address, so it must be told apart
        // even where its other headers are wrong.
        let spelled = || once(&parts.headers, MACHINE_ID).and_then(|it| it.parse::<MachineId>().ok());
        let only = if headers.is_err() { spelled() } else { None };
        let claimed = headers.as_ref().map(|it| it.machine_id.as_str()).ok().or(only.as_ref().map(MachineId::as_str));
        app.lockout.check(now, source.address, claimed).map_err(|lock| locked(app, source, &lock))?;
    }
    // On HTTP/2 the scheme stands beside the path, and only the path is signed.
    let is_absolute = parts.version < Version::HTTP_2 && parts.uri.scheme().is_some();
    if parts.uri.query().is_some() || is_absolute {
        let text = "a signed route takes no query and no absolute target: what is not signed is not read";
        return Err(malformed(app, source, Refusal::new(RefusalKind::Invalid, text)));
    }
    if parts.uri.path().len() > TARGET {
        let text = format!("no route has a target of more than {TARGET} bytes");
        return Err(malformed(app, source, Refusal::new(RefusalKind::Invalid, text)));
    }
    let headers = match headers {
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
    if signer.is_none() {
        // It may have registered at another server a moment ago. While that cannot be told it is no stranger: it would
        // enrol again for nothing, and be locked out.
        if let Err(refusal) = app.writer.catch_up_after_miss().await {
            app.floods.count(ActivityKind::Overloaded, now, &source.address.to_string());
            return Err(refusal.into_response());
        }
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
    // Looked at here and counted when the signature is verified: nobody uses up a rate by sending in another's name.
    let rate = app.rates.check(app.clock.steady(), signer.asker(), headers.machine_id.as_str());
    rate.map_err(|wait| too_often(app, now, source, &headers.machine_id, wait))?;
    // An agent's changes are let in: a revocation must not wait until the reads have had enough.
    if matches!(signer, Signer::Machine(_)) && app.writer.is_overloaded() {
        return Err(shed(app, now, source, ShedCause::Writer));
    }
    let limit = match &signer {
        Signer::Machine(_) => MACHINE_BODY,
        Signer::Agent(_) => AGENT_BODY,
    };
    let body = app.bodies.receive(parts.headers, body, limit).await.map_err(|it| malformed(app, source, it))?;
    Ok((Received { method: parts.method, target: parts.uri, headers, body, source }, signer))
}

async fn checked<P>(
    app: &App,
    received: Received,
    asker: Asker,
    key: &PublicKey,
    signer: P,
) -> Result<Verified<P>, Response> {
    let (source, id) = (received.source, received.headers.machine_id.clone());
    match received.verify(&app.verifier, key, signer).instrument(span!("verify signature")).await {
        Ok(verified) => {
            let rate = app.rates.take(app.clock.steady(), asker, id.as_str());
            rate.map_err(|wait| too_often(app, app.clock.now(), source, &id, wait))?;
            Ok(verified)
        }
        Err(Unverified::Overloaded) => Err(shed(app, app.clock.now(), source, ShedCause::Verifier)),
        Err(Unverified::BadSignature) => {
            let locks = app.lockout.failed(app.clock.now(), source.address, Some(id.as_str()));
            Err(failed(app, source, Actor::Machine(id), locks).await)
        }
    }
}

/// Answers that the signer asks too often. Counted, because audited one by one it would fill the disk all the same.
fn too_often(app: &App, now: Millis, source: Source, id: &MachineId, wait: Duration) -> Response {
    app.metrics.count_shed(ShedCause::Rate);
    app.floods.count(ActivityKind::RateLimited, now, &format!("{id} from {}", source.address));
    Refusal::new(RefusalKind::TooMany, "this machine asks too often: wait, and read each secret once")
        .retry_after(wait.as_secs() + 1)
        .into_response()
}

/// Answers that the server has too much to do.
fn shed(app: &App, now: Millis, source: Source, cause: ShedCause) -> Response {
    app.metrics.count_shed(cause);
    app.floods.count(ActivityKind::Overloaded, now, &source.address.to_string());
    overloaded().into_response()
}

/// Audits a failure that counts, and the locks that it begins.
async fn failed(app: &App, source: Source, actor: Actor, locks: Vec<Lock>) -> Response {
    for lock in locks {
        app.metrics.lockouts.get_or_create(&LockLabel { what: lock.what.kind() }).inc();
        let now = app.clock.now();
        if !app.lockout.may_audit_lock(now) {
            app.floods.count(ActivityKind::LockedOut, now, &source.address.to_string());
            continue;
        }
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
