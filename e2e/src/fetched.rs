//! What tests have other people's programs fetch, once, and keep outside of the repository.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::assets::cache_base;

/// A directory of the cache. Other runs wait for it until it is dropped.
#[derive(Debug)]
pub struct Place {
    path: PathBuf,
    _lock: File,
}

impl Place {
    /// That of this name, made if it is not there. Blocks.
    ///
    /// # Errors
    ///
    /// If it cannot be made or locked; the text says what to do.
    pub fn ensure(name: &str) -> Result<Self, String> {
        let path = cache_base().join(name);
        let problem = |error| unusable(&path, &error);
        fs::create_dir_all(&path).map_err(problem)?;
        let lock = File::create(path.join("lock")).map_err(problem)?;
        lock.lock().map_err(problem)?;
        Ok(Self { path, _lock: lock })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What to say of a file in it that cannot be read or written.
    pub fn problem(&self, error: &std::io::Error) -> String {
        unusable(&self.path, error)
    }
}

fn unusable(path: &Path, error: &std::io::Error) -> String {
    format!("cannot use {}: {error}; set SIKKERKEY_E2E_CACHE", path.display())
}

/// Runs a program to its end, and answers what it wrote. Blocks.
///
/// # Errors
///
/// If it cannot be run, or fails; the text has what it wrote.
pub fn run(command: &mut Command) -> Result<Vec<u8>, String> {
    let name = command.get_program().to_string_lossy().into_owned();
    let output = command.stdin(Stdio::null()).output().map_err(|error| format!("cannot run {name}: {error}"))?;
    if output.status.success() {
        return Ok(output.stdout);
    }
    let said = [output.stdout, output.stderr].concat();
    Err(format!("{name} ended with {}:\n{}", output.status, String::from_utf8_lossy(&said).trim_end()))
}
