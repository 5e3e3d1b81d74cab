//! A cluster, and a person at a shell beside it.

use std::path::PathBuf;
use std::process::Stdio;
use std::sync::Arc;
use std::time::{Duration, Instant};

use kube::Client;
use serde_json::{Value, json};
use sikkerkey_e2e::cluster::{Cluster, Options, Stopped};
use sikkerkey_e2e::helm::Helm;
use sikkerkey_e2e::report::Report;
use sikkerkey_e2e::wait::wait_for;
use sikkerkey_e2e::{cargo, kubectl::Kubectl};

use crate::installed::Installed;
use crate::{BOUND, say};

/// Where all is installed, as the README has it.
pub(crate) const NAMESPACE: &str = "sikkerkey-system";

pub(crate) struct Site {
    pub(crate) cluster: Cluster,
    helm: Arc<Helm>,
    /// Where the person is: a directory of their own, with the chart, `kubectl` and its plugin, `helm`, and
    /// `sikkerkey-operator` to seal with.
    desk: tempfile::TempDir,
    begin: Instant,
}

impl Site {
    /// A cluster with the images and a volume, and nothing else.
    pub(crate) async fn prepare() -> Self {
        let report = Report::new(|_, text| say(text));
        let (Installed { images, for_people }, helm) =
            tokio::task::spawn_blocking(move || (Installed::made(&report), Helm::ensure(&report).unwrap()))
                .await
                .unwrap();
        let audit = cargo::workspace().join("e2e/manifests/audit-requests.yaml");
        let options = Options::node().with_services().report(Report::new(|_, text| say(text)));
        let options = options.api_server_flag(format!("--audit-policy-file={}", audit.display()));
        // Beside what it says otherwise.
        let cluster = Cluster::start(options.api_server_flag("--audit-log-path=-")).await.unwrap();
        let node = cluster.node().unwrap();
        for image in images {
            node.import(&image).await.unwrap();
        }
        let desk = tempfile::tempdir().unwrap();
        let bin = desk.path().join("bin");
        std::fs::create_dir(&bin).unwrap();
        let link = std::os::unix::fs::symlink::<PathBuf, PathBuf>;
        link(cluster.kubectl().program().to_owned(), bin.join("kubectl")).unwrap();
        link(helm.program().to_owned(), bin.join("helm")).unwrap();
        for program in for_people {
            link(program.clone(), bin.join(program.file_name().unwrap())).unwrap();
        }
        link(cargo::workspace().join("charts"), desk.path().join("charts")).unwrap();
        let site = Self { cluster, helm: Arc::new(helm), desk, begin: Instant::now() };
        site.make_volume().await;
        site
    }

    /// What a provisioner of volumes does elsewhere.
    async fn make_volume(&self) {
        let path = self.cluster.run().join("volumes/server");
        std::fs::create_dir_all(&path).unwrap();
        let node = self.cluster.node().unwrap().name();
        let here = json!({"key": "kubernetes.io/hostname", "operator": "In", "values": [node]});
        let volume = json!({
            "apiVersion": "v1", "kind": "PersistentVolume", "metadata": {"name": "server"},
            "spec": {
                "capacity": {"storage": "10Gi"}, "accessModes": ["ReadWriteOnce"],
                "persistentVolumeReclaimPolicy": "Retain", "local": {"path": path},
                "nodeAffinity": {"required": {"nodeSelectorTerms": [{"matchExpressions": [here]}]}},
            },
        });
        self.kubectl().apply(&volume.to_string()).await.unwrap();
    }

    /// What the README says, and then what the chart says. Answers when it began.
    pub(crate) async fn install(&self) -> Instant {
        let begin = Instant::now();
        let said = self.shell(&readme()).await;
        self.shell(&step(&said, "2.")).await;
        begin
    }

    /// Tells what was done, and how long after the beginning.
    pub(crate) fn told(&self, text: &str) {
        say(&format!("[{:>5.1} s] {text}", self.begin.elapsed().as_secs_f32()));
    }

    /// A client that may do everything, and knows of no connection from before.
    pub(crate) fn client(&self) -> Client {
        self.cluster.admin().unwrap()
    }

    pub(crate) fn kubectl(&self) -> Kubectl {
        self.cluster.kubectl()
    }

