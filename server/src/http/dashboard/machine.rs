//! Machines: who reads.

mod ask;
mod confirm;
mod detail;
mod list;
mod new;
mod settings;

use std::future::ready;

use serde::Deserialize;
use sikkerkey_protocol::management::Scope::{MachinesRead, MachinesWrite};
use sikkerkey_protocol::management::{
    ApproveMachine, ExtendMachine, Guardrails, MachineApproval, MachineChanged, MachineRevocation, Preview, Rename,
};
use sikkerkey_protocol::policy::{Day, TimeWindow};

pub(super) use self::detail::lasts;
pub(super) use self::list::tabs;
use super::page::{Nothing, Then, does, finds, shows};
use super::span;
use super::visit::Visit;
use crate::http::route::Route;
use crate::refusal::Refusal;
use crate::usecase::management::enrolment::choices::choices;
use crate::usecase::management::machine::{self, command, falling, portrait, table};

/// The routes.
pub(super) fn routes() -> Vec<Route> {
    let mut routes = Vec::from(looks());
    routes.extend(approvals());
    routes.extend(changes());
    routes
}

fn looks() -> [Route; 4] {
    [
        finds(
            MachinesRead,
            "GET /vaults/{vault}/machines",
            table::query,
            |app, question| ready(Ok(table::find(&app, question))),
            list::page,
        ),
        finds(
            MachinesRead,
            "GET /vaults/{vault}/machines/{machine}",
            |context, manager, id, Nothing {}| portrait::query(context, manager, id),
            portrait::find,
            detail::page,
        ),
        shows(
            MachinesRead,
            "GET /vaults/{vault}/machines/new",
            |context, manager, [], asked: new::Asked| choices(context, manager, asked.choices()),
            new::page,
        ),
        shows(
            MachinesRead,
            "GET /vaults/{vault}/machines/new/{command}",
            |context, manager, id, Nothing {}| command::arrival(context, manager, id),
            new::arrival,
        ),
    ]
}

fn approvals() -> [Route; 6] {
    [
        does(
            MachinesWrite,
            "POST /vaults/{vault}/machines/new",
            new::NewForm::parse,
            |context, manager, [], (system, machine)| {
                let decision = command::begin(context, manager, [], machine)?;
                Ok(decision.then(move |command| (system, command)))
            },
            |visit, [], made| new::command(visit, made),
        ),
        shows(
            MachinesWrite,
            "GET /vaults/{vault}/machines/{machine}/approve",
            |context, manager, id, Nothing {}| {
                machine::approve(context, manager, id, ApproveMachine { fingerprint: None, preview: true })
            },
            confirm::approval,
        ),
        does(
            MachinesWrite,
            "POST /vaults/{vault}/machines/{machine}/approve",
            |form: ApproveForm| Ok(form.fingerprint),
            machine::approve_seen,
            |visit, ids, _: MachineApproval| back(visit, ids, "machine-approved"),
        ),
        does(
            MachinesWrite,
            "POST /vaults/{vault}/machines/{machine}/deny",
            Ok,
            |context, manager, id, Nothing {}| machine::deny(context, manager, id),
            |visit, _, _: MachineChanged| Then::Go(visit.href("machines"), "machine-denied"),
        ),
        shows(
            MachinesWrite,
            "GET /vaults/{vault}/machines/{machine}/revoke",
            |context, manager, id, Nothing {}| falling::preview(context, manager, id),
            confirm::revocation,
        ),
        does(
            MachinesWrite,
            "POST /vaults/{vault}/machines/{machine}/revoke",
            |_: Nothing| Ok(Preview { preview: false }),
            machine::revoke,
            |visit, _, _: MachineRevocation| Then::Go(visit.href("machines"), "machine-revoked"),
        ),
    ]
}

