//! Times of day. Quoted in YAML: an unquoted 22:00 is a number to some readers.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// A time of day to the minute, `"00:00"` to `"24:00"`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize, Serialize)]
#[serde(try_from = "String", into = "String")]
pub struct ClockTime {
    minutes: u16,
}

/// A text that is not such a time.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{0:?} is not a time of day: write hours and minutes in quotes, from \"00:00\" to \"24:00\"")]
pub struct ParseClockTimeError(String);

impl ClockTime {
    /// The end of the day, `24:00`.
    pub const MIDNIGHT: Self = Self { minutes: 24 * 60 };

    /// Minutes since `00:00`.
    pub const fn minutes(self) -> u16 {
        self.minutes
    }
}

impl FromStr for ClockTime {
    type Err = ParseClockTimeError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let two_digits = |part: &str| {
            let digits = part.len() == 2 && part.bytes().all(|b| b.is_ascii_digit());
            part.parse::<u16>().ok().filter(|_| digits)
        };
        let parts = text.split_once(':').and_then(|(h, m)| Some((two_digits(h)?, two_digits(m)?)));
        match parts {
            Some((24, 0)) => Ok(Self::MIDNIGHT),
            Some((hours @ 0..24, minutes @ 0..60)) => Ok(Self { minutes: hours * 60 + minutes }),
            _ => Err(ParseClockTimeError(text.to_owned())),
        }
    }
}

impl fmt::Display for ClockTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:02}:{:02}", self.minutes / 60, self.minutes % 60)
    }
}

impl TryFrom<String> for ClockTime {
    type Error = ParseClockTimeError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<ClockTime> for String {
    fn from(time: ClockTime) -> Self {
        time.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_of_day_read_and_print_alike() {
        for (text, minutes) in [("00:00", 0), ("06:30", 390), ("23:59", 1439), ("24:00", 1440)] {
            let time: ClockTime = text.parse().unwrap();
            assert_eq!((time.minutes(), time.to_string().as_str()), (minutes, text));
        }
    }

    #[test]
    fn what_the_schema_refuses_does_not_parse() {
        for text in ["", "6:00", "24:01", "25:00", "12:60", "12:00:00", "+1:00", "noon"] {
            assert_eq!(text.parse::<ClockTime>(), Err(ParseClockTimeError(text.to_owned())), "{text}");
        }
    }
}
