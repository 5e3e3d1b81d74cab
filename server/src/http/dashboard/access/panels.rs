//! The two panels: lists of what is available and what is granted, with buttons between them, and below what would change.

use maud::{Markup, html};
use sikkerkey_protocol::management::Scope::MembersWrite;

use super::super::element::{Tone, address, field, pages, pill};
use super::super::visit::Visit;
use super::notes;
use crate::usecase::management::access::{CHANGES, Move, Panel, Panels, PanelsQuery, ROWS, Row};

/// What the panels show.
#[derive(Clone, Copy)]
pub(super) struct Page<'a> {
    /// The address, in the vault.
    pub(super) rest: &'a str,
    /// What is asked.
    pub(super) query: &'a PanelsQuery,
    /// What there is.
    pub(super) panels: &'a Panels,
    /// Of what the rows are, in the singular.
    pub(super) what: &'a str,
    /// The project that machines join.
    pub(super) joined: &'a str,
}

/// Which of the two.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Which {
    Available,
    Granted,
}

/// Both panels, and what would change.
pub(super) fn both(visit: &Visit, page: Page<'_>) -> Markup {
    let may = visit.may(MembersWrite);
    let Page { rest, query, panels, .. } = page;
    html! {
        form #panels method="get" action=(visit.href(rest)) data-filter="available granted changes" {
            @if let Some(project) = &query.project { input type="hidden" name="project" value=(project); }
            // Whoever presses Enter in a search moves nothing.
            button.hidden tabindex="-1" aria-hidden="true" { "Search" }
            div.panels {
                (panel(visit, &page, Which::Available))
                @if may {
                    div.between {
                        button #give name="move" value="give" { "Grant →" }
                        button #back name="move" value="back" { "← Take away" }
                    }
                } @else { div {} }
                (panel(visit, &page, Which::Granted))
            }
        }
        div #changes aria-live="polite" { @if may { (changes(visit, &page)) } }
        @if panels.added.is_empty() && panels.taken.is_empty() && may {
            p.quiet { "Tick what you want to move, then choose Grant or Take away; or use the button of a row. Nothing is changed before you save." }
        }
    }
}

/// What is granted, where it is decided elsewhere.
pub(super) fn only_granted(visit: &Visit, rest: &str, query: &PanelsQuery, panels: &Panels) -> Markup {
    let page = Page { rest, query, panels, what: "secret", joined: "" };
    html! {
        form #panels method="get" action=(visit.href(rest)) data-filter="granted" { (panel(visit, &page, Which::Granted)) }
    }
}

fn panel(visit: &Visit, page: &Page<'_>, which: Which) -> Markup {
    let (id, title, name, text) = match which {
        Which::Available => ("available", "Available", "q", page.query.q.as_deref()),
        Which::Granted => ("granted", "Granted", "held", page.query.held.as_deref()),
    };
    html! {
        section.card.panel aria-labelledby={ (id) "-title" } {
            h2 id={ (id) "-title" } { (title) }
            (field(&format!("{id}-search"), &format!("Search {}", title.to_lowercase()), None, html! {
                input id={ (id) "-search" } type="search" name=(name) value=[text] maxlength="200" autocomplete="off";
            }))
            div id=(id) { (list(visit, page, which)) }
        }
    }
}

fn list(visit: &Visit, page: &Page<'_>, which: Which) -> Markup {
    let Page { rest, query, panels, what, .. } = page;
    let Panel { rows, total, page: number } = match which {
        Which::Available => &panels.available,
        Which::Granted => &panels.granted,
    };
    let (draft, name) = match which {
        Which::Available => (&panels.taken, "take"),
        Which::Granted => (&panels.added, "add"),
    };
    let to = |page: usize| {
        let mut next = cleaned(query, panels);
        match which {
            Which::Available => next.page = Some(page),
            Which::Granted => next.held_page = Some(page),
        }
        address(visit, rest, &next)
    };
    html! {
        @for it in draft { input type="hidden" name=(name) value=(it.id); }
        @if rows.is_empty() { p.quiet { "No " (what) " here." } }
        @else { ul.rows { @for row in rows { (entry(visit, page, which, row)) } } }
        @if *total > ROWS { (pages(*number, ROWS, *total, to)) }
        @else { p.quiet { (total) " " (what) @if *total != 1 { "s" } } }
    }
}

