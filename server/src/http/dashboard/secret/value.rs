//! Forms by which a secret gets another value.

use maud::{Markup, html};
use sikkerkey_protocol::management::ScheduleView;

use super::super::element::{Tone, facts, field, pill, time_or};
use super::super::visit::Visit;
use super::fields::{charset_name, generator, value, which};
use super::forms::Unit;
use crate::usecase::management::secret::dossier::{Dossier, ValueFrom};

/// The form for a value that is typed in.
pub(super) fn replace(visit: &Visit, it: &Dossier) -> Markup {
    let to = |rest: &str| visit.href(&format!("secrets/{}/{rest}", it.view.id));
    html! {
        section.card {
            h2 { @if it.view.version == 0 { "Set the value" } @else { "Replace the value" } }
            @if it.value_from == ValueFrom::Taken {
                p.notice.warn { "The operator takes its value over from a Kubernetes Secret: what you set here stays until that one changes." }
            }
            @match &it.view.field_names {
                None => form.stack method="post" action=(to("value")) autocomplete="off" {
                    (value("value", "value", "New value", Some("At most 12 KiB. It is stored sealed and never shown again; the one before stays in the versions."), 3))
                    button.primary { "Replace value" }
                },
                Some(names) => form.stack method="post" action=(to("fields")) autocomplete="off" {
                    @for (index, name) in names.iter().enumerate() {
                        input type="hidden" name="field" value=(name);
                        (value(&format!("text-{index}"), "text", name, None, 1))
                    }
                    p.help {
                        @if it.view.version == 0 { "Every field needs a text." } @else { "A field that is left empty keeps its text." }
                        " Nothing is shown again; the value before stays in the versions."
                    }
                    button.primary { "Replace value" }
                },
            }
        }
    }
}

/// The form for a random value now.
pub(super) fn rotate(visit: &Visit, it: &Dossier) -> Markup {
    let schedule = it.schedule.as_ref();
    let names = it.view.field_names.as_deref().unwrap_or_default();
    html! {
        section.card {
            h2 { "Generate a value" }
            form.stack method="post" action=(visit.href(&format!("secrets/{}/rotate", it.view.id))) {
                (generator("rotate", schedule.map(|it| it.length), schedule.map(|it| it.charset)))
                @if !names.is_empty() { (which("rotate", "Fields that get a new text – none ticked: all", names, &[])) }
                p.help { "Machines that are granted it get the new value with their next read." }
                button { "Generate now" }
            }
        }
    }
}

/// The schedule, and the form for it.
pub(super) fn schedule(visit: &Visit, it: &Dossier) -> Markup {
    let to = |rest: &str| visit.href(&format!("secrets/{}/schedule{rest}", it.view.id));
    let names = it.view.field_names.as_deref().unwrap_or_default();
    let now = it.schedule.as_ref();
    let (every, unit) = now.map_or((30, Unit::Days), |it| in_units(it.interval_seconds));
    let ticked = now.and_then(|it| it.fields.clone()).filter(|it| it.len() < names.len()).unwrap_or_default();
    html! {
        section.card {
            h2 { "Rotation schedule" }
            @match now {
                None => p { "It is not renewed by itself." },
                Some(schedule) => (stands(schedule)),
            }
            form.stack method="post" action=(to("")) {
                div.toolbar {
                    (field("every", "A new value every", None, html! { input #every name="every" type="number" min="1" required value=(every); }))
                    (field("unit", "Unit", None, html! {
                        select #unit name="unit" {
                            @for (it, name) in Unit::ALL { option value=(name) selected[it == unit] { (name) } }
                        }
                    }))
                }
                (generator("schedule", now.map(|it| it.length), now.map(|it| it.charset)))
                @if !names.is_empty() { (which("schedule", "Fields that get a new text – none ticked: all", names, &ticked)) }
                p.help { "From 5 minutes to 30 days, counted from the newest version." }
                button { @if now.is_some() { "Change schedule" } @else { "Set schedule" } }
            }
            @if let Some(schedule) = now {
                div.actions {
                    form.inline method="post" action=(to("/pause")) {
                        button name="enabled" value=(!schedule.enabled) { @if schedule.enabled { "Pause" } @else { "Switch on again" } }
                    }
                    form.inline method="post" action=(to("/delete")) { button.danger { "Remove schedule" } }
                }
            }
        }
    }
}

fn stands(it: &ScheduleView) -> Markup {
    let (every, unit) = in_units(it.interval_seconds);
    let unit = Unit::ALL.iter().find(|(it, _)| *it == unit).map_or("", |(_, name)| *name);
    let state = if it.enabled { pill(Tone::Good, "on") } else { pill(Tone::Plain, "paused") };
    facts(&[
        ("State", state),
        ("A new value", html! { "every " (every) " " (unit) }),
        ("Next", time_or(it.next_rotation_at, "not while it is paused")),
        ("Made of", html! { (it.length) " × " (charset_name(it.charset)) }),
    ])
}

/// In the largest unit that says it exactly; what is not whole minutes, rounded up.
fn in_units(seconds: u64) -> (u64, Unit) {
    for unit in [Unit::Days, Unit::Hours] {
        if seconds > 0 && seconds.is_multiple_of(unit.seconds()) {
            return (seconds / unit.seconds(), unit);
        }
    }
    (seconds.div_ceil(60), Unit::Minutes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_said_in_the_largest_unit_that_fits() {
        for (seconds, said) in [
            (300, (5, Unit::Minutes)),
            (5400, (90, Unit::Minutes)),
            (7200, (2, Unit::Hours)),
            (2_592_000, (30, Unit::Days)),
            (301, (6, Unit::Minutes)),
        ] {
            assert_eq!(in_units(seconds), said, "{seconds}");
        }
    }
}
