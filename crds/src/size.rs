//! Sizes in memory: Kubernetes quantities of whole Ki or Mi.

use std::{borrow::Cow, fmt, str::FromStr};

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};
use thiserror::Error;

/// A size in kibibytes or mebibytes, such as `4Mi`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize, Serialize)]
#[serde(try_from = "String", into = "String")]
pub struct Size {
    kibibytes: u32,
}

/// A text that is not such a size.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{0:?} is not a size: write a whole number of Ki or Mi, as in 4Mi")]
pub struct ParseSizeError(String);

impl Size {
    /// That many kibibytes.
    pub const fn kibibytes(kibibytes: u32) -> Self {
        Self { kibibytes }
    }

    /// That many mebibytes.
    pub const fn mebibytes(mebibytes: u32) -> Self {
        Self { kibibytes: mebibytes * 1024 }
    }

    /// The size in bytes.
    pub const fn bytes(self) -> u64 {
        self.kibibytes as u64 * 1024
    }
}

impl FromStr for Size {
    type Err = ParseSizeError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let malformed = || ParseSizeError(text.to_owned());
        let (number, factor) = match (text.strip_suffix("Ki"), text.strip_suffix("Mi")) {
            (Some(number), _) => (number, 1),
            (_, Some(number)) => (number, 1024),
            _ => return Err(malformed()),
        };
        let digits = number.len() <= 5 && number.bytes().all(|b| b.is_ascii_digit()) && !number.starts_with('0');
        let number: u32 = number.parse().map_err(|_| malformed())?;
        if digits { Ok(Self { kibibytes: number * factor }) } else { Err(malformed()) }
    }
}

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.kibibytes {
            whole if whole.is_multiple_of(1024) => write!(f, "{}Mi", whole / 1024),
            kibibytes => write!(f, "{kibibytes}Ki"),
        }
    }
}

impl TryFrom<String> for Size {
    type Error = ParseSizeError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<Size> for String {
    fn from(size: Size) -> Self {
        size.to_string()
    }
}

impl JsonSchema for Size {
    fn schema_name() -> Cow<'static, str> {
        "Size".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({"type": "string", "maxLength": 8, "pattern": "^[1-9][0-9]{0,4}(Ki|Mi)$"})
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_parse_to_bytes_and_print_in_the_larger_unit() {
        for (text, bytes, printed) in [
            ("4Mi", 4 << 20, "4Mi"),
            ("64Ki", 64 << 10, "64Ki"),
            ("2048Ki", 2 << 20, "2Mi"),
            ("99999Mi", 99_999 << 20, "99999Mi"),
        ] {
            let size: Size = text.parse().unwrap();
            assert_eq!(size.bytes(), bytes, "{text}");
            assert_eq!(size.to_string(), printed);
        }
    }

    #[test]
    fn what_the_schema_refuses_does_not_parse() {
        for text in ["", "4", "Mi", "0Mi", "04Mi", "4Gi", "+4Mi", "4.5Mi", "100000Ki", "4M"] {
            assert_eq!(text.parse::<Size>(), Err(ParseSizeError(text.to_owned())), "{text}");
        }
    }
}
