//! Reads over time, drawn: bars for reads, triangles for denials. No colour says anything alone.

use std::fmt::Write as _;

use jiff::Timestamp;
use maud::{Markup, html};
use sikkerkey_protocol::management::{Bucket, ReadsInBucket};

const WIDTH: f64 = 760.0;
const HEIGHT: f64 = 240.0;
/// Where the plot begins and ends within the picture.
const LEFT: f64 = 56.0;
const RIGHT: f64 = WIDTH - 12.0;
const TOP: f64 = 14.0;
const BOTTOM: f64 = HEIGHT - 30.0;
/// How many lines of the scale there are above its zero.
const LINES: u64 = 4;
/// How wide a name below the plot is at most.
const NAME: f64 = 46.0;
/// Names below the plot, at most.
const NAMES: usize = 8;

/// Draws it. `of` says what it is about.
pub(super) fn plot(of: &str, bucket: Bucket, buckets: &[ReadsInBucket]) -> Markup {
    let most = buckets.iter().map(|it| it.reads.max(it.denied)).max().unwrap_or_default();
    let scale = Scale { step: step(most), buckets: buckets.len().max(1) };
    html! {
        figure.plot {
            svg viewBox={ "0 0 " (WIDTH) " " (HEIGHT) } role="img" aria-labelledby="plot-title plot-desc" {
                title #plot-title { "Reads and denials over time " (of) }
                desc #plot-desc { (described(buckets)) }
                @for line in 0..=LINES {
                    @let (value, y) = (line * scale.step, scale.y(line * scale.step));
                    line.grid x1=(LEFT) x2=(RIGHT) y1=(y) y2=(y) {}
                    text.scale x=(LEFT - 8.0) y=(y + 4.0) text-anchor="end" { (value) }
                }
                @for (index, it) in buckets.iter().enumerate() {
                    @if it.reads > 0 {
                        rect.reads x=(figure(scale.x(index))) width=(figure(scale.width())) y=(figure(scale.y(it.reads))) height=(figure(BOTTOM - scale.y(it.reads))) {}
                    }
                }
                path.denied d=(triangles(scale, buckets)) {}
                @for (index, name) in names(bucket, buckets) {
                    // One at the right edge ends there.
                    @let (x, anchor) = if scale.x(index) > RIGHT - NAME { (RIGHT, "end") } else { (scale.x(index), "start") };
                    text.scale x=(figure(x)) y=(HEIGHT - 10.0) text-anchor=(anchor) { (name) }
                }
            }
            figcaption {
                svg.key viewBox="0 0 12 12" aria-hidden="true" { rect.reads x="2" y="1" width="8" height="10" {} }
                " Reads "
                svg.key viewBox="0 0 12 12" aria-hidden="true" { path.denied d="M6 1 L11 10 H1 Z" {} }
                " Denials"
            }
        }
    }
}

#[derive(Clone, Copy)]
struct Scale {
    /// From one line to the next.
    step: u64,
    buckets: usize,
}

impl Scale {
    #[expect(clippy::cast_precision_loss, reason = "a place in a picture")]
    fn y(self, value: u64) -> f64 {
        let share = value as f64 / (self.step * LINES) as f64;
        BOTTOM - share * (BOTTOM - TOP)
    }

    #[expect(clippy::cast_precision_loss, reason = "a place in a picture")]
    fn x(self, index: usize) -> f64 {
        LEFT + (RIGHT - LEFT) * index as f64 / self.buckets as f64 + self.gap() / 2.0
    }

    #[expect(clippy::cast_precision_loss, reason = "a place in a picture")]
    fn slot(self) -> f64 {
        (RIGHT - LEFT) / self.buckets as f64
    }

    fn gap(self) -> f64 {
        self.slot() * 0.2
    }

    fn width(self) -> f64 {
        self.slot() - self.gap()
    }
}

/// From one line of the scale to the next: 1, 2 or 5 with zeros behind, so that the highest is not above the last line.
fn step(most: u64) -> u64 {
    let mut size = 1u64;
    loop {
        for step in [size, size.saturating_mul(2), size.saturating_mul(5)] {
            if step.saturating_mul(LINES) >= most {
                return step;
            }
        }
        size = size.saturating_mul(10);
    }
}

/// One above each bucket with denials.
fn triangles(scale: Scale, buckets: &[ReadsInBucket]) -> String {
    let mut path = String::new();
    for (index, it) in buckets.iter().enumerate().filter(|(_, it)| it.denied > 0) {
        let (x, y) = (scale.x(index) + scale.width() / 2.0, scale.y(it.denied));
        // Writing to a string cannot fail.
        let _ = write!(path, "M{} {} l5 9 h-10 z", figure(x), figure(y - 5.0));
    }
    path
}

