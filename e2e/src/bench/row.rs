//! What came of it, as a table.

use std::fmt::{self, Write};

use serde::ser::{Serialize, SerializeStruct, Serializer};

/// A figure and what it should be.
#[derive(Clone, Debug)]
pub(super) struct Row {
    /// The line of the targets it belongs to.
    pub(super) point: &'static str,
    /// What was measured.
    pub(super) what: String,
    /// As it was measured.
    pub(super) measured: String,
    /// What it is compared with, timed in the same run; empty for a figure that does not depend on speed.
    pub(super) reference: String,
    /// What is held against floor and stretch.
    pub(super) figure: f64,
    pub(super) unit: Unit,
    pub(super) better: Better,
    /// Must hold.
    pub(super) floor: f64,
    /// What we are out for.
    pub(super) stretch: Option<f64>,
}

/// How a figure is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unit {
    Times,
    Percent,
    Syncs,
    Milliseconds,
    Seconds,
    Kilobytes,
    Megabytes,
    /// Of something that there should be none of.
    Count,
}

/// Which of two figures is the better one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Better {
    Less,
    More,
}

/// How a figure stands to what it should be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    Stretch,
    Met,
    Missed,
}

impl Row {
    pub(super) fn verdict(&self) -> Verdict {
        match self.stretch {
            Some(stretch) if self.reaches(stretch) => Verdict::Stretch,
            _ if self.reaches(self.floor) => Verdict::Met,
            _ => Verdict::Missed,
        }
    }

    /// The figure and the stretch as multiples of the floor, in such a way that less is better and 1 is the floor.
    pub(super) fn against_floor(&self) -> (f64, Option<f64>) {
        let against = |figure: f64| match self.better {
            // There should be none.
            Better::Less if self.floor == 0.0 => figure,
            Better::Less => figure / self.floor,
            Better::More => self.floor / figure.max(f64::MIN_POSITIVE),
        };
        (against(self.figure), self.stretch.map(against))
    }

    pub(super) fn figure_text(&self) -> String {
        self.unit.text(self.figure)
    }

    fn reaches(&self, bound: f64) -> bool {
        match self.better {
            Better::Less => self.figure <= bound,
            Better::More => self.figure >= bound,
        }
    }

    fn bound_text(&self, bound: Option<f64>) -> String {
        let sign = if self.better == Better::Less { '≤' } else { '≥' };
        bound.map_or_else(|| "–".to_owned(), |bound| format!("{sign} {}", self.unit.text(bound)))
    }
}

impl Unit {
    fn text(self, figure: f64) -> String {
        let (figure, unit) = match self {
            Self::Count => return short(figure),
            Self::Times => (figure, "×"),
            Self::Percent => (figure * 100.0, "%"),
            Self::Syncs => (figure, "fdatasync"),
            Self::Milliseconds => (figure * 1e3, "ms"),
            Self::Seconds => (figure, "s"),
            Self::Kilobytes => (figure / 1e3, "KB"),
            Self::Megabytes => (figure / 1e6, "MB"),
        };
        format!("{} {unit}", short(figure))
    }
}

/// Three digits that count.
pub(super) fn short(figure: f64) -> String {
    let digits = if figure.abs() >= 99.95 {
        0
    } else if figure.abs() >= 9.995 {
        1
    } else {
        2
    };
    let text = format!("{figure:.digits$}");
    if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.').to_owned() } else { text }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Stretch => "stretch",
            Self::Met => "met",
            Self::Missed => "MISSED",
        })
    }
}

