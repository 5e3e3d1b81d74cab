//! Who reads what, gathered for the policy.

use std::net::IpAddr;

use sikkerkey_protocol::denial::DenialReason;
use sikkerkey_protocol::id::{ProjectId, SecretId};
use sikkerkey_protocol::machine_plane::Selection;
use sikkerkey_protocol::policy::{CountedBy, PolicyDocument};

use super::co_sign;
use super::source::Source;
use crate::app::App;
use crate::crypto::withheld::Withheld;
use crate::ledger::{Counted, Ledger, Reader};
use crate::model::account::Standing;
use crate::model::machine::Machine;
use crate::model::millis::Millis;
use crate::model::policy::Policy;
use crate::model::secret::{Secret, SecretPhase};
use crate::policy::{self, Consent, Counters, Denial, Facts, Guard, Verdict, cap};
use crate::refusal::{Refusal, RefusalKind};
use crate::state::State;
use crate::writer::Attempt;

/// Who asks from where, and when.
#[derive(Clone, Copy)]
pub struct Asking<'a> {
    /// The machine.
    pub machine: &'a Machine,
    /// Its address.
    pub address: IpAddr,
    /// The instant to decide for.
    pub now: Millis,
}

/// Decides whether a machine may read `secret`.
pub fn decide(state: &State, ledger: &Ledger, asking: Asking<'_>, secret: &Secret) -> Verdict {
    match facts(state, ledger, asking, secret) {
        Ok(facts) => policy::decide(&facts),
        Err(denial) => Verdict::Deny(denial),
    }
}

/// Everything that the decision depends on. A secret of a project that is gone is no secret any more.
pub fn facts<'a>(
    state: &'a State,
    ledger: &Ledger,
    asking: Asking<'a>,
    secret: &'a Secret,
) -> Result<Facts<'a>, Denial> {
    let Asking { machine, address, now } = asking;
    let fleet = machine.fleet.as_ref().and_then(|id| state.fleets.get(id));
    let Some(project) = state.projects.get(&secret.project) else {
        return Err(policy::not_granted(machine, fleet, None, secret.id.as_str()));
    };
    let guard = guard(state, secret);
    let (counters, consent) = match guard {
        Guard::Policy(policy) => (
            counters(ledger, now, machine, secret, &policy.document),
            co_sign::consent(state, policy, &machine.grantee(), &secret.id),
        ),
        Guard::Open | Guard::Missing => (Counters::default(), Consent::default()),
    };
    Ok(Facts {
        now,
        address,
        account: standing_of(state, machine),
        project,
        machine,
        fleet,
        secret,
        member: state.may_be_granted(machine, &secret.project),
        grants: state.grants_for(&machine.grantee(), &secret.id).collect(),
        policy: guard,
        counters,
        consent,
    })
}

/// The standing of the account that owns the machine's vault. A vault without an account is in nobody's good standing.
pub fn standing_of(state: &State, machine: &Machine) -> Standing {
    state.account_of(&machine.vault).map_or(Standing::PendingVerification, |account| account.standing)
}

/// The policy that guards a secret.
pub fn guard<'a>(state: &'a State, secret: &Secret) -> Guard<'a> {
    match &secret.policy {
        None => Guard::Open,
        Some(name) => state.policy_in_force(&secret.project, name).map_or(Guard::Missing, Guard::Policy),
    }
}

/// What a delivery has to be counted for.
pub fn counted(policy: Option<&Policy>) -> Counted {
    let Some(document) = policy.map(|it| &it.document) else { return Counted::default() };
    let cap = document.rate_cap.as_ref();
    let max_reads = document.ttl.as_ref().and_then(|it| it.max_reads);
    Counted {
        by_pod: cap.is_some_and(|it| it.counted_by == CountedBy::Pod),
        by_day: cap.is_some_and(|it| it.per_day.is_some()),
        rotate_after: document.rotate_after_reads,
        is_compared: cap.is_some() || max_reads.is_some() || document.rotate_after_reads.is_some(),
    }
}

/// The denial of something that is not there: the same as of something in a project of others.
pub fn unknown(state: &State, machine: &Machine, now: Millis, namespace: Option<&str>, name: &str) -> Denial {
    let fleet = machine.fleet.as_ref().and_then(|id| state.fleets.get(id));
    match policy::standing(standing_of(state, machine), machine, fleet, now) {
        Ok(()) => policy::not_granted(machine, fleet, namespace, name),
        Err(denial) => denial,
    }
}

fn counters(ledger: &Ledger, now: Millis, machine: &Machine, secret: &Secret, document: &PolicyDocument) -> Counters {
    let reader = match document.rate_cap.as_ref().map(|cap| cap.counted_by) {
        Some(CountedBy::Pod) => Reader::Pod(machine.id.clone()),
        Some(CountedBy::Machine) | None => Reader::Grantee(machine.grantee()),
    };
    // A zone that cannot be read has no today; the policy denies such a document by itself.
    let today = cap::day_of(document, now).ok().map(|day| day.start);
    let counts = ledger.counts(&secret.id, &reader, now, today);
    let again = ledger.read_again(&secret.id, secret.version);
    Counters { minute: counts.minute, day: counts.day, total: counts.total, again }
}

