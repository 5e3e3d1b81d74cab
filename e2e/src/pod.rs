//! Waiting for pods, and running commands in them.

use std::time::Duration;

use futures::future::try_join;
use k8s_openapi::api::core::v1::{ContainerStatus, Pod};
use kube::api::AttachParams;
use kube::{Api, Client};
use tokio::io::{AsyncRead, AsyncReadExt};

use crate::wait::{NeverHappened, wait_for};

/// Waits until a pod is ready, and answers it. The error says what its containers wait for.
pub async fn ready(client: &Client, namespace: &str, name: &str, bound: Duration) -> Result<Pod, NeverHappened> {
    let pods: Api<Pod> = Api::namespaced(client.clone(), namespace);
    wait_for(&format!("pod {namespace}/{name} to be ready"), bound, async || {
        let pod = pods.get(name).await.map_err(|error| error.to_string())?;
        if has_condition(&pod, "Ready") { Ok(pod) } else { Err(state(&pod)) }
    })
    .await
}

/// Waits until a pod is in a phase, and answers it.
pub async fn in_phase(
    client: &Client,
    namespace: &str,
    name: &str,
    phase: &str,
    bound: Duration,
) -> Result<Pod, NeverHappened> {
    let pods: Api<Pod> = Api::namespaced(client.clone(), namespace);
    wait_for(&format!("pod {namespace}/{name} to be {phase}"), bound, async || {
        let pod = pods.get(name).await.map_err(|error| error.to_string())?;
        let is_there = pod.status.as_ref().and_then(|status| status.phase.as_deref()) == Some(phase);
        if is_there { Ok(pod) } else { Err(state(&pod)) }
    })
    .await
}

/// Waits until no pod has this name.
pub async fn gone(client: &Client, namespace: &str, name: &str, bound: Duration) -> Result<(), NeverHappened> {
    let pods: Api<Pod> = Api::namespaced(client.clone(), namespace);
    wait_for(&format!("pod {namespace}/{name} to be gone"), bound, async || match pods.get_opt(name).await {
        Ok(None) => Ok(()),
        Ok(Some(pod)) => Err(state(&pod)),
        Err(error) => Err(error.to_string()),
    })
    .await
}

/// Whether a condition of a pod is true.
pub fn has_condition(pod: &Pod, kind: &str) -> bool {
    let conditions = pod.status.as_ref().and_then(|status| status.conditions.as_deref()).unwrap_or_default();
    conditions.iter().any(|condition| condition.type_ == kind && condition.status == "True")
}

/// What a pod is doing, in a line: its phase and what each container waits for or ended with.
pub fn state(pod: &Pod) -> String {
    let Some(status) = &pod.status else { return "it has no status yet".into() };
    let mut parts = vec![status.phase.clone().unwrap_or_else(|| "no phase".into())];
    parts.extend(status.message.clone());
    let unscheduled = status
        .conditions
        .iter()
        .flatten()
        .filter(|condition| condition.type_ == "PodScheduled" && condition.status != "True");
    parts.extend(unscheduled.filter_map(|condition| condition.message.clone()));
    let containers = status.init_container_statuses.iter().flatten().chain(status.container_statuses.iter().flatten());
    parts.extend(containers.map(container_state));
    parts.join("; ")
}

fn container_state(status: &ContainerStatus) -> String {
    let name = &status.name;
    let Some(state) = &status.state else { return format!("{name}: unknown") };
    if let Some(waiting) = &state.waiting {
        let reason = waiting.reason.as_deref().unwrap_or("waiting");
        return waiting
            .message
            .as_ref()
            .map_or_else(|| format!("{name}: {reason}"), |message| format!("{name}: {reason} ({message})"));
    }
    if let Some(ended) = &state.terminated {
        return format!("{name}: ended with {}", ended.exit_code);
    }
    format!("{name}: running{}", if status.ready { "" } else { ", not ready" })
}

