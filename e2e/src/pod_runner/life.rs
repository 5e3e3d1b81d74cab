//! The life of one pod: volumes, init containers in order, containers, restarts, and the end in the kubelet's order.

use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::core::v1::{Container, Pod};
use kube::Api;
use kube::api::{DeleteParams, Preconditions};
use tokio::sync::watch;

use super::container::{Mounts, command, environment};
use super::status::{self, ContainerState, State};
use super::{Context, back_off, volume};
use crate::keeper::Exit;
use crate::keeper::protocol::Spawn;
use crate::process::Process;

/// A hook bounds itself; this catches one that does not.
const HOOK: Duration = Duration::from_mins(2);

pub(super) async fn live(context: Arc<Context>, pod: Pod, mut deleted: watch::Receiver<bool>) {
    let mut life = Life::new(&context, pod);
    let is_deleted = async {
        // Without a sender the whole runner is over.
        let _ = deleted.wait_for(|deleted| *deleted).await;
    };
    tokio::pin!(is_deleted);
    tokio::select! {
        () = life.run() => is_deleted.await,
        () = &mut is_deleted => {}
    }
    life.end().await;
    life.remove().await;
}

struct Life<'a> {
    context: &'a Context,
    pod: Pod,
    containers: Vec<Container>,
    states: Vec<ContainerState>,
    /// The processes that run, each with the index of its container.
    processes: Vec<(usize, Process)>,
    restarts: bool,
}

impl<'a> Life<'a> {
    fn new(context: &'a Context, pod: Pod) -> Self {
        let spec = pod.spec.clone().unwrap_or_default();
        let policy = spec.restart_policy.as_deref();
        let inits = spec.init_containers.unwrap_or_default();
        let count = inits.len();
        let containers: Vec<Container> = inits.into_iter().chain(spec.containers).collect();
        let states = containers
            .iter()
            .enumerate()
            .map(|(index, container)| ContainerState {
                name: container.name.clone(),
                image: container.image.clone().unwrap_or_default(),
                is_init: index < count,
                goes_on: index >= count || container.restart_policy.as_deref() == Some("Always"),
                state: State::Waiting { reason: "PodInitializing", message: String::new() },
                restarts: 0,
            })
            .collect();
        let restarts = policy.is_none_or(|policy| policy == "Always");
        Self { context, pod, containers, states, processes: Vec::new(), restarts }
    }

    /// Everything up to the end of the pod by itself.
    async fn run(&mut self) {
        self.show().await;
        let refresh = loop {
            match volume::prepare(&self.context.client, &self.context.run, &self.pod).await {
                Ok(refresh) => break refresh,
                Err(error) => self.show_waiting(0, "VolumeNotReady", error.to_string()).await,
            }
            tokio::time::sleep(back_off(0)).await;
        };
        for index in 0..self.containers.len() {
            let mut attempt = 0;
            while let Err((reason, message)) = self.start(index).await {
                self.show_waiting(index, reason, message).await;
                tokio::time::sleep(back_off(attempt)).await;
                attempt += 1;
                self.count_restart(index);
            }
            self.show().await;
        }
        let (client, run, pod) = (self.context.client.clone(), self.context.run.clone(), self.pod.clone());
        let refresh_tokens = async {
            let Some(interval) = refresh else { return std::future::pending().await };
            loop {
                tokio::time::sleep(interval).await;
                // The token that is there stays valid for a while: the next turn may do better.
                let _ = volume::prepare(&client, &run, &pod).await;
            }
        };
        tokio::select! {
            () = self.look_after() => {}
            () = refresh_tokens => {}
        }
    }

    /// Restarts what ends until the app's containers are done.
    async fn look_after(&mut self) {
        while !self.processes.is_empty() {
            let ends =
                self.processes.iter().map(|(index, process)| Box::pin(async move { (*index, process.exited().await) }));
            let ((index, exit), position, _) = futures::future::select_all(ends).await;
            self.processes.remove(position);
            self.set(index, State::Ended(exit));
            let phase = status::phase(&self.states, self.restarts);
            if matches!(phase, "Succeeded" | "Failed") {
                // A Job is done when its app is: sidecars are ended now.
                self.end().await;
                self.show().await;
                return;
            }
            self.show().await;
            let again = self.restarts || self.states.get(index).is_some_and(|state| state.is_init);
            if again {
                self.restart(index).await;
                self.show().await;
            }
        }
    }

    async fn restart(&mut self, index: usize) {
        let mut attempt = 0;
        loop {
            self.count_restart(index);
            match self.start(index).await {
                Ok(()) => return,
                Err((reason, message)) => self.show_waiting(index, reason, message).await,
            }
            tokio::time::sleep(back_off(attempt)).await;
            attempt += 1;
        }
    }

