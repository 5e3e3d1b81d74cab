//! The example of a whole repository in `charts/gitops/example`: a copy of it, a shell in the copy, and what its page says.

pub mod files;

use std::fs;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use tempfile::TempDir;
use tokio::process::Command;
use tokio::time::timeout;

use crate::cargo;
use crate::cluster::Cluster;
use crate::document::Document;
use crate::image::BUSYBOX_IMAGE;
use crate::kubectl::Kubectl;
use crate::wait::wait_for;

/// Where the example is.
pub const EXAMPLE: &str = "charts/gitops/example";
/// The namespaces of the two teams.
pub const TEAMS: [&str; 2] = ["payments", "shop"];
/// What was bought from the payment provider.
pub const PROVIDER_KEY: &str = "pk_live_of_the_provider";
/// The image of the example's containers.
const IMAGE: &str = "image: busybox:1.37";
/// The variables that the page calls yours.
const YOURS: [&str; 4] = ["cluster", "server", "vault", "ca"];
/// What an operator may change while nobody applies anything: status. The rest is the team's.
const TEAMS_OBJECTS: &str = "sikkerkey,deployments,jobs,cronjobs,serviceaccounts";
/// Longer than the page's own waits.
const BOUND: Duration = Duration::from_mins(5);

/// What whoever reads the page has of their own.
#[derive(Clone, Debug)]
pub struct Yours {
    /// The directory of `kubectl-sikkerkey`.
    pub programs: PathBuf,
    /// What the server calls the cluster.
    pub cluster: String,
    /// The server's origin.
    pub server: String,
    /// The cluster's vault.
    pub vault: String,
    /// The server's certificate authority, PEM.
    pub authority: Vec<u8>,
}

/// A copy of the example's repository, and a shell in it.
#[derive(Debug)]
pub struct Fleet {
    directory: TempDir,
    kubectl: Kubectl,
    environment: Vec<(&'static str, String)>,
    /// An `/etc/hosts` of its own.
    hosts: Option<PathBuf>,
}

impl Fleet {
    /// As a person has it who cloned it, with the image that is there for tests, and the key of the provider in a file.
    pub fn copied(cluster: &Cluster, yours: Yours) -> Result<Self> {
        let directory = TempDir::new().context("cannot make a directory")?;
        copy(&cargo::workspace().join(EXAMPLE), directory.path())?;
        fs::write(directory.path().join("provider-key.txt"), PROVIDER_KEY)
            .context("cannot write the provider's key")?;
        fs::write(directory.path().join("ca.crt"), yours.authority).context("cannot write the authority")?;
        let (kubectl, kubeconfig) = (cluster.kubectl(), cluster.kubeconfig());
        let beside = kubectl.program().parent().context("kubectl is in no directory")?;
        let path = format!("{}:{}:/usr/local/bin:/usr/bin:/bin", yours.programs.display(), beside.display());
        let mut environment = vec![
            ("PATH", path),
            ("HOME", kubeconfig.with_file_name("gitops-home").display().to_string()),
            ("KUBECONFIG", kubeconfig.display().to_string()),
        ];
        environment.extend(YOURS.into_iter().zip([yours.cluster, yours.server, yours.vault, "ca.crt".to_owned()]));
        Ok(Self { directory, kubectl, environment, hosts: None })
    }

    /// Its shell finds a name at an address, as by the DNS of a company. Needs root: the shell has an `/etc/hosts` of its own.
    pub fn with_host(mut self, name: &str, address: IpAddr) -> Result<Self> {
        let hosts = format!("127.0.0.1 localhost\n{address} {name}\n");
        let file = self.directory.path().join("hosts");
        fs::write(&file, hosts).context("cannot write names of hosts")?;
        self.hosts = Some(file);
        Ok(self)
    }

