//! One set of files in a directory of its own.
//!
//! Everything is opened below the directory, one segment at a time, without following a link.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{self, Read, Write};

use rustix::fd::OwnedFd;
use rustix::fs::{AtFlags, Dir, FileType, Mode, OFlags, fchmod, fstat, linkat, mkdirat, openat, statat, unlinkat};
use rustix::io::Errno;
use zeroize::Zeroizing;

use super::open_directory;
use crate::manifest::{self, Entry, Manifest, SecretVersion};
use crate::render::RenderedFile;
use sikkerkey_files::layout::FileName;
use sikkerkey_protocol::canonical::sha256_hex;

/// Directories are open to every uid of the pod: the modes of the files decide.
const DIRECTORY_MODE: Mode = Mode::from_raw_mode(0o755);

/// The largest volume.
const MAX_KEPT: usize = 64 << 20;

#[derive(Debug)]
pub(super) struct Generation(OwnedFd);

impl Generation {
    /// Makes an empty one; one of that name that is there already is an error.
    pub(super) fn create(root: &OwnedFd, name: &str) -> io::Result<Self> {
        mkdirat(root, name, DIRECTORY_MODE)?;
        opened_up(root, name).map(Self)
    }

    /// Opens one that is there.
    pub(super) fn open(root: &OwnedFd, name: &str) -> io::Result<Self> {
        open_directory(root, name).map(Self)
    }

    /// The names of all its files.
    pub(super) fn files(&self) -> io::Result<BTreeSet<FileName>> {
        let mut names = BTreeSet::new();
        collect(&self.0, "", &mut names)?;
        Ok(names)
    }

    /// Whether it has this very file: same bytes, same mode.
    pub(super) fn holds(&self, file: &RenderedFile) -> bool {
        self.read(file).unwrap_or(false)
    }

    fn read(&self, file: &RenderedFile) -> io::Result<bool> {
        let (directory, last) = self.parent(&file.name, false)?;
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let mut found = File::from(openat(directory.as_ref().unwrap_or(&self.0), last, flags, Mode::empty())?);
        let stat = fstat(&found)?;
        let size = u64::try_from(stat.st_size).unwrap_or(u64::MAX);
        let is_alike = FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile
            && Mode::from_raw_mode(stat.st_mode) == Mode::from_raw_mode(file.mode)
            && size == file.content.len() as u64;
        if !is_alike {
            return Ok(false);
        }
        let mut bytes = Zeroizing::new(vec![0; file.content.len()]);
        found.read_exact(&mut bytes)?;
        Ok(bytes == file.content)
    }

    /// Writes a file that is not there yet.
    pub(super) fn write(&self, file: &RenderedFile) -> io::Result<()> {
        let (directory, last) = self.parent(&file.name, true)?;
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let private = Mode::RUSR | Mode::WUSR;
        let mut new = File::from(openat(directory.as_ref().unwrap_or(&self.0), last, flags, private)?);
        new.write_all(&file.content)?;
        Ok(fchmod(&new, Mode::from_raw_mode(file.mode))?)
    }

    /// What one of its files is, to be written down.
    pub(super) fn entry(&self, name: &FileName, secrets: Vec<SecretVersion>) -> io::Result<Entry> {
        let (directory, last) = self.parent(name, false)?;
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let mut found = File::from(openat(directory.as_ref().unwrap_or(&self.0), last, flags, Mode::empty())?);
        let stat = fstat(&found)?;
        let size = usize::try_from(stat.st_size).unwrap_or(usize::MAX).min(MAX_KEPT);
        let mut content = Zeroizing::new(vec![0; size]);
        found.read_exact(&mut content)?;
        Ok(Entry {
            path: name.to_string(),
            mode: manifest::octal(Mode::from_raw_mode(stat.st_mode).bits() & 0o777),
            size: size as u64,
            sha256: sha256_hex(&content),
            secrets,
        })
    }

