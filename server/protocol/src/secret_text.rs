//! A secret value on its way.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

/// Text that must not be seen: prints as `[redacted]`, is wiped when dropped, and is serialised only on purpose, through
/// [`SecretText::reveal`].
#[derive(Clone, Default, Zeroize, ZeroizeOnDrop)]
pub struct SecretText(String);

impl SecretText {
    /// Takes `text` over. Copies of it that exist elsewhere are not wiped.
    pub fn new(text: String) -> Self {
        Self(text)
    }

    /// The text itself. The name is long so that a reviewer sees every place.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// A view that serialises as the text itself, for bodies that carry it on purpose.
    pub fn reveal(&self) -> Revealed<'_> {
        Revealed(self)
    }
}

impl From<Zeroizing<String>> for SecretText {
    fn from(mut text: Zeroizing<String>) -> Self {
        Self(std::mem::take(&mut *text))
    }
}

impl fmt::Debug for SecretText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[redacted]")
    }
}

impl<'de> Deserialize<'de> for SecretText {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer).map(Self)
    }
}

#[cfg(feature = "schema")]
crate::schema::text!(SecretText, "a secret text, which is never logged", "");

/// A [`SecretText`] that serialises as its text. See [`SecretText::reveal`].
pub struct Revealed<'a>(&'a SecretText);

impl Serialize for Revealed<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.0.expose())
    }
}

/// For `#[serde(serialize_with = "secret_text::serialize")]` on a field of a body that carries a secret on purpose.
pub fn serialize<S: Serializer>(text: &SecretText, serializer: S) -> Result<S::Ok, S::Error> {
    text.reveal().serialize(serializer)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_never_shows_the_text() {
        let secret = SecretText::new("hunter2".into());
        assert_eq!(format!("{secret:?} {:?}", Some(&secret)), "[redacted] Some([redacted])");
        assert_eq!(serde_json::to_string(&secret.reveal()).unwrap(), "\"hunter2\"");
    }
}
