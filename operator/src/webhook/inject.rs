//! Injection: a pod and its Machine in, a JSON patch or a refusal out. Pure.
//!
//! It always rebuilds its own parts whatever the pod already contains: what carries our names in a pod that says it was
//! injected is replaced as a whole, and in a pod that does not say so it is refused. Applied to its own result it gives
//! the same pod again, so it may be called again after other webhooks.

mod layout;
mod mounts;

use std::fmt;

use serde_json::json;
use sikkerkey_crds::condition::{self, ConditionStatus, ConditionType};
use sikkerkey_crds::machine::{ChangeNotice, DeliveryMode, Machine, OnChange};
use sikkerkey_crds::names::{CONTAINER, CONTAINERS_ANNOTATION, INJECTED_ANNOTATION, MACHINE_LABEL, PREFIX, VOLUMES};
use sikkerkey_crds::reason::Reason;
use sikkerkey_crds::received::Received;

use self::layout::Layout;
pub(super) use self::mounts::normal as normal_path;
use super::assume::{Candidate, may_assume};
use super::gate::Gate;
use super::patch::{Operation, token};
use super::pod_view::{Container, PodView};
use super::refusal::{Refusal, shortened};
use super::sidecar::{self, Life, OWN_USER, Settings};

/// What becomes of a pod that is admitted.
#[derive(Debug)]
pub struct Injection {
    /// What to change.
    pub patch: Vec<Operation>,
    /// What its author should know.
    pub warnings: Vec<Warning>,
}

/// Something the author of a pod should know; the pod is admitted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Warning {
    /// Which.
    pub reason: Reason,
    /// What is and what to do.
    pub message: String,
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.reason.as_str(), self.message)
    }
}

/// Injects the container of `machine` into `pod`, a sidecar with one `gate`.
pub fn inject(
    pod: &PodView,
    namespace: &str,
    machine: Option<&Received<Machine>>,
    settings: &Settings,
    trust_bundle: &str,
    gate: Gate,
) -> Result<Injection, Refusal> {
    if let Some(os) = pod.foreign_os() {
        return Err(Refusal::UnsupportedNode { os: os.to_owned() });
    }
    refuse_unknown_keys(pod)?;
    let labels = pod.metadata.labels.clone().unwrap_or_default();
    let name = labels.get(MACHINE_LABEL).map_or("", String::as_str);
    let candidate = Candidate { namespace, machine: name, service_account: pod.service_account(), labels: &labels };
    let machine = may_assume(&candidate, machine)?;
    refuse_reserved_names(pod)?;
    refuse_what_cannot_work(pod, machine, name)?;

    let layout = Layout::of(pod)?;
    let delivery = machine.spec.delivery();
    let mount_path = delivery.mount_path();
    mounts::refuse_conflicts(&layout, mount_path)?;
    let size = delivery.size_limit().bytes();
    let user = User::of(pod, &layout);
    if let (None, Some(signal)) = (user.shared, signal(machine)) {
        return Err(Refusal::SignalNeedsUser { machine: name.to_owned(), signal });
    }

    let resources = settings.resources.of(namespace).beside(&layout.containers(), size);
    let life = match delivery.mode() {
        DeliveryMode::Sidecar => Life::Sidecar(gate),
        DeliveryMode::Init => Life::Init,
    };
    let mut sidecar = sidecar::container(settings, trust_bundle, &resources, user.to_set, life);
    sidecar::trace(&mut sidecar, settings);
    // On the host's network the address would be the node's, open to all pods of that kind and to whoever reaches the node.
    if matches!(life, Life::Sidecar(_)) && pod.spec.host_network != Some(true) {
        sidecar::answer_status(&mut sidecar, settings);
    }

    let mut patch = layout.place_sidecar(sidecar);
    layout.place_volumes([sidecar::files_volume(size), sidecar::token_volume()], &mut patch);
    mounts::place(&layout, mount_path, &mut patch);
    patch.push(annotate(pod, machine));
    Ok(Injection { patch, warnings: warnings(pod, machine, name, &layout, &user) })
}

/// `sikkerkey.com/injected`: version and uid of the Machine, which attestation compares.
fn annotate(pod: &PodView, machine: &Machine) -> Operation {
    let uid = machine.metadata.uid.as_deref().unwrap_or_default();
    let value = format!("{},{uid}", env!("CARGO_PKG_VERSION"));
    if pod.metadata.annotations.is_some() {
        return Operation::add(format!("/metadata/annotations/{}", token(INJECTED_ANNOTATION)), value.into());
    }
    Operation::add("/metadata/annotations", json!({ INJECTED_ANNOTATION: value }))
}

/// A key with our prefix that means nothing here is a slip that would silently do nothing.
fn refuse_unknown_keys(pod: &PodView) -> Result<(), Refusal> {
    let labels = pod.metadata.labels.iter().flatten().map(|(key, _)| (key, "label", &[MACHINE_LABEL][..]));
    let annotations = pod.metadata.annotations.iter().flatten();
    let known = &[CONTAINERS_ANNOTATION, INJECTED_ANNOTATION][..];
    let keys = labels.chain(annotations.map(|(key, _)| (key, "annotation", known)));
    for (key, kind, known) in keys.filter(|(key, ..)| key.starts_with(PREFIX)) {
        if known.contains(&key.as_str()) {
            continue;
        }
        let all = [("label", MACHINE_LABEL), ("annotation", CONTAINERS_ANNOTATION)];
        let key = shortened(key);
        let nearest = all.into_iter().min_by_key(|(_, name)| strsim::osa_distance(name, &key));
        let (right_kind, name) = nearest.unwrap_or(("label", MACHINE_LABEL));
        let key = if kind == right_kind { key.into_owned() } else { format!("{kind} {key}") };
        return Err(Refusal::UnknownAnnotation { key, suggestion: format!("the {right_kind} {name}") });
    }
    Ok(())
}

