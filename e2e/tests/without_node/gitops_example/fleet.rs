//! A copy of the example's repository, and a shell in it.

use std::path::{Path, PathBuf};
use std::process::Stdio;

use sikkerkey_e2e::cargo;
use sikkerkey_e2e::image::BUSYBOX_IMAGE;
use sikkerkey_e2e::installation::{CLUSTER_NAME, Installation};
use tempfile::TempDir;
use tokio::process::Command;
use tokio::time::timeout;

#[path = "../../documents/document.rs"]
#[expect(dead_code, reason = "a shell runs the blocks whole, not command by command")]
mod document;

/// Where the example is.
pub(super) const EXAMPLE: &str = "charts/gitops/example";
/// What was bought from the payment provider.
pub(super) const PROVIDER_KEY: &str = "pk_live_of_the_provider";
/// The variables that the page calls yours.
const YOURS: [&str; 4] = ["cluster", "server", "vault", "ca"];
/// Longer than the page's own waits.
const BOUND: std::time::Duration = std::time::Duration::from_mins(5);

pub(super) struct Fleet {
    directory: TempDir,
    environment: Vec<(&'static str, String)>,
}

impl Fleet {
    /// As a person has it who cloned it, with the image that is there for tests, and the key of the provider in a file.
    pub(super) fn copied(installation: &Installation) -> Self {
        let directory = TempDir::new().unwrap();
        copy(&cargo::workspace().join(EXAMPLE), directory.path());
        std::fs::write(directory.path().join("provider-key.txt"), PROVIDER_KEY).unwrap();
        let kubeconfig = installation.cluster.kubeconfig();
        let kubectl = installation.cluster.kubectl();
        let programs = [installation.operator_program(), kubectl.program()];
        let programs = programs.map(|program| program.parent().unwrap().display().to_string());
        let yours = [
            CLUSTER_NAME.to_owned(),
            installation.server_url(),
            installation.vault.clone(),
            installation.ca_file().display().to_string(),
        ];
        let mut environment = vec![
            ("PATH", format!("{}:/usr/local/bin:/usr/bin:/bin", programs.join(":"))),
            ("HOME", kubeconfig.with_file_name("gitops-home").display().to_string()),
            ("KUBECONFIG", kubeconfig.display().to_string()),
        ];
        environment.extend(YOURS.into_iter().zip(yours));
        Self { directory, environment }
    }

    /// What the page's person calls their overlay.
    #[expect(clippy::unused_self, reason = "reads as what belongs to it")]
    pub(super) fn cluster(&self) -> &'static str {
        CLUSTER_NAME
    }

    /// Runs every command of the page in its order.
    pub(super) async fn follow_the_page(&self) {
        let path = format!("{EXAMPLE}/README.md");
        let page = document::all().into_iter().find(|page| page.path == path).unwrap();
        let blocks = page.blocks();
        let (yours, commands): (Vec<_>, Vec<_>) =
            blocks.iter().filter(|block| block.language == "sh").partition(|block| block.mark == Some("yours"));
        let set: Vec<&str> = yours
            .iter()
            .flat_map(|block| block.text.lines())
            .filter_map(|line| Some(line.split_once('=')?.0))
            .collect();
        assert_eq!(set, YOURS, "the test sets what the page says a reader has to set");
        assert!(commands.len() >= 5, "{} blocks", commands.len());
        for block in commands {
            self.shell(&format!("# {}\n{}", block.place, block.text)).await;
        }
    }

    /// What a script prints, or the test fails with it.
    pub(super) async fn shell(&self, script: &str) -> String {
        self.try_shell(script).await.unwrap_or_else(|said| panic!("{script}\n{said}"))
    }

    /// What a script prints, or what it printed before it failed.
    pub(super) async fn try_shell(&self, script: &str) -> Result<String, String> {
        let mut command = Command::new("bash");
        command.args(["-c", &format!("set -euo pipefail\n{script}")]).current_dir(self.directory.path());
        command.env_clear().envs(self.environment.iter().map(|(name, value)| (name, value)));
        command.stdin(Stdio::null()).kill_on_drop(true);
        let output = timeout(BOUND, command.output()).await.expect("it ends in time").unwrap();
        let said = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        if output.status.success() { Ok(said) } else { Err(said) }
    }

    /// An edit of a file.
    pub(super) fn replace(&self, file: &str, from: &str, to: &str) {
        let file = self.directory.path().join(file);
        let text = std::fs::read_to_string(&file).unwrap();
        assert!(text.contains(from), "{text}");
        std::fs::write(&file, text.replace(from, to)).unwrap();
    }
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target: PathBuf = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &target);
        } else {
            let text = std::fs::read_to_string(entry.path()).unwrap();
            std::fs::write(target, text.replace("image: busybox:1.37", &format!("image: {BUSYBOX_IMAGE}"))).unwrap();
        }
    }
}
