//! The status of a pod, as the API server shows it.

use jiff::Timestamp;
use k8s_openapi::api::core::v1::Pod;
use kube::api::{Patch, PatchParams};
use kube::{Api, Client};
use serde_json::{Value, json};

use super::container::POD_IP;
use crate::keeper::Exit;

/// The state of one container.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum State {
    Waiting { reason: &'static str, message: String },
    Running,
    Ended(Exit),
}

/// One container.
#[derive(Clone, Debug)]
pub(super) struct ContainerState {
    pub(super) name: String,
    pub(super) image: String,
    pub(super) is_init: bool,
    /// A native sidecar, or an app's container.
    pub(super) goes_on: bool,
    pub(super) state: State,
    pub(super) restarts: u32,
}

/// The phase that follows from the states of the containers.
pub(super) fn phase(containers: &[ContainerState], restarts: bool) -> &'static str {
    let mut apps = containers.iter().filter(|container| !container.is_init);
    let ended = |container: &ContainerState| matches!(container.state, State::Ended(_));
    if !restarts && apps.clone().all(ended) {
        let failed = apps.any(|container| !matches!(container.state, State::Ended(exit) if exit.success()));
        return if failed { "Failed" } else { "Succeeded" };
    }
    let started = |container: &ContainerState| !matches!(container.state, State::Waiting { .. });
    if apps.all(started) { "Running" } else { "Pending" }
}

/// The whole status.
pub(super) fn status(containers: &[ContainerState], phase: &str) -> Value {
    let is_good = |container: &ContainerState| match &container.state {
        State::Running => true,
        State::Ended(exit) => container.is_init && !container.goes_on && exit.success(),
        State::Waiting { .. } => false,
    };
    let ready = phase == "Running" && containers.iter().all(is_good);
    let initialized = containers.iter().filter(|container| container.is_init).all(is_good);
    let of_kind = |is_init: bool| -> Vec<Value> {
        containers.iter().filter(|container| container.is_init == is_init).map(container_status).collect()
    };
    let condition = |kind: &str, holds: bool| json!({"type": kind, "status": if holds { "True" } else { "False" }});
    json!({
        "phase": phase,
        "podIP": POD_IP, "podIPs": [{"ip": POD_IP}], "hostIP": POD_IP,
        "conditions": [
            condition("PodScheduled", true), condition("Initialized", initialized),
            condition("ContainersReady", ready), condition("Ready", ready),
        ],
        "initContainerStatuses": of_kind(true),
        "containerStatuses": of_kind(false),
    })
}

fn container_status(container: &ContainerState) -> Value {
    let running = container.state == State::Running;
    let state = match &container.state {
        State::Waiting { reason, message } => json!({"waiting": {"reason": reason, "message": message}}),
        State::Running => json!({"running": {"startedAt": Timestamp::UNIX_EPOCH.to_string()}}),
        State::Ended(Exit::Code(code)) => {
            json!({"terminated": {"exitCode": code, "reason": if *code == 0 { "Completed" } else { "Error" }}})
        }
        State::Ended(Exit::Signal(signal)) => {
            json!({"terminated": {"exitCode": 128 + signal, "signal": signal, "reason": "Error"}})
        }
        State::Ended(Exit::WithKeeper) => json!({"terminated": {"exitCode": 137, "reason": "Error"}}),
    };
    json!({
        "name": container.name, "image": container.image, "imageID": "", "state": state, "ready": running, "started": running,
        "restartCount": container.restarts,
    })
}

/// Writes the status. A pod that is gone needs none.
pub(super) async fn patch(client: &Client, pod: &Pod, containers: &[ContainerState], phase: &str) {
    let (Some(name), Some(namespace)) = (&pod.metadata.name, &pod.metadata.namespace) else { return };
    let pods: Api<Pod> = Api::namespaced(client.clone(), namespace);
    // The uid keeps it from reaching a pod of the same name that came later.
    let patch = json!({"metadata": {"uid": pod.metadata.uid}, "status": status(containers, phase)});
    if let Err(error) = pods.patch_status(name, &PatchParams::default(), &Patch::Merge(patch)).await {
        tracing::debug!(%namespace, %name, %error, "cannot write the status of a pod");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn containers(sidecar: State, app: State) -> Vec<ContainerState> {
        let container = |name: &str, is_init, state| ContainerState {
            name: name.to_owned(),
            image: "i".to_owned(),
            is_init,
            goes_on: true,
            state,
            restarts: 0,
        };
        vec![container("sikkerkey", true, sidecar), container("app", false, app)]
    }

    #[test]
    fn the_phase_follows_from_the_containers() {
        let waiting = || State::Waiting { reason: "PodInitializing", message: String::new() };
        for (sidecar, app, restarts, expected, ready) in [
            (waiting(), waiting(), true, "Pending", false),
            (State::Running, waiting(), true, "Pending", false),
            (State::Running, State::Running, true, "Running", true),
            (waiting(), State::Running, true, "Running", false),
            (State::Running, State::Ended(Exit::Code(0)), true, "Running", false),
            (State::Running, State::Ended(Exit::Code(0)), false, "Succeeded", false),
            (State::Running, State::Ended(Exit::Signal(9)), false, "Failed", false),
        ] {
            let containers = containers(sidecar, app);
            let phase = phase(&containers, restarts);
            assert_eq!(phase, expected, "{containers:?}");
            let shown = status(&containers, phase)["conditions"][3]["status"] == "True";
            assert_eq!(shown, ready, "{containers:?}");
        }
    }
}
