//! A stand-in for the kubelet where no real node can run: it runs the containers of admitted pods as plain processes of this machine.
//!
//! What is real: admission, the pod object and its status, bound tokens, the program, its order of start, hooks, restarts and end. What
//! is **not**: there are no namespaces, no users, no limits and no memory file systems; a container sees its mounts because their paths
//! are replaced in its command and environment. A test that needs those needs a node. Whoever uses this must say so loudly: [`NOTICE`].

mod container;
mod life;
mod status;
mod volume;

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use k8s_openapi::api::core::v1::{Binding, Node as NodeObject, ObjectReference, Pod};
use kube::api::PostParams;
use kube::runtime::{WatchStreamExt, watcher};
use kube::{Api, Client};
use serde_json::json;
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};

use crate::cluster::Cluster;
use crate::keeper::Keeper;
use crate::run_directory::RunDirectory;

/// What a user of the runner has to be told.
pub const NOTICE: &str = "\
!! No real node can run here, so pods are NOT run by a kubelet: their containers are started as plain processes, without isolation, and
!! their memory volumes have no size of their own. `sikkerkey-e2e node doctor` says what a real node needs.";

/// The name of the node that the runner is.
pub const NODE_NAME: &str = "pod-runner";

/// What stands for an image.
#[derive(Clone, Debug)]
pub struct Program {
    path: PathBuf,
    is_busybox: bool,
    env: Vec<(String, String)>,
}

impl Program {
    /// A program of this machine. A container's command is replaced by it, and its arguments are kept.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into(), is_busybox: false, env: Vec::new() }
    }

    /// Busybox: each word of a container's command is handed to it.
    pub fn busybox(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into(), is_busybox: true, env: Vec::new() }
    }

    /// A variable that the program gets if the container does not set it: its own default for a path, so that the path is replaced.
    #[must_use]
    pub fn default_env(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.env.push((name.into(), value.into()));
        self
    }
}

/// A running runner. Dropping it stops looking after pods; their processes end with the cluster.
pub struct PodRunner {
    context: Arc<Context>,
    task: JoinHandle<()>,
}

struct Context {
    client: Client,
    run: RunDirectory,
    keeper: Keeper,
    programs: HashMap<String, Program>,
}

impl PodRunner {
    /// Starts one for a cluster without a node. `programs` says what to run for each image.
    pub async fn start(cluster: &Cluster, programs: HashMap<String, Program>) -> Result<Self, kube::Error> {
        let client = cluster.admin()?;
        let node: NodeObject = object(json!({"metadata": {"name": NODE_NAME}}))?;
        let nodes: Api<NodeObject> = Api::all(client.clone());
        nodes.create(&PostParams::default(), &node).await?;
        let ready = json!({"status": {"conditions": [{"type": "Ready", "status": "True", "reason": "PodRunner"}]}});
        nodes.patch_status(NODE_NAME, &kube::api::PatchParams::default(), &kube::api::Patch::Merge(ready)).await?;
        let context =
            Arc::new(Context { client, run: cluster.run().clone(), keeper: cluster.host_keeper().clone(), programs });
        let task = tokio::spawn(watch_pods(Arc::clone(&context)));
        Ok(Self { context, task })
    }

    /// Where this machine has what a container sees at a path below one of its mounts.
    pub fn path(&self, pod: &Pod, container: &str, path: &str) -> Option<PathBuf> {
        let spec = pod.spec.as_ref()?;
        let mut containers = spec.containers.iter().chain(spec.init_containers.iter().flatten());
        let container = containers.find(|candidate| candidate.name == container)?;
        let mounts = container::Mounts::of(container, &volume::directory(&self.context.run, pod));
        mounts.covers(path).then(|| PathBuf::from(mounts.replace(path)))
    }
}

impl Drop for PodRunner {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Makes every pod that nobody runs one of ours, and gives each of ours a life.
async fn watch_pods(context: Arc<Context>) {
    let pods: Api<Pod> = Api::all(context.client.clone());
    let mut changes = Box::pin(watcher(pods, watcher::Config::default()).default_backoff().touched_objects());
    let mut lives: HashMap<String, watch::Sender<bool>> = HashMap::new();
    let mut tasks = JoinSet::new();
    while let Some(change) = changes.next().await {
        let pod = match change {
            Ok(pod) => pod,
            Err(error) => {
                // The watcher tries again by itself.
                tracing::warn!(%error, "cannot watch pods");
                continue;
            }
        };
        while tasks.try_join_next().is_some() {}
        let Some(uid) = pod.metadata.uid.clone() else { continue };
        let node = pod.spec.as_ref().and_then(|spec| spec.node_name.as_deref());
        match (node, lives.get(&uid)) {
            (None, _) if pod.metadata.deletion_timestamp.is_none() => bind(&context.client, &pod).await,
            (Some(NODE_NAME), None) => {
                let (sender, deleted) = watch::channel(pod.metadata.deletion_timestamp.is_some());
                lives.insert(uid, sender);
                tasks.spawn(life::live(Arc::clone(&context), pod, deleted));
            }
            (Some(NODE_NAME), Some(life)) if pod.metadata.deletion_timestamp.is_some() => {
                life.send_replace(true);
            }
            _ => {}
        }
    }
}

/// What a scheduler does.
async fn bind(client: &Client, pod: &Pod) {
    let (Some(name), Some(namespace)) = (&pod.metadata.name, &pod.metadata.namespace) else { return };
    let target =
        ObjectReference { kind: Some("Node".into()), name: Some(NODE_NAME.into()), ..ObjectReference::default() };
    let mut binding = Binding { target, ..Binding::default() };
    binding.metadata.name = Some(name.clone());
    let pods: Api<Pod> = Api::namespaced(client.clone(), namespace);
    // If it fails, the pod is gone, or its next change brings it here again.
    let _: Result<serde_json::Value, _> =
        pods.create_subresource("binding", name, &PostParams::default(), &binding).await;
}

/// How long to wait before a container is started again.
fn back_off(attempt: u32) -> Duration {
    Duration::from_secs(1 << attempt.min(4))
}

fn object<T: serde::de::DeserializeOwned>(value: serde_json::Value) -> Result<T, kube::Error> {
    serde_json::from_value(value).map_err(kube::Error::SerdeError)
}
