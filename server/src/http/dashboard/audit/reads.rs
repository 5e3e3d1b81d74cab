//! Reads over time.

use maud::{Markup, html};
use serde::{Deserialize, Serialize};
use sikkerkey_protocol::management::{Bucket, ReadsOverTimeQuery};

use super::super::element::{Called, address, data_table, empty, field, time};
use super::super::sheet::{Section, Sheet};
use super::super::visit::Visit;
use super::plot;
use super::tabs;
use crate::decision::{Context, Decided};
use crate::usecase::management::Manager;
use crate::usecase::management::audit::reads::{self, Counted, Of, Wanted};

const HOUR: i64 = 3_600_000;

/// How far back it is looked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Range {
    /// A day, by the hour.
    Day,
    /// A week, by the hour.
    #[default]
    Week,
    /// A month of 30 days, by the day.
    Month,
}

impl Range {
    const ALL: [(Self, &str, &str); 3] =
        [(Self::Day, "day", "Day"), (Self::Week, "week", "Week"), (Self::Month, "month", "Month")];

    fn query(self, now: i64) -> ReadsOverTimeQuery {
        let (hours, bucket) = match self {
            Self::Day => (23, Bucket::Hour),
            Self::Week => (7 * 24 - 1, Bucket::Hour),
            Self::Month => (29 * 24, Bucket::Day),
        };
        ReadsOverTimeQuery { from: Some(now - hours * HOUR), to: None, bucket: Some(bucket) }
    }
}

/// What is counted.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Question {
    range: Range,
    /// Of one secret, by id.
    #[serde(skip_serializing_if = "Option::is_none")]
    secret: Option<String>,
    /// By one machine, by id.
    #[serde(skip_serializing_if = "Option::is_none")]
    machine: Option<String>,
}

pub(super) fn wanted(context: &Context<'_>, manager: &Manager<'_>, []: [&str; 0], it: Question) -> Decided<Wanted> {
    let of = Of { secret: it.secret, machine: it.machine };
    reads::wanted(context, manager, &of, it.range.query(context.now.0))
}

/// The page.
pub(super) fn page(visit: &Visit, question: &Question, counted: &Counted) -> Sheet {
    let reads = &counted.reads;
    let is_all = counted.secret.is_none() && counted.machine.is_none();
    let of = of(counted);
    let (delivered, denied) =
        reads.buckets.iter().fold((0, 0), |(delivered, denied), it| (delivered + it.reads, denied + it.denied));
    let body = html! {
        (tabs(visit, "audit/reads"))
        div.toolbar {
            nav.actions aria-label="How far back" {
                @for (range, _, name) in Range::ALL {
                    a.button href=(address(visit, "audit/reads", &Question { range, ..question.clone() })) aria-current=[(range == question.range).then_some("true")] { (name) }
                }
            }
            (ids(visit, question))
        }
        p { strong { (delivered) } " reads and " strong { (denied) } " denials " (of) ", by the " (word(reads.bucket)) " in UTC." }
        @if delivered == 0 && denied == 0 {
            (empty("Nothing was read", html! { "No machine asked in this time. Look further back, or let a machine read a secret." }, None))
        } @else {
            (plot::plot(&of, reads.bucket, &reads.buckets))
            (table(reads.bucket, &reads.buckets))
        }
        @if let Some(at) = reads.counted_since {
            p.quiet { @if is_all { "Reads before " (time(at)) " were not counted." } @else { "Counted back to " (time(at)) ": further back there are more rows than one answer looks through, or they are in files by now." } }
        }
    };
    Sheet::new(Section::Audit, "Reads over time", body)
}

fn of(counted: &Counted) -> String {
    match (&counted.secret, &counted.machine) {
        (None, None) => "of this vault".to_owned(),
        (Some(secret), None) => format!("of secret {secret}"),
        (None, Some(machine)) => format!("by machine {machine}"),
        (Some(secret), Some(machine)) => format!("of secret {secret} by machine {machine}"),
    }
}

fn word(bucket: Bucket) -> &'static str {
    match bucket {
        Bucket::Hour => "hour",
        Bucket::Day => "day",
        Bucket::Week => "week",
    }
}

fn ids(visit: &Visit, question: &Question) -> Markup {
    let range = Range::ALL.into_iter().find(|(it, _, _)| *it == question.range).map(|(_, name, _)| name);
    html! {
        form.toolbar method="get" action=(visit.href("audit/reads")) {
            input type="hidden" name="range" value=[range];
            (field("secret", "One secret", None, html! { input #secret name="secret" maxlength="80" size="18" placeholder="sk_…" value=[question.secret.as_deref()]; }))
            (field("machine", "One machine", None, html! { input #machine name="machine" maxlength="80" size="18" placeholder="its id" value=[question.machine.as_deref()]; }))
            button { "Count" }
        }
    }
}

fn table(bucket: Bucket, buckets: &[sikkerkey_protocol::management::ReadsInBucket]) -> Markup {
    html! {
        details {
            summary { "The same figures as a table" }
            (data_table(
                Called::As("Reads over time"),
                html! { th scope="col" { "The " (word(bucket)) " from" } th.number scope="col" { "Reads" } th.number scope="col" { "Denials" } },
                html! {
                    @for it in buckets.iter().rev() {
                        tr { th scope="row" { (time(it.start)) } td.number { (it.reads) } td.number { (it.denied) } }
                    }
                },
            ))
        }
    }
}
