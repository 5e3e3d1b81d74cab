//! The status of a Grant. Pure.

use kube::ResourceExt;
use sikkerkey_crds::Time;
use sikkerkey_crds::condition::{PROBLEM_MESSAGE_LIMIT, clipped};
use sikkerkey_crds::grant::{DeniedRead, Grant, GrantProblem, GrantStatus, GrantUsage, GrantedSecrets};
use sikkerkey_crds::reason::Reason;
use sikkerkey_protocol::denial::DenialReason;
use sikkerkey_protocol::kubernetes::{Awaited, GrantState, Usage};

use super::gather::Referred;
use super::plan::problems;
use crate::controller::conditions::{Verdict, listed};
use crate::controller::events::News;
use crate::controller::figure::{big, count, second, time};
use crate::controller::plan::{Evidence, Opinion, Outcome, Plan};

/// The status that follows.
pub fn conclude(evidence: &Evidence<'_, Grant>) -> GrantStatus {
    let grant = evidence.object;
    let own = grant.namespace().unwrap_or_default();
    let opinion = Opinion { resolved: resolved(evidence), ready: ready(evidence), ..Opinion::default() };
    let conditions = evidence.conditions(opinion, |_| None);
    let mut status =
        GrantStatus { observed_generation: Some(evidence.generation()), conditions, ..evidence.previous.clone() };
    if evidence.gives_nothing() {
        status.machine_id = None;
        status.secrets = Some(secrets(0, grant));
        status.problems = Vec::new();
    }
    let Plan::Act { .. } = evidence.plan else { return status };
    let machine = &grant.spec.machine_ref;
    status.machine = Some(match &machine.namespace {
        Some(namespace) if *namespace != own => format!("{namespace}/{}", machine.name),
        _ => machine.name.clone(),
    });
    let awaited = awaited_now(evidence);
    status.problems = problems(&evidence.facts.missing, lacking(evidence), awaited, &own);
    if let Some(state) = evidence.state() {
        fill(&mut status, grant, state, evidence.now);
    }
    status
}

/// Secrets that exist in the cluster and not at the server: their own conditions say why.
fn lacking<'a>(evidence: &Evidence<'a, Grant>) -> &'a [String] {
    match evidence.outcome {
        Outcome::InForce(state) => &state.missing,
        Outcome::NotAsked | Outcome::Withdrawn | Outcome::Failed(_) => &[],
    }
}

/// The reads that wait for a co-signer. While the server cannot be asked they wait as before, unless it has lost them.
fn awaited_now(evidence: &Evidence<'_, Grant>) -> Vec<GrantProblem> {
    match evidence.outcome {
        Outcome::InForce(state) => {
            let waits = |awaited: &Awaited| GrantProblem {
                secret: awaited.secret.clone(),
                // One of a newer server is told as what it stands for.
                reason: match awaited.reason {
                    DenialReason::CoSignRefused => Reason::CoSignRefused,
                    _ => Reason::CoSignMissing,
                }
                .to_string(),
                message: clipped(&awaited.message, PROBLEM_MESSAGE_LIMIT),
            };
            state.awaiting.iter().map(waits).collect()
        }
        Outcome::NotAsked | Outcome::Failed(_) if !evidence.is_void() => awaited(evidence.previous).cloned().collect(),
        Outcome::NotAsked | Outcome::Failed(_) | Outcome::Withdrawn => Vec::new(),
    }
}

/// The reads that wait for a co-signer, of a status.
pub fn awaited(status: &GrantStatus) -> impl Iterator<Item = &GrantProblem> {
    status.problems.iter().filter(|problem| is_awaited(problem))
}

/// Whether a problem is a read that waits for a co-signer, or that one has refused.
pub fn is_awaited(problem: &GrantProblem) -> bool {
    [Reason::CoSignMissing, Reason::CoSignRefused].iter().any(|reason| problem.reason == reason.as_str())
}