/// Whether a machine has to do with a project at all. One that has not is never told what there is in it.
pub fn is_member(state: &State, machine: &Machine, project: &ProjectId) -> bool {
    if machine.fleet.is_none() {
        return state.membership(&machine.id, project).is_some();
    }
    let fleet = machine.fleet.as_ref().and_then(|id| state.fleets.get(id));
    fleet.is_some_and(|it| &it.project == project)
        || state.secrets_granted_to(&machine.grantee()).any(|secret| &secret.project == project)
}

/// The secrets that a machine is granted now, whatever their policies say, by name.
pub fn granted<'a>(state: &'a State, machine: &Machine, now: Millis) -> Vec<&'a Secret> {
    let grantee = machine.grantee();
    let is_live = |secret: &Secret| {
        secret.phase == SecretPhase::Active
            && secret.vault == machine.vault
            && state.may_be_granted(machine, &secret.project)
            && state.is_granted(&grantee, &secret.id, now)
    };
    let mut secrets: Vec<_> = state.secrets_granted_to(&grantee).filter(|secret| is_live(secret)).collect();
    secrets.sort_by(|a, b| (&a.project, &a.name).cmp(&(&b.project, &b.name)));
    secrets
}

/// Whether a denial says only that nothing may be read anew: no more reads are left, or nobody has approved the next. That
/// is no reason to take away what was read, nor to ask anybody for what is there.
pub fn stays_read(state: &State, secret: &Secret, now: Millis, denial: &Denial) -> bool {
    let ttl = match guard(state, secret) {
        Guard::Policy(policy) => policy.document.ttl.as_ref(),
        Guard::Open | Guard::Missing => None,
    };
    match denial.reason {
        DenialReason::RateCapReached | DenialReason::CoSignMissing | DenialReason::CoSignRefused => true,
        DenialReason::PolicyEnded => ttl.is_some_and(|ttl| ttl.expires_at.is_none_or(|end| now.0 < end)),
        _ => false,
    }
}

/// Which secrets are asked for: all, those of one project, or those of the projects of one application. A project wins
/// over an application; what does not exist selects nothing.
pub fn selected(state: &State, secret: &Secret, selection: &Selection) -> bool {
    match (&selection.project_id, &selection.application_id) {
        (Some(project), _) => secret.project.as_str() == project,
        (None, Some(application)) => {
            state.application_of(&secret.project).is_some_and(|it| it.vault == secret.vault && it.id == *application)
        }
        (None, None) => true,
    }
}

/// An attempt to read: the value is decrypted already when it looks as if it might be read. Looks without writing.
pub fn attempt(app: &App, machine: &Machine, source: Source, id: &SecretId) -> Attempt {
    let found = {
        let world = app.live.read();
        let Some(secret) = world.state.secrets.get(id) else {
            return Attempt::Unknown { namespace: None, name: id.to_string() };
        };
        let asking = Asking { machine, address: source.address, now: app.clock.now() };
        match decide(&world.state, &world.ledger, asking, secret) {
            Verdict::Deny(_) => None,
            Verdict::Permit(permit) => {
                let sealed = world.state.value(id).cloned();
                world.state.projects.get(&secret.project).cloned().zip(sealed).zip(Some(permit.version()))
            }
        }
    };
    let begun = std::time::Instant::now();
    // Outside of the lock: decrypting is what takes the time. What does not open is looked at again by the writer.
    let withheld = found
        .and_then(|((project, sealed), version)| Withheld::open(&app.keyring, &project, id, version, &sealed).ok());
    if withheld.is_some() {
        app.metrics.decrypt_seconds.observe(begun.elapsed().as_secs_f64());
    }
    Attempt::Known(id.clone(), withheld)
}

/// The refusal that a denial is for a client that asked for one secret. `is_there`: whether there is such a secret as far
/// as the machine may know, one that is not deleted and of a project that it has to do with ([`is_member`]).
pub fn refusal(denial: Denial, is_there: bool, now: Millis) -> Refusal {
    let kind = match denial.reason {
        // Nobody learns what there is in a project of others, nor that it is frozen.
        DenialReason::NotGranted | DenialReason::ProjectFrozen if !is_there => {
            return Refusal::new(RefusalKind::NotFound, "no such secret").denial(denial.reason);
        }
        DenialReason::ValueMissing => RefusalKind::NotFound,
        DenialReason::MachineExpired => RefusalKind::Unauthenticated,
        DenialReason::RateCapReached | DenialReason::LockedOut => RefusalKind::TooMany,
        DenialReason::ProjectFrozen => RefusalKind::Frozen,
        _ => RefusalKind::Forbidden,
    };
    let mut refusal = Refusal::new(kind, denial.message).denial(denial.reason);
    if kind == RefusalKind::TooMany {
        let wait = denial.until.map_or(60_000, |until| until.0 - now.0);
        refusal.retry_after_seconds = Some(u64::try_from((wait + 999) / 1000).unwrap_or(1).max(1));
    }
    refusal
}
