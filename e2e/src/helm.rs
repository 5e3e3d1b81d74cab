//! Helm, as a platform team uses it on the chart, without what the person at this machine has configured.

use std::ffi::OsStr;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use tempfile::TempDir;

use crate::assets::{AssetError, Assets, Component};
use crate::cargo;
use crate::report::Report;

/// `helm`, with the chart of this repository.
#[derive(Debug)]
pub struct Helm {
    program: PathBuf,
    home: TempDir,
}

/// Helm said no, or could not be run.
#[derive(Debug, thiserror::Error)]
pub enum HelmError {
    /// It is not there.
    #[error(transparent)]
    Asset(#[from] AssetError),
    /// It could not be run.
    #[error("cannot run {}", program.display())]
    Run {
        /// Which program.
        program: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// It said no.
    #[error("`helm {command}` failed: {said}")]
    Failed {
        /// The arguments.
        command: String,
        /// What it wrote.
        said: String,
    },
}

impl Helm {
    /// Finds it, or builds it once. Blocks.
    pub fn ensure(report: &Report) -> Result<Self, HelmError> {
        let program = Assets::ensure(&[Component::Helm], report)?.path(Component::Helm);
        let home = TempDir::new().map_err(|source| HelmError::Run { program: program.clone(), source })?;
        Ok(Self { program, home })
    }

    /// The file that is run.
    pub fn program(&self) -> &Path {
        &self.program
    }

    /// The chart of this repository.
    pub fn chart() -> PathBuf {
        cargo::workspace().join("charts/sikkerkey")
    }

    /// Runs it with values, as YAML; what it wrote to stdout. Blocks.
    pub fn run<S: AsRef<OsStr>>(
        &self,
        args: impl IntoIterator<Item = S>,
        values: Option<&str>,
        kubeconfig: Option<&Path>,
    ) -> Result<String, HelmError> {
        let failed = |source| HelmError::Run { program: self.program.clone(), source };
        let mut command = Command::new(&self.program);
        command.args(args).env_clear().env("HOME", self.home.path());
        if values.is_some() {
            command.args(["--values", "-"]);
        }
        if let Some(kubeconfig) = kubeconfig {
            command.env("KUBECONFIG", kubeconfig);
        }
        let called: Vec<String> = command.get_args().map(|arg| arg.to_string_lossy().into_owned()).collect();
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().map_err(failed)?;
        if let Some(mut stdin) = child.stdin.take() {
            // It may refuse its arguments without reading: then that is what to report.
            let _ = stdin.write_all(values.unwrap_or_default().as_bytes());
        }
        let output = child.wait_with_output().map_err(failed)?;
        let stdout = String::from_utf8_lossy(&output.stdout).into_owned();
        if output.status.success() {
            return Ok(stdout);
        }
        let said = format!("{stdout}{}", String::from_utf8_lossy(&output.stderr)).trim().to_owned();
        Err(HelmError::Failed { command: called.join(" "), said })
    }

    /// What the chart renders with these values.
    pub fn template(&self, values: &str) -> Result<String, HelmError> {
        let chart = Self::chart();
        let args = [OsStr::new("template"), OsStr::new("sikkerkey"), chart.as_os_str()];
        let args = args.into_iter().chain(["--namespace", "sikkerkey-system"].map(OsStr::new));
        self.run(args, Some(values), None)
    }
}
