//! From what is held to the files of a delivery: which can be written, with what content, and why the others cannot.

use std::collections::BTreeSet;
use std::fmt;

use sikkerkey_files::layout::{self, FileName, LayoutError};
use sikkerkey_files::{Content, FileError, Source};
use sikkerkey_protocol::denial::DenialReason;
use sikkerkey_protocol::sync::{File, Input, SecretKey};

use crate::fetch::{Denial, Holdings, PATIENT};
use crate::manifest::{Manifest, Part, SecretVersion};
use crate::state::reason;

/// What the files of one delivery hold together at most, in bytes. All of them are in memory before the first is written, and the
/// sidecar's container has room for that: beyond it the kernel would end the sidecar instead of anybody being told why.
const MAX_SET: usize = 8 << 20;

/// A file that can be written.
#[derive(PartialEq, Eq)]
pub struct RenderedFile {
    /// Where.
    pub name: FileName,
    /// Permission bits.
    pub mode: u32,
    /// What.
    pub content: Content,
    /// What it was made of.
    pub made_of: Vec<SecretVersion>,
}

impl fmt::Debug for RenderedFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({:04o}, {} bytes)", self.name, self.mode, self.content.len())
    }
}

/// A file that cannot be written now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MissingFile {
    /// Where it would be.
    pub path: String,
    /// Where it is, if what stands there may stay.
    pub may_stay: Option<FileName>,
    /// Whether the application starts without it.
    pub optional: bool,
    /// Why, for a program: of [`reason`], or a denial's.
    pub reason: &'static str,
    /// The denial it waits behind, if it is one.
    pub denial: Option<DenialReason>,
    /// Why, for a person; names the file.
    pub message: String,
}

impl MissingFile {
    /// Whether a clock or a person is awaited, and nothing is there to repair.
    pub fn is_patient(&self) -> bool {
        self.denial.is_some_and(|denial| PATIENT.contains(&denial))
    }
}

/// A delivery's files as they stand.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct FileSet {
    /// What is written.
    pub files: Vec<RenderedFile>,
    /// What is not.
    pub missing: Vec<MissingFile>,
    /// What is written although its last read was denied.
    pub kept: Vec<KeptFile>,
}

/// A file that is written although its last read was denied.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeptFile {
    /// Where.
    pub path: String,
    /// Why it was denied.
    pub reason: DenialReason,
    /// Why, for a person; names the file.
    pub message: String,
}

/// Renders what is held. `in_place` says of the set in place what its files were made of: a file that cannot be written may
/// stay only as long as it is made of the secrets that the delivery has for it now.
pub fn render(holdings: &Holdings, in_place: Option<&Manifest>) -> FileSet {
    let mut set = FileSet::default();
    let Some(delivery) = holdings.delivery() else { return set };
    let names = layout::plan(delivery.files.iter().map(|file| file.path.as_str()));
    let mut room = MAX_SET;
    for (file, name) in delivery.files.iter().zip(names) {
        match place(file, name, holdings, in_place, room) {
            Ok(rendered) => {
                room = room.saturating_sub(rendered.content.len());
                let denied = inputs(file).find_map(|input| Some((&input.secret, holdings.denial(&input.secret)?)));
                if let Some((secret, denial)) = denied {
                    let why = in_words(denial);
                    let message = format!("file {} stays although Secret {secret} is refused: {why}", file.path);
                    set.kept.push(KeptFile { path: file.path.clone(), reason: denial.reason, message });
                }
                set.files.push(rendered);
            }
            Err(Obstacle { reason, denial, message, may_stay }) => {
                let path = crate::client::printable(&file.path);
                set.missing.push(MissingFile { path, may_stay, optional: file.optional, reason, denial, message });
            }
        }
    }
    set
}

/// Why one file cannot be written.
struct Obstacle {
    reason: &'static str,
    denial: Option<DenialReason>,
    message: String,
    may_stay: Option<FileName>,
}

/// Every input, that of a password included.
fn inputs(file: &File) -> impl Iterator<Item = &Input> {
    file.inputs.iter().chain(file.pkcs12.as_ref().map(|store| &store.password))
}