/// Our names belong to us. A pod that says it was injected (it was, or it is a copy of one that was) may carry our parts,
/// which are rebuilt; nobody may mount what only the sidecar may see.
fn refuse_reserved_names(pod: &PodView) -> Result<(), Refusal> {
    let reserved = |name: &str| Refusal::ReservedName { name: name.to_owned() };
    let injected = pod.annotation(INJECTED_ANNOTATION).is_some();
    if pod.containers().iter().any(|container| container.name == CONTAINER) {
        return Err(reserved(CONTAINER));
    }
    if !injected {
        if pod.init_containers().iter().any(|container| container.name == CONTAINER) {
            return Err(reserved(CONTAINER));
        }
        if let Some(volume) = pod.volumes().iter().find(|volume| VOLUMES.contains(&volume.name.as_str())) {
            return Err(reserved(&volume.name));
        }
    }
    let others = pod.init_containers().iter().chain(pod.containers()).filter(|container| container.name != CONTAINER);
    for mount in others.flat_map(Container::mounts) {
        if mounts::is_private(&mount.name) {
            return Err(reserved(&mount.name));
        }
    }
    Ok(())
}

fn refuse_what_cannot_work(pod: &PodView, machine: &Machine, name: &str) -> Result<(), Refusal> {
    if let Some(signal) = signal(machine)
        && pod.spec.share_process_namespace != Some(true)
    {
        return Err(Refusal::ProcessNamespaceNeeded { machine: name.to_owned(), signal });
    }
    Ok(())
}

/// The signal that tells the app of changes, if one does. Nobody is left to send one in mode Init.
fn signal(machine: &Machine) -> Option<&'static str> {
    let delivery = machine.spec.delivery();
    match delivery.on_change.as_ref().map(OnChange::notice) {
        _ if delivery.mode() == DeliveryMode::Init => None,
        Some(Ok(ChangeNotice::Signal(signal))) => Some(signal.name.as_str()),
        _ => None,
    }
}

/// The user the sidecar runs as.
struct User {
    /// The one user of all containers that see the files, which then owns them.
    shared: Option<i64>,
    /// What to write into the sidecar's security context; nothing where the pod's own setting already says it.
    to_set: Option<i64>,
}

impl User {
    /// The app's user where its containers agree; else none is set (a cluster may assign a range and refuse any other).
    /// Root is never taken over: the sidecar then runs as its image's user.
    fn of(pod: &PodView, layout: &Layout<'_>) -> Self {
        let of_pod = pod.spec.security_context.as_ref().and_then(|context| context.run_as_user);
        let user = |container: &Container| {
            container.security_context.as_ref().and_then(|context| context.run_as_user).or(of_pod)
        };
        let mut users = layout.owners().map(user);
        let first = users.next().flatten().filter(|user| *user > 0);
        let shared = first.filter(|first| users.all(|user| user == Some(*first)));
        let to_set = match (shared, of_pod) {
            (None, Some(0)) => Some(OWN_USER),
            (shared, of_pod) => shared.filter(|_| shared != of_pod),
        };
        Self { shared, to_set }
    }
}

fn warnings(pod: &PodView, machine: &Machine, name: &str, layout: &Layout<'_>, user: &User) -> Vec<Warning> {
    let mut warnings = Vec::new();
    if machine.spec.suspended() {
        let message = format!("Machine {name} is suspended: the pod waits until spec.suspend is false.");
        warnings.push(Warning { reason: Reason::MachineSuspended, message });
    }
    let conditions = machine.status.as_ref().map(|status| status.conditions.as_slice()).unwrap_or_default();
    let resolved = condition::find(conditions, ConditionType::ResolvedRefs);
    if let Some(condition) = resolved.filter(|condition| {
        condition.status == ConditionStatus::False && condition.reason == Reason::SecretNotGranted.as_str()
    }) {
        warnings.push(Warning { reason: Reason::NotGrantedYet, message: condition.message.clone() });
    }
    for container in layout.others().map(|placed| placed.container) {
        if container.mounts().iter().any(|mount| mounts::is_files(&mount.name) && mount.is_part()) {
            let message = format!(
                "Container {} mounts a part of the volume (subPath), which never shows a later version: mount the whole.",
                container.name
            );
            warnings.push(Warning { reason: Reason::SubPathNeverUpdates, message });
        }
    }
    let by_group = pod.spec.security_context.as_ref().is_some_and(|context| context.fs_group.is_some());
    for file in machine.spec.delivery().files() {
        let mode = file.mode().bits();
        let readable =
            mode & 0o004 != 0 || (by_group && mode & 0o040 != 0) || (user.shared.is_some() && mode & 0o400 != 0);
        if !readable {
            let message = format!(
                "The pod's users may not be able to read {} (mode {}): give them one runAsUser or an fsGroup, or use mode \"0444\".",
                file.path,
                file.mode()
            );
            warnings.push(Warning { reason: Reason::FileModeUnreadable, message });
        }
    }
    warnings
}

/// Reads the body of a pod in a review; kept beside the function that uses it so that tests take the same way in.
pub fn read_pod(object: &str) -> Result<PodView, serde_json::Error> {
    serde_json::from_str(object)
}

#[cfg(test)]
mod tests;
