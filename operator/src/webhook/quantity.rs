//! Kubernetes quantities (`250m`, `1Gi`, `1e3`), as far as comparing and adding them needs.

/// The quantity in billionths, exact; `None` when it is not a quantity or does not fit.
pub(super) fn billionths(text: &str) -> Option<i128> {
    let unsigned = text.strip_prefix('+').unwrap_or(text);
    let split = unsigned.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(unsigned.len());
    let (number, suffix) = unsigned.split_at_checked(split)?;
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    if whole.is_empty() && fraction.is_empty() {
        return None;
    }
    let digits: i128 = format!("0{whole}{fraction}").parse().ok()?;
    let places = u32::try_from(fraction.len()).ok()?;
    let (numerator, denominator) = factor(suffix)?;
    let scaled = digits.checked_mul(numerator)?.checked_mul(1_000_000_000)?;
    let divisor = denominator.checked_mul(10_i128.checked_pow(places)?)?;
    // The API server rounds what is finer than a billionth up.
    Some(scaled.checked_add(divisor.checked_sub(1)?)? / divisor)
}

/// The quantity in whole units (bytes, for memory), rounded up.
pub(super) fn units(text: &str) -> Option<u64> {
    u64::try_from(billionths(text)?.checked_add(999_999_999)? / 1_000_000_000).ok()
}

/// Bytes as a quantity, in the largest binary unit that is exact.
pub(super) fn bytes(bytes: u64) -> String {
    match bytes {
        bytes if bytes.is_multiple_of(1 << 20) => format!("{}Mi", bytes >> 20),
        bytes if bytes.is_multiple_of(1 << 10) => format!("{}Ki", bytes >> 10),
        bytes => bytes.to_string(),
    }
}

fn factor(suffix: &str) -> Option<(i128, i128)> {
    let whole = |factor: i128| Some((factor, 1));
    match suffix {
        "" => whole(1),
        "n" => Some((1, 1_000_000_000)),
        "u" => Some((1, 1_000_000)),
        "m" => Some((1, 1_000)),
        "k" => whole(1_000),
        "M" => whole(1_000_000),
        "G" => whole(1_000_000_000),
        "T" => whole(1_000_000_000_000),
        "P" => whole(1_000_000_000_000_000),
        "E" => whole(1_000_000_000_000_000_000),
        "Ki" => whole(1 << 10),
        "Mi" => whole(1 << 20),
        "Gi" => whole(1 << 30),
        "Ti" => whole(1 << 40),
        "Pi" => whole(1 << 50),
        "Ei" => whole(1 << 60),
        exponent => {
            let exponent: i32 = exponent.strip_prefix(['e', 'E'])?.parse().ok()?;
            let power = 10_i128.checked_pow(exponent.unsigned_abs())?;
            if exponent < 0 { Some((1, power)) } else { whole(power) }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_amount_in_any_spelling_is_equal() {
        for (a, b) in [
            ("1", "1000m"),
            ("0.5", "500m"),
            (".5", "500m"),
            ("1.", "1"),
            ("1Gi", "1024Mi"),
            ("1G", "1e9"),
            ("1E3", "1k"),
            ("1E", "1000P"),
            ("100e-3", "100m"),
            ("+2", "2"),
        ] {
            assert!(billionths(a).is_some(), "{a}");
            assert_eq!(billionths(a), billionths(b), "{a} and {b}");
        }
        assert_ne!(billionths("1G"), billionths("1Gi"));
        assert_eq!(units("16Mi"), Some(16 << 20));
        assert_eq!(units("100m"), Some(1));
    }

    #[test]
    fn what_is_no_quantity_is_none() {
        for text in ["", ".", "m", "-1", "1.2.3", "1x", "1 Gi", "1e99", "99999999999999999999999999Ei", "é"] {
            assert_eq!(billionths(text), None, "{text}");
        }
    }

    #[test]
    fn bytes_print_in_the_largest_exact_unit() {
        for (bytes_, text) in [(20 << 20, "20Mi"), (1536 << 10, "1536Ki"), (1000, "1000")] {
            assert_eq!(bytes(bytes_), text);
        }
    }
}
