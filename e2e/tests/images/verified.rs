//! A release is compared with what its commit gives once more. Without images here, which take their time.

use std::fs;
use std::path::Path;
use std::process::Command;

use sikkerkey_e2e::release::{Release, ReleaseError, checksums};
use sikkerkey_e2e::report::Report;
use sikkerkey_e2e::shipped::revision;

use crate::checkout;

fn git(place: &Path, args: &[&str]) {
    let somebody = ["-c", "user.name=somebody", "-c", "user.email=somebody@example.com"];
    let status = Command::new("git").arg("-C").arg(place).args(somebody).args(args).status().unwrap();
    assert!(status.success(), "{args:?}");
}

fn release(place: &Path) -> Release {
    let (source, revision) = (place.to_owned(), revision(place));
    Release { source, revision, parts: Vec::new(), registry: "localhost".to_owned() }
}

#[test]
fn a_release_is_of_one_commit_and_says_which_file_is_not() {
    let place = tempfile::tempdir().unwrap();
    let (source, folder) = (place.path().join("source"), place.path().join("release"));
    checkout(&source);
    git(&source, &["init", "--quiet"]);
    let commit = || {
        git(&source, &["add", "--all", "--force"]);
        git(&source, &["commit", "--quiet", "--message", "a commit"]);
    };
    commit();
    let report = Report::silent();
    let sums = release(&source).make(&folder, &report).unwrap();
    assert_eq!(release(&source).verify(&folder, &report).unwrap(), sums);

    let again = release(&source).make(&folder, &report).unwrap_err();
    assert!(matches!(again, ReleaseError::NotEmpty(_)), "{again}");

    let values = source.join("charts/sikkerkey/values.yaml");
    fs::write(&values, fs::read_to_string(&values).unwrap() + "# changed\n").unwrap();
    let changed = release(&source).verify(&folder, &report).unwrap_err();
    assert!(matches!(changed, ReleaseError::NoCommit), "{changed}");
    commit();
    let other = release(&source).verify(&folder, &report).unwrap_err();
    let chart = format!("sikkerkey-{}.tgz", env!("CARGO_PKG_VERSION"));
    assert!(matches!(&other, ReleaseError::Differs { names, .. } if names == &[chart.as_str()]), "{other}");

    fs::remove_file(folder.join(checksums::FILE)).unwrap();
    let bare = release(&source).verify(&folder, &report).unwrap_err();
    assert!(matches!(bare, ReleaseError::NoSums(_)), "{bare}");
}
