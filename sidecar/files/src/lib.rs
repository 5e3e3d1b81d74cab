//! From secrets to the content of files. Pure: no file, clock, environment or network is touched.
//!
//! The sidecar makes content with it ([`render`]); admission asks beforehand what can be known without a value
//! ([`check`]), so that most mistakes are refused when the Machine is applied. Each format is one module, whose
//! documentation is the description of what it writes. PKCS#12 is written with the feature `pkcs12` alone, which admission
//! does without.
//!
//! # Invariants
//!
//! * No error holds a value or a part of one.
//! * Content and what it is made of are wiped when they are dropped, but for copies in the engine of templates while it
//!   renders (`template.rs` says which).
//! * What [`check`] refuses, [`render`] refuses as well, whatever the values are.

mod buffer;
mod dotenv;
mod fields;
mod ini;
mod json;
pub mod layout;
mod names;
mod pkcs12;
mod properties;
mod raw;
mod template;
mod yaml;

pub use pkcs12::StoreProblem;
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
    /// A name that the format cannot have.
    #[error("cannot be written: {name} is no name in this format: give another one with as")]
    Name {
        /// The name, quoted.
        name: String,
    },
    /// `Raw` with a name.
    #[error("cannot be written: format Raw knows no names: leave as out")]
    RawName,
    /// A section that INI readers take for all sections.
    #[error("cannot be written: a section DEFAULT is read as the defaults of all sections: give another name with as")]
    DefaultSection,
    /// What INI cannot say.
    #[error("cannot be written: {input} {problem}: use format JSON or YAML")]
    Ini {
        /// Which input.
        input: String,
        /// What is in it.
        problem: &'static str,
    },
    /// `PKCS12` without its settings.
    #[error("cannot be written: format PKCS12 needs pkcs12 with type and passwordRef")]
    NoSettings,
    /// A `KeyStore` with several inputs, or none.
    #[error("cannot be written: a KeyStore takes exactly one Secret, with private key and certificates, not {0}")]
    NotOneKey(usize),
    /// An alias that is said in two places.
    #[error("cannot be written: pkcs12.alias names the entries already: leave out either it or as")]
    TwoAliases,
    /// An alias that a store cannot have.
    #[error(
        "cannot be written: pkcs12.alias {alias:?} has characters that a store cannot have: use letters and digits"
    )]
    StoreAlias {
        /// The alias.
        alias: String,
    },
    /// The password is not one text.
    #[error("needs a password from Secret {secret}, which has fields ({has}): name one with passwordRef.field")]
    PasswordFields {
        /// Which secret.
        secret: SecretKey,
        /// What it has.
        has: String,
    },
    /// A password that not everybody takes.
    #[error(
        "cannot be written: the password in Secret {secret} is empty or has characters other than printable ASCII, \
         such as a line break at its end, which Java does not take: set it anew"
    )]
    Password {
        /// Which secret.
        secret: SecretKey,
    },
    /// What does not make a store.
    #[error("cannot be written: Secret {secret} {problem}")]
    Store {
        /// Which secret.
        secret: SecretKey,
        /// What is wrong with it.
        problem: StoreProblem,
    },
    /// Nothing that its user can change.
    #[error("cannot be written: making {0} failed, which is a fault of this program: please report it")]
    Internal(&'static str),
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
    check(file)?;
    match file.format {
        Format::Raw => raw::render(sources),
        Format::DotEnv => dotenv::render(sources),
        Format::Json => json::render(sources),
        Format::Yaml => yaml::render(sources),
        Format::Properties => properties::render(sources),
        Format::Ini => ini::render(sources),
        Format::Pkcs12 => pkcs12::render(file, sources, password),
        Format::Template => template::render(file, sources),
    }
}

/// The bytes that `file`, which has passed [`check`], has at least, whatever the values of its secrets are.
pub fn least(file: &File) -> usize {
    match file.format {
        // A value may be empty.
        Format::Raw => 0,
        // Its names stand there in any case.
        Format::DotEnv | Format::Json | Format::Yaml | Format::Properties | Format::Ini | Format::Pkcs12 => 1,
        Format::Template => template::least(file),
    }
}

/// What is wrong with `file` whatever the values of its secrets are.
pub fn check(file: &File) -> Result<(), FileError> {
    match file.format {
        Format::Raw => raw::check(&file.inputs),
        Format::DotEnv => names::check_entries::<dotenv::DotEnv>(&file.inputs),
        Format::Json | Format::Yaml => names::check_members(&file.inputs),
        Format::Properties => names::check_entries::<properties::Properties>(&file.inputs),
        Format::Ini => ini::check(&file.inputs),
        Format::Pkcs12 => pkcs12::check(file),
        Format::Template => template::check(file),
    }
}