    /// Runs kubectl; what it said.
    pub(crate) async fn ask(&self, args: &[&str]) -> String {
        self.kubectl().run(args).await.unwrap()
    }

    /// Runs kubectl in the namespace of the installation, as JSON.
    pub(crate) async fn get(&self, args: &[&str]) -> Value {
        let args = [&["get", "-n", NAMESPACE, "-o", "json"], args].concat();
        serde_json::from_str(&self.ask(&args).await).unwrap()
    }

    /// Runs helm on the release; what it said, or how it refused.
    pub(crate) async fn helm(&self, args: &[&str]) -> Result<String, String> {
        let args: Vec<String> = [args, &["--namespace", NAMESPACE]].concat().into_iter().map(str::to_owned).collect();
        let (helm, kubeconfig) = (Arc::clone(&self.helm), self.cluster.kubeconfig());
        let ran = tokio::task::spawn_blocking(move || helm.run(args, None, Some(&kubeconfig)));
        ran.await.unwrap().map_err(|error| error.to_string())
    }

    /// Runs lines as a person types them; what they said.
    pub(crate) async fn shell(&self, lines: &str) -> String {
        let home = self.desk.path();
        let path = format!("{}:/usr/local/bin:/usr/bin:/bin", self.programs().display());
        let mut command = tokio::process::Command::new("sh");
        command.args(["-euc", lines]).current_dir(home).env_clear().env("PATH", path).env("HOME", home);
        command.env("KUBECONFIG", self.cluster.kubeconfig()).stdin(Stdio::null()).kill_on_drop(true);
        let output = tokio::time::timeout(BOUND, command.output()).await.expect("it ends").unwrap();
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        let complained = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{lines}\n{said}\n{complained}");
        said
    }

    /// Where the person's programs are.
    pub(crate) fn programs(&self) -> PathBuf {
        self.desk.path().join("bin")
    }

    /// The root key's copy, as the README has a person keep it.
    pub(crate) fn root_key(&self) -> PathBuf {
        self.desk.path().join("root.key")
    }

    /// `sikkerkey-server admin` in the server's pod, as JSON.
    pub(crate) async fn admin(&self, args: &[&str]) -> Value {
        let program = ["exec", "-n", NAMESPACE, "sts/sikkerkey-server", "--", "/sikkerkey-server", "admin"];
        let options = ["--data-dir", "/var/lib/sikkerkey/data", "--output", "json"];
        serde_json::from_str(&self.ask(&[&program[..], &options, args].concat()).await).unwrap()
    }

    /// Waits until all that is installed is as it should be.
    pub(crate) async fn is_up(&self) {
        for (kind, name, replicas) in [("statefulset", "sikkerkey-server", 1), ("deployment", "sikkerkey-operator", 2)]
        {
            wait_for(&format!("{kind} {name}"), BOUND, async || {
                let object = self.get(&[kind, name]).await;
                let status = &object["status"];
                let is_seen = status["observedGeneration"] == object["metadata"]["generation"];
                let all = ["replicas", "updatedReplicas", "readyReplicas"].iter().all(|key| status[key] == replicas);
                if is_seen && all { Ok(()) } else { Err(status.to_string()) }
            })
            .await
            .unwrap();
        }
    }

    pub(crate) async fn stop(self) -> Stopped {
        self.cluster.stop().await
    }
}

/// The commands of the README, for images that are on the node already.
fn readme() -> String {
    let text = std::fs::read_to_string(cargo::workspace().join("README.md")).unwrap();
    let (_, section) = text.split_once("\n## Installing on a cluster\n").unwrap();
    let (_, commands) = section.split_once("\n```sh\n").unwrap();
    let (commands, _) = commands.split_once("```\n").unwrap();
    let (before, after) = commands.split_once("registry.example.com/security").expect("a registry to put in");
    format!("{before}localhost{after}")
}

/// The commands of a step of what the chart says.
fn step(said: &str, number: &str) -> String {
    let lines = said.lines().skip_while(|line| !line.starts_with(number)).skip(1).skip_while(|line| line.is_empty());
    let lines: Vec<&str> = lines.map_while(|line| line.strip_prefix("     ")).collect();
    assert!(!lines.is_empty(), "no step {number} in {said}");
    lines.join("\n")
}

/// In seconds, for people.
pub(crate) fn seconds(duration: Duration) -> String {
    format!("{:.1} s", duration.as_secs_f32())
}