    /// What was written down of it.
    pub(super) fn manifest(&self) -> Option<Manifest> {
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let file = File::from(openat(&self.0, manifest::NAME, flags, Mode::empty()).ok()?);
        let mut text = Vec::new();
        file.take(manifest::MAX_SIZE).read_to_end(&mut text).ok()?;
        serde_json::from_slice(&text).ok()
    }

    /// Writes down what it is. One that does not fit leaves nothing behind.
    pub(super) fn describe(&self, manifest: &Manifest) -> io::Result<()> {
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let mut new = File::from(openat(&self.0, manifest::NAME, flags, Mode::RUSR | Mode::WUSR)?);
        let written = new.write_all(&manifest.text());
        if written.is_err() {
            unlinkat(&self.0, manifest::NAME, AtFlags::empty())?;
        }
        written?;
        Ok(fchmod(&new, Mode::from_raw_mode(manifest.mode()))?)
    }

    /// Takes a file over from an older generation without copying it.
    pub(super) fn link(&self, name: &FileName, older: &Self) -> io::Result<()> {
        let (from, last) = older.parent(name, false)?;
        let (to, _) = self.parent(name, true)?;
        let (from, to) = (from.as_ref().unwrap_or(&older.0), to.as_ref().unwrap_or(&self.0));
        Ok(linkat(from, last, to, last, AtFlags::empty())?)
    }

    /// The directory that a file is in (`None`: the generation's own), and the file's name there.
    fn parent<'a>(&self, name: &'a FileName, make: bool) -> io::Result<(Option<OwnedFd>, &'a str)> {
        let (segments, last) = name.split();
        let mut directory: Option<OwnedFd> = None;
        for segment in segments {
            let above = directory.as_ref().unwrap_or(&self.0);
            directory = Some(if make { make_directory(above, segment)? } else { open_directory(above, segment)? });
        }
        Ok((directory, last))
    }
}

/// Makes a directory, unless it is there, and opens it.
fn make_directory(parent: &OwnedFd, name: &str) -> io::Result<OwnedFd> {
    match mkdirat(parent, name, DIRECTORY_MODE) {
        Ok(()) => opened_up(parent, name),
        Err(Errno::EXIST) => open_directory(parent, name),
        Err(error) => Err(error.into()),
    }
}

/// Opens a new directory and gives back the bits that the umask took away. Where the volume hands its group down (the kubelet
/// makes it so for the pod's `fsGroup`), the directory goes on doing so: the files in it are the group's to read.
fn opened_up(parent: &OwnedFd, name: &str) -> io::Result<OwnedFd> {
    let directory = open_directory(parent, name)?;
    let hands_group_down = Mode::from_raw_mode(fstat(&directory)?.st_mode) & Mode::SGID;
    fchmod(&directory, DIRECTORY_MODE | hands_group_down)?;
    Ok(directory)
}

/// Entries of a directory with their types, except `.` and `..`.
pub(super) fn entries(directory: &OwnedFd) -> io::Result<Vec<(String, FileType)>> {
    let mut entries = vec![];
    for entry in Dir::read_from(directory)? {
        let entry = entry?;
        // A name that is not UTF-8 is not ours.
        let Ok(name) = entry.file_name().to_str() else { continue };
        if !matches!(name, "." | "..") {
            let kind = match entry.file_type() {
                FileType::Unknown => {
                    FileType::from_raw_mode(statat(directory, name, AtFlags::SYMLINK_NOFOLLOW)?.st_mode)
                }
                kind => kind,
            };
            entries.push((name.to_owned(), kind));
        }
    }
    Ok(entries)
}

fn collect(directory: &OwnedFd, above: &str, names: &mut BTreeSet<FileName>) -> io::Result<()> {
    for (entry, kind) in entries(directory)? {
        let path = format!("{above}{entry}");
        if kind == FileType::Directory {
            collect(&open_directory(directory, &entry)?, &format!("{path}/"), names)?;
        } else if let Ok(name) = FileName::parse(&path) {
            names.insert(name);
        }
    }
    Ok(())
}
