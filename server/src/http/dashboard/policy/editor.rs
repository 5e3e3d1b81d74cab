//! The editor of a policy: plain fields, each with what the server says to it beside it.

use maud::{Markup, html};
use serde::Deserialize;

use super::super::element::{Tone, pill, time};
use super::super::managed;
use super::super::sheet::{Section, Sheet};
use super::super::visit::Visit;
use super::form::PolicyForm;
use super::told::{in_words, told};
use super::{one, past};
use crate::policy::window::zone_names;
use crate::usecase::management::policy::draft::{Checked, Editor};
use crate::usecase::management::policy::past::Past;
use crate::usecase::management::policy::shown::Stands;

const DAYS: [(&str, &str); 7] =
    [("mon", "Mon"), ("tue", "Tue"), ("wed", "Wed"), ("thu", "Thu"), ("fri", "Fri"), ("sat", "Sat"), ("sun", "Sun")];
/// The most rows of addresses: as many ranges as a policy has.
const MOST_ROWS: usize = 128;

/// Where a new one begins.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Query {
    pub(super) project: Option<String>,
}

/// Nothing is typed yet.
pub(super) fn begin(visit: &Visit, _: &Query, editor: &Editor) -> Sheet {
    let mut typed = PolicyForm::of(&editor.object);
    typed.project = editor.project.as_ref().map(|(id, _)| id.to_string()).unwrap_or_default();
    typed.revision = editor.policy.as_ref().map(|it| it.revision.to_string()).unwrap_or_default();
    sheet(visit, &typed, editor, None)
}

/// What was typed, with what is said to it.
pub(super) fn checked(visit: &Visit, typed: &PolicyForm, (editor, past): &(Editor, Option<Past>)) -> Sheet {
    sheet(visit, typed, editor, past.as_ref())
}

fn sheet(visit: &Visit, typed: &PolicyForm, editor: &Editor, past: Option<&Past>) -> Sheet {
    let title = editor.policy.as_ref().map_or_else(|| "New policy".to_owned(), |it| format!("Change {}", it.name));
    if let Some(object) = editor.policy.as_ref().and_then(|it| it.managed_by.as_ref()) {
        let fields = managed::policy_fields(&editor.document);
        return Sheet::new(Section::Policies, title, managed::notice(object, &managed::manifest_of(object, &fields)));
    }
    let (own, check, back) = match &editor.policy {
        Some(policy) => {
            let own = one(visit, &policy.id);
            (own.clone(), format!("{own}/check"), own)
        }
        None => (visit.href("policies"), visit.href("policies/check"), visit.href("policies")),
    };
    let page = Page { typed, editor, check: &check };
    let body = html! {
        form.editor method="post" action=(own) data-check=(check) autocomplete="off" {
            // The key Enter presses the first button: it changes nothing.
            button.hidden formaction=(check) formnovalidate tabindex="-1" aria-hidden="true" name="act" value="check" { "Check" }
            @if editor.policy.is_some() { input type="hidden" name="revision" value=(typed.revision); }
            div.columns {
                div { (page.names()) (page.time_window()) (page.zone()) (page.addresses()) }
                div { (page.cap()) (page.co_sign()) (page.end()) (page.rotation()) }
            }
            (page.verdict())
            div.actions {
                button.primary { @if editor.policy.is_some() { "Save" } @else { "Create" } }
                button formaction=(check) formnovalidate name="act" value="past" { "Try it on last week" }
                button formaction=(check) formnovalidate name="act" value="check" { "Check" }
                a.button href=(back) { "Leave it" }
            }
        }
        @if let Some(past) = past { (past::section(past)) }
    };
    Sheet::new(Section::Policies, title, body)
}

struct Page<'a> {
    typed: &'a PolicyForm,
    editor: &'a Editor,
    check: &'a str,
}