/// Why a command in a pod gave no output.
#[derive(Debug, thiserror::Error)]
pub enum ExecError {
    /// The API server or the kubelet refused.
    #[error("cannot run a command in pod {pod}")]
    Refused {
        /// Namespace and name.
        pod: String,
        /// What was said.
        source: Box<kube::Error>,
    },
    /// The connection broke.
    #[error("the connection to the command in pod {pod} broke")]
    Broken {
        /// Namespace and name.
        pod: String,
        /// Why.
        source: std::io::Error,
    },
    /// It went on for too long.
    #[error("the command in pod {pod} was not done within {} s", EXEC.as_secs())]
    Endless {
        /// Namespace and name.
        pod: String,
    },
    /// It ended with an error.
    #[error("the command in pod {pod} failed ({message}): {stderr}")]
    Failed {
        /// Namespace and name.
        pod: String,
        /// What the kubelet said.
        message: String,
        /// What it wrote.
        stderr: String,
    },
}

/// How long a command in a pod may take.
const EXEC: Duration = Duration::from_secs(30);

/// Runs a command in a container, and answers what it wrote to stdout. A process that it leaves behind must not hold its output open.
pub async fn exec(
    client: &Client,
    namespace: &str,
    name: &str,
    container: &str,
    command: &[&str],
) -> Result<String, ExecError> {
    match tokio::time::timeout(EXEC, exec_unbounded(client, namespace, name, container, command)).await {
        Ok(outcome) => outcome,
        Err(_) => Err(ExecError::Endless { pod: format!("{namespace}/{name}") }),
    }
}

async fn exec_unbounded(
    client: &Client,
    namespace: &str,
    name: &str,
    container: &str,
    command: &[&str],
) -> Result<String, ExecError> {
    let pod = format!("{namespace}/{name}");
    let pods: Api<Pod> = Api::namespaced(client.clone(), namespace);
    let params = AttachParams::default().container(container).stdin(false);
    let mut attached = pods
        .exec(name, command.iter().copied(), &params)
        .await
        .map_err(|error| ExecError::Refused { pod: pod.clone(), source: Box::new(error) })?;
    let status = attached.take_status();
    let (stdout, stderr) = try_join(read(attached.stdout()), read(attached.stderr()))
        .await
        .map_err(|source| ExecError::Broken { pod: pod.clone(), source })?;
    let status = match status {
        Some(status) => status.await,
        None => None,
    };
    match status {
        Some(status) if status.status.as_deref() == Some("Success") => Ok(stdout),
        Some(status) => Err(ExecError::Failed { pod, message: status.message.unwrap_or_default(), stderr }),
        None => Err(ExecError::Failed { pod, message: "it ended without a status".into(), stderr }),
    }
}

async fn read(stream: Option<impl AsyncRead + Unpin>) -> std::io::Result<String> {
    let mut bytes = Vec::new();
    if let Some(mut stream) = stream {
        stream.read_to_end(&mut bytes).await?;
    }
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_state_says_what_each_container_waits_for() {
        let pod: Pod = serde_json::from_value(json!({"metadata": {}, "status": {
            "phase": "Pending",
            "conditions": [{"type": "PodScheduled", "status": "False", "message": "0/1 nodes are available"}],
            "initContainerStatuses": [
                {"name": "sikkerkey", "image": "", "imageID": "", "ready": false, "restartCount": 0,
                 "state": {"waiting": {"reason": "PostStartHookError", "message": "no grant"}}},
            ],
            "containerStatuses": [
                {"name": "app", "image": "", "imageID": "", "ready": false, "restartCount": 0, "state": {"terminated": {"exitCode": 3}}},
            ],
        }}))
        .unwrap();
        assert_eq!(
            state(&pod),
            "Pending; 0/1 nodes are available; sikkerkey: PostStartHookError (no grant); app: ended with 3"
        );
        assert!(!has_condition(&pod, "Ready"));
    }
}