/// All rows in columns.
pub(super) fn table(rows: &[Row]) -> String {
    let head = ["", "what", "measured", "reference", "figure", "floor", "stretch", "verdict"].map(str::to_owned);
    let rows = rows.iter().map(|row| {
        [
            row.point.to_owned(),
            row.what.clone(),
            row.measured.clone(),
            row.reference.clone(),
            row.figure_text(),
            row.bound_text(Some(row.floor)),
            row.bound_text(row.stretch),
            row.verdict().to_string(),
        ]
    });
    let lines: Vec<_> = std::iter::once(head).chain(rows).collect();
    let width = |column: usize| lines.iter().filter_map(|line| line.get(column)).map(|it| it.chars().count()).max();
    let mut text = String::new();
    for line in &lines {
        let mut row = String::new();
        for (column, cell) in line.iter().enumerate() {
            // Writing to a string cannot fail.
            let _ = write!(row, "{cell:<0$}  ", width(column).unwrap_or_default());
        }
        text.push_str(row.trim_end());
        text.push('\n');
    }
    text
}

impl Serialize for Row {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut row = serializer.serialize_struct("Row", 10)?;
        row.serialize_field("point", self.point)?;
        row.serialize_field("what", &self.what)?;
        row.serialize_field("measured", &self.measured)?;
        row.serialize_field("reference", &self.reference)?;
        row.serialize_field("figure", &self.figure)?;
        row.serialize_field("figureText", &self.figure_text())?;
        row.serialize_field("lessIsBetter", &(self.better == Better::Less))?;
        row.serialize_field("floor", &self.floor)?;
        row.serialize_field("stretch", &self.stretch)?;
        row.serialize_field("verdict", &self.verdict().to_string())?;
        row.end()
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    pub(in crate::bench) fn row(better: Better, figure: f64) -> Row {
        Row {
            point: "P9",
            what: "a read".into(),
            measured: "152 µs".into(),
            reference: "16 µs".into(),
            figure,
            unit: Unit::Times,
            better,
            floor: 6.0,
            stretch: Some(if better == Better::Less { 4.0 } else { 8.0 }),
        }
    }

    #[test]
    fn the_verdict_follows_from_floor_and_stretch() {
        use Verdict::{Met, Missed, Stretch};
        for (better, figure, verdict) in [
            (Better::Less, 4.0, Stretch),
            (Better::Less, 6.0, Met),
            (Better::Less, 6.1, Missed),
            (Better::More, 8.0, Stretch),
            (Better::More, 6.0, Met),
            (Better::More, 5.9, Missed),
        ] {
            assert_eq!(row(better, figure).verdict(), verdict, "{figure}");
        }
        let without = Row { stretch: None, ..row(Better::Less, 1.0) };
        assert_eq!(without.verdict(), Met);
    }

    #[test]
    fn a_bar_of_one_is_the_floor_whichever_way_is_better() {
        assert_eq!(row(Better::Less, 3.0).against_floor(), (0.5, Some(4.0 / 6.0)));
        assert_eq!(row(Better::More, 12.0).against_floor(), (0.5, Some(0.75)));
    }

    #[test]
    fn what_there_should_be_none_of_has_no_bar_only_while_there_is_none() {
        for (figure, bar, verdict) in [(0.0, 0.0, Verdict::Met), (2.0, 2.0, Verdict::Missed)] {
            let row = Row { floor: 0.0, stretch: None, unit: Unit::Count, ..row(Better::Less, figure) };
            assert_eq!((row.against_floor(), row.verdict()), ((bar, None), verdict));
            assert_eq!(row.figure_text(), short(figure));
        }
    }

    #[test]
    fn the_table_has_aligned_columns() {
        let text = table(&[row(Better::Less, 5.25), row(Better::More, 120.4)]);
        let lines: Vec<_> = text.lines().collect();
        assert_eq!(lines[1], "P9  a read  152 µs    16 µs      5.25 ×  ≤ 6 ×  ≤ 4 ×    met");
        assert_eq!(lines[2], "P9  a read  152 µs    16 µs      120 ×   ≥ 6 ×  ≥ 8 ×    stretch");
    }

    #[test]
    fn figures_have_three_digits_that_count() {
        assert_eq!([0.1234, 1.5, 10.04, 99.97, 1234.0].map(short), ["0.12", "1.5", "10", "100", "1234"]);
    }
}
