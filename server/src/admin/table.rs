//! Rows for a person.

/// Columns under their headings, each as wide as its widest cell; the last is never padded.
pub(super) fn table<const N: usize>(headings: [&str; N], rows: &[[String; N]]) -> String {
    let width = |column: usize, heading: &str| {
        let cells = rows.iter().filter_map(|row| row.get(column)).map(|it| it.chars().count());
        cells.chain([heading.chars().count()]).max().unwrap_or(0)
    };
    let widths: Vec<usize> = headings.iter().enumerate().map(|(column, heading)| width(column, heading)).collect();
    let mut text = line(&widths, headings.iter().copied());
    for row in rows {
        text.push('\n');
        text.push_str(&line(&widths, row.iter().map(String::as_str)));
    }
    text
}

fn line<'a>(widths: &[usize], cells: impl Iterator<Item = &'a str>) -> String {
    let padded: Vec<String> = cells
        .zip(widths)
        .map(|(cell, width)| {
            // What a machine or an object calls itself must not steer the terminal.
            let cell: String = cell.chars().map(|it| if it.is_control() { '?' } else { it }).collect();
            let cell = if cell.is_empty() { "-".to_owned() } else { cell };
            format!("{cell:<width$}")
        })
        .collect();
    padded.join("  ").trim_end().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_their_widest_cell() {
        let rows = [["web".into(), "1".into()], ["ledger\u{1b}[2J".into(), String::new()]];
        assert_eq!(table(["NAME", "N"], &rows), "NAME        N\nweb         1\nledger?[2J  -");
    }
}
