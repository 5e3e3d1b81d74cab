//! `admin machine …`

use clap::{Args, Subcommand};
use serde::{Deserialize, Serialize};
use sikkerkey_protocol::id::{MachineId, ProjectId};
use sikkerkey_protocol::kubernetes::Approval;
use sikkerkey_protocol::management::{
    Guardrails, MachineApproval, MachineChanged, MachineDetail, MachineList, MachineRow, NameHistory,
};
use sikkerkey_protocol::policy::{Day, TimeWindow};

use super::Answer;
use super::bootstrap::{self, Bootstrap};
use super::duration::duration;
use super::execute::{Desk, looking, through};
use super::table::table;
use crate::decision::Context;
use crate::model::millis::Millis;
use crate::policy::window::instant;
use crate::refusal::Refusal;
use crate::usecase::admin::machine;
use crate::usecase::machine::Found;
use crate::usecase::machine::view::{Viewer, history};

/// Machines.
#[derive(Debug, Subcommand, Serialize, Deserialize)]
pub enum Machine {
    /// Prints the command with which a host begins, good once and for 10 minutes.
    Bootstrap(Bootstrap),
    /// Approves a machine's key, or the fleet of a Machine object. A machine whose place it takes is revoked with that.
    Approve {
        /// Its id.
        id: String,
        /// The fingerprint that the host shows: approves no other key.
        #[arg(long)]
        fingerprint: Option<String>,
        /// Only tells which machine would be revoked by it.
        #[arg(long)]
        preview: bool,
    },
    /// Removes a machine that waits for approval, or denies the fleet of a Machine object.
    Deny {
        /// Its id.
        id: String,
    },
    /// Takes a machine its identity and its grants, or denies the fleet of a Machine object.
    Revoke {
        /// Its id.
        id: String,
        /// Only tells what would fall.
        #[arg(long)]
        preview: bool,
    },
    /// Switches a machine off: it is refused until it is enabled, and keeps its grants.
    Disable {
        /// Its id.
        id: MachineId,
    },
    /// Switches a machine on again.
    Enable {
        /// Its id.
        id: MachineId,
    },
    /// Gives a machine another name.
    Rename {
        /// Its id.
        id: MachineId,
        /// The name.
        name: String,
    },
    /// Gives a temporary machine more time. What remains then is at most 12 months.
    Extend {
        /// Its id.
        id: MachineId,
        /// How much longer, such as 12h, 30d or 2w.
        #[arg(long, value_parser = duration)]
        by: u64,
        /// Why.
        #[arg(long)]
        reason: String,
    },
    /// Takes the last extension of a temporary machine back.
    RevertExtension {
        /// Its id.
        id: MachineId,
    },
    /// Says from where and when a machine may come at all, in place of what was said before; nothing given: as it likes.
    Guard(Guard),
    /// Shows what a machine was called.
    Names {
        /// Its id.
        id: String,
    },
    /// Shows one machine or fleet.
    Show {
        /// Its id.
        id: String,
    },
    /// Lists machines and fleets.
    List,
}

/// What each request of a machine has to keep to.
#[derive(Debug, Args, Serialize, Deserialize)]
pub struct Guard {
    /// The machine's id.
    id: MachineId,
    /// A range from which it may come. May be given several times.
    #[arg(long = "from", value_name = "CIDR")]
    ranges: Vec<String>,
    /// The days on which its window opens, such as mon,tue.
    #[arg(long, value_delimiter = ',', value_parser = day, requires_all = ["start", "end", "time_zone"])]
    days: Vec<Day>,
    /// When its window opens, such as 06:00.
    #[arg(long, requires = "days")]
    start: Option<String>,
    /// When its window closes, such as 18:30 or 24:00; before the start: on the next day.
    #[arg(long, requires = "days")]
    end: Option<String>,
    /// The time zone of the window, such as Europe/Oslo.
    #[arg(long, requires = "days")]
    time_zone: Option<String>,
}

impl Guard {
    fn rails(self) -> (MachineId, Guardrails) {
        let time_window = match (self.start, self.end) {
            (Some(start), Some(end)) => Some(TimeWindow { days: self.days, start, end }),
            _ => None,
        };
        let ip_allowlist = (!self.ranges.is_empty()).then_some(self.ranges);
        (self.id, Guardrails { ip_allowlist, time_zone: self.time_zone, time_window })
    }
}

fn day(text: &str) -> Result<Day, String> {
    let days = [Day::Mon, Day::Tue, Day::Wed, Day::Thu, Day::Fri, Day::Sat, Day::Sun];
    let names = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];
    let place = names.iter().position(|it| text.eq_ignore_ascii_case(it));
    place.and_then(|it| days.get(it).copied()).ok_or_else(|| format!("there are {}", names.join(", ")))
}

