//! Text in columns.

use k8s_openapi::jiff::Timestamp;

/// Between two columns.
const GAP: &str = "   ";

/// Rows as wide as they need to be; the last column is not filled up.
pub(super) fn columns(rows: &[Vec<String>]) -> Vec<String> {
    let count = rows.iter().map(Vec::len).max().unwrap_or_default();
    let width = |column: usize| rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max();
    let widths: Vec<usize> = (0..count).map(|column| width(column).unwrap_or_default()).collect();
    let line = |row: &Vec<String>| {
        let cells = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}"));
        cells.collect::<Vec<_>>().join(GAP).trim_end().to_owned()
    };
    rows.iter().map(line).collect()
}

/// How long ago, as kubectl says it: in the largest unit of which two have passed.
pub(super) fn age(since: Timestamp, now: Timestamp) -> String {
    let seconds = now.as_second().saturating_sub(since.as_second()).max(0);
    match seconds {
        0..120 => format!("{seconds}s"),
        120..7_200 => format!("{}m", seconds / 60),
        7_200..172_800 => format!("{}h", seconds / 3_600),
        _ => format!("{}d", seconds / 86_400),
    }
}

/// Text of others without what a terminal would obey.
pub(super) fn printable(text: &str) -> String {
    text.chars().flat_map(|c| if c.is_control() { c.escape_default().collect() } else { vec![c] }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_their_widest_cell() {
        let rows = [vec!["A".to_owned(), "BB".to_owned(), "C".to_owned()], vec!["årr".to_owned(), String::new()]];
        assert_eq!(columns(&rows), ["A     BB   C", "årr"]);
        assert!(columns(&[]).is_empty());
    }

    #[test]
    fn ages_are_told_as_kubectl_tells_them() {
        let now = Timestamp::from_second(1_000_000_000).unwrap();
        for (seconds, told) in
            [(-5, "0s"), (0, "0s"), (119, "119s"), (120, "2m"), (7_199, "119m"), (7_200, "2h"), (172_800, "2d")]
        {
            assert_eq!(age(Timestamp::from_second(1_000_000_000 - seconds).unwrap(), now), told);
        }
    }

    #[test]
    fn a_terminal_is_told_nothing_by_the_text_of_others() {
        assert_eq!(printable("a\u{1b}[31mb\r\nc\u{9b}"), "a\\u{1b}[31mb\\r\\nc\\u{9b}");
        assert_eq!(printable("Grünerløkka"), "Grünerløkka");
    }
}