/// What stands below: days, and of a day hours.
fn names(bucket: Bucket, buckets: &[ReadsInBucket]) -> Vec<(usize, String)> {
    let is_day = bucket == Bucket::Hour && buckets.len() <= 24;
    let begins = |it: &ReadsInBucket| match bucket {
        Bucket::Hour if is_day => it.start.rem_euclid(4 * 3_600_000) == 0,
        Bucket::Hour => it.start.rem_euclid(24 * 3_600_000) == 0,
        _ => true,
    };
    let all: Vec<_> = buckets.iter().enumerate().filter(|(_, it)| begins(it)).collect();
    let every = all.len().div_ceil(NAMES).max(1);
    let name = |it: &ReadsInBucket| {
        let at = Timestamp::from_millisecond(it.start).ok()?;
        Some(at.strftime(if is_day { "%H:%M" } else { "%-d %b" }).to_string())
    };
    all.into_iter().step_by(every).filter_map(|(index, it)| Some((index, name(it)?))).collect()
}

fn described(buckets: &[ReadsInBucket]) -> String {
    let reads: u64 = buckets.iter().map(|it| it.reads).sum();
    let denied: u64 = buckets.iter().map(|it| it.denied).sum();
    let most = buckets.iter().max_by_key(|it| it.reads).filter(|it| it.reads > 0);
    let most = most.and_then(|it| Some((it.reads, Timestamp::from_millisecond(it.start).ok()?)));
    let most =
        most.map(|(reads, at)| format!(" Most at once: {reads} reads from {} on.", at.strftime("%Y-%m-%d %H:%M UTC")));
    format!(
        "{reads} reads as bars and {denied} denials as triangles. The table below has the same figures.{}",
        most.unwrap_or_default()
    )
}

/// A place with one digit behind the point.
fn figure(it: f64) -> String {
    format!("{it:.1}")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const DAY: i64 = 24 * 3_600_000;

    fn bucket(start: i64, reads: u64, denied: u64) -> ReadsInBucket {
        ReadsInBucket { start, reads, denied }
    }

    #[test]
    fn the_scale_has_round_figures() {
        let steps = [0, 1, 4, 5, 8, 9, 20, 21, 40, 41, 1234].map(step);
        assert_eq!(steps, [1, 1, 1, 2, 2, 5, 5, 10, 10, 20, 500]);
    }

    #[test]
    fn reads_are_bars_and_denials_triangles_and_both_are_told() {
        let drawn = plot("of this vault", Bucket::Day, &[bucket(0, 4, 0), bucket(DAY, 0, 2)]).into_string();
        assert_eq!(drawn.matches("l5 9 h-10 z").count(), 1);
        // The one of the key is the second.
        assert_eq!(drawn.matches("<rect class=\"reads\"").count(), 2);
        assert!(drawn.contains("4 reads as bars and 2 denials as triangles."), "{drawn}");
        assert!(drawn.contains("Most at once: 4 reads from 1970-01-01 00:00 UTC on."), "{drawn}");
        assert!(!drawn.contains("style="), "{drawn}");
    }

    #[test]
    fn what_it_is_of_is_escaped() {
        let drawn = plot("by machine <script>", Bucket::Day, &[]).into_string();
        assert!(drawn.contains("by machine &lt;script&gt;") && !drawn.contains("<script"), "{drawn}");
    }

    #[test]
    fn days_are_named_and_of_a_day_hours() {
        let week: Vec<_> = (0..168).map(|it| bucket(it * 3_600_000, 1, 0)).collect();
        let names = |bucket, it: &[ReadsInBucket]| {
            super::names(bucket, it).into_iter().map(|(_, name)| name).collect::<Vec<_>>()
        };
        assert_eq!(names(Bucket::Hour, &week), ["1 Jan", "2 Jan", "3 Jan", "4 Jan", "5 Jan", "6 Jan", "7 Jan"]);
        assert_eq!(names(Bucket::Hour, &week[..24]), ["00:00", "04:00", "08:00", "12:00", "16:00", "20:00"]);
        let month: Vec<_> = (0..30).map(|it| bucket(it * DAY, 1, 0)).collect();
        assert_eq!(names(Bucket::Day, &month).len(), 8);
    }

    proptest! {
        #[test]
        fn everything_lies_within_the_picture(values in prop::collection::vec((0u64..1_000_000, 0u64..1_000_000), 1..200)) {
            let most = values.iter().map(|(reads, denied)| *reads.max(denied)).max().unwrap();
            let scale = Scale { step: step(most), buckets: values.len() };
            for (index, (reads, denied)) in values.iter().enumerate() {
                prop_assert!(scale.x(index) >= LEFT && scale.x(index) + scale.width() <= RIGHT + 0.001);
                for value in [reads, denied] {
                    prop_assert!(scale.y(*value) >= TOP - 0.001 && scale.y(*value) <= BOTTOM);
                }
            }
        }
    }
}
