//! Inputs that several forms of secrets have.

use maud::{Markup, html};
use sikkerkey_protocol::management::Charset;

use super::super::element::field;
use crate::usecase::management::access::Named;

/// The charsets, with their names.
const CHARSETS: [(Charset, &str, &str); 4] = [
    (Charset::Symbols, "symbols", "Letters, digits and signs"),
    (Charset::Alphanumeric, "alphanumeric", "Letters and digits"),
    (Charset::Numbers, "numbers", "Digits"),
    (Charset::Uuid, "uuid", "A random UUID"),
];

/// What a charset is called.
pub(super) fn charset_name(charset: Charset) -> &'static str {
    CHARSETS.iter().find(|(it, ..)| *it == charset).map_or("", |(_, _, name)| name)
}

/// A value that is typed in: its characters are not seen unless somebody asks for that, and no browser keeps, checks or
/// completes it.
pub(super) fn value(id: &str, name: &str, label: &str, help: Option<&str>, rows: u8) -> Markup {
    html! {
        div.field.masked {
            label for=(id) { (label) }
            textarea id=(id) name=(name) rows=(rows) autocomplete="off" autocapitalize="off" autocorrect="off" spellcheck="false"
                aria-describedby=[help.map(|_| format!("{id}-help"))] {}
            label.inline { input type="checkbox" autocomplete="off"; " Show while I type" }
            @if let Some(help) = help { p.help id={ (id) "-help" } { (help) } }
        }
    }
}

/// How long a random text is, and of what.
pub(super) fn generator(prefix: &str, length: Option<u32>, charset: Option<Charset>) -> Markup {
    let chosen = charset.unwrap_or(Charset::Symbols);
    html! {
        div.toolbar {
            (field(&format!("{prefix}-length"), "Length", None, html! {
                input id={ (prefix) "-length" } name="length" type="number" min="1" max="1024" value=(length.unwrap_or(32));
            }))
            (field(&format!("{prefix}-charset"), "Characters", None, html! {
                select id={ (prefix) "-charset" } name="charset" {
                    @for (charset, value, name) in CHARSETS { option value=(value) selected[charset == chosen] { (name) } }
                }
            }))
        }
    }
}

/// Which fields of a structured value; none ticked: all of them.
pub(super) fn which(prefix: &str, legend: &str, names: &[String], ticked: &[String]) -> Markup {
    html! {
        fieldset {
            legend { (legend) }
            @for (index, name) in names.iter().enumerate() {
                @let id = format!("{prefix}-field-{index}");
                label for=(id) { input id=(id) type="checkbox" name="field" value=(name) checked[ticked.contains(name)]; " " (name) " " }
            }
        }
    }
}

/// A choice among projects: of a list, or typed where there are too many.
pub(super) fn project(id: &str, projects: &[Named], is_more: bool, chosen: Option<&str>, none: Option<&str>) -> Markup {
    html! {
        @if is_more {
            input id=(id) name="project" value=[chosen] list={ (id) "-list" } autocomplete="off" placeholder=[none] required[none.is_none()];
            datalist id={ (id) "-list" } { @for it in projects { option value=(it.name) {} } }
        } @else {
            select id=(id) name="project" required[none.is_none()] {
                @if let Some(none) = none { option value="" { (none) } }
                @for it in projects { option value=(it.id) selected[chosen == Some(it.id.as_str())] { (it.name) } }
            }
        }
    }
}