/// Which parts of secrets it is made of.
fn parts(file: &File) -> BTreeSet<Part<'_>> {
    inputs(file).map(|input| (&*input.secret.namespace, &*input.secret.name, input.field.as_deref())).collect()
}

fn place(
    file: &File,
    name: Result<FileName, LayoutError>,
    holdings: &Holdings,
    in_place: Option<&Manifest>,
    room: usize,
) -> Result<RenderedFile, Obstacle> {
    let path = crate::client::printable(&file.path);
    let name = name.map_err(|error| Obstacle {
        reason: reason::FILE_REFUSED,
        denial: None,
        message: format!("file {path:?} is refused: {error}"),
        may_stay: None,
    })?;
    let source = |input| source(input, holdings);
    let may_stay = || {
        let is_of_the_same = in_place.is_some_and(|manifest| manifest.is_made_of(name.as_str(), &parts(file)));
        let stays = is_of_the_same && inputs(file).all(|input| holdings.may_stay(&input.secret));
        stays.then(|| name.clone())
    };
    let missing = |input: &Input| {
        let denial = holdings.denial(&input.secret);
        let (reason, message) = waiting(&path, &input.secret, denial);
        Obstacle { reason, denial: denial.map(|denial| denial.reason), message, may_stay: may_stay() }
    };
    let sources =
        file.inputs.iter().map(|input| source(input).ok_or_else(|| missing(input))).collect::<Result<Vec<_>, _>>()?;
    let password = file.pkcs12.as_ref().map(|store| &store.password);
    let password = password.map(|input| source(input).ok_or_else(|| missing(input))).transpose()?;
    let unwritable = |reason, error: &dyn fmt::Display| Obstacle {
        reason,
        denial: None,
        message: format!("file {path} {error}"),
        may_stay: may_stay(),
    };
    let content = sikkerkey_files::render(file, &sources, password).map_err(|error| match error {
        FileError::Unsupported(_) => unwritable(reason::FORMAT_UNSUPPORTED, &error),
        _ => unwritable(reason::FILE_INVALID, &error),
    })?;
    if content.len() > room {
        let most = MAX_SET >> 20;
        let error = format_args!(
            "has no room: the files of a Machine hold {most} MiB together at most. Write fewer or shorter ones"
        );
        return Err(unwritable(reason::FILE_INVALID, &error));
    }
    Ok(RenderedFile { name, mode: file.mode & 0o777, content, made_of: made_of(file, holdings) })
}

/// Each part of a secret once, by its name.
fn made_of(file: &File, holdings: &Holdings) -> Vec<SecretVersion> {
    let parts: BTreeSet<_> = inputs(file).map(|input| (&input.secret, input.field.as_ref())).collect();
    let versions = parts.into_iter().filter_map(|(key, field)| {
        let value = holdings.value(key)?;
        let (namespace, name, field) = (key.namespace.clone(), key.name.clone(), field.cloned());
        Some(SecretVersion { id: value.id.clone(), namespace, name, field, version: value.version })
    });
    versions.collect()
}

fn source<'a>(input: &'a Input, holdings: &'a Holdings) -> Option<Source<'a>> {
    let value = holdings.value(&input.secret)?;
    Some(Source { input, field_names: &value.field_names, text: &value.text })
}

fn waiting(path: &str, secret: &SecretKey, denial: Option<&Denial>) -> (&'static str, String) {
    let start = format!("file {path} waits for Secret {secret}");
    let Some(denial) = denial else {
        return (reason::PENDING, format!("{start}: the server has not answered for it yet"));
    };
    let Denial { reason, message } = denial;
    let mut text = format!("{start}: {}", in_words(denial));
    if *reason == DenialReason::NotGranted && !message.contains("Grant") {
        text = format!("{text}: add it to a Grant in namespace {}", secret.namespace);
    }
    (reason.as_str(), text)
}

/// The reason, and what the server says of it: who is awaited, or until when.
fn in_words(Denial { reason, message }: &Denial) -> String {
    if message.is_empty() { reason.as_str().to_owned() } else { format!("{}: {message}", reason.as_str()) }
}

#[cfg(test)]
mod tests;
