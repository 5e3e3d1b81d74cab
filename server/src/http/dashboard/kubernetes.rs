//! What the operator manages: looked at here, changed where the manifests are.

use maud::{Markup, html};
use serde::{Deserialize, Serialize};
use sikkerkey_protocol::kubernetes::{Approval, Kind, WindowState};
use sikkerkey_protocol::management::Scope::ProjectsRead;

use super::element::{Called, Tone, data_table, empty, field, pages, pill, time, time_or};
use super::managed;
use super::page::shows;
use super::sheet::{Section, Sheet};
use super::visit::Visit;
use crate::http::route::Route;
use crate::policy::window::instant;
use crate::usecase::management::object::{self, Asked, ClusterRow, Held, KINDS, Objects, PAGE, Row};

/// The routes.
pub(super) fn routes() -> [Route; 1] {
    [shows(
        ProjectsRead,
        "GET /vaults/{vault}/kubernetes",
        |context, manager, [], query: Query| object::list(context, manager, [], query.asked()),
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
    cluster: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    namespace: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    kind: Option<Kind>,
    #[serde(skip_serializing_if = "Option::is_none")]
    page: Option<usize>,
}

impl Query {
    fn asked(self) -> Asked {
        Asked {
            text: self.q.unwrap_or_default(),
            cluster: self.cluster,
            namespace: self.namespace,
            kind: self.kind,
            page: self.page.unwrap_or(1),
        }
    }
}

fn page(visit: &Visit, query: &Query, found: &Objects) -> Sheet {
    let href = |page: usize| {
        let asked = Query { page: Some(page), ..query.clone() };
        format!("{}?{}", visit.href("kubernetes"), serde_html_form::to_string(&asked).unwrap_or_default())
    };
    let body = html! {
        @if found.clusters.is_empty() && found.all == 0 {
            (empty("No cluster yet", html! {
                "A cluster whose operator this vault trusts has its objects here: machines, secrets, grants and policies that stand in manifests. "
                "Whoever runs the server lets it in with " code { "sikkerkey-server admin cluster trust" } "."
            }, None))
        } @else {
            p {
                "What stands here is said by objects in a cluster. It is looked at here and changed there, in the manifest: "
                "what the dashboard changed, the operator would take back."
            }
            (clusters(visit, &found.clusters))
            @if found.all > 0 { (toolbar(visit, query, found)) }
            div #list {
                @if found.all == 0 {
                    (empty("No objects yet", html! { "Apply a Machine, a Secret and a Grant in a namespace: they stand here as soon as the operator has told the server." }, None))
                } @else if found.rows.is_empty() {
                    (empty("No object is like that", html! { "Search for a part of its name, or take a filter away." },
                        Some(html! { a.button href=(visit.href("kubernetes")) { "Show all objects" } })))
                } @else {
                    (table(visit, &found.rows))
                    (pages(found.page, PAGE, found.total, href))
                }
            }
        }
    };
    Sheet::new(Section::Kubernetes, "Kubernetes", body)
}

fn clusters(visit: &Visit, clusters: &[ClusterRow]) -> Markup {
    html! {
        (data_table(
            Called::As("Clusters"),
            html! {
                th scope="col" { "Cluster" }
                th scope="col" { "Operator" }
                th.number scope="col" { "Namespaces" }
                @for kind in KINDS { th.number scope="col" { (plural(kind)) } }
            },
            html! {
                @for it in clusters {
                    tr {
                        th scope="row" { a href=(only(visit, &Query { cluster: Some(it.name.clone()), ..Query::default() })) { (it.name) } span.sub { (it.issuer) } }
                        td { code { (it.subject) } }
                        td.number { (it.namespaces) }
                        @for count in it.counts { td.number { (count) } }
                    }
                }
            },
        ))
    }
}

fn toolbar(visit: &Visit, query: &Query, found: &Objects) -> Markup {
    html! {
        form.toolbar role="search" method="get" action=(visit.href("kubernetes")) data-filter="list" {
            (field("q", "Search", None, html! {
                input #q type="search" name="q" value=[query.q.as_deref()] maxlength="200" autocomplete="off" spellcheck="false" placeholder="Name";
            }))
            @if found.clusters.len() > 1 {
                (field("cluster", "Cluster", None, html! {
                    select #cluster name="cluster" {
                        option value="" { "All" }
                        @for it in &found.clusters { option value=(it.name) selected[query.cluster.as_ref() == Some(&it.name)] { (it.name) } }
                    }
                }))
            } @else if let Some(cluster) = &query.cluster { input type="hidden" name="cluster" value=(cluster); }
            (field("namespace", "Namespace", None, html! {
                select #namespace name="namespace" {
                    option value="" { "All" }
                    @for it in found.namespaces.iter().take(1000) { option value=(it) selected[query.namespace.as_ref() == Some(it)] { (it) } }
                }
            }))
            (field("kind", "Kind", None, html! {
                select #kind name="kind" {
                    option value="" { "All" }
                    @for kind in KINDS { option value=(name(kind)) selected[query.kind == Some(kind)] { (name(kind)) } }
                }
            }))
            button { "Search" }
        }
    }
}

