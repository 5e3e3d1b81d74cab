//! The images and what is released with them: the same bytes wherever they are built, and the same whoever builds them.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test's helpers fail the test"
)]

use std::path::Path;
use std::process::Command;

use sikkerkey_e2e::cargo;

mod bills;
mod dockerfiles;
mod reproducible;
#[path = "../../../sidecar/files/tests/reference/skipped.rs"]
mod skipped;
mod verified;

/// The files of this repository, as they are now.
pub(crate) fn checkout(into: &Path) {
    let source = cargo::workspace();
    let listed = Command::new("git")
        .arg("-C")
        .arg(source)
        .args(["ls-files", "-z", "--cached", "--others", "--exclude-standard"])
        .output()
        .unwrap();
    assert!(listed.status.success(), "{}", String::from_utf8_lossy(&listed.stderr));
    let listed = String::from_utf8(listed.stdout).unwrap();
    let files: Vec<&str> = listed.split('\0').filter(|path| source.join(path).is_file()).collect();
    assert!(files.len() > 500, "{}", files.len());
    for file in files {
        let copy = into.join(file);
        std::fs::create_dir_all(copy.parent().unwrap()).unwrap();
        std::fs::copy(source.join(file), copy).unwrap();
    }
}