impl Page<'_> {
    fn names(&self) -> Markup {
        let typed = self.typed;
        html! {
            fieldset {
                legend { "Policy" }
                @if self.editor.policy.is_none() {
                    (self.field("project", "Project", Some("It guards secrets of this project, and of no other."), html! {
                        select #project name="project" aria-describedby="project-help project-error" aria-invalid=[self.invalid("project")] {
                            option value="" { "Choose one" }
                            @for (id, name) in &self.editor.projects { option value=(id) selected[typed.project() == Some(id.as_str())] { (name) } }
                        }
                    }))
                }
                (self.text("name", "Name", &typed.name, Some("Unique in the project: secrets name it.")))
                (self.field("description", "What it is for", None, html! {
                    textarea #description name="description" rows="2" maxlength="2000" aria-describedby="description-error" { (typed.description) }
                }))
            }
        }
    }

    fn time_window(&self) -> Markup {
        let typed = self.typed;
        self.axis("time_window", "Only in a window of the week", typed.time_window.is_some(), html! {
            fieldset.plain #day aria-describedby="day-error" {
                legend { "Days on which it opens" }
                div.options {
                    @for (day, name) in DAYS {
                        label { input type="checkbox" name="day" value=(day) checked[typed.day.iter().any(|it| it == day)]; " " (name) }
                    }
                }
                (self.error("day"))
            }
            div.beside {
                (self.short("start", "Opens at", &typed.start, "08:00", None))
                (self.short("end", "Closes at", &typed.end, "18:00", Some("24:00 is midnight. Before the opening: on the next day.")))
            }
        })
    }

    /// Two axes are read off its clock, so it is under neither of their switches.
    fn zone(&self) -> Markup {
        html! {
            fieldset {
                legend { "By which clock" }
                (self.field("zone", "Time zone", Some("Of the window, and of the day that a cap counts. Needed by those two alone."), html! {
                    input #zone name="zone" value=(self.typed.zone) list="zones" maxlength="64" spellcheck="false" placeholder="Europe/Oslo" aria-describedby="zone-help zone-error" aria-invalid=[self.invalid("zone")];
                }))
                datalist #zones { @for name in zone_names() { option value=(name) {} } }
            }
        }
    }

    fn addresses(&self) -> Markup {
        let typed = self.typed;
        let rows = typed.rows().min(MOST_ROWS);
        self.axis("addresses", "Only from these addresses", typed.addresses.is_some(), html! {
            p.help #range-help { "CIDR ranges as the server sees clients: 10.0.0.0/8, 2001:db8::/32, one address as 192.0.2.7/32." }
            @for row in 0..rows {
                @let id = format!("range-{row}");
                div.field {
                    label.hidden for=(id) { "Range " (row + 1) }
                    input id=(id) name="range" value=[typed.range.get(row)] maxlength="64" spellcheck="false" autofocus[typed.act == "row" && row + 1 == rows] aria-describedby={ "range-help " (id) "-error" } aria-invalid=[self.invalid(&id)];
                    (self.error(&id))
                }
            }
            @if rows < MOST_ROWS {
                button formaction=(self.check) formnovalidate name="act" value="row" { "Add a row" }
            }
        })
    }

    fn cap(&self) -> Markup {
        let typed = self.typed;
        self.axis("cap", "Only so often", typed.cap.is_some(), html! {
            div.beside {
                (self.number("per_minute", "Reads a minute", &typed.per_minute, None))
                (self.number("per_day", "Reads a day", &typed.per_day, Some("Needs a time zone, whose days it counts.")))
            }
            p.help { "Each machine's reads of each secret; all pods of one Machine object count together." }
        })
    }

    fn co_sign(&self) -> Markup {
        let typed = self.typed;
        self.axis("co_sign", "Only after a second machine has approved", typed.co_sign.is_some(), html! {
            (self.field("co_signer", "Who approves", Some("The id of a machine, from the list or from its page. Nobody approves their own reads."), html! {
                input #co_signer name="co_signer" value=(typed.co_signer) list="approvers" maxlength="64" spellcheck="false" aria-describedby="co_signer-help co_signer-error" aria-invalid=[self.invalid("co_signer")];
            }))
            datalist #approvers { @for (id, name) in &self.editor.approvers { option value=(id) { (name) } } }
            (self.number("approved_for", "For how many seconds", &typed.approved_for, Some("How long an approval is good: from 30 to 604800, which is a week.")))
        })
    }

    fn end(&self) -> Markup {
        let typed = self.typed;
        html! {
            fieldset {
                legend { "Until when" }
                (self.field("ends", "Ends at, UTC", Some("From then on nobody reads. Empty: no date ends it."), html! {
                    input #ends name="ends" type="datetime-local" step="any" value=(typed.ends) aria-describedby="ends-help ends-error" aria-invalid=[self.invalid("ends")];
                }))
                (self.number("most_reads", "Reads in all", &typed.most_reads, Some("Of each secret, by everybody together. Empty: no number ends it.")))
            }
        }
    }

    fn rotation(&self) -> Markup {
        html! {
            fieldset {
                legend { "A new value" }
                (self.number("rotate_after", "New value after so many reads", &self.typed.rotate_after, Some("A machine's first read of a value does not count. Empty: reads make no new value.")))
            }
        }
    }

    /// A switch, and what is under it.
    #[expect(clippy::needless_pass_by_value, reason = "what is put in is made where it is given")]
    fn axis(&self, id: &str, label: &str, is_on: bool, under: Markup) -> Markup {
        html! {
            fieldset.axis {
                legend { label { input id=(id) type="checkbox" name=(id) checked[is_on] aria-describedby={ (id) "-error" }; " " (label) } }
                (self.error(id))
                div.under { (under) }
            }
        }
    }

    fn text(&self, id: &str, label: &str, value: &str, help: Option<&str>) -> Markup {
        self.field(id, label, help, html! {
            input id=(id) name=(id) value=(value) maxlength="255" spellcheck="false" aria-describedby={ (id) "-help " (id) "-error" } aria-invalid=[self.invalid(id)];
        })
    }

    fn short(&self, id: &str, label: &str, value: &str, example: &str, help: Option<&str>) -> Markup {
        self.field(id, label, help, html! {
            input id=(id) name=(id) value=(value) maxlength="16" placeholder=(example) size="6" aria-describedby=(described(id, help)) aria-invalid=[self.invalid(id)];
        })
    }

    fn number(&self, id: &str, label: &str, value: &str, help: Option<&str>) -> Markup {
        self.field(id, label, help, html! {
            input id=(id) name=(id) value=(value) maxlength="20" inputmode="numeric" aria-describedby=(described(id, help)) aria-invalid=[self.invalid(id)];
        })
    }

    #[expect(clippy::needless_pass_by_value, reason = "what is put in is made where it is given")]
    fn field(&self, id: &str, label: &str, help: Option<&str>, input: Markup) -> Markup {
        html! {
            div.field {
                label for=(id) { (label) }
                (input)
                (self.error(id))
                @if let Some(help) = help { p.help id={ (id) "-help" } { (help) } }
            }
        }
    }

    /// What is wrong with a field, beside it: nothing, most of the time. Asked for again while one types.
    fn error(&self, id: &str) -> Markup {
        html! { p.error id={ (id) "-error" } data-checked { @if let Some((_, text)) = self.wrong().filter(|(at, _)| at.as_deref() == Some(id)) { (text) } } }
    }

    fn invalid(&self, id: &str) -> Option<&'static str> {
        self.wrong().filter(|(at, _)| at.as_deref() == Some(id)).map(|_| "true")
    }

    fn wrong(&self) -> Option<(Option<String>, String)> {
        self.editor.checked.as_ref()?.wrong.as_ref().map(|it| told(it, self.typed))
    }

    fn verdict(&self) -> Markup {
        html! {
            section.card #verdict data-checked aria-live="polite" {
                h2 { "What it says" }
                @match (&self.editor.checked, self.wrong()) {
                    (None, _) if self.editor.policy.is_some() => {
                        p { "Reads are allowed, as it stands:" }
                        (super::axes(self.editor.policy.as_ref().map(|it| it.words.as_slice()).unwrap_or_default()))
                    }
                    (None, _) => p.quiet { "Stands here in words once you have filled it in. Nothing is in force before it is saved." },
                    (Some(_), Some((_, text))) => p.notice.bad { "It cannot be put in force like this: " (text) "." },
                    (Some(checked), None) => (self.says(checked)),
                }
            }
        }
    }

    fn says(&self, checked: &Checked) -> Markup {
        let is_protected = self.editor.policy.as_ref().is_some_and(|it| it.protected);
        html! {
            p { "Reads are allowed:" }
            (super::axes(&checked.words))
            p {
                @match checked.stands {
                    Stands::Always => (pill(Tone::Good, "open now")),
                    Stands::Open => (pill(Tone::Good, "open now")),
                    Stands::Closed => (pill(Tone::Warn, "closed now")),
                    Stands::Ended | Stands::Withdrawn => (pill(Tone::Bad, "ended")),
                }
                @if let Some(at) = checked.changes_at { " until " (time(at.0)) }
                @if self.editor.policy.is_some() {
                    ". It guards " (checked.secrets) @if checked.secrets == 1 { " secret." } @else { " secrets." }
                }
            }
            @if let Some(looser) = &checked.loosens {
                p.notice.warn {
                    "It lets through what the present one refuses: " (in_words(looser)) ". "
                    @if is_protected { "The policy is protected: an agent may not do that, and you may." }
                }
            }
        }
    }
}

/// What describes a field: what it is for, where that is said, and what is wrong with it.
fn described(id: &str, help: Option<&str>) -> String {
    if help.is_some() { format!("{id}-help {id}-error") } else { format!("{id}-error") }
}