pub(super) async fn execute(desk: Desk<'_>, command: Machine) -> Result<Answer, Refusal> {
    Ok(match command {
        Machine::Bootstrap(it) => bootstrap::execute(desk, it).await?,
        Machine::Approve { id, fingerprint, preview } => {
            let approve = move |it: &Context<'_>| machine::approve_compared(it, &id, fingerprint.as_deref(), preview);
            approved(&through(desk, "machine approve", approve).await?)
        }
        Machine::Deny { id } => {
            changed(&through(desk, "machine deny", move |it| machine::deny(it, &id)).await?, "is denied")
        }
        Machine::Revoke { id, preview } => {
            let revoke = move |it: &Context<'_>| machine::revoke_or_tell(it, &id, preview);
            let it = through(desk, "machine revoke", revoke).await?;
            let what = if preview { "would be revoked" } else { "is revoked" };
            let text = format!(
                "{} {what}: {} memberships, {} grants, {} secrets it reads no more",
                it.name, it.memberships, it.grants, it.secrets
            );
            Answer::of(&it, text)
        }
        Machine::Disable { id } => {
            let done = through(desk, "machine disable", move |it| machine::set_enabled(it, &id, false)).await?;
            changed(&done, "is disabled")
        }
        Machine::Enable { id } => {
            let done = through(desk, "machine enable", move |it| machine::set_enabled(it, &id, true)).await?;
            changed(&done, "is enabled")
        }
        Machine::Rename { id, name } => {
            let done = through(desk, "machine rename", move |it| machine::rename(it, &id, &name)).await?;
            changed(&done, "has its name")
        }
        Machine::Extend { id, by, reason } => {
            let extend = move |it: &Context<'_>| machine::extend(it, &id, by, &reason);
            let done = through(desk, "machine extend", extend).await?;
            changed(&done, &format!("ends at {}", until(done.expires_at)))
        }
        Machine::RevertExtension { id } => {
            let revert = move |it: &Context<'_>| machine::revert_extension(it, &id);
            let done = through(desk, "machine revert-extension", revert).await?;
            changed(&done, &format!("ends at {}", until(done.expires_at)))
        }
        Machine::Guard(it) => {
            let (id, rails) = it.rails();
            let what = if rails == Guardrails::default() { "comes as it likes" } else { "keeps to that" };
            changed(&through(desk, "machine guard", move |it| machine::guard(it, &id, rails)).await?, what)
        }
        Machine::Names { id } => names(&looking(desk, |it| earlier(it, &id))?),
        Machine::Show { id } => show(&looking(desk, |it| detail(it, &id))?),
        Machine::List => list(looking(desk, rows)),
    })
}

fn approved(it: &MachineApproval) -> Answer {
    let mut lines = vec![match (&it.fingerprint, it.preview) {
        (Some(key), false) => format!("{} is approved, key {key}", it.id),
        (None, false) => format!("{} is approved", it.id),
        (Some(key), true) => format!("{} would be approved, key {key}", it.id),
        (None, true) => format!("{} would be approved", it.id),
    }];
    lines.extend(it.replaces.as_ref().map(|old| {
        let what = if it.preview { "would be revoked" } else { "is revoked" };
        format!(
            "machine {} ({}), whose place it takes, {what}: {} memberships, {} grants, {} secrets",
            old.name, old.id, old.memberships, old.grants, old.secrets
        )
    }));
    Answer::of(it, lines.join("\n"))
}

fn changed(it: &MachineChanged, what: &str) -> Answer {
    Answer::of(it, format!("{} {what}", it.id))
}

fn viewer<'a>(context: &Context<'a>) -> Viewer<'a, fn(&ProjectId) -> bool> {
    Viewer { state: context.state, ledger: context.ledger, sees: |_| true }
}

fn detail(context: &Context<'_>, id: &str) -> Result<MachineDetail, Refusal> {
    Ok(match machine::find(context, id)? {
        Found::Machine(it) => viewer(context).detail(it),
        Found::Fleet(it) => viewer(context).fleet_detail(it),
    })
}

fn earlier(context: &Context<'_>, id: &str) -> Result<NameHistory, Refusal> {
    Ok(match machine::find(context, id)? {
        Found::Machine(it) => {
            let names = it.host.as_ref().map(|it| it.earlier_names.as_slice()).unwrap_or_default();
            history(it.id.to_string(), it.name.clone(), names)
        }
        Found::Fleet(it) => history(it.id.to_string(), it.managed.object.key.to_string(), &[]),
    })
}

