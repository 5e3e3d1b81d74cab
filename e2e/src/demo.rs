//! The main job, told on a real cluster: manifests, pod, file, audit, revoke.

use std::io::{self, Write};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use k8s_openapi::api::core::v1::Pod;
use kube::Api;
use kube::api::ListParams;

use crate::cargo;
use crate::cluster::{Cluster, Options};
use crate::image::Image;
use crate::installation::{Installation, Programs};
use crate::pod;
use crate::report::Report;
use crate::wait::wait_for;

const BOUND: Duration = Duration::from_mins(1);
const NAMESPACE: &str = "shop";
const PASSWORD: &str = "/run/secrets/sikkerkey/db/password";
const APP_IMAGE: &str = "localhost/sikkerkey-app:e2e";

/// Brings everything up. Blocks while it builds.
pub async fn bring_up(report: &Report) -> Result<Installation> {
    let programs = {
        let report = report.clone();
        tokio::task::spawn_blocking(move || Programs::build(&report)).await??
    };
    report.line("starting a Kubernetes node: etcd, API server, scheduler, controllers, containerd, kubelet");
    let cluster = Cluster::start(Options::node().report(report.clone())).await?;
    if let Some(node) = cluster.node() {
        node.import(&Image::busybox_as(APP_IMAGE)?).await?;
    }
    Installation::start(cluster, programs, report).await
}

/// Tells the story.
pub async fn tell(installation: &Installation) -> Result<()> {
    let stage = Stage { installation };
    stage.manifests().await?;
    let pod = stage.pod().await?;
    stage.files(&pod).await?;
    stage.audit("The audit names pod and node of every read", 12, |_| true).await?;
    stage.later_secret(&pod).await?;
    stage.revoke(&pod).await
}

struct Stage<'a> {
    installation: &'a Installation,
}

