//! Puts a whole set of files in place with one rename, the way the kubelet does it.
//!
//! ```text
//! ..2026_10_17_02_36_01_123.5f3a9c21/db/password    one generation, complete before anything points to it
//! ..data -> ..2026_10_17_02_36_01_123.5f3a9c21      the swap: one rename
//! db -> ..data/db                                   what the application opens
//! ..manifest.json -> ..data/..manifest.json         what stands there, of which versions
//! ```
//!
//! A reader sees one whole generation or another, never a mixture. A writer may be killed between any two steps: what it
//! leaves behind is invisible and is removed by the next one. Files that did not change are hard links to those of the
//! generation before, so that taking a file away needs no room in a full volume.

mod generation;

use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};

use rustix::fd::OwnedFd;
use rustix::fs::{AtFlags, FileType, Mode, OFlags, openat, readlinkat, renameat, symlinkat, unlinkat};

use self::generation::Generation;
use crate::manifest::{self, Entry, Manifest, SecretVersion};
use crate::render::RenderedFile;
use crate::state::reason;
use sikkerkey_files::layout::FileName;
use sikkerkey_protocol::canonical::sha256_hex;

const DATA: &str = "..data";
const NEW_DATA: &str = "..data_tmp";
const NEW_LINK: &str = "..link_tmp";

/// Why a set is not in place. The one before still is.
#[derive(Debug, thiserror::Error)]
pub enum PublishError {
    /// There is no room.
    #[error("the files do not fit the volume: raise spec.delivery.sizeLimit of the Machine, or write fewer files")]
    Full,
    /// Something else has a name that a file needs.
    #[error("{0} is in the way: something else was written into the volume")]
    InTheWay(String),
    /// Any other trouble.
    #[error("cannot {step}")]
    Io {
        /// What was tried.
        step: &'static str,
        /// What went wrong.
        source: io::Error,
    },
}

impl PublishError {
    fn at(step: &'static str) -> impl Fn(io::Error) -> Self {
        move |source| match source.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Self::Full,
            _ => Self::Io { step, source },
        }
    }

    /// The reason, for a program.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Full => reason::VOLUME_FULL,
            _ => reason::PUBLISH_FAILED,
        }
    }
}

/// What a publication did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// Nothing: the same files with the same bytes and modes were in place.
    None,
    /// It put the first set in place.
    First,
    /// It put a set in place whose files are the same, byte for byte, but made of other versions or for another delivery.
    Relabelled,
    /// It put another set in place.
    Swapped,
}

/// What is in place now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Published {
    /// What was done.
    pub change: Change,
    /// Which of the files that might stay are there.
    pub stayed: BTreeSet<FileName>,
}

/// What a new set is called.
#[derive(Clone, Debug)]
pub struct Label {
    /// Names the generation, and is never used twice.
    pub stamp: String,
    /// The time, for the manifest.
    pub time: String,
    /// Which delivery the set follows, for the manifest.
    pub delivery_revision: Option<String>,
}

/// The volume that the application reads.
#[derive(Debug)]
pub struct Volume {
    path: PathBuf,
    root: OwnedFd,
}

