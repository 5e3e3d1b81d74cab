//! Reads on their way through the writer.

use std::sync::Arc;

use sikkerkey_protocol::denial::{DenialReason, FileEffect};
use sikkerkey_protocol::id::SecretId;
use sikkerkey_protocol::kubernetes::LastDenied;
use tokio::sync::oneshot;

use super::group::{Group, Job, Nonce};
use super::unavailable;
use crate::audit::entry::{Action, Actor, Entry};
use crate::crypto::withheld::Withheld;
use crate::ledger::{ActivityKind, Delivered, Seen};
use crate::live::World;
use crate::model::machine::Machine;
use crate::model::spend::Spend;
use crate::policy::{Denial, Guard, Permit, Verdict};
use crate::refusal::{Refusal, RefusalKind};
use crate::usecase::reading::Asking;
use crate::usecase::source::Source;
use crate::usecase::{authenticate, canary, co_sign, reading, rotation};

/// Reads of one machine that belong together.
pub struct ReadRequest {
    /// The right to ask.
    pub claim: Claim,
    /// Who reads, as it was when its signature was verified.
    pub machine: Arc<Machine>,
    /// From where.
    pub source: Source,
    /// What a machine hears that may not ask for anything at the moment.
    pub standing: Standing,
    /// What. May be empty: then only the nonce is burnt, and the machine's standing is looked at.
    pub attempts: Vec<Attempt>,
    /// Counted once, when the nonce is burnt.
    pub activity: Option<ActivityKind>,
    /// What becomes of what is delivered.
    pub files: Files,
}

/// What becomes of what is delivered.
pub enum Files {
    /// Whoever asks uses it.
    None,
    /// Whoever asks writes it into files, and says when it stands there. What it says now: which secrets, in which versions,
    /// and whether they do.
    Said(Vec<(SecretId, u64, bool)>),
}

/// What a machine hears that may not ask for anything at the moment: it is disabled, suspended, not approved. One whose
/// identity has ended is always refused as a whole, because it has to enrol again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// The request is refused.
    Whole,
    /// Each attempt is denied by itself.
    Each,
}

/// The right to ask.
pub enum Claim {
    /// A request that has just been verified. Its nonce is burnt with the answer.
    Fresh(Spend),
    /// A request whose nonce was burnt before, while it waits for news.
    Held(Committed),
}

/// One secret that is asked for.
pub enum Attempt {
    /// One that there is; with its value, when it looked as if it might be read.
    Known(SecretId, Option<Withheld>),
    /// A name that means nothing here. Denied, with the text that one that is not granted gets.
    Unknown {
        /// The namespace that was asked for.
        namespace: Option<String>,
        /// The id or name, as it was asked for.
        name: String,
    },
}

/// The proof that what was decided is durable. Only the writer makes one.
#[derive(Debug)]
pub struct Committed(());

/// What came of a [`ReadRequest`]. That there is one means that nonce and audit rows are durable.
pub struct Receipt {
    /// The proof of it.
    pub committed: Committed,
    /// In the order of the attempts.
    pub outcomes: Vec<Outcome>,
}

/// What came of one attempt.
pub enum Outcome {
    /// The value may leave.
    Released(Released),
    /// It may not.
    Denied(Denial),
    /// It may, but what is stored does not open. The cause is in the log.
    Damaged,
}

/// A value with the decision that lets it leave.
pub struct Released {
    /// The decision.
    pub permit: Permit,
    /// The value.
    pub withheld: Withheld,
}

impl Receipt {
    /// Notes in the span of a read what came of it: how many, and why the first was denied.
    pub(super) fn note(&self, span: &tracing::Span) {
        let denials = self.outcomes.iter().filter_map(|outcome| match outcome {
            Outcome::Denied(denial) => Some(denial.reason.as_str()),
            Outcome::Damaged => Some("Damaged"),
            Outcome::Released(_) => None,
        });
        let denials: Vec<&str> = denials.collect();
        let number = |count: usize| i64::try_from(count).unwrap_or(i64::MAX);
        let released = self.outcomes.len() - denials.len();
        span.record("released", number(released)).record("denied", number(denials.len()));
        if let Some(reason) = denials.first() {
            span.record("reason", reason);
        }
    }
}

pub(super) struct ReadJob {
    spend: Option<Spend>,
    request: Option<ReadRequest>,
    outcome: Option<Result<Vec<Outcome>, Refusal>>,
    reply: oneshot::Sender<Result<Receipt, Refusal>>,
}

impl ReadJob {
    pub(super) fn new(mut request: ReadRequest, reply: oneshot::Sender<Result<Receipt, Refusal>>) -> Self {
        let spend = match &mut request.claim {
            Claim::Fresh(spend) => Some(spend.clone()),
            Claim::Held(_) => None,
        };
        Self { spend, request: Some(request), outcome: None, reply }
    }
}

impl Job for ReadJob {
    fn spend(&self) -> Option<&Spend> {
        self.spend.as_ref()
    }

    fn weight(&self) -> usize {
        self.request.as_ref().map_or(1, |it| it.attempts.len().max(1))
    }