fn changes() -> [Route; 6] {
    [
        does(
            MachinesWrite,
            "POST /vaults/{vault}/machines/{machine}/disable",
            Ok,
            |context, manager, id, Nothing {}| machine::disable(context, manager, id),
            |visit, ids, _: MachineChanged| back(visit, ids, "machine-disabled"),
        ),
        does(
            MachinesWrite,
            "POST /vaults/{vault}/machines/{machine}/enable",
            Ok,
            |context, manager, id, Nothing {}| machine::enable(context, manager, id),
            |visit, ids, _: MachineChanged| back(visit, ids, "machine-enabled"),
        ),
        does(
            MachinesWrite,
            "POST /vaults/{vault}/machines/{machine}/rename",
            |form: RenameForm| Ok(Rename { name: form.name.trim().to_owned() }),
            machine::rename,
            |visit, ids, _: MachineChanged| back(visit, ids, "machine-renamed"),
        ),
        does(
            MachinesWrite,
            "POST /vaults/{vault}/machines/{machine}/extend",
            ExtendForm::parse,
            machine::extend,
            |visit, ids, _: MachineChanged| back(visit, ids, "machine-extended"),
        ),
        does(
            MachinesWrite,
            "POST /vaults/{vault}/machines/{machine}/revert-extension",
            Ok,
            |context, manager, id, Nothing {}| machine::revert_extension(context, manager, id),
            |visit, ids, _: MachineChanged| back(visit, ids, "machine-extension-reverted"),
        ),
        does(
            MachinesWrite,
            "POST /vaults/{vault}/machines/{machine}/guardrails",
            |form: GuardrailsForm| Ok(form.parse()),
            machine::replace_guardrails,
            |visit, ids, _: MachineChanged| back(visit, ids, "machine-guarded"),
        ),
    ]
}

fn back(visit: &Visit, [id]: [&str; 1], said: &'static str) -> Then {
    Then::Go(visit.href(&format!("machines/{id}")), said)
}

#[derive(Deserialize)]
struct ApproveForm {
    #[serde(default)]
    fingerprint: Option<String>,
}

#[derive(Deserialize)]
struct RenameForm {
    name: String,
}

#[derive(Deserialize)]
struct ExtendForm {
    by: String,
    by_unit: String,
    reason: String,
}

impl ExtendForm {
    fn parse(self) -> Result<ExtendMachine, Refusal> {
        let seconds = span::seconds("how much longer", &self.by, &self.by_unit)?;
        Ok(ExtendMachine { seconds, reason: self.reason })
    }
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct GuardrailsForm {
    ranges: String,
    days: Vec<Day>,
    start: String,
    end: String,
    zone: String,
    /// See [`machine::replace_guardrails`]. Without it nothing was seen.
    seen: String,
}

impl GuardrailsForm {
    /// What is left empty does not restrict; what is half there is, and the rules say what is missing.
    fn parse(self) -> (Guardrails, String) {
        let text = |it: &str| it.trim().to_owned();
        let ranges = self.ranges.split([',', '\n', '\r', ' ', '\t']).filter(|it| !it.is_empty());
        let ranges: Vec<String> = ranges.map(str::to_owned).collect();
        let (start, end, zone) = (text(&self.start), text(&self.end), text(&self.zone));
        let has_window = !self.days.is_empty() || !start.is_empty() || !end.is_empty();
        let rails = Guardrails {
            ip_allowlist: (!ranges.is_empty()).then_some(ranges),
            time_zone: (!zone.is_empty()).then_some(zone),
            time_window: has_window.then_some(TimeWindow { days: self.days, start, end }),
        };
        (rails, self.seen)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn guardrails_that_are_left_empty_restrict_nothing() {
        assert_eq!(GuardrailsForm::default().parse(), (Guardrails::default(), String::new()));
        let form =
            "ranges=10.0.0.0%2F8%0D%0A+192.0.2.1&days=Mon&days=Fri&start=07%3A00&end=19:00&zone=Europe/Oslo&seen=0a";
        let (rails, seen) = serde_html_form::from_str::<GuardrailsForm>(form).unwrap().parse();
        assert_eq!(seen, "0a");
        assert_eq!(rails.ip_allowlist.unwrap(), ["10.0.0.0/8", "192.0.2.1"]);
        let window = TimeWindow { days: vec![Day::Mon, Day::Fri], start: "07:00".into(), end: "19:00".into() };
        assert_eq!((rails.time_window, rails.time_zone.as_deref()), (Some(window), Some("Europe/Oslo")));
        let (half, _) = GuardrailsForm { start: "07:00".into(), ..GuardrailsForm::default() }.parse();
        assert!(half.time_window.is_some_and(|it| it.days.is_empty()));
    }
}