impl Volume {
    /// Opens the volume and removes what a killed writer left behind.
    pub fn open(path: &Path) -> Result<Self, PublishError> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let root = rustix::fs::open(path, flags, Mode::empty())
            .map_err(|error| PublishError::at("open the volume")(error.into()))?;
        let volume = Self { path: path.to_owned(), root };
        volume.remove_leftovers().map_err(PublishError::at("remove what a killed writer left behind"))?;
        Ok(volume)
    }

    /// Whether a set is in place that has files.
    pub fn has_files(&self) -> bool {
        self.current().is_some_and(|generation| !generation.files().unwrap_or_default().is_empty())
    }

    /// What was written down of the set in place.
    pub fn manifest(&self) -> Option<Manifest> {
        self.current()?.manifest()
    }

    /// Puts `files` in place, and beside them those of `may_stay` that are there already.
    ///
    /// When there is no room, files that are not wanted any more go all the same, and so do those that were made of other
    /// secrets; the others stay as they are.
    pub fn publish(
        &self,
        files: &[RenderedFile],
        may_stay: &BTreeSet<FileName>,
        label: &Label,
    ) -> Result<Published, PublishError> {
        let published = self.put(files, may_stay, label);
        if matches!(published, Err(PublishError::Full)) {
            let in_place = self.manifest();
            // Where there was no room for the manifest either, nothing tells of what secrets a file is.
            let is_of_the_same = |file: &&RenderedFile| {
                let parts = file.made_of.iter().map(SecretVersion::part).collect();
                in_place.as_ref().is_none_or(|manifest| manifest.is_made_of(file.name.as_str(), &parts))
            };
            let older = files.iter().filter(is_of_the_same).map(|file| file.name.clone());
            let wanted = older.chain(may_stay.iter().cloned()).collect();
            self.put(&[], &wanted, &Label { stamp: format!("{}.less", label.stamp), ..label.clone() })?;
        }
        published
    }

    fn put(
        &self,
        files: &[RenderedFile],
        may_stay: &BTreeSet<FileName>,
        label: &Label,
    ) -> Result<Published, PublishError> {
        let current = self.current();
        let older = current.as_ref();
        let there = older.and_then(|generation| generation.files().ok()).unwrap_or_default();
        let stayed: BTreeSet<FileName> = may_stay.intersection(&there).cloned().collect();
        let wanted: BTreeSet<FileName> =
            files.iter().map(|file| file.name.clone()).chain(stayed.iter().cloned()).collect();

        let has_same = older.is_some_and(|older| there == wanted && files.iter().all(|file| older.holds(file)));
        let before = older.and_then(Generation::manifest);
        let manifest = describe(label, files, &stayed, older, before.as_ref());
        let change = match (has_same, older) {
            (true, _) if before.is_some_and(|before| before.says_the_same(&manifest)) => Change::None,
            (true, _) => Change::Relabelled,
            (false, None) => Change::First,
            (false, Some(_)) => Change::Swapped,
        };
        if change != Change::None {
            let name = format!("..{}", label.stamp);
            let written = self.write(&name, files, &stayed, older, &manifest).and_then(|()| self.swap(&name));
            if written.is_err() {
                // Above all it takes room.
                drop(self.remove_leftovers());
            }
            written?;
        }
        let tops = wanted.iter().map(FileName::top).chain([manifest::NAME]).collect();
        self.link(&tops)?;
        if let Err(error) = self.remove_leftovers() {
            // They are invisible, and the next publication tries again.
            tracing::warn!(%error, "cannot remove the files of before");
        }
        Ok(Published { change, stayed })
    }

    fn write(
        &self,
        name: &str,
        files: &[RenderedFile],
        stayed: &BTreeSet<FileName>,
        older: Option<&Generation>,
        manifest: &Manifest,
    ) -> Result<(), PublishError> {
        let new = Generation::create(&self.root, name).map_err(PublishError::at("make a directory in the volume"))?;
        for file in files {
            let unchanged = older.filter(|older| older.holds(file));
            if unchanged.is_none_or(|older| new.link(&file.name, older).is_err()) {
                new.write(file).map_err(PublishError::at("write a file"))?;
            }
        }
        for (name, older) in stayed.iter().filter_map(|name| Some((name, older?))) {
            new.link(name, older).map_err(PublishError::at("keep a file"))?;
        }
        match new.describe(manifest) {
            // The files matter more. The next publication tries again.
            Err(error) if error.kind() == io::ErrorKind::StorageFull => {
                tracing::warn!("no room for {}: raise spec.delivery.sizeLimit of the Machine", manifest::NAME);
                Ok(())
            }
            written => written.map_err(PublishError::at("write the manifest")),
        }
    }

    /// The one step that a reader sees.
    fn swap(&self, name: &str) -> Result<(), PublishError> {
        let failed = PublishError::at("swap the files in");
        self.replace_link(name, NEW_DATA, DATA).map_err(|error| failed(error.into()))
    }

    /// Makes the links that lead to the files, then removes those that lead nowhere.
    fn link(&self, tops: &BTreeSet<&str>) -> Result<(), PublishError> {
        let failed = PublishError::at("link the files");
        let mut stale = vec![];
        let mut present = BTreeSet::new();
        for (entry, _) in generation::entries(&self.root).map_err(&failed)? {
            let is_ours = (!entry.starts_with("..") || entry == manifest::NAME)
                && self.link_target(&entry).is_some_and(|to| to == through_data(&entry));
            if is_ours && !tops.contains(entry.as_str()) {
                stale.push(entry);
            } else if is_ours {
                present.insert(entry);
            }
        }
        for top in tops.iter().filter(|top| !present.contains(**top)) {
            self.replace_link(&through_data(top), NEW_LINK, top).map_err(|error| match error {
                rustix::io::Errno::ISDIR | rustix::io::Errno::NOTEMPTY | rustix::io::Errno::EXIST => {
                    PublishError::InTheWay((*top).to_owned())
                }
                error => failed(error.into()),
            })?;
        }
        for entry in stale {
            unlinkat(&self.root, &*entry, AtFlags::empty()).map_err(|error| failed(error.into()))?;
        }
        Ok(())
    }

    fn replace_link(&self, target: &str, unfinished: &str, name: &str) -> rustix::io::Result<()> {
        match unlinkat(&self.root, unfinished, AtFlags::empty()) {
            Ok(()) | Err(rustix::io::Errno::NOENT) => {}
            Err(error) => return Err(error),
        }
        symlinkat(target, &self.root, unfinished)?;
        renameat(&self.root, unfinished, &self.root, name)
    }

    fn link_target(&self, name: &str) -> Option<String> {
        readlinkat(&self.root, name, Vec::new()).ok()?.into_string().ok()
    }

    /// The generation in place, if it is one of ours and whole: nothing points to one that is not.
    fn current(&self) -> Option<Generation> {
        let name = self.link_target(DATA)?;
        is_generation(&name).then(|| Generation::open(&self.root, &name).ok())?
    }

    /// Removes every generation that is not in place, and links that were not finished.
    fn remove_leftovers(&self) -> io::Result<()> {
        let in_place = self.link_target(DATA);
        for (entry, kind) in generation::entries(&self.root)? {
            if kind == FileType::Directory && is_generation(&entry) && in_place.as_ref() != Some(&entry) {
                std::fs::remove_dir_all(self.path.join(&entry))?;
            } else if entry == NEW_DATA || entry == NEW_LINK {
                unlinkat(&self.root, &*entry, AtFlags::empty())?;
            }
        }
        Ok(())
    }
}

