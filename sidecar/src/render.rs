//! From values to the content of files. Pure: one file of this module for each format.

mod dotenv;
mod fields;
mod raw;

use std::fmt;

use sikkerkey_protocol::denial::DenialReason;
use sikkerkey_protocol::sync::{File, Format, Input, SecretKey};
use zeroize::Zeroizing;

use crate::fetch::{Denial, Holdings, Value};
use crate::layout::{self, FileName};
use crate::state::reason;

/// The content of a file, wiped when dropped.
pub type Content = Zeroizing<Vec<u8>>;

/// A file that can be written.
#[derive(PartialEq, Eq)]
pub struct RenderedFile {
    /// Where.
    pub name: FileName,
    /// Permission bits.
    pub mode: u32,
    /// What.
    pub content: Content,
}

impl fmt::Debug for RenderedFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({:04o}, {} bytes)", self.name, self.mode, self.content.len())
    }
}

/// A file that cannot be written now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MissingFile {
    /// Where it would be, if what an earlier process wrote there may stay.
    pub may_stay: Option<FileName>,
    /// Whether the application starts without it.
    pub optional: bool,
    /// Why, for a program: of [`reason`], or a denial's.
    pub reason: &'static str,
    /// Why, for a person; names the file.
    pub message: String,
}

/// A delivery's files as they stand.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct FileSet {
    /// What is written.
    pub files: Vec<RenderedFile>,
    /// What is not.
    pub missing: Vec<MissingFile>,
    /// What is written although its last read was denied.
    pub kept: Vec<String>,
}

/// The inputs of a file do not make its content.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
enum RenderError {
    #[error("needs field {field} of Secret {secret}, which has {has}")]
    FieldNotFound { secret: SecretKey, field: String, has: String },
    #[error("needs field {field} of Secret {secret}, which is a plain value: leave field out")]
    NotStructured { secret: SecretKey, field: String },
    #[error("needs Secret {secret}, whose value is not the JSON object of its fields: set it anew")]
    Malformed { secret: SecretKey },
    #[error("format Raw takes exactly one Secret, not {0}")]
    NotOneInput(usize),
    #[error("{first} and {second} both give the name {name}: give one of them another name with as")]
    Collision { name: String, first: String, second: String },
    #[error("{input} holds a NUL character, which no environment variable can: use format Raw")]
    Nul { input: String },
    #[error("format {0} is not supported by this version of the sidecar")]
    Unsupported(&'static str),
}

impl RenderError {
    fn reason(&self) -> &'static str {
        match self {
            Self::Unsupported(_) => reason::FORMAT_UNSUPPORTED,
            _ => reason::FILE_INVALID,
        }
    }
}

/// An input with its value.
#[derive(Clone, Copy)]
struct Source<'a> {
    input: &'a Input,
    value: &'a Value,
}

/// Renders what is held.
pub fn render(holdings: &Holdings) -> FileSet {
    let mut set = FileSet::default();
    let Some(delivery) = holdings.delivery() else { return set };
    let names = layout::plan(delivery.files.iter().map(|file| file.path.as_str()));
    for (file, name) in delivery.files.iter().zip(names) {
        match place(file, name, holdings) {
            Ok(rendered) => {
                let denied =
                    file.inputs.iter().find_map(|input| Some((&input.secret, holdings.denial(&input.secret)?)));
                if let Some((secret, denial)) = denied {
                    set.kept.push(format!(
                        "file {} stays although Secret {secret} is refused: {}",
                        file.path,
                        in_words(denial)
                    ));
                }
                set.files.push(rendered);
            }
            Err(Obstacle { reason, message, may_stay }) => {
                set.missing.push(MissingFile { may_stay, optional: file.optional, reason, message });
            }
        }
    }
    set
}

/// Why one file cannot be written.
struct Obstacle {
    reason: &'static str,
    message: String,
    may_stay: Option<FileName>,
}

fn place(
    file: &File,
    name: Result<FileName, layout::LayoutError>,
    holdings: &Holdings,
) -> Result<RenderedFile, Obstacle> {
    let path = crate::client::printable(&file.path);
    let name = name.map_err(|error| Obstacle {
        reason: reason::FILE_REFUSED,
        message: format!("file {path:?} is refused: {error}"),
        may_stay: None,
    })?;
    let mut sources = Vec::with_capacity(file.inputs.len());
    for input in &file.inputs {
        let Some(value) = holdings.value(&input.secret) else {
            let (reason, message) = waiting(&path, &input.secret, holdings.denial(&input.secret));
            let stays = file.inputs.iter().all(|input| holdings.may_stay(&input.secret));
            return Err(Obstacle { reason, message, may_stay: stays.then_some(name) });
        };
        sources.push(Source { input, value });
    }
    let content = convert(file.format, &sources).map_err(|error| Obstacle {
        reason: error.reason(),
        message: format!("file {path} {}", sentence(&error)),
        may_stay: None,
    })?;
    Ok(RenderedFile { name, mode: file.mode & 0o777, content })
}

fn sentence(error: &RenderError) -> String {
    match error {
        RenderError::FieldNotFound { .. } | RenderError::NotStructured { .. } | RenderError::Malformed { .. } => {
            error.to_string()
        }
        _ => format!("cannot be written: {error}"),
    }
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

fn convert(format: Format, sources: &[Source<'_>]) -> Result<Content, RenderError> {
    match format {
        Format::Raw => raw::render(sources),
        Format::DotEnv => dotenv::render(sources),
        Format::Json => Err(RenderError::Unsupported("JSON")),
        Format::Yaml => Err(RenderError::Unsupported("YAML")),
        Format::Properties => Err(RenderError::Unsupported("Properties")),
        Format::Ini => Err(RenderError::Unsupported("INI")),
        Format::Pkcs12 => Err(RenderError::Unsupported("PKCS12")),
        Format::Template => Err(RenderError::Unsupported("Template")),
    }
}

#[cfg(test)]
mod tests;
