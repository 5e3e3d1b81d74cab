//! One machine as its page shows it: what an agent is told of it, and all that a person would look up next.

use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;

use sikkerkey_protocol::id::{ProjectId, SecretId};
use sikkerkey_protocol::kubernetes::Usage;
use sikkerkey_protocol::management::{AuditEntry, AuditQuery, FormerName, MachineDetail, MachineRevocation};

use super::super::Manager;
use super::super::whole_vault::Sight;
use super::table::{self, Locks, TableRow};
use super::{named, object};
use crate::app::App;
use crate::audit::entry::Action;
use crate::decision::{Context, Decided};
use crate::model::grant::Grant;
use crate::model::machine::Grantee;
use crate::model::millis::Millis;
use crate::model::secret::SecretPhase;
use crate::refusal::{Refusal, RefusalKind};
use crate::usecase::audit::{self, Search};
use crate::usecase::machine::view::{Viewer, history, revocation};
use crate::usecase::machine::{Found, find as find_machine, replaced};
use crate::usecase::steps::Steps;

/// Machines of a fleet that stand on its page.
pub const PODS: usize = 20;
/// Secrets that it is granted that stand there. The page of its access has them all.
pub const GRANTS: usize = 50;
/// Rows of the audit that stand there.
const LAST: u32 = 10;
/// Rows that are looked through for them: the page does not wait for more. The audit's own page looks further.
const LOOKED_AT: u64 = 20_000;

/// A question, and what whoever asks may see.
pub struct Question {
    id: String,
    sight: Sight,
    search: Search,
}

/// One machine.
#[derive(Debug)]
pub struct Portrait {
    /// What an agent is told.
    pub detail: MachineDetail,
    /// What stands in the list.
    pub row: TableRow,
    /// What it was called before, oldest first.
    pub names: Vec<FormerName>,
    /// The first of what it is granted, by project and name, and how much that is.
    pub grants: (Vec<Granted>, usize),
    /// From where it is shut out, and until when; no address: from every one that it never came from.
    pub locks: Vec<(Option<IpAddr>, i64)>,
    /// Of a temporary machine: how long it lasts from its approval on, in seconds.
    pub lifetime_seconds: Option<u64>,
    /// The machine that is revoked when this one is approved, and what falls with it.
    pub replaces: Option<MachineRevocation>,
    /// Of a machine of a fleet: the `Machine` object.
    pub fleet: Option<String>,
    /// Of a fleet: the first of its machines by what they are called, and how many there are.
    pub machines: (Vec<TableRow>, usize),
    /// Its last rows in the audit; none: others look through it just now.
    pub last: Option<Last>,
}

/// A secret that a machine is granted.
#[derive(Debug)]
pub struct Granted {
    /// The secret.
    pub secret: SecretId,
    /// Its name.
    pub name: String,
    /// Its project.
    pub project: ProjectId,
    /// The project's name.
    pub project_name: String,
    /// Until when; Unix milliseconds.
    pub until: Option<i64>,
    /// The objects that grant it.
    pub managed_by: Vec<String>,
    /// Reads and denials, of a fleet by all of it.
    pub usage: Usage,
    /// The version that the machine was delivered last, and the newest one.
    pub version: (Option<u64>, u64),
}

/// Rows of the audit.
#[derive(Debug)]
pub struct Last {
    /// The rows, the newest first.
    pub entries: Vec<AuditEntry>,
    /// The secrets that they name: id and name.
    pub secrets: HashMap<SecretId, String>,
    /// Whether there may be older ones.
    pub is_cut: bool,
}

/// Looks at a machine or fleet. What is found is told by [`find`].
pub fn query(context: &Context<'_>, manager: &Manager<'_>, [id]: [&str; 1]) -> Decided<Question> {
    let (_, name) = named(manager.machine(context, id)?);
    let mut steps = Steps::default();
    steps.audit.push(manager.looked_at_vault(name));
    let actions = [Action::SecretRead, Action::SecretReadDenied].map(Action::name).to_vec();
    let about_it = AuditQuery {
        search: Some(id.to_owned()),
        actions: Some(actions),
        page_size: Some(LAST),
        ..AuditQuery::default()
    };
    let projects = manager.projects.map(|it| it.iter().cloned().collect());
    let search = Search::new(&about_it, Some(manager.vault.clone()), projects)?.asked_by(manager.asker());
    let question = Question { id: id.to_owned(), sight: manager.sight(), search };
    Ok(steps.decide(move |_| question))
}

/// Finds what [`query`] looks at.
pub async fn find(app: App, question: Question) -> Result<Portrait, Refusal> {
    let page = match audit::page_within(&app, &question.search, LOOKED_AT).await {
        Ok(page) => Some(page),
        Err(refusal) if refusal.kind == RefusalKind::TooMany => None,
        Err(refusal) => return Err(refusal),
    };
    let locks = app.lockout.on_signer(app.clock.now(), &question.id);
    let world = app.live.read();
    let context = app.context(&world);
    let mut portrait = portrait(&context, &question, locks)?;
    portrait.last = page.map(|it| last(&context, it.entries, it.next.is_some()));
    Ok(portrait)
}

