//! How long something lasts, in a form: a number and its unit.

use maud::{Markup, html};

use super::element::field;
use crate::refusal::{Refusal, invalid};

/// A unit, and its seconds.
type Unit = (&'static str, u64);

const MINUTES: Unit = ("minutes", 60);
const HOURS: Unit = ("hours", 3600);
const DAYS: Unit = ("days", 24 * 3600);
/// Units of what lasts for long, the usual one first.
pub(super) const LONG: [Unit; 2] = [DAYS, HOURS];
/// Units of what lasts for short, the usual one first.
pub(super) const SHORT: [Unit; 3] = [HOURS, MINUTES, DAYS];

/// The fields `{id}` and `{id}_unit`.
pub(super) fn fields(id: &str, label: &str, usual: u64, units: &[Unit]) -> Markup {
    field(
        id,
        label,
        None,
        html! {
            span.span {
                input id=(id) name=(id) type="number" min="1" max="527040" required value=(usual);
                select name={ (id) "_unit" } aria-label={ (label) ", unit" } {
                    @for (name, _) in units { option value=(name) { (name) } }
                }
            }
        },
    )
}

/// The seconds of the two fields. `what` says which they are, for the error.
pub(super) fn seconds(what: &str, count: &str, unit: &str) -> Result<u64, Refusal> {
    let units = [MINUTES, HOURS, DAYS];
    let factor = units.iter().find(|(name, _)| *name == unit).map(|(_, seconds)| *seconds);
    let count = count.trim().parse::<u64>().ok().filter(|it| *it > 0);
    let seconds = count.zip(factor).and_then(|(count, factor)| count.checked_mul(factor));
    seconds.ok_or_else(|| invalid(format!("{what} is a whole number of minutes, hours or days, from 1 on")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_with_its_unit_is_so_many_seconds_and_nothing_else_is() {
        assert_eq!(seconds("it", " 30 ", "days").unwrap(), 2_592_000);
        assert_eq!(seconds("it", "90", "minutes").unwrap(), 5400);
        for (count, unit) in [
            ("", "days"),
            ("0", "days"),
            ("-1", "hours"),
            ("1.5", "hours"),
            ("1", "weeks"),
            ("99999999999999999999", "days"),
            ("9999999999999999999", "days"),
        ] {
            let refusal = seconds("the time", count, unit).unwrap_err();
            assert_eq!(
                refusal.message, "the time is a whole number of minutes, hours or days, from 1 on",
                "{count} {unit}"
            );
        }
    }
}