/// What stands in the list of people: with node and fleet, which matter to whoever runs the server.
fn rows(context: &Context<'_>) -> Vec<(MachineRow, String)> {
    let (state, viewer) = (context.state, viewer(context));
    let mut rows: Vec<_> = state
        .machines
        .values()
        .map(|it| (viewer.row(it), it.pod.as_ref().map(|it| it.pod.node.to_string()).unwrap_or_default()))
        .collect();
    rows.extend(state.fleets.values().map(|it| (viewer.fleet_row(it), String::new())));
    rows.sort_by(|(a, _), (b, _)| (a.kind, &a.name, &a.id).cmp(&(b.kind, &b.name, &b.id)));
    rows
}

fn list(rows: Vec<(MachineRow, String)>) -> Answer {
    let cells: Vec<[String; 9]> = rows
        .iter()
        .map(|(it, node)| {
            [
                it.id.clone(),
                it.kind.as_str().to_owned(),
                it.name.clone(),
                it.managed_by.clone().unwrap_or_default(),
                node.clone(),
                standing(it),
                until(it.expires_at),
                until(it.last_seen),
                it.fingerprint.clone().unwrap_or_default(),
            ]
        })
        .collect();
    let headings = ["ID", "KIND", "NAME", "OBJECT", "NODE", "APPROVAL", "EXPIRES", "LAST-SEEN", "FINGERPRINT"];
    let text = table(headings, &cells);
    Answer::of(&MachineList { machines: rows.into_iter().map(|(it, _)| it).collect() }, text)
}

fn show(it: &MachineDetail) -> Answer {
    let row = &it.machine;
    let mut lines =
        vec![format!("{} {} ({})", row.kind.as_str(), row.name, row.id), format!("approval     {}", standing(row))];
    let mut line = |what: &str, text: Option<String>| {
        lines.extend(text.filter(|it| !it.is_empty()).map(|text| format!("{what:<12} {text}")));
    };
    line("key", row.fingerprint.clone());
    line("object", row.managed_by.clone());
    line("last seen", row.last_seen.map(|at| format!("{} {}", until(Some(at)), text(row.address.as_ref()))));
    line("registered", row.created_at.map(|at| until(Some(at))));
    line(
        "from",
        it.first_contact.as_ref().map(|it| {
            format!(
                "{} {} {}",
                it.address,
                it.hostname.as_deref().unwrap_or_default(),
                it.os.as_deref().unwrap_or_default()
            )
        }),
    );
    line("ends", row.expires_at.map(|at| until(Some(at))));
    line(
        "pod",
        it.pod.as_ref().map(|it| format!("{}/{} on {}, cluster {}", it.namespace, it.name, it.node, it.cluster)),
    );
    line("token", it.enrollment_token_id.clone());
    line("takes place", row.replaces.as_ref().map(|it| format!("of {it}")));
    line("secrets", Some(row.grant_count.to_string()));
    for member in &it.memberships {
        line("project", Some(format!("{} ({})", member.project_name, member.project_id)));
    }
    for more in &it.extensions {
        let back = more.reverted_at.map_or_else(String::new, |at| format!(", taken back at {}", until(Some(at))));
        let to = until(Some(more.to));
        line("extended", Some(format!("to {to} by {} at {}: {}{back}", more.by, until(Some(more.at)), more.reason)));
    }
    line("comes from", it.guardrails.ip_allowlist.as_ref().map(|it| it.join(" ")));
    line(
        "comes",
        it.guardrails.time_window.as_ref().map(|window| {
            let zone = it.guardrails.time_zone.as_deref().unwrap_or_default();
            let days: Vec<_> = window.days.iter().map(|it| format!("{it:?}")).collect();
            format!("{} {} to {} {zone}", days.join(" "), window.start, window.end)
        }),
    );
    let text = lines.join("\n");
    Answer::of(it, text)
}

pub(super) fn names(it: &NameHistory) -> Answer {
    let mut rows: Vec<[String; 2]> = it.history.iter().map(|it| [it.name.clone(), until(Some(it.until))]).collect();
    rows.push([it.name.clone(), "now".to_owned()]);
    Answer::of(it, table(["NAME", "UNTIL"], &rows))
}

fn standing(it: &MachineRow) -> String {
    match it.approval {
        Approval::Approved if !it.enabled => "Disabled",
        Approval::Approved => "Approved",
        Approval::Pending => "Pending",
        Approval::Denied => "Denied",
    }
    .to_owned()
}

fn text(it: Option<&std::net::IpAddr>) -> String {
    it.map(|it| format!("from {it}")).unwrap_or_default()
}

pub(super) fn until(at: Option<i64>) -> String {
    at.map(|it| instant(Millis(it))).unwrap_or_default()
}
