//! Why a pod was refused. The reasons are API; every message says what to do.

use std::borrow::Cow;

use thiserror::Error;

/// Why a pod was refused, or its attestation.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[expect(missing_docs, reason = "the messages say it")]
pub enum Refusal {
    #[error(
        "Machine {machine} does not exist in namespace {namespace}: apply it before its pods (Argo CD: sync-wave -1), or correct the label sikkerkey.com/machine."
    )]
    MachineNotFound { machine: String, namespace: String },
    #[error(
        "Machine {machine} could not be looked up in namespace {namespace}: the API server did not answer in time. Try again."
    )]
    MachineNotLookedUp { machine: String, namespace: String },
    #[error("Machine {machine} is not accepted ({why}): correct it before its pods.")]
    MachineNotAccepted { machine: String, why: String },
    #[error("Machine {machine} is a host: pods need a Machine with spec.workload.")]
    MachineIsHost { machine: String },
    #[error(
        "ServiceAccount {account} may not assume Machine {machine}, which allows {}: set serviceAccountName, or add it to spec.workload.serviceAccountNames.",
        listed(allowed)
    )]
    ServiceAccountNotAllowed { account: String, machine: String, allowed: Vec<String> },
    #[error("The pod's labels do not match spec.workload.podSelector of Machine {machine}: {missing}.")]
    SelectorMismatch { machine: String, missing: String },
    #[error("{key} has no meaning: did you mean {suggestion}?")]
    UnknownAnnotation { key: String, suggestion: String },
    #[error("sikkerkey.com/containers names {named}, which the pod does not have; it has {}.", listed(existing))]
    ContainerNotFound { named: String, existing: Vec<String> },
    #[error("Container {container} already mounts something at {path}: change one of the two paths.")]
    MountConflict { container: String, path: String },
    #[error("Container or volume name {name} is reserved: rename it.")]
    ReservedName { name: String },
    #[error("Machine {machine} sends {signal}: set shareProcessNamespace: true in the pod, or use onChange.httpPost.")]
    ProcessNamespaceNeeded { machine: String, signal: &'static str },
    #[error(
        "Machine {machine} sends {signal}, which reaches only processes of the sidecar's own user: set one runAsUser, not root, for the pod's containers, or use onChange.httpPost."
    )]
    SignalNeedsUser { machine: String, signal: &'static str },
    #[error("The mesh takes this pod's network before its proxy runs: switch native sidecars on in the mesh.")]
    MeshBlocksStart,
    #[error("Pods on {os} nodes are not supported.")]
    UnsupportedNode { os: String },
}

impl Refusal {
    /// The reason, one word.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::MachineNotFound { .. } => "MachineNotFound",
            Self::MachineNotLookedUp { .. } => "MachineNotLookedUp",
            Self::MachineNotAccepted { .. } => "MachineNotAccepted",
            Self::MachineIsHost { .. } => "MachineIsHost",
            Self::ServiceAccountNotAllowed { .. } => "ServiceAccountNotAllowed",
            Self::SelectorMismatch { .. } => "SelectorMismatch",
            Self::UnknownAnnotation { .. } => "UnknownAnnotation",
            Self::ContainerNotFound { .. } => "ContainerNotFound",
            Self::MountConflict { .. } => "MountConflict",
            Self::ReservedName { .. } => "ReservedName",
            Self::ProcessNamespaceNeeded { .. } => "ProcessNamespaceNeeded",
            Self::SignalNeedsUser { .. } => "SignalNeedsUser",
            Self::MeshBlocksStart => "MeshBlocksStart",
            Self::UnsupportedNode { .. } => "UnsupportedNode",
        }
    }

    /// Whether the same request may succeed when it is repeated unchanged.
    pub fn is_transient(&self) -> bool {
        matches!(self, Self::MachineNotLookedUp { .. })
    }
}

/// A text of the pod's author as far as it is worth reading: a review comes before the pod is validated, and a key or a
/// name may be as long as the review.
pub(super) fn shortened(text: &str) -> Cow<'_, str> {
    // The longest key: a DNS name, a slash and a label.
    const LONGEST: usize = 253 + 1 + 63;
    match text.char_indices().nth(LONGEST) {
        None => Cow::Borrowed(text),
        Some((end, _)) => Cow::Owned(format!("{}…", text.get(..end).unwrap_or_default())),
    }
}

/// Names in one line, cut after five.
pub(super) fn listed(names: &[String]) -> String {
    const SHOWN: usize = 5;
    let shown = names.iter().take(SHOWN).map(|name| shortened(name)).collect::<Vec<_>>().join(", ");
    match names.len() {
        0 => "none".to_owned(),
        n if n > SHOWN => format!("{shown} and {} more", n - SHOWN),
        _ => shown,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_longer_than_any_key_is_cut() {
        let longest = "é".repeat(317);
        assert_eq!(shortened(&longest), longest);
        assert_eq!(shortened(&"é".repeat(3_000_000)), format!("{longest}…"));
    }

    #[test]
    fn a_long_list_is_cut_after_five_names() {
        let names: Vec<String> = (1..=7).map(|n| format!("c{n}")).collect();
        assert_eq!(listed(&names), "c1, c2, c3, c4, c5 and 2 more");
        assert_eq!(listed(&names[..2]), "c1, c2");
        assert_eq!(listed(&[]), "none");
    }
}
