//! What injection put into a pod that runs: what it can no longer take from its Machine. Pure; the counterpart of [`inject`](super::inject).

use k8s_openapi::api::core::v1::{Container, Pod};
use kube::ResourceExt;
use sikkerkey_crds::machine::{Delivery, DeliveryMode};
use sikkerkey_crds::names::{CONTAINER, FILES_VOLUME, INJECTED_ANNOTATION};

use super::inject::normal_path;
use super::quantity;

/// What a pod was given at its admission and keeps for its life. The same in all pods of one generation of a Machine.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Injected {
    /// Uid of the Machine.
    pub machine_uid: String,
    is_native_sidecar: bool,
    /// Where its containers mount the files, in order.
    mount_paths: Vec<String>,
    /// Size of the memory volume in bytes; none where it has no limit that can be read.
    size_limit: Option<u64>,
}

impl Injected {
    /// What was put into the pod, if anything was.
    pub fn of(pod: &Pod) -> Option<Self> {
        let (_, machine_uid) = pod.annotations().get(INJECTED_ANNOTATION)?.split_once(',')?;
        let spec = pod.spec.as_ref()?;
        let inits = spec.init_containers.iter().flatten();
        let own = inits.clone().find(|container| container.name == CONTAINER)?;
        let others = inits.chain(&spec.containers).filter(|container| container.name != CONTAINER);
        let mut mount_paths: Vec<String> = others.flat_map(mounts_of_files).map(normal_path).collect();
        mount_paths.sort();
        mount_paths.dedup();
        let volume = spec.volumes.iter().flatten().find(|volume| volume.name == FILES_VOLUME)?;
        let limit = volume.empty_dir.as_ref().and_then(|volume| volume.size_limit.as_ref());
        Some(Self {
            machine_uid: machine_uid.to_owned(),
            is_native_sidecar: own.restart_policy.as_deref() == Some("Always"),
            mount_paths,
            size_limit: limit.and_then(|limit| quantity::units(&limit.0)),
        })
    }

    /// Whether a pod that is made now would be given the same. One in which no container mounts the files has them nowhere else.
    pub fn is_as_of(&self, delivery: &Delivery) -> bool {
        let is_there = self.mount_paths.is_empty() || self.mount_paths.contains(&normal_path(delivery.mount_path()));
        self.is_native_sidecar == (delivery.mode() == DeliveryMode::Sidecar)
            && is_there
            && self.size_limit == Some(delivery.size_limit().bytes())
    }
}

/// Whether the pod has its files from an init container that is done and has left nothing running (mode `Init`).
pub fn was_served_once(pod: &Pod) -> bool {
    let own = |container: &&Container| container.name == CONTAINER;
    let ours = pod.spec.iter().flat_map(|spec| spec.init_containers.iter().flatten()).find(own);
    let statuses = pod.status.iter().flat_map(|status| status.init_container_statuses.iter().flatten());
    let mut states = statuses.filter(|status| status.name == CONTAINER).filter_map(|status| status.state.as_ref());
    let has_ended_well = states.any(|state| state.terminated.as_ref().is_some_and(|end| end.exit_code == 0));
    has_ended_well && ours.is_some_and(|container| container.restart_policy.as_deref() != Some("Always"))
}

/// Where a container mounts the files.
fn mounts_of_files(container: &Container) -> impl Iterator<Item = &str> {
    let mounts = container.volume_mounts.iter().flatten().filter(|mount| mount.name == FILES_VOLUME);
    mounts.map(|mount| mount.mount_path.as_str())
}
