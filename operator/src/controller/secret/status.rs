//! The status of a Secret. Pure.

use kube::ResourceExt;
use sikkerkey_crds::reason::Reason;
use sikkerkey_crds::secret::{Secret, SecretPods, SecretStatus};
use sikkerkey_protocol::kubernetes::SecretState;

use crate::controller::conditions::Verdict;
use crate::controller::figure::{big, count, time};
use crate::controller::plan::{Evidence, Opinion, Plan};

/// The status that follows.
pub fn conclude(evidence: &Evidence<'_, Secret>) -> SecretStatus {
    let secret = evidence.object;
    let state = evidence.state();
    let opinion = Opinion {
        programmed: state.and_then(programmed),
        ready: state.and_then(|state| ready(secret, state)),
        ..Opinion::default()
    };
    let conditions = evidence.conditions(opinion, |reason| refusal(secret, reason));
    let mut status =
        SecretStatus { observed_generation: Some(evidence.generation()), conditions, ..evidence.previous.clone() };
    if let Plan::Act { .. } = evidence.plan {
        status.source = secret.spec.source.origin().ok().map(|origin| origin.type_());
    }
    if let Some(state) = state {
        fill(&mut status, state, evidence.facts.grants.count);
    }
    status
}

/// The number of Grants comes from the cluster and not from the answer: a Grant that goes or comes has the Secret looked at,
/// while the server may not have been told yet.
fn fill(status: &mut SecretStatus, state: &SecretState, grants: usize) {
    status.secret_id = Some(state.secret_id.to_string());
    status.project_id = Some(state.project_id.to_string());
    status.version = Some(big(state.version));
    status.version_time = time(state.version_time);
    status.next_rotation_time = time(state.next_rotation);
    status.fields.clone_from(&state.field_names);
    status.grants = Some(count(grants));
    status.pods = Some(SecretPods {
        total: Some(count(state.pods_total)),
        current: Some(count(state.pods_current)),
        summary: Some(format!("{}/{}", state.pods_current, state.pods_total)),
    })
    .filter(|_| state.pods_total > 0);
}

fn programmed(state: &SecretState) -> Option<Verdict> {
    (state.version == 0).then(|| {
        Verdict::fails(
            Reason::ValueMissing,
            format!(
                "Nobody has set a value: sikkerkey-server admin secret set {} --value-file FILE sets it.",
                state.secret_id
            ),
        )
    })
}

fn ready(secret: &Secret, state: &SecretState) -> Option<Verdict> {
    state.rotation_due_since.map(|due| {
        let since = time(Some(due)).map(|due| format!(" since {}", due.0)).unwrap_or_default();
        let how = match &secret.spec.source.sealed {
            Some(_) => "seal one with sikkerkey-operator seal, and apply it".to_owned(),
            None => format!("sikkerkey-server admin secret set {} --value-file FILE sets it", state.secret_id),
        };
        Verdict::holds_with(Reason::RotationDue, format!("A new value is due{since}: {how}."))
    })
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