fn table(visit: &Visit, rows: &[Row]) -> Markup {
    html! {
        (data_table(
            Called::As("Objects"),
            html! {
                th scope="col" { "Name" }
                th scope="col" { "Kind" }
                th scope="col" { "Namespace" }
                th scope="col" { "Cluster" }
                th scope="col" { "State" }
                th scope="col" { "Read-only here" }
            },
            html! { @for it in rows { (row(visit, it)) } },
        ))
    }
}

fn row(visit: &Visit, it: &Row) -> Markup {
    html! {
        tr {
            th scope="row" { a href=(place(visit, it)) { (it.name) } }
            td { (name(it.kind)) }
            td { (it.namespace) }
            td { (it.cluster) }
            td { (state(visit, it)) }
            td {
                details {
                    summary { "Manifest" span.hidden { " of " (it.object) } }
                    pre tabindex="0" { code { (managed::manifest_of(&it.object, &fields(it))) } }
                    span.sub { "generation " (it.generation) }
                }
            }
        }
    }
}

/// The page here of what an object stands for. A grant is looked at on the page of whoever reads.
fn place(visit: &Visit, it: &Row) -> String {
    visit.href(&match &it.held {
        Held::Machine { id, .. } => format!("machines/{id}"),
        Held::Secret { id, .. } => format!("secrets/{id}"),
        Held::Grant { grantee, .. } => format!("machines/{grantee}"),
        Held::Policy { id, .. } => format!("policies/{id}"),
    })
}