    fn perform(&mut self, group: &mut Group<'_>, nonce: Nonce) {
        let Some(request) = self.request.take() else { return };
        self.outcome = Some(perform(group, nonce, request));
    }

    fn finish(self: Box<Self>, committed: bool) {
        let outcome = match self.outcome {
            Some(Ok(outcomes)) if committed => Ok(Receipt { committed: Committed(()), outcomes }),
            Some(Err(refusal)) if committed => Err(refusal),
            _ => Err(unavailable()),
        };
        drop(self.reply.send(outcome));
    }
}

fn perform(group: &mut Group<'_>, nonce: Nonce, request: ReadRequest) -> Result<Vec<Outcome>, Refusal> {
    let (now, source) = (group.now, request.source);
    let machine = nonce.check().and_then(|()| current(group, &request)).inspect_err(|refusal| {
        let mut entry = entry(Action::AuthFailure, &request.machine, source, "authentication");
        entry.detail = format!("{}; {}", refusal.message, entry.detail);
        group.audit(entry);
    })?;
    let state = &group.world.state;
    let kept_out = authenticate::may_come(state, &machine, source.address, now);
    let whole = kept_out.is_err() || request.standing == Standing::Whole;
    if let Err(refusal) = kept_out.and_then(|()| authenticate::may_ask(state, &machine, now))
        && (whole || refusal.kind == RefusalKind::Unauthenticated)
    {
        let mut entry = entry(Action::SecretReadDenied, &machine, source, "any secret");
        entry.denial = refusal.denial;
        entry.detail = format!("{}; {}", refusal.message, entry.detail);
        group.audit(entry);
        return Err(refusal);
    }
    group.ledger().record_seen(&machine.id, Seen { at: now, address: Some(source.address) });
    if let Some(kind) = request.activity {
        group.ledger().record_activity(kind, now, format!("{} from {}", machine.id, source.address));
    }
    let in_files = matches!(request.files, Files::None);
    if let Files::Said(said) = &request.files {
        for (secret, version, in_files) in said {
            group.ledger().record_files(&machine.id, secret, *version, *in_files);
        }
    }
    Ok(read_all(group, &machine, source, request.attempts, in_files))
}

/// Reads canaries before everything else that is asked for at once, so that nothing else leaves the projects they freeze.
fn read_all(
    group: &mut Group<'_>,
    machine: &Machine,
    source: Source,
    attempts: Vec<Attempt>,
    in_files: bool,
) -> Vec<Outcome> {
    let mut order: Vec<(usize, Attempt)> = attempts.into_iter().enumerate().collect();
    let canaries = &group.world.state.canaries;
    if order.len() > 1 && !canaries.is_empty() {
        order.sort_by_key(|(_, it)| !matches!(it, Attempt::Known(id, _) if canaries.contains_key(id)));
    }
    let outcomes = order.into_iter().map(|(place, attempt)| (place, read(group, machine, source, attempt, in_files)));
    let mut outcomes: Vec<(usize, Outcome)> = outcomes.collect();
    outcomes.sort_by_key(|(place, _)| *place);
    outcomes.into_iter().map(|(_, outcome)| outcome).collect()
}

/// The machine as it is now. One that was revoked since its signature was verified is nobody; one that has another key
/// since then did not sign this. A request that waits was verified with the key of its time.
fn current(group: &Group<'_>, request: &ReadRequest) -> Result<Arc<Machine>, Refusal> {
    let machine = group.world.state.machines.get(&request.machine.id);
    let machine =
        machine.filter(|now| matches!(request.claim, Claim::Held(_)) || now.public_key == request.machine.public_key);
    machine.cloned().ok_or_else(authenticate::unknown)
}

