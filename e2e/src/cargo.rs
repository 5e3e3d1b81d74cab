//! The programs of this workspace, built by cargo.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde::Deserialize;

use crate::assets::cache_base;
use crate::build_command::Build;

/// Why a program could not be built.
#[derive(Debug, thiserror::Error)]
pub enum CargoError {
    /// Cargo could not be run.
    #[error("cannot run cargo, which builds {what}: install Rust from https://rustup.rs")]
    Run {
        /// What was to be built.
        what: String,
        /// Why.
        source: std::io::Error,
    },
    /// The build failed; cargo said why on the terminal.
    #[error("building {what} failed: see what cargo wrote above")]
    Failed {
        /// What was to be built.
        what: String,
    },
    /// The package has no program.
    #[error("cargo built {package}, but no program came of it")]
    NoProgram {
        /// What was built.
        package: String,
    },
}

/// Builds the programs of the whole workspace for this machine, with cargo's own progress on the terminal. Blocks.
///
/// Always the whole, and with a test: for one package alone, or for programs alone, cargo would choose fewer features, and compile
/// half of the dependencies once more.
pub fn build_workspace() -> Result<Workspace, CargoError> {
    let messages = run("the workspace", command().args(["--workspace", "--bins", "--test", "golden"]))?;
    Ok(Workspace { messages })
}

/// The programs of a built workspace.
#[derive(Clone, Debug)]
pub struct Workspace {
    messages: String,
}

impl Workspace {
    /// The program of a package.
    pub fn program(&self, package: &str) -> Result<PathBuf, CargoError> {
        program(&self.messages, package).ok_or_else(|| CargoError::NoProgram { package: package.to_owned() })
    }
}

/// Builds the program of a package as it is released, for this machine. Blocks.
pub fn build_release(package: &str) -> Result<PathBuf, CargoError> {
    // This package is selected as well: with the same features as a `cargo run` of it, every dependency is there already.
    let mut command = command();
    command.args(["--release", "--package", package, "--package", env!("CARGO_PKG_NAME"), "--bin", package]);
    let messages = run(package, without_lints(&mut command))?;
    program(&messages, package).ok_or_else(|| CargoError::NoProgram { package: package.to_owned() })
}

/// Has cargo install a tool of exactly this version into the cache, once; where it is. Blocks.
pub fn tool(name: &str, version: &str) -> Result<PathBuf, CargoError> {
    let root = cache_base().join(format!("{name}-{version}"));
    let program = root.join("bin").join(name);
    if !program.is_file() {
        let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| OsString::from("cargo")));
        // It runs for seconds: optimising it takes minutes more than it saves.
        command.args(["install", "--locked", "--quiet", "--profile", "dev"]).env("CARGO_PROFILE_DEV_DEBUG", "false");
        command.arg("--root").arg(&root).arg(format!("{name}@{version}"));
        without_lints(&mut command);
        run(name, command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::inherit()))?;
    }
    Ok(program)
}

/// What is built for images, and from where.
#[derive(Clone, Copy, Debug)]
pub struct Shipped<'a> {
    /// A checkout of this repository.
    pub source: &'a Path,
    /// `cargo-auditable`, which writes into each program what it was built of.
    pub auditable: &'a Path,
    /// The package.
    pub package: &'a str,
    /// Its programs.
    pub programs: &'a [&'a str],
    /// How it is optimised.
    pub profile: &'a str,
}

/// The day that C compilers take for today, in Unix seconds: the first of 1980, before which archives know none. The operator's
/// allocator says when it was built.
pub const SOURCE_DATE_EPOCH: &str = "315532800";

