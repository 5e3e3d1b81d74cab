//! The packages whose code is inside a program.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;

use serde::Deserialize;

/// Name and version of a package.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Id {
    /// As crates.io has it.
    pub name: String,
    /// Without a `v`.
    pub version: String,
}

/// A crate that is inside.
#[derive(Clone, Debug)]
pub struct Crate {
    /// Which one.
    pub id: Id,
    /// An SPDX expression.
    pub license: String,
    /// SHA-256 of the package, as hexadecimal; none for a crate of this workspace.
    pub checksum: Option<String>,
    /// Where its files are.
    pub directory: PathBuf,
    /// What it is linked with itself.
    pub dependencies: BTreeSet<Id>,
}

/// What is inside without being a crate.
#[derive(Clone, Debug)]
pub struct Native {
    /// Name and version.
    pub id: Id,
    /// An SPDX expression.
    pub license: &'static str,
    /// Where it comes from, and where its licence is to be read.
    pub home: &'static str,
}

/// All that a program is linked of.
#[derive(Clone, Debug)]
pub struct Linked {
    /// The package whose program it is.
    pub root: Id,
    /// For which processor and system.
    pub triple: String,
    /// The crates with the package itself, by name and version.
    pub crates: BTreeMap<Id, Crate>,
    /// The rest.
    pub natives: Vec<Native>,
}

