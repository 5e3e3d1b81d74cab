//! The programs of this workspace, built by cargo.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde::Deserialize;

/// Why a program could not be built.
#[derive(Debug, thiserror::Error)]
pub enum CargoError {
    /// Cargo could not be run.
    #[error("cannot run cargo, which builds {package}: install Rust from https://rustup.rs")]
    Run {
        /// What was to be built.
        package: String,
        /// Why.
        source: std::io::Error,
    },
    /// The build failed; cargo said why on the terminal.
    #[error("building {package} failed: see what cargo wrote above")]
    Failed {
        /// What was to be built.
        package: String,
    },
    /// The package has no program.
    #[error("cargo built {package}, but no program came of it")]
    NoProgram {
        /// What was built.
        package: String,
    },
}

/// Builds the program of a package for this machine, with cargo's own progress on the terminal. Blocks.
pub fn build(package: &str, profile: &str) -> Result<PathBuf, CargoError> {
    run(package, profile, false)
}

/// Builds it as one static file, as an image without a system needs it. Blocks.
pub fn build_static(package: &str, profile: &str) -> Result<PathBuf, CargoError> {
    run(package, profile, true)
}

fn run(package: &str, profile: &str, is_static: bool) -> Result<PathBuf, CargoError> {
    let failed = |source| CargoError::Run { package: package.to_owned(), source };
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| OsString::from("cargo")));
    command.args(["build", "--package", package, "--profile", profile, "--message-format", "json-render-diagnostics"]);
    if is_static {
        // With an explicit target the flags do not reach build scripts and macros, which cannot be static.
        command.args(["--target", &host_triple().map_err(failed)?]).env("RUSTFLAGS", "-C target-feature=+crt-static");
    }
    command.current_dir(workspace()).stdin(Stdio::null()).stderr(Stdio::inherit());
    let output = command.output().map_err(failed)?;
    if !output.status.success() {
        return Err(CargoError::Failed { package: package.to_owned() });
    }
    let messages = String::from_utf8_lossy(&output.stdout);
    program(&messages, package).ok_or_else(|| CargoError::NoProgram { package: package.to_owned() })
}

#[derive(Deserialize)]
struct Message {
    target: Option<Target>,
    executable: Option<PathBuf>,
}

#[derive(Deserialize)]
struct Target {
    name: String,
}

/// Finds the program named like its package among cargo's messages.
fn program(messages: &str, package: &str) -> Option<PathBuf> {
    messages
        .lines()
        .filter_map(|line| serde_json::from_str::<Message>(line).ok())
        .filter(|message| message.target.as_ref().is_some_and(|target| target.name == package))
        .find_map(|message| message.executable)
}

fn host_triple() -> std::io::Result<String> {
    let output =
        Command::new(std::env::var_os("RUSTC").unwrap_or_else(|| OsString::from("rustc"))).arg("-vV").output()?;
    String::from_utf8_lossy(&output.stdout)
        .lines()
        .find_map(|line| line.strip_prefix("host: ").map(str::to_owned))
        .ok_or_else(|| std::io::Error::other("`rustc -vV` names no host"))
}

/// The workspace this crate is part of.
pub fn workspace() -> &'static Path {
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR"));
    manifest.parent().unwrap_or(manifest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_program_is_the_one_named_like_the_package() {
        let messages = r#"{"reason":"compiler-artifact","target":{"name":"other"},"executable":"/t/other"}
{"reason":"compiler-artifact","target":{"name":"tool"},"executable":null}
{"reason":"compiler-artifact","target":{"name":"tool"},"executable":"/t/tool"}
{"reason":"build-finished","success":true}"#;
        assert_eq!(program(messages, "tool"), Some("/t/tool".into()));
        assert_eq!(program(messages, "none"), None);
    }

    #[test]
    fn the_host_triple_names_this_architecture() {
        assert!(host_triple().unwrap().starts_with(std::env::consts::ARCH));
    }
}
