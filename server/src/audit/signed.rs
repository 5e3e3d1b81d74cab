//! A line of JSON that carries its own signature.
//!
//! What is signed is the line itself with an empty signature, after a name that says what kind of line it is. A line is
//! accepted in exactly the form in which it was written: there are no two texts for one statement.

use serde::Serialize;
use serde::de::DeserializeOwned;
use sikkerkey_protocol::key::{MachineKey, PublicKey, Signature};

/// What can be signed as a line.
pub trait Signable: Serialize + DeserializeOwned {
    /// Keeps one kind of line from being taken for another.
    const KIND: &'static str;

    /// The place of the signature.
    fn signature(&mut self) -> &mut String;
}

/// Why a line is not believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LineError {
    /// It has another form.
    #[error("it is not a line that this server writes")]
    Form,
    /// It was changed, or another server wrote it.
    #[error("its signature does not verify: it was changed, or signed by another server")]
    Signature,
}

/// Writes and signs a line, without the end of line.
pub fn sign<T: Signable>(key: &MachineKey, body: &mut T) -> Result<String, serde_json::Error> {
    body.signature().clear();
    *body.signature() = key.sign(&message(body)?).to_string();
    serde_json::to_string(body)
}

/// Reads a line, if it was signed with this key.
pub fn open<T: Signable>(key: &PublicKey, line: &str) -> Result<T, LineError> {
    let mut body: T = serde_json::from_str(line).map_err(|_| LineError::Form)?;
    if serde_json::to_string(&body).map_err(|_| LineError::Form)? != line {
        return Err(LineError::Form);
    }
    let text = std::mem::take(body.signature());
    let signature: Signature = text.parse().map_err(|_| LineError::Signature)?;
    let message = message(&body).map_err(|_| LineError::Form)?;
    key.verify(&message, &signature).map_err(|_| LineError::Signature)?;
    *body.signature() = text;
    Ok(body)
}

fn message<T: Signable>(body: &T) -> Result<Vec<u8>, serde_json::Error> {
    let mut message = T::KIND.as_bytes().to_vec();
    message.push(b'\n');
    message.extend(serde_json::to_vec(body)?);
    Ok(message)
}
