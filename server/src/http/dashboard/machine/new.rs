//! A new machine: for which system, the command that is shown once, and the machine that has come of it.

use maud::{Markup, html};
use serde::{Deserialize, Serialize};
use sikkerkey_protocol::bootstrap::{BootstrapCommand, Shell};
use sikkerkey_protocol::id::ProjectId;
use sikkerkey_protocol::management::Scope::{EnrolmentWrite, MachinesWrite};

use super::super::element::{copyable, field, time};
use super::super::page::{Nothing, Then};
use super::super::sheet::{Section, Sheet};
use super::super::visit::Visit;
use super::super::{enrolment, span};
use super::{ask, detail, list};
use crate::refusal::{Refusal, invalid};
use crate::usecase::management::enrolment::choices::{Choices, Wanted as WantedToken};
use crate::usecase::management::machine::command::{Arrival, Command, NewMachine};

/// Of which system the machine is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum System {
    #[default]
    Linux,
    Macos,
    Windows,
    Kubernetes,
    Ci,
}

impl System {
    const ALL: [Self; 5] = [Self::Linux, Self::Macos, Self::Windows, Self::Kubernetes, Self::Ci];

    fn word(self) -> &'static str {
        match self {
            Self::Linux => "linux",
            Self::Macos => "macos",
            Self::Windows => "windows",
            Self::Kubernetes => "kubernetes",
            Self::Ci => "ci",
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Linux => "Linux",
            Self::Macos => "macOS",
            Self::Windows => "Windows",
            Self::Kubernetes => "Kubernetes",
            Self::Ci => "CI",
        }
    }

    fn shell(self) -> Shell {
        match self {
            Self::Windows => Shell::PowerShell,
            Self::Kubernetes => Shell::Kubernetes,
            Self::Linux | Self::Macos | Self::Ci => Shell::Posix,
        }
    }

    /// Where the command is typed.
    fn place(self) -> &'static str {
        match self {
            Self::Linux | Self::Ci => "in a shell on the host",
            Self::Macos => "in Terminal on the Mac",
            Self::Windows => "in PowerShell on the host",
            Self::Kubernetes => "in a shell on your own computer, where kubectl is",
        }
    }
}

/// What a page is asked for.
#[derive(Clone, Debug, Default, Deserialize)]
pub(super) struct Asked {
    #[serde(default, rename = "for")]
    system: Option<System>,
    /// For a job: the project whose secrets it is to read.
    #[serde(default)]
    project: Option<ProjectId>,
}

impl Asked {
    /// What there is to choose among.
    pub(super) fn choices(self) -> Option<WantedToken> {
        let is_for_job = self.system == Some(System::Ci);
        is_for_job.then_some(WantedToken { project: self.project })
    }
}

/// The page that asks.
pub(super) fn page(visit: &Visit, asked: &Asked, choices: &Choices) -> Sheet {
    let system = asked.system.unwrap_or_default();
    let body = html! {
        nav aria-label="System" {
            ul.tabs {
                @for it in System::ALL {
                    li { a href={ (visit.href("machines/new")) "?for=" (it.word()) } aria-current=[(it == system).then_some("page")] { (it.name()) } }
                }
            }
        }
        @match system {
            System::Ci => {
                @if visit.may(EnrolmentWrite) { (enrolment::form(visit, asked.project.as_ref(), choices)) }
                @else { p.notice.warn { "Your role may not make enrolment tokens." } }
            }
            _ if !visit.may(MachinesWrite) => p.notice.warn { "Your role may not let machines in." },
            _ => (form(visit, system)),
        }
    };
    Sheet::new(Section::Machines, "New machine", body)
}

fn form(visit: &Visit, system: System) -> Markup {
    html! {
        @if system == System::Kubernetes { (instead(visit)) }
        section.card {
            @if system == System::Kubernetes {
                h2 { "A cluster without the operator" }
                p { "All pods that bring this identity along are one machine, and its key rests in a Secret of the cluster." }
            } @else {
                p { "The host begins with one command that is typed " (system.place()) ", by the user whose programs are to read secrets. It makes a key there, which never leaves the host." }
            }
            form.stack method="post" action=(visit.href("machines/new")) {
                input type="hidden" name="for" value=(system.word());
                (field("name", "Name", Some("Left empty it is the host’s own name."), html! {
                    input #name name="name" maxlength="255" autocomplete="off" autofocus aria-describedby="name-help";
                }))
                @if system != System::Kubernetes {
                    fieldset {
                        legend { "For how long" }
                        div { label.choice { input type="radio" name="kind" value="permanent" checked; " Until it is revoked" } }
                        div { label.choice { input type="radio" name="kind" value="temporary"; " For a time, which begins when it is approved:" } }
                        (span::fields("lasts", "How long", 30, &span::LONG))
                        p.help { "From 1 hour to 366 days. It can be extended." }
                    }
                }
                button.primary { "Make the command" }
            }
        }
    }
}

/// What serves a cluster better.
fn instead(visit: &Visit) -> Markup {
    let manifest = "apiVersion: sikkerkey.com/v1alpha1\nkind: Machine\nmetadata:\n  name: web\n  namespace: shop\nspec:\n  workload:\n    serviceAccountNames: [web]\n";
    html! {
        section.card {
            h2 { "A cluster with the operator" }
            p { "Nothing is to be made here. Apply a Machine, and each of its pods gets a key and an identity of its own; it appears " a href=(visit.href("machines")) { "among the machines" } "." }
            (copyable("machine-manifest", manifest))
        }
    }
}

