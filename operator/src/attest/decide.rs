//! Whether a pod is vouched for. Pure: the API server's word on the token, the very pod, and its Machine.

use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt;
use sikkerkey_crds::machine::Machine;
use sikkerkey_crds::names::{INJECTED_ANNOTATION, MACHINE_LABEL};
use sikkerkey_crds::received::Received;
use sikkerkey_protocol::kubernetes::PodIdentity;

use super::claimant::Claimant;
use super::denial::Denial;
use crate::webhook::assume::{Candidate, may_assume};

/// A living pod that was admitted with a sidecar.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Standing {
    /// The pod.
    pub pod: PodIdentity,
    /// Name of the Machine it was admitted as.
    pub machine: String,
    /// Uid of that Machine.
    pub machine_uid: String,
    labels: std::collections::BTreeMap<String, String>,
}

/// Whether this very pod is there and not about to go: only then has an Event about it a reader.
pub fn is_alive(claimant: &Claimant, pod: Option<&Pod>) -> bool {
    pod.is_some_and(|pod| {
        pod.metadata.uid.as_deref() == Some(&claimant.uid) && pod.metadata.deletion_timestamp.is_none()
    })
}

/// Compares the claim with the pod as it stands now; `None` when there is no pod of that name.
///
/// The API server goes on accepting the token of a deleted pod for some seconds, and a pod of the same name may have
/// followed: only the uid tells.
pub fn standing(claimant: &Claimant, pod: Option<&Pod>) -> Result<Standing, Denial> {
    let pod = pod.filter(|pod| pod.metadata.uid.as_deref() == Some(&claimant.uid)).ok_or(Denial::PodGone)?;
    if pod.metadata.deletion_timestamp.is_some() {
        return Err(Denial::PodTerminating);
    }
    let phase = pod.status.as_ref().and_then(|status| status.phase.as_deref());
    if matches!(phase, Some("Succeeded" | "Failed")) {
        return Err(Denial::PodGone);
    }
    let spec = pod.spec.as_ref();
    // The API server checked the token against the pod's uid; that both name one account is its business to guarantee.
    if spec.and_then(|spec| spec.service_account_name.as_deref()).unwrap_or("default") != claimant.service_account {
        return Err(Denial::NotAPod);
    }
    let placed = spec.and_then(|spec| spec.node_name.as_deref()).filter(|node| !node.is_empty());
    let node = match (claimant.node.as_deref(), placed) {
        (Some(claimed), Some(placed)) if claimed != placed => return Err(Denial::NodeMismatch),
        (_, Some(placed)) => placed,
        // A pod without a node runs nowhere: nobody can hold its token but who asked for one on its behalf.
        (_, None) => return Err(Denial::NodeMismatch),
    };
    let machine = pod.labels().get(MACHINE_LABEL).ok_or(Denial::NotInjected)?;
    let injected = pod.annotations().get(INJECTED_ANNOTATION).and_then(|text| text.split_once(','));
    let (_, machine_uid) = injected.filter(|(_, uid)| !uid.is_empty()).ok_or(Denial::NotInjected)?;
    Ok(Standing {
        pod: PodIdentity {
            namespace: claimant.namespace.clone(),
            name: claimant.pod.clone(),
            uid: claimant.uid.clone(),
            node: node.to_owned(),
            service_account: claimant.service_account.clone(),
        },
        machine: machine.clone(),
        machine_uid: machine_uid.to_owned(),
        labels: pod.labels().clone(),
    })
}

/// Whether the pod may be the Machine as it stands now, by the rule of admission, and whether it is the Machine it was
/// admitted as.
pub fn authorise(standing: &Standing, machine: Option<&Received<Machine>>) -> Result<(), Denial> {
    let candidate = Candidate {
        namespace: &standing.pod.namespace,
        machine: &standing.machine,
        service_account: &standing.pod.service_account,
        labels: &standing.labels,
    };
    let machine = may_assume(&candidate, machine)?;
    if machine.metadata.uid.as_deref() == Some(&standing.machine_uid) {
        Ok(())
    } else {
        Err(Denial::MachineReplaced { machine: standing.machine.clone() })
    }
}
