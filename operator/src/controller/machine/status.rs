//! The status of a Machine. Pure.

use kube::ResourceExt;
use sikkerkey_crds::Time;
use sikkerkey_crds::machine::{
    ApprovalState, DeliveryMode, HostStatus, Machine, MachinePods, MachineStatus, MachineType, Subject,
};
use sikkerkey_crds::reason::Reason;
use sikkerkey_protocol::kubernetes::{Approval, MachineState};

use super::plan::problems;
use crate::controller::conditions::Verdict;
use crate::controller::figure::{count, time};
use crate::controller::plan::{Evidence, Opinion, Plan};

/// The status that follows.
pub fn conclude(evidence: &Evidence<'_, Machine>) -> MachineStatus {
    let machine = evidence.object;
    let outdated = outdated(evidence);
    let ready = evidence.state().and_then(|state| ready(machine, state, evidence, outdated));
    let conditions = evidence.conditions(Opinion { ready, ..Opinion::default() }, |reason| {
        (reason == Reason::KeyInUse).then(|| {
            "The key in spec.host.publicKey belongs to another machine at the server: make a new one on the host."
                .to_owned()
        })
    });
    let mut status =
        MachineStatus { observed_generation: Some(evidence.generation()), conditions, ..evidence.previous.clone() };
    if let Plan::Act { .. } = evidence.plan {
        status.type_ = machine.spec.subject().ok().map(|subject| match subject {
            Subject::Workload(_) => MachineType::Workload,
            Subject::Host(_) => MachineType::Host,
        });
        status.problem_count = Some(count(evidence.facts.problems.len())).filter(|count| *count > 0);
        status.problems = problems(evidence.facts, &machine.namespace().unwrap_or_default());
    }
    if let Some(state) = evidence.state() {
        fill(&mut status, state, evidence, outdated);
    } else if evidence.gives_nothing() {
        (status.pods, status.granted_secrets) = (None, None);
        if evidence.is_void() {
            (status.machine_id, status.approval, status.host) = (None, None, None);
        }
    }
    status
}

/// The number of Secrets comes from the cluster and not from the answer: a Grant that goes or comes has the Machine looked
/// at, while the server may not have been told yet.
fn fill(status: &mut MachineStatus, state: &MachineState, evidence: &Evidence<'_, Machine>, outdated: Option<i32>) {
    status.machine_id.clone_from(&state.machine_id);
    status.approval = Some(match state.approval {
        Approval::Approved => ApprovalState::Approved,
        Approval::Pending => ApprovalState::Pending,
        Approval::Denied => ApprovalState::Denied,
    });
    status.granted_secrets = Some(count(evidence.facts.granted.count));
    status.last_seen_time = time(state.last_seen);
    if status.type_ == Some(MachineType::Host) {
        status.pods = None;
        status.host = Some(HostStatus {
            fingerprint: state.fingerprint.clone(),
            bootstrap_url: Some(evidence.server_url.to_owned()),
            expires_time: time(state.expires_at),
        });
    } else {
        status.host = None;
        status.pods = Some(pods(alive(state, evidence), outdated));
    }
}

/// How many pods run with older settings of the delivery. While that is not known, what was said before.
fn outdated(evidence: &Evidence<'_, Machine>) -> Option<i32> {
    let said = evidence.previous.pods.as_ref().and_then(|pods| pods.outdated);
    evidence.facts.outdated_pods.map(count).or(said).filter(|_| evidence.object.spec.host.is_none())
}

/// Pods with an identity at the server, and those that gave theirs up when an init container had written their files: of those
/// only the cluster knows. While its list is not whole, what was said before.
fn alive(state: &MachineState, evidence: &Evidence<'_, Machine>) -> i32 {
    let at_server = count(state.alive);
    match evidence.facts.served_once {
        Some(served) => at_server.saturating_add(count(served)),
        None if evidence.object.spec.delivery().mode() == DeliveryMode::Init => {
            let said = evidence.previous.pods.as_ref().and_then(|pods| pods.alive);
            said.unwrap_or_default().max(at_server)
        }
        None => at_server,
    }
}

/// The server counts identities and the cluster pods: a pod that is about to enrol is not alive yet.
fn pods(alive: i32, outdated: Option<i32>) -> MachinePods {
    let summary = outdated.map(|outdated| format!("{}/{alive}", alive.saturating_sub(outdated).max(0)));
    MachinePods { alive: Some(alive), ready: None, outdated, summary }
}

/// What the Machine itself says of `Ready`, once all else is true.
fn ready(
    machine: &Machine,
    state: &MachineState,
    evidence: &Evidence<'_, Machine>,
    outdated: Option<i32>,
) -> Option<Verdict> {
    let is_host = machine.spec.host.is_some();
    let name = machine.name_any();
    let ended = time(state.expires_at).is_some_and(|Time(end)| end <= evidence.now);
    match state.approval {
        Approval::Denied => Some(Verdict::fails(Reason::Denied, "An administrator denied this machine at the server.")),
        _ if is_host && state.machine_id.is_none() => Some(Verdict::fails(
            Reason::AwaitingBootstrap,
            format!(
                "No host has enrolled yet: kubectl sikkerkey bootstrap {name} prints a command for it, good for 10 minutes."
            ),
        )),
        Approval::Pending => Some(Verdict::fails(
            Reason::AwaitingApproval,
            match &state.fingerprint {
                Some(fingerprint) if is_host => format!(
                    "Key {fingerprint} waits for approval: compare it on the host, then set spec.host.publicKey to that key, or \
                     sikkerkey-server admin machine approve {}.",
                    state.machine_id.as_deref().unwrap_or("ID")
                ),
                _ if is_host => "The host waits for approval: set spec.host.publicKey to its key.".to_owned(),
                _ => format!(
                    "The fleet waits for approval: sikkerkey-server admin machine approve {}.",
                    state.machine_id.as_deref().unwrap_or("ID")
                ),
            },
        )),
        Approval::Approved if machine.spec.suspended() => {
            Some(Verdict::holds_with(Reason::Suspended, "spec.suspend is true: nobody reads as this Machine."))
        }
        Approval::Approved if is_host && ended => Some(Verdict::holds_with(
            Reason::Expired,
            "The host's identity has expired: make a new key on the host and set spec.host.publicKey to it.",
        )),
        Approval::Approved if outdated.is_some_and(|outdated| outdated > 0) => Some(Verdict::holds_with(
            Reason::PodsOutdated,
            "Some pods run with an older mode, mountPath or sizeLimit: kubectl rollout restart their owner. \
             status.pods.outdated counts them.",
        )),
        Approval::Approved => None,
    }
}

#[cfg(test)]
mod tests;
