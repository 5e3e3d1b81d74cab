//! What pages are made of.

use jiff::Timestamp;
use maud::{Markup, html};
use serde::Serialize;

use super::visit::Visit;

/// What something means, in its colour. Never the colour alone: there is always a word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Tone {
    /// As it should be.
    Good,
    /// Somebody should look.
    Warn,
    /// Something is refused, or wrong.
    Bad,
    /// Neither.
    Plain,
}

impl Tone {
    fn class(self) -> &'static str {
        match self {
            Self::Good => "good",
            Self::Warn => "warn",
            Self::Bad => "bad",
            Self::Plain => "plain",
        }
    }
}

/// A word with a colour.
pub(super) fn pill(tone: Tone, word: &str) -> Markup {
    html! { span class={ "pill " (tone.class()) } { (word) } }
}

/// An instant in Unix milliseconds. The script shows it in the viewer's zone.
pub(super) fn time(millis: i64) -> Markup {
    let Ok(at) = Timestamp::from_millisecond(millis) else { return html! { "–" } };
    html! {
        time datetime=(at.strftime("%Y-%m-%dT%H:%M:%S%.3fZ")) title=(at.strftime("%Y-%m-%d %H:%M:%S UTC")) {
            (at.strftime("%Y-%m-%d %H:%M UTC"))
        }
    }
}

/// An instant, or a word for none.
pub(super) fn time_or(millis: Option<i64>, none: &str) -> Markup {
    html! { @match millis { Some(it) => (time(it)), None => span.quiet { (none) } } }
}

/// What stands where nothing is yet: what it would be, what to do first.
#[expect(clippy::needless_pass_by_value, reason = "what is put in is made where it is given")]
pub(super) fn empty(title: &str, text: Markup, action: Option<Markup>) -> Markup {
    html! {
        div.empty {
            h2 { (title) }
            p { (text) }
            @if let Some(action) = action { p { (action) } }
        }
    }
}

/// What is known of one thing: each with its name.
pub(super) fn facts(facts: &[(&str, Markup)]) -> Markup {
    html! { dl.facts { @for (name, fact) in facts { div { dt { (name) } dd { (fact) } } } } }
}

/// A text to be copied. The button is the script's.
pub(super) fn copyable(id: &str, text: &str) -> Markup {
    html! {
        div.copyable {
            pre tabindex="0" { code id=(id) { (text) } }
            button type="button" data-copy=(id) hidden { "Copy" }
        }
    }
}

/// A form that is one button.
pub(super) fn button(action: &str, class: &str, label: &str) -> Markup {
    html! { form.inline method="post" action=(action) { button class=(class) { (label) } } }
}

/// A field of a form with its name, and what it is for.
#[expect(clippy::needless_pass_by_value, reason = "what is put in is made where it is given")]
pub(super) fn field(id: &str, label: &str, help: Option<&str>, input: Markup) -> Markup {
    html! {
        div.field {
            label for=(id) { (label) }
            (input)
            @if let Some(help) = help { p.help id={ (id) "-help" } { (help) } }
        }
    }
}

/// The address of a page of the vault with a query.
pub(super) fn address<Q: Serialize>(visit: &Visit, rest: &str, query: &Q) -> String {
    let path = visit.href(rest);
    match serde_html_form::to_string(query) {
        Ok(query) if !query.is_empty() => format!("{path}?{query}"),
        _ => path,
    }
}

/// What a table is called.
#[derive(Clone, Copy, Debug)]
pub(super) enum Called<'a> {
    /// So.
    As(&'a str),
    /// As the heading of this id says.
    By(&'a str),
}

/// A table that a small window scrolls sideways, by the keyboard too: the cells of its head, and its rows.
#[expect(clippy::needless_pass_by_value, reason = "what is put in is made where it is given")]
pub(super) fn data_table(called: Called<'_>, head: Markup, rows: Markup) -> Markup {
    let (label, heading) = match called {
        Called::As(label) => (Some(label), None),
        Called::By(heading) => (None, Some(heading)),
    };
    html! {
        div.scroll tabindex="0" role="region" aria-label=[label] aria-labelledby=[heading] {
            table {
                thead { tr { (head) } }
                tbody { (rows) }
            }
        }
    }
}

/// Links to the pages of a list. `href` makes the address of a page, which counts from 1.
pub(super) fn pages(page: usize, size: usize, total: usize, href: impl Fn(usize) -> String) -> Markup {
    let last = total.div_ceil(size.max(1)).max(1);
    let (from, to) =
        ((page.saturating_sub(1)).saturating_mul(size).saturating_add(1), page.saturating_mul(size).min(total));
    html! {
        nav.pages aria-label="Pages" {
            span { @if total == 0 { "None" } @else { (from) "–" (to) " of " (total) } }
            @if page > 1 { a rel="prev" href=(href(page - 1)) { "Previous" } }
            @if page < last { a rel="next" href=(href(page + 1)) { "Next" } }
        }
    }
}
