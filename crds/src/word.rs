//! One word of a condition.

use std::borrow::Cow;
use std::fmt;
use std::ops::Deref;

use serde::{Deserialize, Deserializer, Serialize};

use crate::condition::ConditionType;
use crate::reason::Reason;

/// The type or the reason of a condition. Those of this version are in the program itself: ten thousand objects have eighty
/// thousand of them.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
pub struct Word(Cow<'static, str>);

impl Word {
    /// As text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl From<ConditionType> for Word {
    fn from(type_: ConditionType) -> Self {
        Self(Cow::Borrowed(type_.as_str()))
    }
}

impl From<Reason> for Word {
    fn from(reason: Reason) -> Self {
        Self(Cow::Borrowed(reason.as_str()))
    }
}

impl From<&str> for Word {
    fn from(text: &str) -> Self {
        let types = ConditionType::ALL.into_iter().map(ConditionType::as_str);
        let known = types.chain(Reason::ALL.iter().map(|reason| reason.as_str())).find(|known| *known == text);
        Self(known.map_or_else(|| Cow::Owned(text.to_owned()), Cow::Borrowed))
    }
}

impl<'de> Deserialize<'de> for Word {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(Self::from(&*Cow::<str>::deserialize(deserializer)?))
    }
}

impl Deref for Word {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

impl PartialEq<&str> for Word {
    fn eq(&self, other: &&str) -> bool {
        self.0 == *other
    }
}

impl PartialEq<Word> for &str {
    fn eq(&self, other: &Word) -> bool {
        other == self
    }
}

impl fmt::Display for Word {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Debug for Word {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&*self.0, f)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_word_of_this_version_is_not_kept_again_and_one_of_another_is_read_all_the_same() {
        for (text, is_known) in
            [("Ready", true), ("Programmed", true), ("SecretNotFound", true), ("FromTomorrow", false)]
        {
            let word: Word = serde_json::from_value(json!(text)).unwrap();
            assert_eq!(matches!(word.0, Cow::Borrowed(_)), is_known, "{text}");
            assert_eq!((word.as_str(), serde_json::to_value(&word).unwrap()), (text, json!(text)));
        }
    }
}
