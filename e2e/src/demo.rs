//! The main job, told on a real cluster: manifests, pod, file, audit, revoke.

mod application;
mod terminal;

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};

use self::application::Application;
pub use self::terminal::{chapter, say};
use self::terminal::{columns, command, measured, typed};
use crate::cargo;
use crate::cluster::{Cluster, Options};
use crate::installation::{Installation, LogLevel, Programs};
use crate::node::requirements;
use crate::pod_runner::NOTICE;
use crate::report::Report;
use crate::sidecar;

const BOUND: Duration = Duration::from_mins(1);
const NAMESPACE: &str = "shop";
const PASSWORD: &str = "db/password";
const MOUNT: &str = "/run/secrets/sikkerkey";
/// How long a line of the audit may be.
const WIDTH: usize = 150;

/// Brings everything up: on a real node, where this machine can run one.
pub async fn bring_up(report: &Report) -> Result<Installation> {
    let missing = requirements();
    notice(missing.is_empty());
    for requirement in &missing {
        say(&format!("   missing: {requirement}"));
    }
    let programs = {
        let report = report.clone();
        tokio::task::spawn_blocking(move || Programs::build(&report)).await??
    };
    let options = if missing.is_empty() {
        report.line("starting a Kubernetes node: etcd, API server, scheduler, controllers, containerd, kubelet");
        Options::node()
    } else {
        report.line("starting a Kubernetes control plane: etcd, API server, controllers");
        Options::control_plane().with_controllers()
    };
    let cluster = Cluster::start(options.report(report.clone())).await?;
    Installation::start(cluster, programs, LogLevel::Info, report).await
}

/// Says it loudly when no kubelet runs the pods.
pub fn notice(has_node: bool) {
    if !has_node {
        say(&format!("\n\x1b[1;33m{NOTICE}\x1b[0m"));
    }
}

/// Tells the story.
pub async fn tell(installation: &Installation) -> Result<()> {
    let stage = Stage { installation };
    stage.manifests().await?;
    let application = stage.application().await?;
    stage.files(&application).await?;
    stage.reads().await?;
    stage.later_secret(&application).await?;
    stage.revoke(&application).await
}

struct Stage<'a> {
    installation: &'a Installation,
}

impl<'a> Stage<'a> {
    async fn manifests(&self) -> Result<()> {
        chapter(
            "A team applies its manifests",
            "e2e/manifests/shop.yaml names who may read (Machine), what (Secret), and the owner's yes (Grant). No value stands in it.",
        );
        let begin = Instant::now();
        self.show(&["apply", "-f", &manifest("shop.yaml")]).await?;
        let mut wait = vec!["wait", "-n", NAMESPACE, "--for=condition=Ready", "--timeout=60s"];
        wait.extend(["sks/db", "sks/session-key", "skp/cluster-only", "skm/web"]);
        wait.extend(["skg/web-reads-db", "skg/web-reads-session-key"]);
        self.kubectl(&wait).await?;
        measured(&format!("all in force at the server {} ms after apply began", begin.elapsed().as_millis()));
        self.show(&["get", "sikkerkey", "-n", NAMESPACE]).await?;
        Ok(())
    }