/// The Event when the first read begins to wait: the co-signer's people look here, the reader's in the pod.
pub fn news_of_awaited(previous: &GrantStatus, wanted: &GrantStatus) -> Option<News> {
    let mut now = awaited(wanted);
    let first = now.next().filter(|_| awaited(previous).next().is_none())?;
    let more = match now.count() {
        0 => String::new(),
        more => format!("; and {more} more"),
    };
    let refused = first.reason == Reason::CoSignRefused.as_str();
    let reason = if refused { Reason::CoSignRefused } else { Reason::CoSignMissing };
    Some(News::warning(reason, format!("Secret {}: {}{more}.", first.secret, first.message)))
}

/// What exists in the cluster and is not in force at the server.
fn resolved(evidence: &Evidence<'_, Grant>) -> Option<Verdict> {
    let state = evidence.state()?;
    let spec = &evidence.object.spec;
    if state.machine_id.is_none() {
        let name = &spec.machine_ref.name;
        let message = format!("Machine {name} is not in force yet: see its conditions.");
        return Some(Verdict::fails(Reason::MachineNotAccepted, message));
    }
    let lacking = state.missing.as_slice();
    let others = if lacking.len() < spec.secret_refs.len() { "; the others are granted" } else { "" };
    (!lacking.is_empty()).then(|| {
        let message = format!("Secret {} is not in force yet, see its conditions{others}.", listed(lacking));
        Verdict::fails(Reason::SecretNotFound, message)
    })
}

fn secrets(granted: usize, grant: &Grant) -> GrantedSecrets {
    let total = grant.spec.secret_refs.len();
    GrantedSecrets {
        granted: Some(count(granted)),
        total: Some(count(total)),
        summary: Some(format!("{granted}/{total}")),
    }
}

fn fill(status: &mut GrantStatus, grant: &Grant, state: &GrantState, now: k8s_openapi::jiff::Timestamp) {
    status.machine_id.clone_from(&state.machine_id);
    status.secrets = Some(secrets(state.granted.len(), grant));
    let before = status.usage.take();
    status.usage = usage(&state.usage, before, second(now));
}

/// The figures, as old as they are: they keep their date while they stay the same. Nothing while nothing was ever read.
fn usage(usage: &Usage, before: Option<GrantUsage>, now: Time) -> Option<GrantUsage> {
    if *usage == Usage::default() {
        return None;
    }
    let fresh = GrantUsage {
        reads: Some(big(usage.reads)),
        denied: Some(big(usage.denied)),
        last_read_time: time(usage.last_read),
        last_denied: usage.last_denied.as_ref().map(|denied| DeniedRead {
            time: time(Some(denied.time)),
            secret: Some(denied.secret.clone()),
            reason: Some(denied.reason.as_str().to_owned()),
            message: Some(clipped(&denied.message, PROBLEM_MESSAGE_LIMIT)),
        }),
        as_of: before.as_ref().and_then(|before| before.as_of.clone()),
    };
    if before.as_ref() == Some(&fresh) { before } else { Some(GrantUsage { as_of: Some(now), ..fresh }) }
}

/// What the Grant itself says of `Ready`, once all else is true.
fn ready(evidence: &Evidence<'_, Grant>) -> Option<Verdict> {
    let spec = &evidence.object.spec;
    if let Some(Time(end)) = spec.expires_at.as_ref().filter(|end| end.0 <= evidence.now) {
        return Some(Verdict::holds_with(
            Reason::Expired,
            format!("Ended at {end}: it gives no access. Remove it from Git, or set a later date."),
        ));
    }
    (evidence.facts.machine == Referred::Fine { suspended: true }).then(|| {
        Verdict::holds_with(
            Reason::Suspended,
            format!("Machine {} is suspended: the Grant gives no access until it is not.", spec.machine_ref.name),
        )
    })
}

#[cfg(test)]
mod tests;
