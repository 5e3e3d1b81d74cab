//! What stands around every page: the head, the menu, what was said.

use maud::{DOCTYPE, Markup, html};

use super::assets;
use super::element::{Tone, pill};
use super::sheet::{Section, Sheet};
use super::theme::Theme;
use super::visit::{Here, Visit};

/// Whom a page is for.
#[derive(Clone, Copy)]
pub(super) enum Around<'a> {
    /// Whoever has logged in.
    Visit(&'a Visit),
    /// Nobody known.
    Nobody(Theme),
}

/// A page as a whole.
pub(super) fn document(around: Around<'_>, sheet: Sheet) -> Markup {
    let Sheet { title, section, actions, body } = sheet;
    let (theme, place) = match around {
        Around::Visit(visit) => (visit.theme, visit.vault.as_ref().map(|it| it.name.as_str())),
        Around::Nobody(theme) => (theme, None),
    };
    let tab = place.map_or_else(|| format!("{title} – SikkerKey"), |it| format!("{title} – {it} – SikkerKey"));
    let main = html! {
        main #main tabindex="-1" {
            div.page-head {
                h1 { (title) }
                @if let Some(actions) = actions { div.actions { (actions) } }
            }
            @if let Around::Visit(Visit { said: Some(said), .. }) = around {
                p.notice.good role="status" { (said) }
            }
            (body)
        }
    };
    html! {
        (DOCTYPE)
        html lang="en" data-theme=(theme.as_str()) {
            (head(&tab))
            @match around {
                Around::Visit(visit) => body data-ends=[visit.session_ends.map(|it| it.0)] {
                    a.skip href="#main" { "To the content" }
                    (bar(visit))
                    div.frame { (menu(visit, section)) (main) }
                },
                Around::Nobody(theme) => body.alone {
                    (main)
                    (switch(theme))
                },
            }
        }
    }
}

/// A page that leads on to another, of whoever came here by a link from elsewhere.
pub(super) fn doorstep(theme: Theme, to: &str, at_once: bool) -> Markup {
    html! {
        (DOCTYPE)
        html lang="en" data-theme=(theme.as_str()) {
            head {
                meta charset="utf-8";
                title { "SikkerKey" }
                @if at_once { meta http-equiv="refresh" content={ "0; url=" (to) }; }
                link rel="icon" href=(assets::ICON.address());
                link rel="stylesheet" href=(assets::STYLE.address());
            }
            body.alone { main { h1 { "SikkerKey" } p { a href=(to) { "Go on to the dashboard" } } } }
        }
    }
}

fn head(tab: &str) -> Markup {
    html! {
        head {
            meta charset="utf-8";
            meta name="viewport" content="width=device-width, initial-scale=1";
            meta name="color-scheme" content="light dark";
            title { (tab) }
            link rel="icon" href=(assets::ICON.address());
            link rel="stylesheet" href=(assets::STYLE.address());
            script src=(assets::SCRIPT.address()) defer {}
        }
    }
}

fn bar(visit: &Visit) -> Markup {
    html! {
        header.bar {
            a.brand href="/" { img src=(assets::ICON.address()) alt="" width="22" height="22"; "SikkerKey" }
            @if let Some(vault) = &visit.vault {
                details.menu {
                    summary { span.quiet { "Vault " } strong { (vault.name) } }
                    ul {
                        @for other in &visit.vaults {
                            li { a href={ "/vaults/" (other.vault_id) } aria-current=[(other.vault_id == vault.id).then_some("true")] { (other.name) } }
                        }
                    }
                }
                (pill(Tone::Plain, vault.role.as_str()))
            }
            div.push {}
            (switch(visit.theme))
            details.menu.right {
                summary { (visit.email) }
                ul {
                    li { a href="/account" { "Account" } }
                    li { form method="post" action="/logout" { button.link { "Log out" } } }
                }
            }
        }
    }
}

fn switch(theme: Theme) -> Markup {
    let next = theme.next().as_str();
    html! {
        form.theme method="post" action="/theme" {
            button.quiet name="theme" value=(next) title={ "Colours: " (theme.as_str()) ". Change to " (next) "." } {
                "Colours: " (theme.as_str())
            }
        }
    }
}

fn menu(visit: &Visit, section: Section) -> Markup {
    let Some(vault) = &visit.vault else { return html! {} };
    html! {
        nav.side aria-label="Vault" {
            ul {
                @for (it, end, name) in Section::OF_VAULT {
                    li { a href=(visit.href(end)) aria-current=[(*it == section).then_some("page")] { (name) (badge(*it, vault)) } }
                }
            }
        }
    }
}

fn badge(section: Section, vault: &Here) -> Markup {
    html! {
        @if section == Section::Machines && vault.waiting > 0 {
            " " span.badge title="waiting for approval" { (vault.waiting) span.hidden { " waiting for approval" } }
        }
    }
}