    /// Runs every command of the page in its order.
    pub async fn follow_the_page(&self) -> Result<()> {
        let page = Document::read(&format!("{EXAMPLE}/README.md"))?;
        let blocks = page.blocks();
        let (yours, commands): (Vec<_>, Vec<_>) =
            blocks.iter().filter(|block| block.language == "sh").partition(|block| block.mark == Some("yours"));
        let lines = yours.iter().flat_map(|block| block.text.lines());
        let set: Vec<&str> = lines.filter_map(|line| Some(line.split_once('=')?.0)).collect();
        ensure!(set == YOURS, "the page has its reader set {set:?}, and here {YOURS:?} are set");
        ensure!(commands.len() >= 5, "the page has {} blocks", commands.len());
        for block in commands {
            self.shell(&format!("# {}\n{}", block.place, block.text)).await?;
        }
        Ok(())
    }

    /// Applies all of both teams again, as any GitOps tool does every few minutes, and finds that nothing was written.
    pub async fn applied_again_changes_nothing(&self) -> Result<()> {
        let apply = |team| format!("kubectl apply --server-side -k teams/{team}/overlays/\"$cluster\"");
        let apply = TEAMS.map(apply).join("\n");
        wait_for("an apply that changes nothing", BOUND, async || {
            let before = self.versions().await?;
            self.shell(&apply).await?;
            let after = self.versions().await?;
            // A status may come in between: an apply that writes is never found unchanged.
            ensure!(before == after, "{before}\n{after}");
            Ok(())
        })
        .await?;
        Ok(())
    }

    /// The version of each object of both teams, a line each.
    async fn versions(&self) -> Result<String> {
        let line = "jsonpath={range .items[*]}{.metadata.namespace} {.kind} {.metadata.name} {.metadata.resourceVersion}{\"\\n\"}{end}";
        let mut versions = String::new();
        for team in TEAMS {
            versions += &self.kubectl.run(["get", TEAMS_OBJECTS, "-n", team, "-o", line]).await?;
        }
        ensure!(versions.lines().count() > 20, "too few objects: {versions}");
        Ok(versions)
    }

    /// What a script prints; or an error, with what it printed before it failed.
    pub async fn shell(&self, script: &str) -> Result<String> {
        let mut command = Command::new("bash");
        if let Some(hosts) = &self.hosts {
            command = Command::new("unshare");
            command.args(["--mount", "sh", "-ec", "mount --bind \"$0\" /etc/hosts; exec bash \"$@\""]).arg(hosts);
        }
        command.args(["-euo", "pipefail", "-c", script]);
        command.current_dir(self.directory.path()).env_clear();
        command.envs(self.environment.iter().map(|(name, value)| (name, value)));
        command.stdin(Stdio::null()).kill_on_drop(true);
        let ended = timeout(BOUND, command.output()).await.with_context(|| format!("it does not end: {script}"))?;
        let output = ended.context("cannot run a shell")?;
        let said = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        if !output.status.success() {
            bail!("{script}\n{said}");
        }
        Ok(said)
    }

    /// An edit of a file.
    pub fn replace(&self, file: &str, from: &str, to: &str) -> Result<()> {
        let path = self.directory.path().join(file);
        let text = fs::read_to_string(&path).with_context(|| format!("cannot read {file}"))?;
        ensure!(text.contains(from), "{file} has no {from:?}: {text}");
        fs::write(&path, text.replace(from, to)).with_context(|| format!("cannot write {file}"))
    }
}

fn copy(from: &Path, to: &Path) -> Result<()> {
    let failed = || format!("cannot copy {}", from.display());
    fs::create_dir_all(to).with_context(failed)?;
    for entry in fs::read_dir(from).with_context(failed)? {
        let entry = entry.with_context(failed)?;
        let target = to.join(entry.file_name());
        if entry.file_type().with_context(failed)?.is_dir() {
            copy(&entry.path(), &target)?;
        } else {
            let text = fs::read_to_string(entry.path()).with_context(failed)?;
            let text = text.replace(IMAGE, &format!("image: {BUSYBOX_IMAGE}"));
            fs::write(target, text).with_context(failed)?;
        }
    }
    Ok(())
}
