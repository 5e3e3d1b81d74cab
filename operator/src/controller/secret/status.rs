//! The status of a Secret. Pure.

use kube::ResourceExt;
use sikkerkey_crds::condition::{ConditionType, find};
use sikkerkey_crds::reason::Reason;
use sikkerkey_crds::secret::{DeletionPolicy, KubernetesSecret, OnTaken, Origin, Secret, SecretPods, SecretStatus};
use sikkerkey_protocol::kubernetes::{ExpectedVersion, SecretState};

use super::convert::expected;
use super::original::{Found, Original};
use super::plan::missing;
use super::take::{place, source};
use crate::controller::conditions::Verdict;
use crate::controller::events::News;
use crate::controller::figure::{big, count, time};
use crate::controller::plan::{Evidence, Opinion, Plan};

/// What to do where the server is the one that makes the values.
const ANOTHER_VALUE: &str =
    "Restore its database, or have another value made: set spec.rotation.olderThan to the present time.";

/// The status that follows.
pub fn conclude(evidence: &Evidence<'_, Secret>) -> SecretStatus {
    let secret = evidence.object;
    let state = evidence.state();
    let original = &evidence.facts.original;
    let opinion = Opinion {
        resolved: resolved(secret, original, state),
        programmed: state.and_then(|state| programmed(secret, original, state, evidence.previous)),
        ready: state.and_then(|state| ready(secret, original, state)),
    };
    let conditions = evidence.conditions(opinion, |reason| refusal(secret, reason));
    let mut status =
        SecretStatus { observed_generation: Some(evidence.generation()), conditions, ..evidence.previous.clone() };
    if let Plan::Act { .. } = evidence.plan {
        status.source = secret.spec.source.origin().ok().map(|origin| origin.type_());
    }
    if let Some(state) = state {
        fill(&mut status, state, evidence.facts.grants.count);
    } else if evidence.gives_nothing() {
        (status.pods, status.grants) = (None, None);
        if evidence.is_void() {
            (status.secret_id, status.project_id, status.next_rotation_time) = (None, None, None);
        }
    }
    status
}

/// The number of Grants comes from the cluster and not from the answer: a Grant that goes or comes has the Secret looked at,
/// while the server may not have been told yet.
fn fill(status: &mut SecretStatus, state: &SecretState, grants: usize) {
    status.secret_id = Some(state.secret_id.to_string());
    status.project_id = Some(state.project_id.to_string());
    // What the server has lost stays said: it is what the next pass expects of the server.
    if lost(status, state).is_none() {
        status.version = Some(big(state.version));
        status.version_time = time(state.version_time);
        status.fields.clone_from(&state.field_names);
    }
    status.next_rotation_time = time(state.next_rotation);
    status.grants = Some(count(grants));
    status.pods = Some(SecretPods {
        total: Some(count(state.pods_total)),
        current: Some(count(state.pods_current)),
        summary: Some(format!("{}/{}", state.pods_current, state.pods_total)),
    })
    .filter(|_| state.pods_total > 0);
}

/// A core Secret that is to be deleted once its value is taken need not be there afterwards: the server knows whether it
/// was taken, and from where. A server that did not answer leaves what was said before.
fn resolved(secret: &Secret, original: &Original, state: Option<&SecretState>) -> Option<Verdict> {
    let source = source(secret).filter(|_| matches!(original, Original::Missing))?;
    match state {
        Some(state) if state.taken_from == Some(place(source)) => None,
        Some(_) => Some(missing(&source.name, &secret.namespace().unwrap_or_default())),
        None => said_before(secret, ConditionType::ResolvedRefs),
    }
}

/// The version that the object has had, by its status, and of which the server has none.
fn lost(previous: &SecretStatus, state: &SecretState) -> Option<ExpectedVersion> {
    expected(Some(previous)).filter(|_| state.version == 0)
}

fn programmed(secret: &Secret, original: &Original, state: &SecretState, previous: &SecretStatus) -> Option<Verdict> {
    let named = source(secret);
    let flaw = named.and_then(|source| match original {
        Original::Found(Found { value: Err(flaw), .. }) => flaw.unusable(&source.name, source.key.as_deref()),
        Original::NotLooked => said_before(secret, ConditionType::Programmed),
        _ => None,
    });
    // One that is there is taken once more.
    let is_there = matches!(original, Original::Found(Found { value: Ok(_), .. }));
    let lost = lost(previous, state).filter(|_| !is_there).map(|_| value_lost(secret, state, previous));
    flaw.or(lost).or_else(|| (state.version == 0).then(|| value_missing(named, state)))
}

/// Whether it says that the server has lost the value.
pub fn says_lost(status: &SecretStatus) -> bool {
    let programmed = find(&status.conditions, ConditionType::Programmed);
    programmed.is_some_and(|programmed| programmed.reason == Reason::ValueLost.as_str())
}