fn entry(visit: &Visit, page: &Page<'_>, which: Which, row: &Row) -> Markup {
    let (ticked, ticks, verb) = match which {
        Which::Available => ("give", &page.query.give, "Grant"),
        Which::Granted => ("back", &page.query.back, "Take away"),
    };
    // What was moved just now is not ticked any more.
    let is_ticked = page.query.moved.is_none() && ticks.contains(&row.id);
    let id = format!("row-{}", row.id);
    let may = visit.may(MembersWrite) && !row.fixed;
    html! {
        li.moved[row.moved] {
            @if may {
                input id=(id) type="checkbox" name=(ticked) value=(row.id) checked[is_ticked];
                label for=(id) { (row.name) (notes(&row.notes)) (changed(which, row)) }
                button.small name="one" value=(row.id) title={ (verb) " " (row.name) } {
                    @if row.moved { "Undo" } @else { (verb) }
                    span.hidden { " " (row.name) }
                }
            } @else {
                span.label { (row.name) (notes(&row.notes)) }
            }
        }
    }
}

fn changed(which: Which, row: &Row) -> Markup {
    html! {
        @if row.moved {
            " "
            @match which {
                Which::Granted => (pill(Tone::Good, "to be granted")),
                Which::Available => (pill(Tone::Bad, "to be taken away")),
            }
        }
    }
}

/// What would change, and the form that does it.
fn changes(visit: &Visit, page: &Page<'_>) -> Markup {
    let Page { rest, query, panels, joined, .. } = page;
    let is_empty = panels.added.is_empty() && panels.taken.is_empty();
    html! {
        @if panels.done_by_others > 0 {
            p.notice.warn { (panels.done_by_others) " of your changes were made by somebody else meanwhile, and are done." }
        }
        @if panels.gone > 0 {
            p.notice.warn { (panels.gone) " of your changes were about something that is not there any more, and were dropped." }
        }
        @if panels.is_full {
            p.notice.warn { "One save takes " (CHANGES) " changes: save these first, then go on." }
        }
        @if !is_empty {
            section.card aria-labelledby="changes-title" {
                h2 #changes-title { (panels.added.len()) " added, " (panels.taken.len()) " taken away" }
                @if !panels.added.is_empty() { p { "Added: " (names(panels.added.iter().map(|it| it.name.as_str()))) } }
                @if !panels.taken.is_empty() { p { "Taken away: " (names(panels.taken.iter().map(|it| it.name.as_str()))) } }
                @if !panels.joins.is_empty() {
                    p { "Becomes a member of project " (joined) ": " (names(panels.joins.iter().map(|it| it.name.as_str()))) }
                }
                form.actions method="post" action=(visit.href(rest)) {
                    @if let Some(project) = &query.project { input type="hidden" name="project" value=(project); }
                    @for it in &panels.added { input type="hidden" name="add" value=(it.id); }
                    @for it in &panels.taken { input type="hidden" name="take" value=(it.id); }
                    @for it in &panels.joins { input type="hidden" name="joins" value=(it.id); }
                    button.primary { "Save" }
                    @let without = PanelsQuery { add: Vec::new(), take: Vec::new(), ..cleaned(query, panels) };
                    a.button href=(address(visit, rest, &without)) { "Discard" }
                    span.quiet { "In force at once." }
                }
            }
        }
    }
}

fn names<'a>(names: impl Iterator<Item = &'a str>) -> Markup {
    html! { @for (index, name) in names.enumerate() { @if index > 0 { ", " } strong { (name) } } }
}

/// What is asked, with what was moved as it stands now, and nothing ticked.
fn cleaned(query: &PanelsQuery, panels: &Panels) -> PanelsQuery {
    PanelsQuery {
        add: panels.added.iter().map(|it| it.id.clone()).collect(),
        take: panels.taken.iter().map(|it| it.id.clone()).collect(),
        give: Vec::new(),
        back: Vec::new(),
        one: None,
        moved: None::<Move>,
        ..query.clone()
    }
}