fn read(group: &mut Group<'_>, machine: &Machine, source: Source, attempt: Attempt, in_files: bool) -> Outcome {
    let now = group.now;
    let (id, withheld) = match attempt {
        Attempt::Known(id, withheld) => (id, withheld),
        Attempt::Unknown { namespace, name } => {
            let denial = reading::unknown(&group.world.state, machine, now, namespace.as_deref(), &name);
            let mut entry = entry(Action::SecretReadDenied, machine, source, &name);
            entry.denial = Some(denial.reason);
            entry.detail = format!("{}; {}", denial.message, entry.detail);
            group.audit(entry);
            return Outcome::Denied(denial);
        }
    };
    let world = &mut *group.world;
    let Some(secret) = world.state.secrets.get(&id) else {
        let attempt = Attempt::Unknown { namespace: None, name: id.to_string() };
        return read(group, machine, source, attempt, in_files);
    };
    let mut entry = entry(Action::SecretRead, machine, source, &secret.name);
    entry.secret = Some(id.clone());
    entry.project = Some(secret.project.clone());
    let grantee = machine.grantee();
    let asking = Asking { machine, address: source.address, now };
    let permit = match reading::decide(&world.state, &world.ledger, asking, secret) {
        Verdict::Permit(permit) => permit,
        Verdict::Deny(denial) => return deny(group, machine, source, &id, denial, entry),
    };
    // The value was decrypted before; only one that has changed in between is decrypted here.
    let withheld = withheld.filter(|it| it.secret() == &id && it.version() == permit.version()).map_or_else(
        || {
            let project = world.state.projects.get(&secret.project)?;
            let sealed = world.state.value(&id)?;
            Withheld::open(group.means.keyring, project, &id, permit.version(), sealed).ok()
        },
        Some,
    );
    let Some(withheld) = withheld else {
        group.means.metrics.unreadable_values.inc();
        tracing::error!(secret = %id, version = permit.version(), "the stored value does not open");
        entry.action = Action::SecretReadDenied;
        entry.detail = format!("the stored value of version {} does not open; {}", permit.version(), entry.detail);
        group.audit(entry);
        return Outcome::Damaged;
    };
    let policy = match reading::guard(&world.state, secret) {
        Guard::Policy(policy) => Some(policy),
        Guard::Open | Guard::Missing => None,
    };
    let counted = reading::counted(policy);
    let version = permit.version();
    world.ledger.record_delivery(Delivered {
        machine: &machine.id,
        grantee: &grantee,
        secret: &id,
        version,
        in_files,
        now,
        counted,
        at_once: counted.is_compared || group.means.is_shared,
    });
    entry.detail = format!("v{version} {}", entry.detail);
    group.audit(entry);
    if let Some(after) = counted.rotate_after {
        rotate(group, &id, version, after);
    }
    if let Some((changes, entry)) = canary::spring(&group.world.state, machine, source, &id, now) {
        for change in changes {
            group.change(change);
        }
        group.audit(entry);
    }
    Outcome::Released(Released { permit, withheld })
}

/// Counts, audits and tells a denial. One that lacks nothing but consent asks for it first.
fn deny(
    group: &mut Group<'_>,
    machine: &Machine,
    source: Source,
    id: &SecretId,
    mut denial: Denial,
    mut entry: Entry,
) -> Outcome {
    if denial.asks {
        denial = ask(group, machine, source, id, denial);
    }
    let now = group.now;
    let world = &mut *group.world;
    let grantee = machine.grantee();
    let name = world.state.secrets.get(id).map_or_else(|| id.to_string(), |it| it.name.clone());
    let last = LastDenied { time: now.0, secret: name, reason: denial.reason, message: denial.message.clone() };
    // Counting denials of secrets that were never granted would let anybody grow the ledger.
    if denial.reason != DenialReason::NotGranted || world.ledger.usage(&grantee, id).is_some() {
        world.ledger.record_denial(&grantee, id, last);
    }
    if denial.reason.file_effect() == FileEffect::Revoked {
        world.ledger.forget_delivery(&machine.id, id);
    }
    entry.action = Action::SecretReadDenied;
    entry.denial = Some(denial.reason);
    entry.detail = format!("{}; {}", denial.message, entry.detail);
    group.audit(entry);
    Outcome::Denied(denial)
}

/// Leaves a request for the co-signer. The denial names it, and still says that it was asked for now.
fn ask(group: &mut Group<'_>, machine: &Machine, source: Source, id: &SecretId, denial: Denial) -> Denial {
    let context = group.context();
    let Some(steps) = context.state.secrets.get(id).and_then(|it| co_sign::ask(&context, machine, source, it)) else {
        let message = format!("{}; too many requests wait already, so none was left", denial.message);
        return Denial { message, asks: false, ..denial };
    };
    group.take(steps);
    let World { state, ledger } = &*group.world;
    let asking = Asking { machine, address: source.address, now: group.now };
    let verdict = state.secrets.get(id).map(|secret| reading::decide(state, ledger, asking, secret));
    match verdict {
        Some(Verdict::Deny(named)) => Denial { asks: true, ..named },
        // A permit now would be one that nobody has approved.
        Some(Verdict::Permit(_)) | None => denial,
    }
}

/// Makes a new version when this read was the last that the policy allows the one it read.
fn rotate(group: &mut Group<'_>, id: &SecretId, version: u64, after: u32) {
    let reads = group.world.ledger.read_again(id, version);
    if reads < u64::from(after) {
        return;
    }
    let context = group.context();
    let Some(secret) = context.state.secrets.get(id) else { return };
    match rotation::reads_are_used_up(&context, secret, reads) {
        Ok(steps) => group.take(steps),
        // Tried again with the next read.
        Err(refusal) => tracing::error!(secret = %id, %refusal, "the secret is not rotated"),
    }
}

/// A row about a machine. Its detail names the secret and, of a pod, who it is in its cluster.
fn entry(action: Action, machine: &Machine, source: Source, secret: &str) -> Entry {
    let mut entry = Entry::new(action, Actor::Machine(machine.id.clone()));
    entry.vault = Some(machine.vault.clone());
    entry.machine = Some(machine.id.clone());
    entry.fleet.clone_from(&machine.fleet);
    entry.source_ip = Some(source.address);
    entry.detail = match &machine.pod {
        Some(it) => format!(
            "{secret}; pod {}/{} on node {} as {} in cluster {}",
            it.pod.namespace, it.pod.name, it.pod.node, it.pod.service_account, it.cluster
        ),
        None => format!("{secret}; machine {}", machine.name),
    };
    entry
}
