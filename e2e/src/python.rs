//! Pythons with what tests need: made once for each set of pinned versions, outside of the repository.

use std::fs::{self, File};
use std::path::PathBuf;
use std::process::Command;

use sha2::{Digest, Sha256};

use crate::fetched::{Place, run};

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
    let place = Place::ensure(&format!("python-{first:02x}{second:02x}{third:02x}{fourth:02x}"))?;
    let (venv, complete) = (place.path().join("venv"), place.path().join("complete"));
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
    File::create(complete).map_err(|error| place.problem(&error))?;
    Ok(python)
}
