//! The wall clock, as an argument.

/// Milliseconds since 1970-01-01T00:00:00Z.
pub type UnixMillis = i64;

/// Tells the time of day. Intervals are measured by the runtime's monotonic clock, not by this one.
pub trait Clock: Send + Sync {
    /// The present instant.
    fn now(&self) -> UnixMillis;
}

/// The machine's clock.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "this is the one place where the machine's clock is read")]
    fn now(&self) -> UnixMillis {
        jiff::Timestamp::now().as_millisecond()
    }
}

/// `2026-10-17T02:36:01.123Z`; an instant out of the calendar's range prints as its number.
pub fn rfc3339(instant: UnixMillis) -> String {
    jiff::Timestamp::from_millisecond(instant).map_or_else(|_| instant.to_string(), |time| time.to_string())
}

/// Reads what [`rfc3339`] wrote.
pub fn parse_rfc3339(text: &str) -> Option<UnixMillis> {
    text.parse::<jiff::Timestamp>().ok().map(jiff::Timestamp::as_millisecond)
}

/// Reads an HTTP `Date` header.
pub fn parse_http_date(text: &str) -> Option<UnixMillis> {
    jiff::fmt::rfc2822::DateTimeParser::new().parse_timestamp(text).ok().map(jiff::Timestamp::as_millisecond)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_http_date_is_read() {
        assert_eq!(parse_http_date("Sun, 06 Nov 1994 08:49:37 GMT"), Some(784_111_777_000));
        assert_eq!(parse_http_date("yesterday"), None);
    }

    #[test]
    fn an_instant_survives_its_text() {
        assert_eq!(rfc3339(1_792_204_561_123), "2026-10-17T02:36:01.123Z");
        assert_eq!(parse_rfc3339(&rfc3339(1_792_204_561_123)), Some(1_792_204_561_123));
        assert_eq!(parse_rfc3339("soon"), None);
    }
}