/// The fields of the form.
#[derive(Deserialize)]
pub(super) struct NewForm {
    #[serde(rename = "for")]
    system: System,
    #[serde(default)]
    name: String,
    #[serde(default)]
    kind: String,
    #[serde(default)]
    lasts: String,
    #[serde(default)]
    lasts_unit: String,
}

impl NewForm {
    pub(super) fn parse(self) -> Result<(System, NewMachine), Refusal> {
        let name = Some(self.name.trim().to_owned()).filter(|it| !it.is_empty());
        let lifetime_seconds = match (self.kind.as_str(), self.system) {
            (_, System::Ci) => {
                return Err(invalid("a job begins with an enrolment token: choose CI, and make one there"));
            }
            ("temporary", System::Kubernetes) => {
                return Err(invalid("a temporary machine is a host: choose another system, or a permanent one"));
            }
            ("temporary", _) => Some(span::seconds("how long it lasts", &self.lasts, &self.lasts_unit)?),
            _ => None,
        };
        Ok((self.system, NewMachine { name, lifetime_seconds }))
    }
}

/// The page that shows the command, once.
pub(super) fn command(visit: &Visit, (system, command): (System, Command)) -> Then {
    let authority = visit.authority.as_ref().map(|it| it.pem().as_ref().to_owned());
    let machine = &command.machine;
    let text = BootstrapCommand {
        url: &command.url,
        token: command.token.expose(),
        authority: authority.as_deref(),
        temporary_in: machine.lifetime_seconds.is_some().then_some(&command.vault),
    }
    .text(system.shell());
    let of = visit.href(&format!("machines/new/{}", command.id));
    let body = html! {
        section.card {
            h2 { "1. Run this " (system.place()) }
            (copyable("command", &text))
            p {
                "It is shown this once, works once, and ends in "
                strong.countdown data-until=(command.expires_at) { "ten minutes" }
                "."
                @if let Some(seconds) = machine.lifetime_seconds {
                    " The machine lasts " (detail::lasts(seconds)) " from its approval on."
                }
            }
            @if matches!(system, System::Linux | System::Macos | System::Kubernetes) {
                p.quiet { "To read the script first, leave out " code { "| sh" } ": that uses nothing up." }
            }
        }
        (second_step(&of, &awaited(&of)))
    };
    let name = machine.name.as_deref().map_or_else(|| "New machine".to_owned(), |it| format!("New machine {it}"));
    Then::Show(Sheet::new(Section::Machines, name, body))
}

/// The page that tells what has come of a command. Without the command.
pub(super) fn arrival(visit: &Visit, _: &Nothing, it: &Arrival) -> Sheet {
    let of = &visit.path;
    let came = match it {
        Arrival::Awaited { .. } => awaited(of),
        Arrival::Over => html! {
            p { "The ten minutes of this command are over, and nothing has registered with it." }
            p { a.button.primary href=(visit.href("machines/new")) { "Make another" } }
        },
        Arrival::Gone { name } => html! { p { strong { (name) } " registered, and was denied or revoked since." } },
        Arrival::Came(row) if row.waits && visit.may(MachinesWrite) => ask::card(visit, row),
        Arrival::Came(row) => html! {
            p {
                a href=(visit.href(&format!("machines/{}", row.row.id))) { strong { (row.row.name) } }
                " has registered: " (list::status(row))
            }
        },
    };
    let body = html! {
        @if let Arrival::Awaited { until } = it { p { "The command was shown once. It ends " (time(*until)) "." } }
        (second_step(of, &came))
    };
    Sheet::new(Section::Machines, "A machine that is awaited", body)
}

fn second_step(of: &str, came: &Markup) -> Markup {
    html! {
        section.card {
            h2 { "2. Compare, and approve" }
            div #arrival aria-live="polite" data-live="2" data-from=(of) { (came) }
        }
    }
}

fn awaited(of: &str) -> Markup {
    html! {
        p { "Nothing has registered yet. When the script has run, the machine appears here, with the fingerprint of its key to compare." }
        p.quiet { "Does it not appear? " a href=(of) { "Look again" } "." }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn form(system: System, kind: &str, lasts: &str, unit: &str) -> Result<NewMachine, String> {
        let form =
            NewForm { system, name: " nas ".into(), kind: kind.into(), lasts: lasts.into(), lasts_unit: unit.into() };
        form.parse().map(|(_, machine)| machine).map_err(|it| it.message)
    }

    #[test]
    fn a_machine_is_permanent_unless_a_time_is_chosen() {
        let name = Some("nas".to_owned());
        assert_eq!(
            form(System::Linux, "permanent", "30", "days"),
            Ok(NewMachine { name: name.clone(), lifetime_seconds: None })
        );
        let temporary = NewMachine { name, lifetime_seconds: Some(86_400) };
        assert_eq!(form(System::Windows, "temporary", "1", "days"), Ok(temporary));
        let refused = "how long it lasts is a whole number of minutes, hours or days, from 1 on";
        assert_eq!(form(System::Macos, "temporary", "", "days"), Err(refused.into()));
        let refused = "a temporary machine is a host: choose another system, or a permanent one";
        assert_eq!(form(System::Kubernetes, "temporary", "1", "days"), Err(refused.into()));
        let refused = "a job begins with an enrolment token: choose CI, and make one there";
        assert_eq!(form(System::Ci, "permanent", "", ""), Err(refused.into()));
    }
}
