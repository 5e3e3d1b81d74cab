//! File modes. Strings, because an unquoted 0400 is 256 to a YAML 1.1 reader.
//!
//! The owner may always read: the sidecar, which owns the files, compares them with what it would write, and would tell the
//! application of a change each time that it cannot.

use std::{borrow::Cow, fmt, str::FromStr};

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};
use thiserror::Error;

/// Permission bits of a file, written as four octal digits: `"0440"`. The owner may read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Deserialize, Serialize)]
#[serde(try_from = "String", into = "String")]
pub struct FileMode(u16);

const OWNER_READS: u16 = 0o400;

/// A text that is not such a mode.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error(
    "{0:?} is not a file mode: write four octal digits that begin with 0 and let the owner read, in quotes: \"0440\" or \
     \"0444\""
)]
pub struct ParseFileModeError(String);

impl FileMode {
    /// The mode with these permission bits, and that by which the owner reads; others are dropped.
    pub const fn from_bits(bits: u16) -> Self {
        Self((bits & 0o777) | OWNER_READS)
    }

    /// The permission bits.
    pub const fn bits(self) -> u16 {
        self.0
    }
}

impl FromStr for FileMode {
    type Err = ParseFileModeError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let octal = text.len() == 4 && text.starts_with('0') && text.bytes().all(|b| (b'0'..=b'7').contains(&b));
        let bits = u16::from_str_radix(text, 8).ok().filter(|bits| octal && bits & OWNER_READS != 0);
        bits.map(Self).ok_or_else(|| ParseFileModeError(text.to_owned()))
    }
}

impl fmt::Display for FileMode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:04o}", self.0)
    }
}

impl TryFrom<String> for FileMode {
    type Error = ParseFileModeError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<FileMode> for String {
    fn from(mode: FileMode) -> Self {
        mode.to_string()
    }
}

impl JsonSchema for FileMode {
    fn schema_name() -> Cow<'static, str> {
        "FileMode".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({"type": "string", "maxLength": 4, "pattern": "^0[4-7][0-7]{2}$"})
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mode_reads_and_prints_as_four_octal_digits() {
        for (text, bits) in [("0444", 0o444), ("0400", 0o400), ("0777", 0o777), ("0640", 0o640)] {
            let mode: FileMode = text.parse().unwrap();
            assert_eq!((mode.bits(), mode.to_string().as_str()), (bits, text));
        }
    }

    #[test]
    fn what_the_schema_refuses_does_not_parse() {
        for text in ["", "444", "1777", "0888", "00444", "+444", "0o44", "0000", "0040", "0044", "0377"] {
            assert_eq!(text.parse::<FileMode>(), Err(ParseFileModeError(text.to_owned())), "{text}");
        }
    }
}
