//! From secrets to the content of files. Pure: no file, clock, environment or network is touched.
//!
//! The sidecar makes content with it ([`render`]); admission asks beforehand what can be known without a value
//! ([`check`]), so that most mistakes are refused when the Machine is applied. Each format is one module, whose
//! documentation is the description of what it writes.
//!
//! # Invariants
//!
//! * No error holds a value or a part of one.
//! * Content and what it is made of are wiped when they are dropped, but for copies in the engine of templates while it
//!   renders (`template.rs` says which).
//! * What [`check`] refuses, [`render`] refuses as well, whatever the values are.

mod dotenv;
mod fields;
pub mod layout;
mod raw;
mod template;

use sikkerkey_protocol::secret_text::SecretText;
use sikkerkey_protocol::sync::{File, Format, Input, SecretKey};
use zeroize::Zeroizing;

pub use self::template::TemplateError;

/// The content of a file, wiped when dropped.
pub type Content = Zeroizing<Vec<u8>>;

/// An input of a file with its value.
#[derive(Clone, Copy, Debug)]
pub struct Source<'a> {
    /// What the file says of it.
    pub input: &'a Input,
    /// Names of the value's fields, in their order; empty for a plain secret.
    pub field_names: &'a [String],
    /// The value; of a structured secret, a JSON object whose values are all strings.
    pub text: &'a SecretText,
}

/// The inputs of a file do not make its content.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FileError {
    /// A field is named that the secret does not have.
    #[error("needs field {field} of Secret {secret}, which has {has}")]
    FieldNotFound {
        /// Which secret.
        secret: SecretKey,
        /// What is named.
        field: String,
        /// What it has.
        has: String,
    },
    /// A field of a plain value is named.
    #[error("needs field {field} of Secret {secret}, which is a plain value: leave field out")]
    NotStructured {
        /// Which secret.
        secret: SecretKey,
        /// What is named.
        field: String,
    },
    /// The value is not what its field names say.
    #[error("needs Secret {secret}, whose value is not the JSON object of its fields: set it anew")]
    Malformed {
        /// Which secret.
        secret: SecretKey,
    },
    /// `Raw` with several inputs, or none.
    #[error("cannot be written: format Raw takes exactly one Secret, not {0}")]
    NotOneInput(usize),
    /// Two inputs of one name.
    #[error("cannot be written: {first} and {second} both give the name {name}: give one of them another name with as")]
    Collision {
        /// The name.
        name: String,
        /// What gave it first.
        first: String,
        /// What gave it again.
        second: String,
    },
    /// A NUL where a format cannot have one.
    #[error("cannot be written: {input} holds a NUL character, which no environment variable can: use format Raw")]
    Nul {
        /// Which input.
        input: String,
    },
    /// `Template` without a template.
    #[error("cannot be written: format Template needs template")]
    NoTemplate,
    /// An input whose name no template can use.
    #[error(
        "cannot be written: no template can call {input} {name}: give it another name with `as`, such as {suggestion}"
    )]
    NotAVariable {
        /// Which input.
        input: String,
        /// Its name.
        name: String,
        /// A name that can be used.
        suggestion: String,
    },
    /// The template.
    #[error("cannot be written: {0}")]
    Template(TemplateError),
    /// A format that this version does not write.
    #[error("cannot be written: format {0} is not supported by this version of the sidecar")]
    Unsupported(&'static str),
}

/// The content of `file`. `sources` are its inputs in their order; `password` is that of a PKCS#12 store.
pub fn render(file: &File, sources: &[Source<'_>], password: Option<Source<'_>>) -> Result<Content, FileError> {
    let _ = password;
    match file.format {
        Format::Raw => raw::render(sources),
        Format::DotEnv => dotenv::render(sources),
        Format::Json => Err(FileError::Unsupported("JSON")),
        Format::Yaml => Err(FileError::Unsupported("YAML")),
        Format::Properties => Err(FileError::Unsupported("Properties")),
        Format::Ini => Err(FileError::Unsupported("INI")),
        Format::Pkcs12 => Err(FileError::Unsupported("PKCS12")),
        Format::Template => template::render(file, sources),
    }
}

/// What is wrong with `file` whatever the values of its secrets are.
pub fn check(file: &File) -> Result<(), FileError> {
    match file.format {
        Format::Template => template::check(file),
        _ => Ok(()),
    }
}
