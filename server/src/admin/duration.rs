//! How long something lasts, as people write it.

use jiff::{Span, SpanRelativeTo, Unit};

/// Seconds of a text such as `90m`, `12h`, `30d` or `2w`; a day has 24 hours.
pub(super) fn duration(text: &str) -> Result<u64, String> {
    let wrong = || format!("{text} is no duration such as 90m, 12h, 30d or 2w");
    if let Ok(seconds) = text.parse() {
        return Ok(seconds);
    }
    let span: Span = text.parse().map_err(|_| wrong())?;
    let seconds = span.total((Unit::Second, SpanRelativeTo::days_are_24_hours())).map_err(|_| wrong())?;
    if !(0.0..=1e10).contains(&seconds) {
        return Err(wrong());
    }
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "looked at above")]
    Ok(seconds as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_people_write_is_so_many_seconds() {
        for (text, seconds) in [("3600", 3600), ("90m", 5400), ("1h", 3600), ("30d", 2_592_000), ("2w", 1_209_600)] {
            assert_eq!(duration(text), Ok(seconds), "{text}");
        }
        for text in ["", "soon", "-1h", "1 month"] {
            let told = duration(text).unwrap_err();
            assert_eq!(told, format!("{text} is no duration such as 90m, 12h, 30d or 2w"));
        }
    }
}
