//! A release: what is published of one commit, in one folder, the same bytes for the same sources and compilers.
//!
//! | File | What |
//! |---|---|
//! | `sikkerkey-{server,operator,sidecar}.tar` | the images, as OCI archives |
//! | `….cdx.json` | of what the image's programs are linked, as CycloneDX |
//! | `….licenses.txt` | the licence texts of that; the image has it too |
//! | `images.txt` | each image with its digest |
//! | `sikkerkey-VERSION.tgz` | the chart |
//! | `sikkerkey-crds.yaml` | the kinds, for installations without the chart |
//! | `kubectl-sikkerkey-linux-…` | the plugin of kubectl |
//! | `SHA256SUMS` | the digests of all of these |

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;

use sikkerkey_bill::sbom;

use crate::helm::{Helm, HelmError};
use crate::image;
use crate::release::checksums::Sums;
use crate::report::Report;
use crate::shipped::{self, Built, Part, ShippedError};

mod chart;
pub mod checksums;

/// What is released.
#[derive(Clone, Debug)]
pub struct Release {
    /// Of which checkout.
    pub source: PathBuf,
    /// Its commit, as the images name it.
    pub revision: String,
    /// Which images.
    pub parts: Vec<Part>,
    /// What stands before their names.
    pub registry: String,
}

/// It could not be made, or is not what it should be.
#[derive(Debug, thiserror::Error)]
pub enum ReleaseError {
    /// An image could not be made.
    #[error(transparent)]
    Shipped(#[from] ShippedError),
    /// The chart could not be packed.
    #[error(transparent)]
    Helm(#[from] HelmError),
    /// A file could not be read or written.
    #[error("cannot make or read {what}")]
    File {
        /// Which.
        what: String,
        /// Why.
        source: io::Error,
    },
    /// There is something in the folder.
    #[error("{} is not empty: a release has a folder of its own", .0.display())]
    NotEmpty(PathBuf),
    /// The folder has no list of digests, or one that cannot be read.
    #[error("{} has no SHA256SUMS that can be read", .0.display())]
    NoSums(PathBuf),
    /// What is checked out is no commit, or more than one.
    #[error("only a commit can be built once more: commit what was changed")]
    NoCommit,
    /// The commit could not be cloned.
    #[error("cannot clone the commit {0} to another place: {1}")]
    Clone(String, String),
    /// Files are not what they should be.
    #[error("{what}: {}", names.join(", "))]
    Differs {
        /// How it was found.
        what: &'static str,
        /// Which.
        names: Vec<String>,
    },
}

impl Release {
    /// Builds all of it into an empty folder; the digests. Blocks.
    pub fn make(&self, folder: &Path, report: &Report) -> Result<Sums, ReleaseError> {
        let failed = |source| ReleaseError::File { what: folder.display().to_string(), source };
        fs::create_dir_all(folder).map_err(failed)?;
        if fs::read_dir(folder).map_err(failed)?.next().is_some() {
            return Err(ReleaseError::NotEmpty(folder.to_owned()));
        }
        let write = |name: &str, bytes: &[u8]| fs::write(folder.join(name), bytes).map_err(failed);
        let (chart, bytes) = chart::package(&Helm::ensure(report)?, &self.source)?;
        write(&chart, &bytes)?;
        write("sikkerkey-crds.yaml", self.kinds().map_err(failed)?.as_bytes())?;
        let mut images = Vec::new();
        for part in &self.parts {
            let name = part.name();
            let Built { image, programs, linked, notices } =
                shipped::build(*part, &self.source, &self.revision, &self.registry, report)?;
            let (_, written) = shipped::write(*part, &image, folder)?;
            images.push(format!("{}@{}\n", image.reference(), written.digest));
            let bill = format!("{:#}\n", sbom::sbom(&linked, part.description()));
            write(&format!("{name}.cdx.json"), bill.as_bytes())?;
            write(&format!("{name}.licenses.txt"), notices.as_bytes())?;
            if let Some(plugin) = programs.iter().find(|program| program.ends_with("kubectl-sikkerkey")) {
                let to = folder.join(format!("kubectl-sikkerkey-linux-{}", image::architecture()));
                fs::copy(plugin, to).map_err(failed)?;
            }
        }
        write("images.txt", images.concat().as_bytes())?;
        let sums = checksums::of(folder).map_err(failed)?;
        write(checksums::FILE, checksums::print(&sums).as_bytes())?;
        Ok(sums)
    }

    /// Checks the digests of a folder, and that the same commit gives them once more, from a clone in another place. Blocks.
    pub fn verify(&self, folder: &Path, report: &Report) -> Result<Sums, ReleaseError> {
        let sums = intact(folder)?;
        report.line("every file is as SHA256SUMS says; building the same commit in another place");
        if self.revision.is_empty() || self.revision.ends_with(shipped::CHANGED) {
            return Err(ReleaseError::NoCommit);
        }
        let failed = |source| ReleaseError::File { what: "a place for the second build".to_owned(), source };
        let elsewhere = tempfile::Builder::new().prefix("sikkerkey-release-").tempdir().map_err(failed)?;
        let source = elsewhere.path().join("source");
        clone(&self.source, &self.revision, &source)?;
        let again = Self { source, ..self.clone() }.make(&elsewhere.path().join("release"), report)?;
        same("the same commit, built in another place, gives others", &sums, &again)?;
        Ok(sums)
    }

    /// The definitions of all kinds, as one file.
    fn kinds(&self) -> io::Result<String> {
        let mut paths = Vec::new();
        for entry in fs::read_dir(self.source.join("crds"))? {
            paths.push(entry?.path());
        }
        paths.retain(|path| path.extension().is_some_and(|extension| extension == "yaml"));
        paths.sort();
        let texts: Vec<String> = paths.iter().map(fs::read_to_string).collect::<io::Result<_>>()?;
        Ok(texts.join("---\n"))
    }
}

/// The digests of a folder, if they are those of its files.
pub fn intact(folder: &Path) -> Result<Sums, ReleaseError> {
    let failed = |source| ReleaseError::File { what: folder.display().to_string(), source };
    let text = fs::read_to_string(folder.join(checksums::FILE)).ok();
    let sums = text.and_then(|text| checksums::parse(&text)).ok_or_else(|| ReleaseError::NoSums(folder.to_owned()))?;
    same("not as SHA256SUMS says", &sums, &checksums::of(folder).map_err(failed)?)?;
    Ok(sums)
}

fn same(what: &'static str, one: &Sums, other: &Sums) -> Result<(), ReleaseError> {
    let names: Vec<String> = checksums::differences(one, other).into_iter().collect();
    if names.is_empty() { Ok(()) } else { Err(ReleaseError::Differs { what, names }) }
}

fn clone(source: &Path, revision: &str, to: &Path) -> Result<(), ReleaseError> {
    let failed = |said: String| ReleaseError::Clone(revision.to_owned(), said);
    let git = |command: &mut Command| {
        let output = command.output().map_err(|error| failed(error.to_string()))?;
        let said = || failed(String::from_utf8_lossy(&output.stderr).trim().to_owned());
        output.status.success().then_some(()).ok_or_else(said)
    };
    git(Command::new("git").args(["clone", "--quiet", "--no-checkout"]).arg(source).arg(to))?;
    git(Command::new("git").arg("-C").arg(to).args(["checkout", "--quiet", "--detach", revision]))
}
