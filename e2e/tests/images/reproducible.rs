//! Two checkouts in two places give one digest.

use std::path::{Path, PathBuf};
use std::process::Command;

use auditable_info::{Limits, audit_info_from_file};
use sikkerkey_e2e::cargo::{self, Shipped, build_shipped};
use sikkerkey_e2e::shipped::{AUDITABLE, Part, assemble};

/// The files of this repository, as they are now.
fn checkout(into: &Path) {
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

fn built(source: &Path) -> Vec<PathBuf> {
    let auditable = cargo::tool(AUDITABLE.0, AUDITABLE.1).unwrap();
    let package = Part::Sidecar.name();
    build_shipped(Shipped { source, auditable: &auditable, package, programs: &[package], profile: "sidecar" }).unwrap()
}

/// With the smallest of them: what could make them differ is the same for all.
#[test]
fn the_same_sources_in_two_places_give_the_same_image_which_tells_of_what_it_was_built() {
    let elsewhere = tempfile::Builder::new().prefix("somewhere-else-").tempdir().unwrap();
    checkout(elsewhere.path());
    let places = [cargo::workspace(), elsewhere.path()];
    let [one, other] = places.map(|place| {
        let programs = built(place);
        let image = assemble(Part::Sidecar, &programs, "localhost", "a-commit").unwrap();
        (programs, image.digest().unwrap())
    });
    assert_eq!(one.1, other.1);
    let bytes = std::fs::read(&one.0[0]).unwrap();
    let places = places.into_iter().map(Path::to_path_buf).chain(std::env::home_dir());
    for place in places {
        let place = place.display().to_string();
        let found = bytes.windows(place.len()).any(|window| window == place.as_bytes());
        assert!(!found, "the program names {place}");
    }
    let packages = audit_info_from_file(&one.0[0], Limits::default()).unwrap().packages;
    let names: Vec<&str> = packages.iter().map(|package| package.name.as_str()).collect();
    for name in ["sikkerkey-sidecar", "rustls", "tokio"] {
        assert!(names.contains(&name), "{names:?}");
    }
    assert!(!names.contains(&"proptest"), "only what is in it: {names:?}");
    let said = Command::new(&one.0[0]).arg("--version").output().unwrap();
    assert!(said.status.success(), "it runs: {}", String::from_utf8_lossy(&said.stderr));
}
