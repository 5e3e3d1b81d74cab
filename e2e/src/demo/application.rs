//! The demo's application: one pod, looked into as a person would.

use std::path::PathBuf;
use std::time::Instant;

use anyhow::{Context, Result};
use k8s_openapi::api::core::v1::Pod;
use kube::Api;
use kube::api::ListParams;

use super::terminal::{command, typed};
use super::{BOUND, NAMESPACE};
use crate::installation::Installation;
use crate::pod;
use crate::sidecar::Sidecar;
use crate::wait::wait_for;

/// The container that the team wrote.
const CONTAINER: &str = "web";

/// A running pod of the application.
pub(super) struct Application<'a> {
    installation: &'a Installation,
    pod: Pod,
    volume: PathBuf,
    sidecar: Sidecar,
}

impl<'a> Application<'a> {
    /// Waits for the pod of Deployment `web`.
    pub(super) async fn ready(installation: &'a Installation) -> Result<Self> {
        let client = installation.admin_client()?;
        let pods: Api<Pod> = Api::namespaced(client.clone(), NAMESPACE);
        let name = wait_for("the pod of Deployment web", BOUND, async || {
            let list = pods.list(&ListParams::default().labels("app=web")).await.map_err(|error| error.to_string())?;
            list.items.into_iter().find_map(|pod| pod.metadata.name).ok_or_else(|| "there is none yet".to_owned())
        })
        .await?;
        let pod = pod::ready(&client, NAMESPACE, &name, BOUND).await?;
        let sidecar = installation.sidecar(&pod).context("the sidecar's process is not there")?;
        let volume = installation.volume(&pod, CONTAINER).context("the pod has no volume for files")?;
        Ok(Self { installation, pod, volume, sidecar })
    }

    pub(super) fn name(&self) -> &str {
        self.pod.metadata.name.as_deref().unwrap_or_default()
    }

    pub(super) fn sidecar(&self) -> &Sidecar {
        &self.sidecar
    }

    /// Where this machine sees its files.
    pub(super) fn volume(&self) -> &PathBuf {
        &self.volume
    }

    /// What the sidecar logged.
    pub(super) async fn show_sidecar_log(&self) -> Result<()> {
        if self.installation.has_node() {
            let kubectl = self.installation.cluster.kubectl();
            let args = ["logs", self.name(), "-n", NAMESPACE, "-c", "sikkerkey"];
            command(&format!("kubectl {}", args.join(" ")), &kubectl.run(args).await?);
        } else {
            let log = self.installation.cluster.run().log(&format!("pod-{NAMESPACE}-{}-sikkerkey", self.name()));
            command(&format!("cat {}", log.path().display()), &log.text());
        }
        Ok(())
    }

    /// Runs a command in the application's container, shows it with what it wrote, and answers that.
    pub(super) async fn show(&self, words: &[&str]) -> Result<String> {
        if self.installation.has_node() {
            let args: Vec<&str> =
                ["exec", self.name(), "-n", NAMESPACE, "-c", CONTAINER, "--"].iter().chain(words).copied().collect();
            let output = self.installation.cluster.kubectl().run(&args).await?;
            command(&typed("kubectl", &args), &output);
            return Ok(output);
        }
        let words: Vec<String> = words.iter().map(|word| self.on_this_machine(word)).collect();
        let (program, args) = words.split_first().context("no command")?;
        let output = tokio::process::Command::new(program).args(args).output().await?;
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        command(&typed(program, args), &text);
        Ok(text)
    }

    fn on_this_machine(&self, word: &str) -> String {
        let path = self.installation.path(&self.pod, CONTAINER, word);
        path.map_or_else(|| word.to_owned(), |path| path.display().to_string())
    }

    /// Waits until one of its files is there, or is not; the moment.
    pub(super) async fn file(&self, file: &str, there: bool) -> Result<Instant> {
        let path = self.volume.join(file);
        wait_for(&format!("{file} to be {}", if there { "there" } else { "gone" }), BOUND, async || {
            if path.exists() == there { Ok(Instant::now()) } else { Err("it is not so") }
        })
        .await
        .map_err(Into::into)
    }
}