    /// Starts a container. An ordinary init container is run to its end; a hook after the start decides whether the start succeeded.
    async fn start(&mut self, index: usize) -> Result<(), (&'static str, String)> {
        let (Some(container), Some(state)) = (self.containers.get(index).cloned(), self.states.get(index).cloned())
        else {
            return Ok(());
        };
        let create = |error: String| ("CreateContainerError", error);
        let main =
            self.spawn_of(&container, container.command.as_deref(), container.args.as_deref(), "").map_err(create)?;
        let process = Process::start(&self.context.keeper, main).await.map_err(|error| create(error.to_string()))?;
        if !state.goes_on {
            let exit = process.exited().await;
            self.set(index, State::Ended(exit));
            return if exit.success() { Ok(()) } else { Err(("CrashLoopBackOff", exit.to_string())) };
        }
        self.processes.push((index, process));
        let hook = container
            .lifecycle
            .as_ref()
            .and_then(|lifecycle| lifecycle.post_start.as_ref()?.exec.as_ref()?.command.clone());
        if let Some(hook) = hook {
            let spawn = self.spawn_of(&container, Some(&hook), None, "-post-start").map_err(create)?;
            if let Err(error) = self.context.keeper.run(spawn, HOOK).await {
                if let Some((_, process)) = self.processes.pop() {
                    let _ = process.kill().await;
                }
                return Err(("PostStartHookError", error.to_string()));
            }
        }
        self.set(index, State::Running);
        Ok(())
    }

    fn spawn_of(
        &self,
        container: &Container,
        words: Option<&[String]>,
        args: Option<&[String]>,
        suffix: &str,
    ) -> Result<Spawn, String> {
        let image = container.image.as_deref().unwrap_or_default();
        let program = self
            .context
            .programs
            .get(image)
            .ok_or_else(|| format!("the pod runner has no program for the image {image}"))?;
        let mounts = Mounts::of(container, &volume::directory(&self.context.run, &self.pod));
        let (path, args) = command(program, words.unwrap_or_default(), args.unwrap_or_default(), &mounts);
        let namespace = self.pod.metadata.namespace.as_deref().unwrap_or_default();
        let pod = self.pod.metadata.name.as_deref().unwrap_or_default();
        let log = self.context.run.log(&format!("pod-{namespace}-{pod}-{}{suffix}", container.name));
        let env = environment(program, container, &self.pod, &mounts);
        Ok(Spawn { program: path, args, env, log: log.path().to_owned() })
    }

    /// Ends what runs: the app first, then the sidecars in reverse order, within the pod's grace period.
    async fn end(&mut self) {
        let grace = self.pod.metadata.deletion_grace_period_seconds;
        let grace =
            grace.or(self.pod.spec.as_ref().and_then(|spec| spec.termination_grace_period_seconds)).unwrap_or(30);
        let grace = Duration::from_secs(grace.max(1).unsigned_abs());
        let (sidecars, apps): (Vec<_>, Vec<_>) = std::mem::take(&mut self.processes)
            .into_iter()
            .partition(|(index, _)| self.states.get(*index).is_some_and(|state| state.is_init));
        let ends = futures::future::join_all(
            apps.iter().map(async |(index, process)| (*index, process.terminate(grace).await)),
        )
        .await;
        for (index, exit) in ends {
            self.set(index, State::Ended(exit.unwrap_or(Exit::WithKeeper)));
        }
        for (index, process) in sidecars.iter().rev() {
            let exit = process.terminate(grace).await;
            self.set(*index, State::Ended(exit.unwrap_or(Exit::WithKeeper)));
        }
    }

    /// Removes the pod object, as the kubelet does when all containers have ended.
    async fn remove(&self) {
        volume::remove(&self.context.run, &self.pod);
        let (Some(name), Some(namespace)) = (&self.pod.metadata.name, &self.pod.metadata.namespace) else { return };
        let pods: Api<Pod> = Api::namespaced(self.context.client.clone(), namespace);
        let preconditions = Preconditions { uid: self.pod.metadata.uid.clone(), resource_version: None };
        let params = DeleteParams::default().grace_period(0).preconditions(preconditions);
        // Somebody else may have forced it away.
        let _ = pods.delete(name, &params).await;
    }

    fn set(&mut self, index: usize, to: State) {
        if let Some(container) = self.states.get_mut(index) {
            container.state = to;
        }
    }

    fn count_restart(&mut self, index: usize) {
        if let Some(container) = self.states.get_mut(index) {
            container.restarts += 1;
        }
    }

    async fn show_waiting(&mut self, index: usize, reason: &'static str, message: String) {
        self.set(index, State::Waiting { reason, message });
        self.show().await;
    }

    async fn show(&self) {
        let phase = status::phase(&self.states, self.restarts);
        status::patch(&self.context.client, &self.pod, &self.states, phase).await;
    }
}
