//! The command line client that people use, with a cluster's kubeconfig.

use std::path::{Path, PathBuf};
use std::process::Stdio;

use tokio::io::AsyncWriteExt;
use tokio::process::Command;

/// `kubectl` for one cluster.
#[derive(Clone, Debug)]
pub struct Kubectl {
    program: PathBuf,
    kubeconfig: PathBuf,
}

/// A `kubectl` call failed.
#[derive(Debug, thiserror::Error)]
pub enum KubectlError {
    /// It could not be run.
    #[error("cannot run {}", program.display())]
    Run {
        /// Which program.
        program: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// It said no.
    #[error("`kubectl {command}` failed: {stderr}")]
    Failed {
        /// The arguments.
        command: String,
        /// What it wrote.
        stderr: String,
    },
}

impl Kubectl {
    pub(crate) fn new(program: PathBuf, kubeconfig: PathBuf) -> Self {
        Self { program, kubeconfig }
    }

    /// The file that is run.
    pub fn program(&self) -> &Path {
        &self.program
    }

    /// Runs it, and answers what it wrote to stdout.
    pub async fn run<S: AsRef<str>>(&self, args: impl IntoIterator<Item = S>) -> Result<String, KubectlError> {
        self.run_with_input(args, "").await
    }

    /// Applies manifests.
    pub async fn apply(&self, manifests: &str) -> Result<String, KubectlError> {
        self.run_with_input(["apply", "-f", "-"], manifests).await
    }

    /// Runs it with this text as its stdin.
    pub async fn run_with_input<S: AsRef<str>>(
        &self,
        args: impl IntoIterator<Item = S>,
        input: &str,
    ) -> Result<String, KubectlError> {
        let args: Vec<String> = args.into_iter().map(|arg| arg.as_ref().to_owned()).collect();
        let failed = |source| KubectlError::Run { program: self.program.clone(), source };
        let mut command = Command::new(&self.program);
        // The caller's own settings and caches must not decide, nor be touched.
        command
            .env_clear()
            // `kubectl diff` runs diff.
            .env("PATH", "/usr/local/bin:/usr/bin:/bin")
            .env("KUBECONFIG", &self.kubeconfig)
            .env("HOME", self.kubeconfig.with_file_name("kubectl-home"));
        command.args(&args).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
        let mut child = command.spawn().map_err(failed)?;
        if let Some(mut stdin) = child.stdin.take() {
            // It may refuse its arguments without reading: then that is what to report.
            let _ = stdin.write_all(input.as_bytes()).await;
        }
        let output = child.wait_with_output().await.map_err(failed)?;
        if output.status.success() {
            return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
        }
        let stderr = String::from_utf8_lossy(&output.stderr).trim().to_owned();
        Err(KubectlError::Failed { command: args.join(" "), stderr })
    }
}