/// What the set will be. Of a file that stays, its versions are what the manifest before said.
fn describe(
    label: &Label,
    files: &[RenderedFile],
    stayed: &BTreeSet<FileName>,
    older: Option<&Generation>,
    before: Option<&Manifest>,
) -> Manifest {
    let new = files.iter().map(|file| Entry {
        path: file.name.to_string(),
        mode: manifest::octal(file.mode),
        size: file.content.len() as u64,
        sha256: sha256_hex(&file.content),
        secrets: file.made_of.clone(),
    });
    let kept = stayed.iter().filter_map(|name| {
        let secrets = before.map(|before| before.secrets_of(name.as_str())).unwrap_or_default();
        older?.entry(name, secrets).ok()
    });
    let mut entries: Vec<_> = new.chain(kept).collect();
    entries.sort_by(|a, b| a.path.cmp(&b.path));
    Manifest { time: label.time.clone(), delivery_revision: label.delivery_revision.clone(), files: entries }
}

fn through_data(top: &str) -> String {
    format!("{DATA}/{top}")
}

fn is_generation(name: &str) -> bool {
    name.strip_prefix("..").is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit()) && !rest.contains('/'))
}

fn open_directory(parent: &OwnedFd, name: &str) -> io::Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    Ok(openat(parent, name, flags, Mode::empty())?)
}

#[cfg(test)]
mod tests;
