//! Where the sidecar stands among the containers of a pod, and which of them see the files.

use std::collections::BTreeSet;

use serde_json::{Value, json};
use sikkerkey_crds::names::{CONTAINER, CONTAINERS_ANNOTATION, FILES_VOLUME, TOKEN_VOLUME, VOLUMES};

use crate::webhook::patch::Operation;
use crate::webhook::pod_view::{Container, PodView};
use crate::webhook::refusal::{Refusal, shortened};

/// Proxies of service meshes. As native sidecars they start before ours, because they hold the network until they run.
const MESH_PROXIES: [&str; 2] = ["istio-proxy", "linkerd-proxy"];
/// Init containers that a mesh adds when its CNI plugin has taken the network already.
const MESH_VALIDATORS: [&str; 2] = ["istio-validation", "linkerd-network-validator"];
/// Containers of meshes: not the app's, so they get the files only by name.
const MESH_CONTAINERS: [&str; 6] =
    ["istio-proxy", "istio-init", "istio-validation", "linkerd-proxy", "linkerd-init", "linkerd-network-validator"];

/// The plan for one pod.
pub(super) struct Layout<'p> {
    pod: &'p PodView,
    /// Where init containers of our name stand now.
    own: Vec<usize>,
    /// Where the sidecar shall stand among the init containers.
    place: usize,
    /// Every container but the sidecar.
    others: Vec<Placed<'p>>,
}

/// A container of the pod's author, and what becomes of it.
pub(super) struct Placed<'p> {
    /// It.
    pub(super) container: &'p Container,
    /// JSON Pointer to it in the patched pod.
    pub(super) pointer: String,
    /// Whether it gets the mount.
    pub(super) gets_files: bool,
    is_init: bool,
}

impl<'p> Layout<'p> {
    pub(super) fn of(pod: &'p PodView) -> Result<Self, Refusal> {
        let inits: Vec<&Container> = pod.init_containers().iter().filter(|c| c.name != CONTAINER).collect();
        let place = inits.iter().rposition(|container| is_native_proxy(container)).map_or(0, |last| last + 1);
        let proxy_is_ordinary = pod.containers().iter().any(|c| MESH_PROXIES.contains(&c.name.as_str()));
        if proxy_is_ordinary && inits.iter().any(|c| MESH_VALIDATORS.contains(&c.name.as_str())) {
            return Err(Refusal::MeshBlocksStart);
        }

        let chosen = chosen_containers(pod, &inits)?;
        let gets_files = |container: &Container, by_default: bool| match &chosen {
            Some(names) => names.contains(container.name.as_str()),
            None => by_default && !MESH_CONTAINERS.contains(&container.name.as_str()),
        };
        let before = inits.into_iter().enumerate().map(|(index, container)| Placed {
            container,
            pointer: format!("/spec/initContainers/{}", if index < place { index } else { index + 1 }),
            // What starts before the sidecar could not see a file anyway.
            gets_files: gets_files(container, index >= place),
            is_init: true,
        });
        let apps = pod.containers().iter().enumerate().map(|(index, container)| Placed {
            container,
            pointer: format!("/spec/containers/{index}"),
            gets_files: gets_files(container, true),
            is_init: false,
        });
        let others = before.chain(apps).collect();
        let named_ours = pod.init_containers().iter().enumerate().filter(|(_, container)| container.name == CONTAINER);
        Ok(Self { pod, own: named_ours.map(|(index, _)| index).collect(), place, others })
    }

    /// Every container but the sidecar.
    pub(super) fn others(&self) -> impl Iterator<Item = &Placed<'p>> + Clone {
        self.others.iter()
    }

    /// The containers of the pod's author.
    pub(super) fn containers(&self) -> Vec<&'p Container> {
        self.others.iter().map(|placed| placed.container).collect()
    }

    /// The containers whose user decides who owns the files: the app's; of a pod that gives them to init containers
    /// only, those.
    pub(super) fn owners(&self) -> impl Iterator<Item = &'p Container> {
        let targets = self.others.iter().filter(|placed| placed.gets_files);
        let none_in_app = targets.clone().all(|placed| placed.is_init);
        targets.filter(move |placed| none_in_app || !placed.is_init).map(|placed| placed.container)
    }

    /// The operations that put the sidecar into its place, whatever stands there.
    pub(super) fn place_sidecar(&self, sidecar: Value) -> Vec<Operation> {
        let at = |index: usize| format!("/spec/initContainers/{index}");
        if self.own == [self.place] {
            return vec![Operation::replace(at(self.place), sidecar)];
        }
        let mut operations: Vec<Operation> = self.own.iter().rev().map(|index| Operation::remove(at(*index))).collect();
        operations.push(match self.pod.spec.init_containers {
            Some(_) => Operation::add(at(self.place), sidecar),
            None => Operation::add("/spec/initContainers", json!([sidecar])),
        });
        operations
    }

    /// The operations that put our volumes in, each over its namesake, and take every other of our names away.
    pub(super) fn place_volumes(&self, volumes: [Value; 2], operations: &mut Vec<Operation>) {
        let Some(present) = &self.pod.spec.volumes else {
            operations.push(Operation::add("/spec/volumes", json!(volumes)));
            return;
        };
        let at = |index: usize| format!("/spec/volumes/{index}");
        let place_of = |name: &str| present.iter().position(|volume| volume.name == name);
        let places = [place_of(FILES_VOLUME), place_of(TOKEN_VOLUME)];
        let mut missing = Vec::new();
        for (place, volume) in places.iter().zip(volumes) {
            match place {
                Some(index) => operations.push(Operation::replace(at(*index), volume)),
                None => missing.push(volume),
            }
        }
        let is_surplus = |index: &usize| {
            let reserved = present.get(*index).is_some_and(|volume| VOLUMES.contains(&volume.name.as_str()));
            reserved && !places.contains(&Some(*index))
        };
        operations.extend((0..present.len()).rev().filter(is_surplus).map(|index| Operation::remove(at(index))));
        operations.extend(missing.into_iter().map(|volume| Operation::add("/spec/volumes/-", volume)));
    }
}

fn is_native_proxy(container: &Container) -> bool {
    MESH_PROXIES.contains(&container.name.as_str()) && container.restarts_always()
}

/// The containers that the annotation names; none without it. A review comes before the pod is validated: there may be any
/// number of either.
fn chosen_containers<'p>(pod: &'p PodView, inits: &[&'p Container]) -> Result<Option<BTreeSet<&'p str>>, Refusal> {
    let Some(annotation) = pod.annotation(CONTAINERS_ANNOTATION) else { return Ok(None) };
    let existing = || inits.iter().copied().chain(pod.containers()).map(|container| container.name.as_str());
    let known: BTreeSet<&str> = existing().collect();
    let names: BTreeSet<&str> = annotation.split(',').map(str::trim).filter(|name| !name.is_empty()).collect();
    let unknown = names.iter().copied().find(|name| !known.contains(name));
    match unknown.or(names.is_empty().then_some("nothing")) {
        Some(missing) => Err(Refusal::ContainerNotFound {
            named: shortened(missing).into_owned(),
            existing: existing().map(str::to_owned).collect(),
        }),
        None => Ok(Some(names)),
    }
}
