//! The images as they are shipped: from scratch, static, run by nobody, and the same bytes for the same sources.
//!
//! The Dockerfiles beside the crates make the same with docker or buildah.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;

use sikkerkey_bill::{Linked, LinkedError, notices};

use crate::cargo::{self, CargoError, Shipped};
use crate::image::{Image, Written};
use crate::report::Report;

/// What writes into each program of which packages it was built: tools that look for vulnerable ones read it from the image.
pub const AUDITABLE: (&str, &str) = ("cargo-auditable", "0.7.7");

/// That of this project.
const LICENSE: &str = include_str!("../../LICENSE");
/// What is after a commit if the checkout has more than that.
pub const CHANGED: &str = "-changed";

/// One of the images.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Part {
    /// The server.
    Server,
    /// The operator, with the plugin of kubectl for `helm test`.
    Operator,
    /// What runs in pods.
    Sidecar,
}

/// An image could not be made.
#[derive(Debug, thiserror::Error)]
pub enum ShippedError {
    /// A program was not built.
    #[error(transparent)]
    Build(#[from] CargoError),
    /// What its programs are linked of is not known.
    #[error(transparent)]
    Linked(#[from] LinkedError),
    /// A file could not be read or written.
    #[error("cannot make {what}")]
    File {
        /// Which.
        what: String,
        /// Why.
        source: io::Error,
    },
}

impl Part {
    /// All of them, the smallest first.
    pub const ALL: [Self; 3] = [Self::Sidecar, Self::Operator, Self::Server];

    /// Name of package, program and image.
    pub fn name(self) -> &'static str {
        match self {
            Self::Server => "sikkerkey-server",
            Self::Operator => "sikkerkey-operator",
            Self::Sidecar => "sikkerkey-sidecar",
        }
    }

    /// What it is, in a line.
    pub fn description(self) -> &'static str {
        match self {
            Self::Server => "The SikkerKey server: machines, secrets, grants, access policies, audit",
            Self::Operator => {
                "The SikkerKey operator: puts machines, secrets, grants and policies of a cluster into force"
            }
            Self::Sidecar => "The SikkerKey sidecar: turns signed reads into files in a pod",
        }
    }

    /// The programs, the one that the image runs first.
    pub fn programs(self) -> &'static [&'static str] {
        match self {
            Self::Server => &["sikkerkey-server"],
            Self::Operator => &["sikkerkey-operator", "kubectl-sikkerkey"],
            Self::Sidecar => &["sikkerkey-sidecar"],
        }
    }

    fn profile(self) -> &'static str {
        if self == Self::Sidecar { "sidecar" } else { "release" }
    }
}

/// An image with what it is made of.
#[derive(Clone, Debug)]
pub struct Built {
    /// The image.
    pub image: Image,
    /// Its programs, the one that it runs first.
    pub programs: Vec<PathBuf>,
    /// Of what the program that it runs is linked.
    pub linked: Linked,
    /// The licence texts of that, as the image has them.
    pub notices: String,
}

/// Builds the programs of an image from a checkout of this commit, and puts it together. Blocks.
pub fn build(
    part: Part,
    source: &Path,
    revision: &str,
    registry: &str,
    report: &Report,
) -> Result<Built, ShippedError> {
    report.line(&format!("building {} as it is shipped: static, optimised", part.name()));
    let programs = programs(part, source)?;
    let failed = |source| ShippedError::File { what: format!("the licence texts of {}", part.name()), source };
    let linked = Linked::gather(source, part.name())?;
    let notices = notices::notices(&linked).map_err(failed)?;
    let image = assemble(part, &programs, &notices, registry, revision)?;
    Ok(Built { image, programs, linked, notices })
}

/// Builds the programs of an image from a checkout; where they are. Blocks.
fn programs(part: Part, source: &Path) -> Result<Vec<PathBuf>, CargoError> {
    let (name, version) = AUDITABLE;
    let auditable = cargo::tool(name, version)?;
    let shipped = Shipped {
        source,
        auditable: &auditable,
        package: part.name(),
        programs: part.programs(),
        profile: part.profile(),
    };
    cargo::build_shipped(shipped)
}

/// Builds the program that an image runs, from this checkout; where it is. Blocks.
pub fn program(part: Part) -> Result<PathBuf, CargoError> {
    let first = programs(part, cargo::workspace())?.into_iter().next();
    first.ok_or_else(|| CargoError::NoProgram { package: part.name().to_owned() })
}

/// Puts an image together of its programs and the licence texts of what is inside them.
fn assemble(
    part: Part,
    programs: &[PathBuf],
    notices: &str,
    registry: &str,
    revision: &str,
) -> Result<Image, ShippedError> {
    let failed = |source| ShippedError::File { what: format!("the image {}", part.name()), source };
    let version = env!("CARGO_PKG_VERSION");
    let image = Image::new(format!("{registry}/{}:{version}", part.name()));
    let image = programs.iter().try_fold(image, |image, program| image.program(program)).map_err(failed)?;
    let image = image.file("/licenses/LICENSE", 0o444, LICENSE).file("/licenses/THIRD-PARTY.txt", 0o444, notices);
    let image = image.gzipped().user("65532:65532").entrypoint([format!("/{}", part.name())]);
    let labels = [
        ("title", part.name()),
        ("description", part.description()),
        ("version", version),
        ("revision", revision),
        ("licenses", env!("CARGO_PKG_LICENSE")),
    ];
    let labelled = labels
        .iter()
        .fold(image, |image, (name, value)| image.label(format!("org.opencontainers.image.{name}"), *value));
    Ok(labelled)
}

/// Writes an image as an OCI archive into a directory; where it is. Blocks.
pub fn write(part: Part, image: &Image, directory: &Path) -> Result<(PathBuf, Written), ShippedError> {
    let path = directory.join(format!("{}.tar", part.name()));
    let failed = |source| ShippedError::File { what: path.display().to_string(), source };
    fs::create_dir_all(directory).map_err(failed)?;
    let mut file = File::create(&path).map_err(failed)?;
    let written = image.write(&mut file).map_err(failed)?;
    file.sync_all().map_err(failed)?;
    Ok((path, written))
}

/// The commit that is checked out, with a mark if there is more than that; nothing outside of a repository.
pub fn revision(source: &Path) -> String {
    let git = |args: &[&str]| {
        let output = Command::new("git").arg("-C").arg(source).args(args).output().ok()?;
        output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
    };
    let Some(commit) = git(&["rev-parse", "HEAD"]) else { return String::new() };
    match git(&["status", "--porcelain"]) {
        Some(changes) if changes.is_empty() => commit,
        _ => format!("{commit}{CHANGED}"),
    }
}