fn state(visit: &Visit, it: &Row) -> Markup {
    html! {
        @match &it.held {
            Held::Machine { state, is_host, .. } => {
                @if state.suspended { (pill(Tone::Warn, "suspended")) }
                @else { @match state.approval {
                    Approval::Approved => (pill(Tone::Good, "approved")),
                    Approval::Pending => (pill(Tone::Warn, "pending")),
                    Approval::Denied => (pill(Tone::Bad, "denied")),
                } }
                span.sub {
                    @if *is_host { "one host" } @else { (state.alive) @if state.alive == 1 { " pod alive" } @else { " pods alive" } }
                    ", " (state.granted_secrets) " granted, last seen " (time_or(state.last_seen, "never"))
                }
            }
            Held::Secret { state, policy, .. } => {
                @if state.version == 0 { (pill(Tone::Warn, "no value")) }
                @else if !state.policy_in_force { (pill(Tone::Bad, "policy missing")) }
                @else if state.rotation_due_since.is_some() { (pill(Tone::Warn, "new value due")) }
                @else { (pill(Tone::Good, "readable")) }
                span.sub {
                    "version " (state.version) ", " (state.grants) @if state.grants == 1 { " grant" } @else { " grants" }
                    @if state.pods_total > 0 { ", " (state.pods_current) " of " (state.pods_total) " pods have it" }
                    @if let Some(policy) = policy { ", policy " (policy) }
                }
            }
            Held::Grant { reader, state, expires_at, .. } => {
                @if expires_at.is_some_and(|end| end <= visit.now) { (pill(Tone::Plain, "ended")) }
                @else if !state.missing.is_empty() { (pill(Tone::Warn, "secrets missing")) }
                @else if !state.awaiting.is_empty() { (pill(Tone::Warn, "waits for co-signer")) }
                @else { (pill(Tone::Good, "in force")) }
                span.sub {
                    (reader) ": " (state.granted.len()) @if state.granted.len() == 1 { " secret" } @else { " secrets" }
                    ", " (state.usage.reads) " reads, " (state.usage.denied) " denied"
                    @if let Some(end) = expires_at { ", until " (time(end.0)) }
                }
            }
            Held::Policy { state, withdrawn, .. } => {
                @if *withdrawn { (pill(Tone::Bad, "denies all")) }
                @else { @match state.window {
                    WindowState::Always | WindowState::Open => (pill(Tone::Good, "open")),
                    WindowState::Closed => (pill(Tone::Warn, "closed")),
                    WindowState::Ended => (pill(Tone::Bad, "ended")),
                } }
                span.sub {
                    @if *withdrawn { "its object is gone, " }
                    (state.secrets) @if state.secrets == 1 { " secret" } @else { " secrets" }
                    @if let Some(at) = state.window_changes_at { ", until " (time(at)) }
                }
            }
        }
    }
}

/// The fields to edit: what the server knows stands in them.
fn fields(it: &Row) -> Vec<(&'static str, String)> {
    match &it.held {
        Held::Machine { state, service_accounts, is_host, .. } => {
            let what = if *is_host {
                ("host", "{}".to_owned())
            } else {
                ("workload", format!("{{serviceAccountNames: [{}]}}", service_accounts.join(", ")))
            };
            vec![what, ("suspend", state.suspended.to_string())]
        }
        Held::Secret { policy, .. } => {
            let policy = policy.as_ref().map(|it| ("policyRef", format!("{{name: {it}}}")));
            std::iter::once(("source", "{}  # where its value comes from".to_owned())).chain(policy).collect()
        }
        Held::Grant { machine, state, expires_at, .. } => {
            let machine = machine.as_ref().map(|(namespace, name)| {
                let other =
                    if *namespace == it.namespace { String::new() } else { format!(", namespace: {namespace}") };
                ("machineRef", format!("{{name: {name}{other}}}"))
            });
            let names = state.granted.iter().chain(&state.missing).map(|it| format!("{{name: {it}}}"));
            let secrets = ("secretRefs", format!("[{}]", names.collect::<Vec<_>>().join(", ")));
            let end = expires_at.map(|end| ("expiresAt", format!("\"{}\"", instant(end))));
            machine.into_iter().chain([secrets]).chain(end).collect()
        }
        Held::Policy { document, .. } => managed::policy_fields(document),
    }
}

fn only(visit: &Visit, query: &Query) -> String {
    format!("{}?{}", visit.href("kubernetes"), serde_html_form::to_string(query).unwrap_or_default())
}

fn name(kind: Kind) -> &'static str {
    match kind {
        Kind::Machine => "Machine",
        Kind::Secret => "Secret",
        Kind::Grant => "Grant",
        Kind::AccessPolicy => "AccessPolicy",
    }
}

fn plural(kind: Kind) -> &'static str {
    match kind {
        Kind::Machine => "Machines",
        Kind::Secret => "Secrets",
        Kind::Grant => "Grants",
        Kind::AccessPolicy => "Policies",
    }
}