/// A server that was restored from an earlier day, or another one: what stands in a database elsewhere still has the value.
fn value_lost(secret: &Secret, state: &SecretState, previous: &SecretStatus) -> Verdict {
    let version = previous.version.unwrap_or_default();
    let made = previous.version_time.as_ref().map(|made| format!(" of {}", made.0)).unwrap_or_default();
    let what_to_do = match secret.spec.source.origin() {
        Ok(Origin::Generate(_)) => ANOTHER_VALUE.to_owned(),
        Ok(Origin::KubernetesSecret(source)) => format!("Put it into Kubernetes Secret {} again.", source.name),
        Ok(Origin::Sealed(_) | Origin::External(_)) | Err(_) => {
            format!("Set it again: sikkerkey-server admin secret set {} --value-file FILE.", state.secret_id)
        }
    };
    Verdict::fails(Reason::ValueLost, format!("The server has lost version {version}{made}. {what_to_do}"))
}

fn value_missing(named: Option<&KubernetesSecret>, state: &SecretState) -> Verdict {
    let message = match named {
        Some(source) => format!("Nothing has been taken over from Kubernetes Secret {} yet.", source.name),
        None => format!(
            "Nobody has set a value: sikkerkey-server admin secret set {} --value-file FILE sets it.",
            state.secret_id
        ),
    };
    Verdict::fails(Reason::ValueMissing, message)
}

fn ready(secret: &Secret, original: &Original, state: &SecretState) -> Option<Verdict> {
    let named = source(secret);
    let due = state.rotation_due_since.map(|due| {
        let since = time(Some(due)).map(|due| format!(" since {}", due.0)).unwrap_or_default();
        let how = match (named, &secret.spec.source.sealed) {
            // Also of one that was deleted: made anew, it is taken again.
            (Some(source), _) => format!("put it into Kubernetes Secret {}.", source.name),
            (None, Some(_)) => "seal one with sikkerkey-operator seal, and apply it.".to_owned(),
            (None, None) => format!("sikkerkey-server admin secret set {} --value-file FILE sets it.", state.secret_id),
        };
        Verdict::holds_with(Reason::RotationDue, format!("A new value is due{since}: {how}"))
    });
    due.or_else(|| {
        let source = named.filter(|source| source.on_taken() == OnTaken::Delete)?;
        match original {
            Original::Found(Found { value: Ok(_), kept_by: Some(keeper), .. }) => Some(keeper.verdict(&source.name)),
            Original::NotLooked => said_before(secret, ConditionType::Ready),
            _ => None,
        }
    })
}

/// What the last look at the core Secret made this condition say of this generation, for a pass in which nobody looks.
pub(super) fn said_before(secret: &Secret, type_: ConditionType) -> Option<Verdict> {
    let said = find(&secret.status.as_ref()?.conditions, type_)?;
    let of_a_look = match type_ {
        ConditionType::ResolvedRefs => {
            [Reason::KubernetesSecretNotFound, Reason::KubernetesSecretKeyNotFound].as_slice()
        }
        ConditionType::Programmed => &[Reason::KubernetesSecretInvalid, Reason::ValueTooLarge],
        ConditionType::Ready => &[Reason::OriginalKept],
        _ => &[],
    };
    let reason = of_a_look.iter().find(|reason| reason.as_str() == said.reason)?;
    let is_current = said.observed_generation == secret.metadata.generation;
    is_current.then(|| Verdict { status: said.status, reason: *reason, message: said.message.clone() })
}

/// What is told when a Secret is gone and the server knows.
pub fn farewell(policy: DeletionPolicy) -> News {
    let (reason, message) = match policy {
        DeletionPolicy::Retain => (
            Reason::ValueRetained,
            "The value is kept at the server, and nobody can read it: a Secret of this name in this namespace takes it up again.",
        ),
        DeletionPolicy::Delete => {
            (Reason::ValueTrashed, "The value went to the server's trash, where it stays for 30 days.")
        }
    };
    News { is_warning: false, reason: reason.to_string(), message: message.to_owned() }
}

fn refusal(secret: &Secret, reason: Reason) -> Option<String> {
    let namespace = secret.namespace().unwrap_or_default();
    let name = secret.name_any();
    match reason {
        Reason::SealedKeyUnknown => {
            let key = secret.spec.source.sealed.as_ref().map(|sealed| sealed.key_id.as_str()).unwrap_or_default();
            Some(format!(
                "The server does not know the sealing key {key}: seal the value again with sikkerkey-operator seal."
            ))
        }
        Reason::UnsealFailed => Some(format!(
            "The ciphertext does not open as {namespace}/{name}: it was sealed for another name or namespace, or altered. \
             Seal it again."
        )),
        Reason::SealedValueOutdated => Some(
            "The server has had a value that was sealed later, and an older one never replaces it. To go back to an earlier \
             value, seal it again with sikkerkey-operator seal."
                .to_owned(),
        ),
        Reason::ValueTooLarge => Some("The value is larger than 12 KiB.".to_owned()),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