    async fn application(&self) -> Result<Application<'a>> {
        chapter(
            "An application names its Machine in one label",
            "The webhook adds the sidecar, which makes a key in memory, proves which pod it is in, and holds the app back until its files are there.",
        );
        let begin = Instant::now();
        self.show(&["apply", "-f", &manifest("web.yaml")]).await?;
        let application = Application::ready(self.installation).await?;
        let running = begin.elapsed();
        let columns = "NAME:.metadata.name,INIT:.spec.initContainers[*].name,APP:.spec.containers[*].name,PHASE:.status.phase,NODE:.spec.nodeName";
        self.show(&["get", "pod", application.name(), "-n", NAMESPACE, "-o", &format!("custom-columns={columns}")])
            .await?;
        application.show_sidecar_log().await?;
        let files = sidecar::files_after(application.volume()).context("cannot time the sidecar's files")?;
        let memory = application.sidecar().memory().context("cannot read the sidecar's memory")?;
        measured(&format!("files written {} ms after the sidecar's first act", files.as_millis()));
        measured(&format!(
            "the sidecar keeps {} KiB in memory (VmRSS of process {}), {} KiB of it its own (RssAnon)",
            memory.resident,
            application.sidecar().pid(),
            memory.anonymous
        ));
        let by = if self.installation.has_node() { ", most of it the kubelet's" } else { "" };
        measured(&format!("the pod is ready {} ms after apply{by}", running.as_millis()));
        Ok(application)
    }

    async fn files(&self, application: &Application<'_>) -> Result<()> {
        let place = if self.installation.has_node() { "in the pod's memory" } else { "in the pod's volume" };
        let why = format!("The server made the value; it is {place} and, encrypted, at the server, and nowhere else.");
        chapter("The application reads files", &why);
        let value = application.show(&["cat", &format!("{MOUNT}/{PASSWORD}")]).await?;
        application.show(&["cat", &format!("{MOUNT}/app.env")]).await?;
        if self.installation.has_node() {
            application.show(&["grep", &format!(" {MOUNT} "), "/proc/mounts"]).await?;
        }
        let found = self.installation.cluster.etcd_files_with(value.trim().as_bytes())?;
        ensure!(found.is_empty(), "the value is in etcd: {found:?}");
        ensure!(self.installation.cluster.logs_with(value.trim().as_bytes())?.is_empty(), "the value is in a log");
        measured("searched for in every file of etcd and every log: not there");
        Ok(())
    }

    async fn reads(&self) -> Result<()> {
        chapter(
            "The audit names the pod and the node of every read",
            "Each row is chained to the one before it and is on disk before a value leaves.",
        );
        self.audit(|line| line.contains(" machine_register ") || line.contains(" secret_read")).await
    }

    async fn later_secret(&self, application: &Application<'_>) -> Result<()> {
        chapter(
            "A new Secret and its Grant reach the running pod",
            "Nothing is restarted: the sidecar's open request to the server is answered as soon as there is news.",
        );
        let begin = Instant::now();
        let args = ["apply", "-f", &manifest("later.yaml")];
        let (output, there) = tokio::try_join!(self.kubectl(&args), application.file("api-token", true))?;
        command(&typed("kubectl", &args), &output);
        measured(&format!("the file is there {} ms after apply began", (there - begin).as_millis()));
        Ok(())
    }

    async fn revoke(&self, application: &Application<'_>) -> Result<()> {
        chapter(
            "The owner revokes a Grant",
            "When the object is gone, the access is: the server refuses from then on, and the sidecar removes the file.",
        );
        let begin = Instant::now();
        let args = ["delete", "skg", "web-reads-db", "-n", NAMESPACE];
        let (output, gone) = tokio::try_join!(self.kubectl(&args), application.file(PASSWORD, false))?;
        command(&typed("kubectl", &args), &output);
        measured(&format!("the file is gone {} ms after delete began; the others stay", (gone - begin).as_millis()));
        application.show(&["ls", MOUNT]).await?;

        chapter(
            "The refused read is in the audit too",
            "Nobody can take a row out unseen: the chain is checked from its first row.",
        );
        self.audit(|line| line.contains(" grant_delete ") || line.contains(" secret_read_denied ")).await?;
        let verified = self.installation.admin(&["verify-audit"]).await?;
        command("sikkerkey-server admin verify-audit", &verified);
        self.show(&["get", "skm,skg", "-n", NAMESPACE]).await?;
        Ok(())
    }

    /// The newest rows of the audit: those that belong to the story, and of these the columns that do.
    async fn audit(&self, shown: impl Fn(&str) -> bool) -> Result<()> {
        let text = self.installation.admin(&["audit", "--limit", "20"]).await?;
        let lines: Vec<&str> =
            text.lines().enumerate().filter(|(index, line)| *index == 0 || shown(line)).map(|(_, line)| line).collect();
        let wanted = ["TIME", "ACTION", "POD", "NODE", "SECRET", "REASON", "DETAIL"];
        command("sikkerkey-server admin audit --limit 20", &columns(&lines.join("\n"), &wanted, WIDTH));
        Ok(())
    }

    /// Runs kubectl, and shows the command with what it wrote.
    async fn show(&self, args: &[&str]) -> Result<()> {
        let output = self.kubectl(args).await?;
        command(&typed("kubectl", args), &output);
        Ok(())
    }

    async fn kubectl(&self, args: &[&str]) -> Result<String> {
        self.installation.cluster.kubectl().run(args).await.with_context(|| format!("kubectl {}", args.join(" ")))
    }
}

/// How to look around in an installation that stays.
pub fn how_to_look_around(installation: &Installation) {
    let cluster = &installation.cluster;
    chapter("It stays until Ctrl-C", "In another terminal:");
    say(&format!("  export KUBECONFIG={}", cluster.kubeconfig().display()));
    if ["HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"].iter().any(|name| std::env::var_os(name).is_some()) {
        say(&format!("  export NO_PROXY={0} no_proxy={0}", cluster.address()));
    }
    let kubectl = cluster.kubectl().program().display().to_string();
    if !matches!(kubectl.as_str(), "/usr/bin/kubectl" | "/usr/local/bin/kubectl") {
        say(&format!("  alias kubectl={kubectl}"));
    }
    for args in ["get sikkerkey -A", "describe skg -n shop", "explain sks.spec.source"] {
        say(&format!("  kubectl {args}"));
    }
    if installation.has_node() {
        say(&format!("  kubectl exec -n shop deploy/web -c web -- ls -lA {MOUNT}"));
    }
    let (server, data) = (installation.server_program(), installation.data_directory());
    say(&format!("  {} admin --data-dir {} audit", server.display(), data.display()));
    say(&format!("  ls {}", cluster.run().logs().display()));
}

fn manifest(name: &str) -> String {
    cargo::workspace().join("e2e/manifests").join(name).display().to_string()
}
