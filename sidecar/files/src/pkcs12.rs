//! Format `PKCS12`: a store that Java and OpenSSL open (RFC 7292).
//!
//! # What is in it
//!
//! Inputs hold PEM: in a plain secret, in the one field that an input names, or in any field of a structured secret.
//! What a block is follows from its own first line, never from the name of its field, so that `tls.crt`, `tls.key` and
//! `ca.crt` of a `kubernetes.io/tls` Secret fit as they are, and so does one text with key and certificates.
//!
//! * `KeyStore` takes one input with one private key (`PRIVATE KEY`, `RSA PRIVATE KEY` or `EC PRIVATE KEY`, without a
//!   passphrase; it may stand there twice) and its certificates. The key's own certificate is the one that has its public
//!   key; it comes first, then the one that signs it, and so on, then the others. A key that fits none is refused. An EC
//!   key that was written without its public half is taken to belong to the one certificate of its curve that signs none
//!   of the others, or, if there are several, that is no authority's. The entry's alias is `pkcs12.alias`, else the
//!   input's `as`, else the Secret's name.
//! * `TrustStore` takes any number of inputs and trusts every certificate in them once, with the attribute by which Java
//!   knows a trusted certificate. Private keys are left out. The aliases are the name above; the second certificate of a
//!   name is `{name}-2`, and so on.
//!
//! Java compares aliases without regard to case, and so does the numbering.
//!
//! # Protection
//!
//! Private key and certificates are encrypted by PBES2 (PBKDF2 with HMAC-SHA256, AES-256-CBC), the whole is authenticated
//! with HMAC-SHA256, each with 10,000 rounds: what Java (8u301 and newer) writes itself and OpenSSL 3 reads. The password
//! is of printable ASCII, since Java takes no other for such a store.
//!
//! The same inputs and password give the same bytes, so that an application is not told of a change that is none, also
//! after a restart. Salts and initialization vectors are therefore not drawn but derived: from the password by PBKDF2
//! with a digest of all the content as its salt, then by HMAC for each use. They differ whenever content or password
//! do, and testing a guessed password against them costs as much as against the store itself. There is no time in the
//! file.

#[cfg(feature = "pkcs12")]
mod entries;
#[cfg(feature = "pkcs12")]
mod key;
#[cfg(feature = "pkcs12")]
mod pem;
#[cfg(feature = "pkcs12")]
mod store;

use sikkerkey_protocol::sync::{File, Pkcs12};

use crate::names::check_alias;
use crate::{Content, FileError, Source};

/// What is wrong with the secrets of a store.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StoreProblem {
    /// PEM that is cut off or not base64.
    #[error("holds a PEM block that is cut off or damaged: set it anew, from -----BEGIN to the end")]
    Pem,
    /// A certificate that is none.
    #[error("holds a certificate that cannot be read: set it anew")]
    Certificate,
    /// A private key that is none.
    #[error("holds a private key that cannot be read: convert it with openssl pkcs8 -topk8 -nocrypt")]
    Key,
    /// A private key behind a passphrase.
    #[error("holds a private key with a passphrase: take it off with openssl pkcs8 -topk8 -nocrypt")]
    KeyEncrypted,
    /// A private key in an encoding of its own.
    #[error("holds a private key of an unknown kind: convert it with openssl pkcs8 -topk8 -nocrypt")]
    KeyUnknown,
    /// No private key.
    #[error("holds no private key in PEM: a KeyStore needs one, beside its certificate")]
    NoKey,
    /// More than one.
    #[error("holds several private keys: a KeyStore takes one, so name the field that has it with its certificates")]
    SeveralKeys,
    /// No certificate.
    #[error("holds no certificate in PEM")]
    NoCertificate,
    /// Certificates of other keys.
    #[error("holds no certificate that belongs to its private key")]
    OtherCertificates,
    /// More than one of the same key.
    #[error("holds several certificates that belong to its private key: leave the one to be shown")]
    SeveralCertificates,
    /// The private key does not tell its public half.
    #[error(
        "holds a private key without its public half, and several certificates that might be its own: \
         write the key anew with openssl ec"
    )]
    Unclear,
}

/// What is wrong whatever the values are.
pub(crate) fn check(file: &File) -> Result<(), FileError> {
    let settings = settings(file)?;
    if !settings.trust_store && file.inputs.len() != 1 {
        return Err(FileError::NotOneKey(file.inputs.len()));
    }
    file.inputs.iter().try_for_each(check_alias)?;
    if let Some(alias) = &settings.alias {
        if file.inputs.iter().any(|input| input.alias.is_some()) {
            return Err(FileError::TwoAliases);
        }
        // A BMPString holds no other characters.
        if alias.is_empty() || alias.chars().any(|c| c.is_control() || c > '\u{ffff}') {
            return Err(FileError::StoreAlias { alias: alias.clone() });
        }
    }
    Ok(())
}

fn settings(file: &File) -> Result<&Pkcs12, FileError> {
    file.pkcs12.as_ref().ok_or(FileError::NoSettings)
}

#[cfg(not(feature = "pkcs12"))]
pub(crate) fn render(file: &File, _: &[Source<'_>], _: Option<Source<'_>>) -> Result<Content, FileError> {
    settings(file)?;
    Err(FileError::Unsupported("PKCS12"))
}

#[cfg(feature = "pkcs12")]
pub(crate) fn render(file: &File, sources: &[Source<'_>], password: Option<Source<'_>>) -> Result<Content, FileError> {
    let settings = settings(file)?;
    let password = password.ok_or(FileError::NoSettings)?;
    let text = pass_phrase(password)?;
    let contents = if settings.trust_store {
        entries::trusted(settings, sources)?
    } else {
        let [source] = sources else { return Err(FileError::NotOneKey(sources.len())) };
        entries::key_and_chain(settings, *source)?
    };
    store::write(&contents, text.expose()).map_err(|_| FileError::Internal("PKCS12"))
}

#[cfg(feature = "pkcs12")]
fn pass_phrase(source: Source<'_>) -> Result<sikkerkey_protocol::secret_text::SecretText, FileError> {
    let secret = || source.input.secret.clone();
    let text = match &source.input.field {
        Some(field) => crate::fields::one(source, field)?,
        None if source.field_names.is_empty() => source.text.clone(),
        None => return Err(FileError::PasswordFields { secret: secret(), has: source.field_names.join(", ") }),
    };
    if text.expose().is_empty() || !text.expose().bytes().all(|b| b == b' ' || b.is_ascii_graphic()) {
        return Err(FileError::Password { secret: secret() });
    }
    Ok(text)
}
