//! What came of it, as a picture (SVG): a bar for each figure, against its floor and its stretch.

use std::fmt::Write;

use super::host::Host;
use super::row::{Row, Verdict};

const LEFT: f64 = 430.0;
/// How long a bar is that just meets its floor.
const FLOOR: f64 = 240.0;
/// Where longer bars are cut off, as a multiple of the floor.
const CUT: f64 = 1.6;
const WIDTH: f64 = LEFT + FLOOR * CUT + 190.0;
const TOP: f64 = 84.0;
const LINE: f64 = 30.0;
const BAR: f64 = 16.0;

/// Draws all rows. Text stays text, so that it can be read, searched and copied.
pub(super) fn svg(rows: &[Row], host: &Host) -> String {
    let height = rows.iter().fold(TOP, |height, _| height + LINE);
    let mut out = String::new();
    // Writing to a string cannot fail.
    let _ = write!(
        out,
        r##"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {full}" width="{WIDTH}" height="{full}" font-family="system-ui, sans-serif" font-size="13" fill="#1f2430">
<title>SikkerKey server: measured figures against their targets</title>
<rect width="100%" height="100%" fill="#ffffff"/>
<text x="16" y="26" font-size="17" font-weight="600">SikkerKey server against its targets</text>
<text x="16" y="46" fill="#5b6270">Shorter is better. A bar left of the solid line meets its floor; left of its own dotted mark, its stretch.</text>
<line x1="{floor}" y1="{line_top}" x2="{floor}" y2="{height}" stroke="#1f2430" stroke-width="1.5"/>
<text x="{floor}" y="{label}" text-anchor="middle" fill="#1f2430">floor</text>
"##,
        full = height + 34.0,
        floor = LEFT + FLOOR,
        line_top = TOP - 10.0,
        label = TOP - 16.0,
    );
    let mut y = TOP;
    for row in rows {
        bar(&mut out, row, y);
        y += LINE;
    }
    let _ = write!(
        out,
        "<text x=\"16\" y=\"{}\" fill=\"#5b6270\" font-size=\"12\">{}</text>\n</svg>\n",
        height + 20.0,
        escape(&host.to_string())
    );
    out
}

fn bar(out: &mut String, row: &Row, y: f64) {
    let (length, stretch) = row.against_floor();
    let colour = match row.verdict() {
        Verdict::Stretch => "#2f8f5b",
        Verdict::Met => "#3f7fbf",
        Verdict::Missed => "#c8553d",
    };
    let drawn = length.clamp(0.004, CUT) * FLOOR;
    let middle = y + BAR / 2.0 + 4.5;
    let _ = writeln!(
        out,
        r#"<text x="16" y="{middle}"><tspan font-weight="600">{}</tspan> {}</text>
<rect x="{LEFT}" y="{y}" width="{drawn:.1}" height="{BAR}" fill="{colour}"/>"#,
        row.point,
        escape(&row.what),
    );
    if length > CUT {
        let end = LEFT + drawn;
        let _ = writeln!(
            out,
            r##"<path d="M{} {} l6 {BAR} M{} {} l6 {BAR}" stroke="#ffffff" stroke-width="2"/>"##,
            end - 18.0,
            y,
            end - 12.0,
            y
        );
    }
    if let Some(stretch) = stretch {
        let x = LEFT + stretch * FLOOR;
        let _ = writeln!(
            out,
            r##"<line x1="{x:.1}" y1="{}" x2="{x:.1}" y2="{}" stroke="#1f2430" stroke-width="2" stroke-dasharray="2 2"/>"##,
            y - 4.0,
            y + BAR + 4.0,
        );
    }
    let _ = writeln!(
        out,
        r#"<text x="{}" y="{middle}">{} <tspan fill="{colour}">{}</tspan></text>"#,
        LEFT + FLOOR * CUT + 10.0,
        escape(&row.figure_text()),
        row.verdict(),
    );
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::super::row::Better;
    use super::super::row::tests::row;
    use super::*;

    #[test]
    fn every_row_has_its_bar_and_its_words_and_nothing_is_markup_that_should_be_text() {
        let mut odd = row(Better::Less, 60.0);
        odd.what = "a <b> & c".into();
        let picture = svg(&[odd, row(Better::More, 9.0)], &Host::new(Path::new("/")));
        assert!(picture.contains("a &lt;b&gt; &amp; c") && picture.contains("60 ×"), "{picture}");
        assert_eq!(picture.matches("<rect").count(), 3);
        // A bar that is cut off ends where every other one would be cut off as well.
        assert!(picture.contains(&format!("width=\"{:.1}\"", CUT * FLOOR)), "{picture}");
        for tag in ["svg", "text", "tspan", "title"] {
            let opened = picture.matches(&format!("<{tag}")).count();
            assert_eq!(opened, picture.matches(&format!("</{tag}>")).count(), "{tag}");
        }
    }
}
