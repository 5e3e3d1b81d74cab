//! Reads that wait for a second machine.

use maud::{Markup, html};
use serde::{Deserialize, Serialize};
use sikkerkey_protocol::management::Scope::{MachinesRead, PoliciesRead, SecretsRead};

use super::element::{Called, Tone, copyable, data_table, empty, field, pages, pill, time};
use super::page::shows;
use super::policy::tabs;
use super::sheet::{Section, Sheet};
use super::visit::Visit;
use crate::http::route::Route;
use crate::policy::words::duration;
use crate::usecase::management::co_sign::{self, PAGE, Requests, Row, Standing};

/// The routes.
pub(super) fn routes() -> [Route; 1] {
    [shows(
        PoliciesRead,
        "GET /vaults/{vault}/co-signs",
        |context, manager, [], query: Query| co_sign::list(context, manager, [], query.asked()),
        page,
    )]
}

/// What is asked for.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(default)]
struct Query {
    #[serde(skip_serializing_if = "Option::is_none")]
    q: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    page: Option<usize>,
}

impl Query {
    fn asked(self) -> (String, usize) {
        (self.q.unwrap_or_default(), self.page.unwrap_or(1))
    }
}

fn page(visit: &Visit, query: &Query, found: &Requests) -> Sheet {
    let here = visit.href("co-signs");
    let href = |page: usize| {
        let asked = Query { page: Some(page), ..query.clone() };
        format!("{here}?{}", serde_html_form::to_string(&asked).unwrap_or_default())
    };
    let body = html! {
        (tabs(visit, "co-signs", found.waiting))
        p #waiting.hidden role="status" data-live="5" { (waiting(found.waiting)) }
        @if found.all > 0 {
            form.toolbar role="search" method="get" action=(here) data-filter="list" {
                (field("q", "Search", None, html! {
                    input #q type="search" name="q" value=[query.q.as_deref()] maxlength="200" autocomplete="off" spellcheck="false" placeholder="Reader, secret, policy, co-signer";
                }))
                button { "Search" }
            }
        }
        div #list data-live="5" {
            @if found.all == 0 {
                (empty("Nothing waits for a co-signer", html! {
                    "Where a policy has a co-signer, a read waits until the machine that it names has approved. Such reads stand here, with the answers that are in force."
                }, None))
            } @else if found.rows.is_empty() {
                (empty("No request is like that", html! { "Search for a part of a name." }, None))
            } @else {
                (table(visit, &found.rows))
                (pages(found.page, PAGE, found.total, href))
            }
        }
        (how(found.rows.iter().find(|it| matches!(it.state, Standing::Waits(_)))))
    };
    Sheet::new(Section::Policies, "Co-sign requests", body)
}

fn waiting(count: usize) -> String {
    match count {
        0 => String::new(),
        1 => "One read waits for its co-signer.".to_owned(),
        _ => format!("{count} reads wait for their co-signers."),
    }
}

fn table(visit: &Visit, rows: &[Row]) -> Markup {
    html! {
        (data_table(
            Called::As("Co-sign requests"),
            html! {
                th scope="col" { "Reader" }
                th scope="col" { "Secret" }
                th scope="col" { "Policy" }
                th scope="col" { "Asked" }
                th scope="col" { "Approvals" }
                th scope="col" { "State" }
                th scope="col" { "Request" }
            },
            html! { @for it in rows { (row(visit, it)) } },
        ))
    }
}

fn row(visit: &Visit, it: &Row) -> Markup {
    let given = usize::from(matches!(it.state, Standing::Approved(..)));
    html! {
        tr {
            th scope="row" {
                @if visit.may(MachinesRead) { a href=(visit.href(&format!("machines/{}", it.reader))) { (it.reader_label) } } @else { (it.reader_label) }
            }
            td {
                @if visit.may(SecretsRead) { a href=(visit.href(&format!("secrets/{}", it.secret))) { (it.secret_label) } } @else { (it.secret_label) }
            }
            td {
                a href=(visit.href(&format!("policies/{}", it.policy))) { (it.policy_name) }
                span.sub { "revision " (it.revision) }
            }
            td { (time(it.asked_at.0)) span.sub { (it.asked_as) " from " (it.asked_from) } }
            td {
                (given) " of 1"
                span.sub { @if it.is_fleet { "by any machine of " } @else { "by " } (it.co_signer) ", good for " (duration(it.window_seconds)) }
            }
            td { (state(&it.state)) }
            td { code { (it.id) } }
        }
    }
}

fn state(state: &Standing) -> Markup {
    html! {
        @match state {
            Standing::Waits(until) => { (pill(Tone::Warn, "waits")) span.sub { "until " (time(until.0)) } }
            Standing::Approved(by, until) => { (pill(Tone::Good, "approved")) span.sub { "by " (by) " until " (time(until.0)) } }
            Standing::Refused(by, until) => { (pill(Tone::Bad, "refused")) span.sub { "by " (by) " until " (time(until.0)) } }
        }
    }
}

/// Why there is no button, and what to type instead.
fn how(first: Option<&Row>) -> Markup {
    let id = first.map_or("REQUEST", |it| it.id.as_str());
    html! {
        section.card {
            h2 { "How a request is answered" }
            p {
                "An answer is a signature by the key of the machine that the policy names. That key is on that machine and nowhere else, so neither this page "
                "nor the server can give one: whoever takes over either still approves nothing. Go to that machine, and look there first:"
            }
            (copyable("command-list", "kubectl sikkerkey cosign list"))
            p { "Then approve, for as long as you like within the policy's time, or refuse. A refusal also takes back what was approved." }
            (copyable("command-approve", &format!("kubectl sikkerkey cosign approve {id} --for 30m")))
            (copyable("command-deny", &format!("kubectl sikkerkey cosign deny {id}")))
            p.quiet {
                "Where there is no kubectl: " code { "sikkerkey-sidecar cosign" } " with the same words. It shows what is signed and asks before it signs. "
                "A request whose policy, grant or secret changes meanwhile is void, and the reader's next try leaves another."
            }
        }
    }
}