/// It could not be found out.
#[derive(Debug, thiserror::Error)]
pub enum LinkedError {
    /// A program could not be run, or said no.
    #[error("`{command}` failed: {said}")]
    Command {
        /// With its arguments.
        command: String,
        /// What it wrote, or why it could not be run.
        said: String,
    },
    /// What a program printed is not understood.
    #[error("cannot read what `{0}` printed: {1}")]
    Printed(&'static str, String),
    /// `Cargo.lock` is not readable.
    #[error("cannot read {}", path.display())]
    Lock {
        /// Where it is.
        path: PathBuf,
        /// Why.
        source: cargo_lock::Error,
    },
    /// A package that may not be there, or says no licence.
    #[error("{} {}: {what}", id.name, id.version)]
    Package {
        /// Which one.
        id: Id,
        /// What is wrong with it.
        what: &'static str,
    },
}

#[derive(Deserialize)]
struct Metadata {
    packages: Vec<Package>,
}

#[derive(Deserialize)]
struct Package {
    name: String,
    version: String,
    license: Option<String>,
    manifest_path: PathBuf,
    source: Option<String>,
}

impl Linked {
    /// Asks cargo what a build of a package of this checkout, for this machine, links. Blocks.
    pub fn gather(source: &Path, package: &str) -> Result<Self, LinkedError> {
        let rustc = run(source, "rustc", &["-vV"])?;
        let said = |name: &str| rustc.lines().find_map(|line| line.strip_prefix(name)).map(str::to_owned);
        let missing = || LinkedError::Printed("rustc -vV", rustc.clone());
        let (triple, compiler) = (said("host: ").ok_or_else(missing)?, said("release: ").ok_or_else(missing)?);
        // Of macros and build scripts nothing is inside. `cargo metadata` alone would tell of the features of all of the workspace.
        let tree = ["tree", "--locked", "--edges", "normal,no-proc-macro", "--package", package, "--target", &triple];
        let tree = run(source, "cargo", &[&tree[..], &["--prefix", "depth", "--format", "{p}"]].concat())?;
        let metadata = ["metadata", "--locked", "--format-version", "1", "--filter-platform", &triple];
        let metadata = run(source, "cargo", &metadata)?;
        let metadata = serde_json::from_str(&metadata)
            .map_err(|error| LinkedError::Printed("cargo metadata", error.to_string()))?;
        let path = source.join("Cargo.lock");
        let lock = cargo_lock::Lockfile::load(&path).map_err(|source| LinkedError::Lock { path, source })?;
        let (root, edges) = edges(&tree).ok_or_else(|| LinkedError::Printed("cargo tree", tree.clone()))?;
        let crates = join(edges, metadata, &lock)?;
        let natives = natives(source, compiler, &triple, &crates)?;
        Ok(Self { root, triple, crates, natives })
    }
}

/// What each package of a printed tree leads to, and which is the first.
fn edges(tree: &str) -> Option<(Id, BTreeMap<Id, BTreeSet<Id>>)> {
    let mut edges = BTreeMap::<Id, BTreeSet<Id>>::new();
    let mut above: Vec<Id> = Vec::new();
    for line in tree.lines().filter(|line| !line.is_empty()) {
        let begin = line.find(|letter: char| !letter.is_ascii_digit())?;
        let (depth, package) = line.split_at_checked(begin)?;
        let mut words = package.split_whitespace();
        let id = Id { name: words.next()?.to_owned(), version: words.next()?.strip_prefix('v')?.to_owned() };
        above.truncate(depth.parse().ok()?);
        if let Some(parent) = above.last() {
            edges.entry(parent.clone()).or_default().insert(id.clone());
        }
        edges.entry(id.clone()).or_default();
        above.push(id);
    }
    Some((above.into_iter().next()?, edges))
}

fn join(
    edges: BTreeMap<Id, BTreeSet<Id>>,
    metadata: Metadata,
    lock: &cargo_lock::Lockfile,
) -> Result<BTreeMap<Id, Crate>, LinkedError> {
    let packages = metadata.packages.into_iter();
    let mut packages: BTreeMap<Id, Package> = packages
        .map(|package| (Id { name: package.name.clone(), version: package.version.clone() }, package))
        .collect();
    let checksum = |id: &Id| {
        let same = |package: &&cargo_lock::Package| {
            package.name.as_str() == id.name && package.version.to_string() == id.version
        };
        Some(lock.packages.iter().find(same)?.checksum.as_ref()?.to_string())
    };
    let join = |(id, dependencies): (Id, BTreeSet<Id>)| {
        let wrong = |what| LinkedError::Package { id: id.clone(), what };
        let package = packages.remove(&id).ok_or_else(|| wrong("`cargo metadata` does not know it"))?;
        let license = package.license.ok_or_else(|| wrong("its Cargo.toml names no licence"))?;
        let checksum = checksum(&id);
        if package.source.is_some() && checksum.is_none() {
            return Err(wrong("Cargo.lock has no checksum of it"));
        }
        let directory = package.manifest_path.parent().map(Path::to_path_buf).unwrap_or_default();
        // How an expression was written before there were expressions.
        let license = license.replace(" / ", "/").replace('/', " OR ");
        Ok((id.clone(), Crate { id, license, checksum, directory, dependencies }))
    };
    edges.into_iter().map(join).collect()
}

/// The language's own library, the C library that a static program has inside, and the database in C that a crate brings along.
fn natives(
    source: &Path,
    compiler: String,
    triple: &str,
    crates: &BTreeMap<Id, Crate>,
) -> Result<Vec<Native>, LinkedError> {
    let native = |name: &str, version: String, license, home| Native {
        id: Id { name: name.to_owned(), version },
        license,
        home,
    };
    let home = "https://github.com/rust-lang/rust";
    let mut natives = vec![native("rust-std", compiler, "MIT OR Apache-2.0", home)];
    if triple.ends_with("-gnu") {
        let printed = run(source, "getconf", &["GNU_LIBC_VERSION"])?;
        let version = printed.trim().strip_prefix("glibc ");
        let version = version.ok_or_else(|| LinkedError::Printed("getconf GNU_LIBC_VERSION", printed.clone()))?;
        let home = "https://www.gnu.org/software/libc/";
        natives.push(native("glibc", version.to_owned(), "LGPL-2.1-or-later", home));
    }
    if let Some(sqlite) = crates.values().find(|it| it.id.name == "libsqlite3-sys") {
        let header = std::fs::read_to_string(sqlite.directory.join("sqlite3/sqlite3.h")).unwrap_or_default();
        let version = header.lines().find_map(|line| line.strip_prefix("#define SQLITE_VERSION ")?.split('"').nth(1));
        let wrong = || LinkedError::Package { id: sqlite.id.clone(), what: "its sqlite3.h names no version" };
        natives.push(native("sqlite", version.ok_or_else(wrong)?.to_owned(), "blessing", "https://www.sqlite.org/"));
    }
    Ok(natives)
}

/// Runs the tool of this name in the checkout; what it printed.
fn run(source: &Path, name: &str, args: &[&str]) -> Result<String, LinkedError> {
    // What runs within cargo is to use the same cargo.
    let program = std::env::var_os(name.to_uppercase()).unwrap_or_else(|| name.into());
    let failed = |said: String| LinkedError::Command { command: format!("{name} {}", args.join(" ")), said };
    let output = Command::new(program).args(args).current_dir(source).output();
    let output = output.map_err(|error| failed(error.to_string()))?;
    if !output.status.success() {
        return Err(failed(String::from_utf8_lossy(&output.stderr).trim().to_owned()));
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_printed_tree_is_read_with_what_leads_to_what() {
        let tree = "0app v1.0.0 (/src/app)\n1left v2.0.0\n2deep v0.1.0-rc.1\n1right v3.0.0\n2deep v0.1.0-rc.1 (*)\n";
        let (root, edges) = edges(tree).unwrap();
        let names = |id: &Id| edges[id].iter().map(|id| id.name.clone()).collect::<Vec<_>>();
        assert_eq!(names(&root), ["left", "right"]);
        for parent in &edges[&root] {
            assert_eq!(names(parent), ["deep"], "{parent:?}");
        }
        assert_eq!(edges.len(), 4);
    }

    #[test]
    fn what_is_no_tree_is_refused() {
        for text in ["", "warning: no", "0app", "0app 1.0.0"] {
            assert!(edges(text).is_none(), "{text}");
        }
    }
}