/// Where from a machine is shut out, and until when.
type LockedFrom = Vec<(Option<IpAddr>, Millis)>;

fn portrait(context: &Context<'_>, question: &Question, locked: LockedFrom) -> Result<Portrait, Refusal> {
    let (state, sight) = (context.state, &question.sight);
    let found = find_machine(state, &question.id).filter(|it| sight.sees_machine(state, *it));
    let found = found.ok_or_else(|| super::super::not_found("this vault has no machine of that id"))?;
    let viewer = Viewer { state, ledger: context.ledger, sees: |id: &ProjectId| sight.sees(id) };
    let locks: Locks = locked.iter().map(|(_, until)| (question.id.clone(), *until)).collect();
    let row = table::row(context, sight, &locks, found);
    let locks = locked.into_iter().map(|(address, until)| (address, until.0)).collect();
    Ok(match found {
        Found::Machine(it) => {
            let host = it.host.as_deref();
            let names = host.map(|it| it.earlier_names.as_slice()).unwrap_or_default();
            Portrait {
                detail: viewer.detail(it),
                row,
                names: history(it.id.to_string(), it.name.clone(), names).history,
                grants: granted(context, sight, &it.grantee(), found),
                locks,
                lifetime_seconds: host.and_then(|it| it.temporary.as_ref()).map(|it| it.lifetime_seconds),
                replaces: replaced(state, it).map(|it| revocation(state, it, true)),
                fleet: it.fleet.as_ref().and_then(|it| state.fleets.get(it)).map(object),
                machines: (Vec::new(), 0),
                last: None,
            }
        }
        Found::Fleet(it) => {
            let mut machines: Vec<_> = state.machines_in(&it.id).collect();
            machines.sort_unstable_by(|a, b| (&a.name, &a.id).cmp(&(&b.name, &b.id)));
            let rows =
                machines.iter().take(PODS).map(|it| table::row(context, sight, &Locks::new(), Found::Machine(it)));
            Portrait {
                detail: viewer.fleet_detail(it),
                row,
                names: Vec::new(),
                grants: granted(context, sight, &Grantee::Fleet(it.id.clone()), found),
                locks,
                lifetime_seconds: None,
                replaces: None,
                fleet: None,
                machines: (rows.collect(), machines.len()),
                last: None,
            }
        }
    })
}

/// What it is granted, by project and name: the first, and how much that is. A grant that has ended stands with its end.
fn granted(context: &Context<'_>, sight: &Sight, grantee: &Grantee, found: Found<'_>) -> (Vec<Granted>, usize) {
    let state = context.state;
    let mut grants: BTreeMap<&SecretId, Vec<&Grant>> = BTreeMap::new();
    for grant in state.grants_to(grantee).into_values() {
        for secret in &grant.secrets {
            grants.entry(secret).or_default().push(grant);
        }
    }
    let seen = grants.into_iter().filter_map(|(id, grants)| {
        let secret = state.secrets.get(id).filter(|it| it.phase == SecretPhase::Active && sight.sees(&it.project))?;
        let project = state.projects.get(&secret.project).map(|it| it.name.as_str()).unwrap_or_default();
        Some((project, secret, grants))
    });
    let mut seen: Vec<_> = seen.collect();
    seen.sort_by_key(|&(project, secret, _)| (project, &secret.name, &secret.id));
    let count = seen.len();
    let rows = seen.into_iter().take(GRANTS).map(|(project, secret, grants)| {
        let holds = match found {
            Found::Machine(it) => context.ledger.delivered(&it.id, &secret.id),
            Found::Fleet(_) => None,
        };
        let is_endless = grants.iter().any(|it| it.expires_at.is_none());
        Granted {
            secret: secret.id.clone(),
            name: secret.name.clone(),
            project: secret.project.clone(),
            project_name: project.to_owned(),
            until: if is_endless { None } else { grants.iter().filter_map(|it| it.expires_at).max().map(|it| it.0) },
            managed_by: grants
                .iter()
                .filter_map(|it| it.managed.as_ref())
                .map(|it| format!("Grant {} of cluster {}", it.object.key, it.cluster))
                .collect(),
            usage: context.ledger.usage(grantee, &secret.id).cloned().unwrap_or_default(),
            version: (holds, secret.version),
        }
    });
    (rows.collect(), count)
}

fn last(context: &Context<'_>, entries: Vec<AuditEntry>, is_cut: bool) -> Last {
    let named = entries.iter().filter_map(|it| context.state.secrets.get(it.secret_id.as_ref()?));
    let secrets = named.map(|it| (it.id.clone(), it.name.clone())).collect();
    Last { entries, secrets, is_cut }
}

#[cfg(test)]
mod tests;
