//! Durations as the Gateway API writes them (GEP-2257): `1h30m`, `720h`, `500ms`. Days are no unit.

use std::{borrow::Cow, fmt, str::FromStr};

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};
use thiserror::Error;

/// A span of time, parsed. Printed in its shortest form: `90m` reads back as `1h30m`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize, Serialize)]
#[serde(try_from = "String", into = "String")]
pub struct Duration(std::time::Duration);

/// A text that is not such a duration.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ParseDurationError {
    /// Days, weeks and the like: their length depends on the calendar.
    #[error("days are not a unit: {given} is {hours}h")]
    Days {
        /// What was written.
        given: String,
        /// The same in hours.
        hours: u64,
    },
    /// Anything else.
    #[error(
        "{0:?} is not a duration: write up to four numbers of at most five digits with the units h, m, s, ms, as in 1h30m"
    )]
    Malformed(String),
}

impl Duration {
    /// Wraps a standard duration; fractions of a millisecond are cut off when it is written.
    pub const fn new(duration: std::time::Duration) -> Self {
        Self(duration)
    }

    /// The standard duration.
    pub const fn get(self) -> std::time::Duration {
        self.0
    }
}

impl From<Duration> for std::time::Duration {
    fn from(duration: Duration) -> Self {
        duration.0
    }
}

impl FromStr for Duration {
    type Err = ParseDurationError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let malformed = || {
            let days = text.strip_suffix('d').and_then(|days| days.parse::<u32>().ok());
            match days {
                Some(days) => ParseDurationError::Days { given: text.to_owned(), hours: u64::from(days) * 24 },
                None => ParseDurationError::Malformed(text.to_owned()),
            }
        };
        let mut rest = text;
        let mut milliseconds = 0;
        let mut terms = 0;
        while !rest.is_empty() {
            let (number, after) = split_where(rest, |c| !c.is_ascii_digit());
            let (unit, after) = split_where(after, |c| c.is_ascii_digit());
            let factor: u64 = match unit {
                "h" => 3_600_000,
                "m" => 60_000,
                "s" => 1_000,
                "ms" => 1,
                _ => return Err(malformed()),
            };
            if number.len() > 5 {
                return Err(malformed());
            }
            let number: u64 = number.parse().map_err(|_| malformed())?;
            milliseconds += number * factor;
            terms += 1;
            rest = after;
        }
        if terms == 0 || terms > 4 {
            return Err(malformed());
        }
        Ok(Self(std::time::Duration::from_millis(milliseconds)))
    }
}

/// Splits before the first character for which `ends` holds.
fn split_where(text: &str, ends: impl Fn(char) -> bool) -> (&str, &str) {
    text.split_at_checked(text.find(ends).unwrap_or(text.len())).unwrap_or((text, ""))
}

impl fmt::Display for Duration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let total = self.0.as_millis();
        let parts =
            [(total / 3_600_000, "h"), (total / 60_000 % 60, "m"), (total / 1_000 % 60, "s"), (total % 1_000, "ms")];
        for (number, unit) in parts.into_iter().filter(|(number, _)| *number > 0) {
            write!(f, "{number}{unit}")?;
        }
        if total == 0 { f.write_str("0s") } else { Ok(()) }
    }
}

impl TryFrom<String> for Duration {
    type Error = ParseDurationError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<Duration> for String {
    fn from(duration: Duration) -> Self {
        duration.to_string()
    }
}

impl JsonSchema for Duration {
    fn schema_name() -> Cow<'static, str> {
        "Duration".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({"type": "string", "maxLength": 32, "pattern": "^([0-9]{1,5}(h|m|s|ms)){1,4}$"})
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_schema_admits_parses_to_the_span_it_says() {
        let cases = [
            ("5m", 300_000),
            ("1h30m", 5_400_000),
            ("720h", 2_592_000_000),
            ("500ms", 500),
            ("1h1m1s1ms", 3_661_001),
            ("0s", 0),
            ("30s1h", 3_630_000),
            ("99999h99999h99999h99999h", 4 * 99_999 * 3_600_000),
        ];
        for (text, milliseconds) in cases {
            let parsed: Duration = text.parse().unwrap();
            assert_eq!(parsed.get(), std::time::Duration::from_millis(milliseconds), "{text}");
        }
    }

    #[test]
    fn what_the_schema_refuses_does_not_parse() {
        for text in ["", "5", "h", "5 m", "-5m", "1.5h", "5M", "1h1m1s1ms1s", "100000h", "1w", "m5", "٣m", "5mm"] {
            assert_eq!(text.parse::<Duration>(), Err(ParseDurationError::Malformed(text.to_owned())), "{text}");
        }
    }

    #[test]
    fn days_are_refused_with_the_hours_to_write() {
        let refusal = "30d".parse::<Duration>().unwrap_err();
        assert_eq!(refusal.to_string(), "days are not a unit: 30d is 720h");
    }

    #[test]
    fn printing_and_parsing_give_the_same_span() {
        for milliseconds in [0, 1, 999, 1_000, 59_999, 60_000, 3_599_999, 3_600_000, 86_399_123, 31_622_400_000] {
            let span = Duration::new(std::time::Duration::from_millis(milliseconds));
            assert_eq!(span.to_string().parse(), Ok(span), "{milliseconds}");
        }
    }
}
