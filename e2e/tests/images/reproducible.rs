//! Two checkouts in two places give one release.

use std::collections::BTreeSet;
use std::io::Read;
use std::path::Path;
use std::process::Command;

use auditable_info::{Limits, json_from_file};
use serde_json::Value;
use sikkerkey_e2e::cargo;
use sikkerkey_e2e::helm::Helm;
use sikkerkey_e2e::release::{Release, ReleaseError, intact};
use sikkerkey_e2e::report::Report;
use sikkerkey_e2e::shipped::{Part, program};

use crate::checkout;

/// A release with the smallest image alone: what could make two differ is the same for all.
fn released(source: &Path, into: &Path) -> Vec<String> {
    let (source, revision) = (source.to_owned(), "a-commit".to_owned());
    let release = Release { source, revision, parts: vec![Part::Sidecar], registry: "localhost".to_owned() };
    let sums = release.make(into, &Report::silent()).unwrap();
    sums.into_iter().map(|(name, sum)| format!("{sum}  {name}")).collect()
}

#[test]
fn the_same_sources_in_two_places_give_the_same_release() {
    let elsewhere = tempfile::Builder::new().prefix("somewhere-else-").tempdir().unwrap();
    checkout(elsewhere.path());
    let folders = tempfile::tempdir().unwrap();
    let [one, other] = ["one", "other"].map(|name| folders.path().join(name));
    let sums = released(cargo::workspace(), &one);
    assert_eq!(sums, released(elsewhere.path(), &other));
    let version = env!("CARGO_PKG_VERSION");
    let names: Vec<&str> = sums.iter().map(|line| line.split_once("  ").unwrap().1).collect();
    let chart = format!("sikkerkey-{version}.tgz");
    let image = ["sikkerkey-sidecar.cdx.json", "sikkerkey-sidecar.licenses.txt", "sikkerkey-sidecar.tar"];
    assert_eq!(names, [&["images.txt", chart.as_str(), "sikkerkey-crds.yaml"][..], &image].concat());

    // What everybody has reads the list.
    let check = || Command::new("sha256sum").args(["--check", "--quiet", "SHA256SUMS"]).current_dir(&one).status();
    assert!(check().unwrap().success());
    intact(&one).unwrap();
    std::fs::write(one.join("images.txt"), "another").unwrap();
    assert!(!check().unwrap().success());
    let found = intact(&one).unwrap_err();
    assert!(matches!(&found, ReleaseError::Differs { names, .. } if names == &["images.txt"]), "{found}");

    // The package is the chart.
    let helm = Helm::ensure(&Report::silent()).unwrap();
    let package = other.join(&chart).display().to_string();
    let rendered = helm.run(["template", "sikkerkey", &package, "--namespace", "sikkerkey-system"], None, None);
    assert_eq!(rendered.unwrap(), helm.template("").unwrap());

    the_image_has_the_program_and_its_licences(&other);
    let sidecar = program(Part::Sidecar).unwrap();
    it_names_no_place(&sidecar, &[cargo::workspace(), elsewhere.path()]);
    the_bill_names_what_the_program_does(&other.join("sikkerkey-sidecar.cdx.json"), &sidecar);
    let said = Command::new(&sidecar).arg("--version").output().unwrap();
    assert!(said.status.success(), "it runs: {}", String::from_utf8_lossy(&said.stderr));
}

fn the_image_has_the_program_and_its_licences(folder: &Path) {
    let mut archive = tar::Archive::new(std::fs::File::open(folder.join("sikkerkey-sidecar.tar")).unwrap());
    // The layer is the first of the blobs.
    let mut blobs = archive.entries().unwrap().map(Result::unwrap);
    let layer = blobs.find(|entry| entry.path().unwrap().starts_with("blobs")).unwrap();
    let mut files = Vec::new();
    for file in tar::Archive::new(flate2::read::GzDecoder::new(layer)).entries().unwrap() {
        let mut file = file.unwrap();
        let mut text = Vec::new();
        file.read_to_end(&mut text).unwrap();
        files.push((file.path().unwrap().display().to_string(), file.header().mode().unwrap(), text));
    }
    let names: Vec<_> = files.iter().map(|(name, mode, _)| (name.as_str(), *mode)).collect();
    assert_eq!(names, [("sikkerkey-sidecar", 0o111), ("licenses/LICENSE", 0o444), ("licenses/THIRD-PARTY.txt", 0o444)]);
    assert_eq!(files[2].2, std::fs::read(folder.join("sikkerkey-sidecar.licenses.txt")).unwrap());
}

fn it_names_no_place(program: &Path, places: &[&Path]) {
    let bytes = std::fs::read(program).unwrap();
    for place in places.iter().map(|place| place.to_path_buf()).chain(std::env::home_dir()) {
        let place = place.display().to_string();
        let found = bytes.windows(place.len()).any(|window| window == place.as_bytes());
        assert!(!found, "the program names {place}");
    }
}

/// The program's own list is longer: cargo-auditable adds what other packages of the workspace have these crates do.
fn the_bill_names_what_the_program_does(bill: &Path, program: &Path) {
    let name = |it: &Value| format!("{} {}", it["name"].as_str().unwrap(), it["version"].as_str().unwrap());
    let bill: Value = serde_json::from_slice(&std::fs::read(bill).unwrap()).unwrap();
    let crates = bill["components"].as_array().unwrap().iter();
    let crates = crates.filter(|it| it["purl"].as_str().unwrap().starts_with("pkg:cargo/"));
    let of_bill: BTreeSet<String> = crates.chain([&bill["metadata"]["component"]]).map(name).collect();
    let inside: Value = serde_json::from_str(&json_from_file(program, Limits::default()).unwrap()).unwrap();
    let inside = inside["packages"].as_array().unwrap().iter().filter(|package| package["kind"] != "build");
    let of_program: BTreeSet<String> = inside.map(name).collect();
    let unknown: Vec<_> = of_bill.difference(&of_program).collect();
    assert!(unknown.is_empty(), "{unknown:?}");
    assert!(of_bill.contains(&format!("sikkerkey-sidecar {}", env!("CARGO_PKG_VERSION"))), "{of_bill:?}");
}
