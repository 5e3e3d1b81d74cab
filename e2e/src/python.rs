//! Pythons with what tests need: made once for each set of pinned versions, outside of the repository.

use std::fs::{self, File};
use std::path::PathBuf;
use std::process::{Command, Stdio};

use sha2::{Digest, Sha256};

use crate::assets::cache_base;

/// An interpreter with the packages that the file pins. An error says what to install.
///
/// # Errors
///
/// If there is no Python that makes environments, or its package index cannot be reached.
pub fn with(requirements: &str) -> Result<PathBuf, String> {
    let version = run(Command::new("python3").arg("--version"))
        .map_err(|problem| format!("{problem}\nInstall it: apt-get install -y python3 python3-venv"))?;
    let pinned = fs::read(requirements).map_err(|error| format!("{requirements}: {error}"))?;
    // Another interpreter needs other builds of the same packages.
    let digest = Sha256::new().chain_update(&pinned).chain_update(&version).finalize();
    let [first, second, third, fourth, ..] = digest.0;
    let place = cache_base().join(format!("python-{first:02x}{second:02x}{third:02x}{fourth:02x}"));
    let problem = |error: std::io::Error| format!("cannot use {}: {error}; set SIKKERKEY_E2E_CACHE", place.display());
    fs::create_dir_all(&place).map_err(problem)?;
    // Other runs wait here until it is there.
    let lock = File::create(place.join("lock")).map_err(problem)?;
    lock.lock().map_err(problem)?;
    let (venv, complete) = (place.join("venv"), place.join("complete"));
    let python = venv.join("bin/python");
    if complete.exists() && python.exists() {
        return Ok(python);
    }
    run(Command::new("python3").args(["-m", "venv", "--clear"]).arg(&venv))
        .map_err(|problem| format!("{problem}\nInstall it: apt-get install -y python3-venv"))?;
    let mut install = Command::new(&python);
    install.args([
        "-m",
        "pip",
        "install",
        "--quiet",
        "--disable-pip-version-check",
        "--no-input",
        "--only-binary=:all:",
    ]);
    install.args(["--requirement", requirements]);
    run(&mut install).map_err(|problem| format!("{problem}\nIt needs the Python package index once"))?;
    File::create(complete).map_err(problem)?;
    Ok(python)
}

/// Runs a program to its end, and answers what it wrote.
fn run(command: &mut Command) -> Result<Vec<u8>, String> {
    let name = command.get_program().to_string_lossy().into_owned();
    let output = command.stdin(Stdio::null()).output().map_err(|error| format!("cannot run {name}: {error}"))?;
    if output.status.success() {
        return Ok(output.stdout);
    }
    let said = [output.stdout, output.stderr].concat();
    Err(format!("{name} ended with {}:\n{}", output.status, String::from_utf8_lossy(&said).trim_end()))
}