/// Builds programs for images: static, from the locked dependencies, with nothing of this machine's directories in them. Blocks.
pub fn build_shipped(shipped: Shipped<'_>) -> Result<Vec<PathBuf>, CargoError> {
    let Shipped { source, auditable, package, programs, profile } = shipped;
    let triple = host_triple().map_err(|source| CargoError::Run { what: package.to_owned(), source })?;
    let home = std::env::var_os("CARGO_HOME").map(PathBuf::from);
    let home = home.or_else(|| Some(std::env::home_dir()?.join(".cargo"))).unwrap_or_default();
    let flags = [
        "-C target-feature=+crt-static".to_owned(),
        format!("--remap-path-prefix={}=/sikkerkey", source.display()),
        format!("--remap-path-prefix={}=/cargo", home.display()),
    ];
    let mut command = Command::new(auditable);
    without_traces_of_tests(without_lints(&mut command));
    command.args(["auditable", "build", "--locked", "--message-format", "json-render-diagnostics"]);
    command.args(["--package", package, "--profile", profile, "--target", &triple, "--target-dir"]);
    // Another wrapper around the compiler: in the same directory each would build anew what the other has built.
    command.arg(source.join("target/shipped"));
    command.args(programs.iter().flat_map(|program| ["--bin", *program]));
    command.env("RUSTFLAGS", flags.join(" ")).env("SOURCE_DATE_EPOCH", SOURCE_DATE_EPOCH);
    command.env("CARGO_INCREMENTAL", "0").current_dir(source);
    let messages = run(package, command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::inherit()))?;
    let found = programs.iter().map(|name| program(&messages, name).ok_or(*name));
    found.collect::<Result<_, _>>().map_err(|name| CargoError::NoProgram { package: name.to_owned() })
}

fn command() -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| OsString::from("cargo")));
    command.args(["build", "--message-format", "json-render-diagnostics"]);
    without_traces_of_tests(&mut command);
    command.current_dir(workspace()).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::inherit());
    command
}

/// Without the lints that `e2e/test` has the compiler of its own builds look for: they change what is built.
fn without_lints(command: &mut Command) -> &mut Command {
    command.env_remove("RUSTC_WORKSPACE_WRAPPER").env_remove("CLIPPY_ARGS")
}

/// Without what cargo tells a test that it runs. Some build scripts look at it, and would build their package anew.
fn without_traces_of_tests(command: &mut Command) {
    for (name, _) in std::env::vars_os() {
        if name.to_str().is_some_and(is_of_a_running_package) {
            command.env_remove(name);
        }
    }
}

fn is_of_a_running_package(variable: &str) -> bool {
    let beginnings =
        ["CARGO_PKG_", "CARGO_MANIFEST_", "CARGO_BIN_", "CARGO_CRATE_", "CARGO_PRIMARY_", "CARGO_TARGET_TMPDIR"];
    beginnings.iter().any(|beginning| variable.starts_with(beginning))
}

fn run(what: &str, command: &mut Command) -> Result<String, CargoError> {
    let failed = |source| CargoError::Run { what: what.to_owned(), source };
    let output = Build::start(command).and_then(Build::output).map_err(failed)?;
    if !output.status.success() {
        return Err(CargoError::Failed { what: what.to_owned() });
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

#[derive(Deserialize)]
struct Message {
    target: Option<Target>,
    profile: Option<Profile>,
    executable: Option<PathBuf>,
}

#[derive(Deserialize)]
struct Profile {
    /// Whether it holds the unit tests of the target.
    test: bool,
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
        .filter(|message| message.profile.as_ref().is_none_or(|profile| !profile.test))
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
{"reason":"compiler-artifact","target":{"name":"tool"},"profile":{"test":true},"executable":"/t/deps/tool-1"}
{"reason":"compiler-artifact","target":{"name":"tool"},"profile":{"test":false},"executable":"/t/tool"}
{"reason":"build-finished","success":true}"#;
        assert_eq!(program(messages, "tool"), Some("/t/tool".into()));
        assert_eq!(program(messages, "none"), None);
    }

    #[test]
    fn only_what_belongs_to_a_running_package_is_kept_from_cargo() {
        for (variable, is) in
            [("CARGO_PKG_NAME", true), ("CARGO_MANIFEST_DIR", true), ("CARGO_HOME", false), ("CARGO_TARGET_DIR", false)]
        {
            assert_eq!(is_of_a_running_package(variable), is, "{variable}");
        }
    }

    #[test]
    fn the_host_triple_names_this_architecture() {
        assert!(host_triple().unwrap().starts_with(std::env::consts::ARCH));
    }
}