impl Stage<'_> {
    async fn manifests(&self) -> Result<()> {
        chapter("A team applies its manifests: e2e/manifests/shop.yaml");
        self.kubectl(&["apply", "-f", &manifest("shop.yaml")]).await?;
        let begin = Instant::now();
        for (kind, names) in [
            ("sks", "db session-key"),
            ("skp", "cluster-only"),
            ("skm", "web"),
            ("skg", "web-reads-db web-reads-session-key"),
        ] {
            for name in names.split(' ') {
                let object = format!("{kind}/{name}");
                self.quiet(&["wait", "--for=condition=Ready", &object, "-n", NAMESPACE, "--timeout=60s"]).await?;
            }
        }
        say(&format!("all in force at the server after {:.1} s", begin.elapsed().as_secs_f32()));
        self.kubectl(&["get", "sikkerkey", "-n", NAMESPACE]).await?;
        Ok(())
    }

    async fn pod(&self) -> Result<String> {
        chapter("An application names its Machine in one label: e2e/manifests/web.yaml");
        let begin = Instant::now();
        self.kubectl(&["apply", "-f", &manifest("web.yaml")]).await?;
        let client = self.installation.admin_client()?;
        let pods: Api<Pod> = Api::namespaced(client.clone(), NAMESPACE);
        let name = wait_for("the pod of Deployment web", BOUND, async || {
            let list = pods.list(&ListParams::default().labels("app=web")).await.map_err(|error| error.to_string())?;
            list.items.into_iter().find_map(|pod| pod.metadata.name).ok_or_else(|| "there is none yet".to_owned())
        })
        .await?;
        pod::ready(&client, NAMESPACE, &name, BOUND).await?;
        say(&format!("running {:.1} s after apply, with its files", begin.elapsed().as_secs_f32()));
        self.kubectl(&["get", "pod", &name, "-n", NAMESPACE, "-o", "custom-columns=NAME:.metadata.name,INIT:.spec.initContainers[*].name,APP:.spec.containers[*].name,PHASE:.status.phase,NODE:.spec.nodeName"]).await?;
        self.kubectl(&["logs", &name, "-n", NAMESPACE, "-c", "sikkerkey"]).await?;
        Ok(name)
    }

    async fn files(&self, pod: &str) -> Result<()> {
        chapter("The application reads files: in memory only, made by the server, in no manifest");
        self.kubectl(&["exec", pod, "-n", NAMESPACE, "-c", "web", "--", "cat", PASSWORD]).await?;
        self.kubectl(&["exec", pod, "-n", NAMESPACE, "-c", "web", "--", "cat", "/run/secrets/sikkerkey/app.env"])
            .await?;
        self.kubectl(&["exec", pod, "-n", NAMESPACE, "-c", "web", "--", "grep", "sikkerkey", "/proc/mounts"]).await?;
        let value = self.quiet(&["exec", pod, "-n", NAMESPACE, "-c", "web", "--", "cat", PASSWORD]).await?;
        let found = self.installation.cluster.etcd_files_with(value.trim().as_bytes())?;
        ensure!(found.is_empty(), "the value is in etcd: {found:?}");
        say("searched for in every file of etcd: not there");
        Ok(())
    }

    async fn later_secret(&self, pod: &str) -> Result<()> {
        chapter("A new Secret and its Grant reach the running pod");
        let begin = Instant::now();
        self.kubectl(&["apply", "-f", &manifest("later.yaml")]).await?;
        let file = "/run/secrets/sikkerkey/api-token";
        self.file(pod, file, true).await?;
        say(&format!("the file is there {:.1} s after apply", begin.elapsed().as_secs_f32()));
        Ok(())
    }

    async fn revoke(&self, pod: &str) -> Result<()> {
        chapter("The owner revokes a Grant");
        let begin = Instant::now();
        self.kubectl(&["delete", "skg", "web-reads-db", "-n", NAMESPACE]).await?;
        self.file(pod, PASSWORD, false).await?;
        say(&format!("the file is gone {:.1} s after delete; the others stay", begin.elapsed().as_secs_f32()));
        self.kubectl(&["exec", pod, "-n", NAMESPACE, "-c", "web", "--", "ls", "/run/secrets/sikkerkey"]).await?;
        self.audit("The refused read is in the audit", 12, |line| {
            line.contains("denied") || line.contains("grant_delete") || line.starts_with("TIME")
        })
        .await?;
        let verified = self.installation.admin(&["verify-audit"]).await?;
        command("sikkerkey-server admin verify-audit", &verified);
        self.kubectl(&["get", "sikkerkey", "-n", NAMESPACE]).await?;
        Ok(())
    }

    /// Waits until a file is in the application's container, or is not.
    async fn file(&self, pod: &str, path: &str, there: bool) -> Result<()> {
        let client = self.installation.admin_client()?;
        wait_for(&format!("{path} to be {}", if there { "there" } else { "gone" }), BOUND, async || {
            let script = format!("test -e {path} && echo yes || echo no");
            let found = pod::exec(&client, NAMESPACE, pod, "web", &["sh", "-c", &script])
                .await
                .map_err(|error| error.to_string())?;
            if (found.trim() == "yes") == there { Ok(()) } else { Err(format!("there: {}", found.trim())) }
        })
        .await?;
        Ok(())
    }

    async fn audit(&self, title: &str, limit: u32, shown: impl Fn(&str) -> bool) -> Result<()> {
        chapter(title);
        let text = self.installation.admin(&["audit", "--limit", &limit.to_string()]).await?;
        let lines: Vec<&str> = text.lines().filter(|line| shown(line)).collect();
        command(&format!("sikkerkey-server admin audit --limit {limit}"), &lines.join("\n"));
        Ok(())
    }

    async fn kubectl(&self, args: &[&str]) -> Result<()> {
        let output = self.quiet(args).await?;
        command(&format!("kubectl {}", args.join(" ")), &output);
        Ok(())
    }

    async fn quiet(&self, args: &[&str]) -> Result<String> {
        self.installation.cluster.kubectl().run(args).await.with_context(|| format!("kubectl {}", args.join(" ")))
    }
}

/// How to look around in an installation that stays.
pub fn how_to_look_around(installation: &Installation) {
    chapter("It stays until Ctrl-C. In another terminal:");
    say(&format!("export KUBECONFIG={}", installation.cluster.kubeconfig().display()));
    say("kubectl get sikkerkey -A; kubectl describe skg -n shop; kubectl explain sks.spec.source");
    say(&format!(
        "{} admin --data-dir {} audit",
        installation.server_program().display(),
        installation.data_directory().display()
    ));
    say(&format!("logs: {}", installation.cluster.run().logs().display()));
}

fn manifest(name: &str) -> String {
    cargo::workspace().join("e2e/manifests").join(name).display().to_string()
}

/// A heading.
pub fn chapter(title: &str) {
    say(&format!("\n\x1b[1m── {title}\x1b[0m"));
}

fn command(command: &str, output: &str) {
    let workspace = format!("{}/", cargo::workspace().display());
    say(&format!("\x1b[36m$ {}\x1b[0m", command.replace(&workspace, "")));
    say(output.trim_end());
}

/// A reader that went away must not keep the demo from cleaning up.
pub fn say(text: &str) {
    let _ = writeln!(io::stdout(), "{text}");
}
