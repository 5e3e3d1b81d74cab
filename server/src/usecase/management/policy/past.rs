//! What a policy would have done: last week's reads, decided once more under it.
//!
//! Each read and each denial of the audit that a policy had to do with is put to the rules by which reads are decided, with
//! the instant and the address that the audit tells. Whether machines were approved and secrets granted is left as it was
//! then. Caps count what the policy itself would have let through. Who has approved what is not repeated: a read that was
//! let through under the same co-signer had its approval, any other would have had to wait for one.

use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;

use sikkerkey_protocol::denial::DenialReason;
use sikkerkey_protocol::id::{FleetId, MachineId, SecretId};

use super::Manager;
use crate::app::App;
use crate::audit::entry::Action;
use crate::audit::view;
use crate::decision::Context;
use crate::ledger::Reader;
use crate::model::account::Standing;
use crate::model::fleet::Fleet;
use crate::model::machine::{Grantee, Machine};
use crate::model::millis::Millis;
use crate::model::policy::Policy;
use crate::model::project::Project;
use crate::model::secret::{Secret, SecretPhase};
use crate::policy::{self, CoSigner, Consent, Counters, Facts, Guard, cap, secret_label};
use crate::refusal::{Refusal, RefusalKind};
use crate::state::State;
use crate::store::{AuditRow, ReadFilter};
use crate::usecase::audit::away;
use crate::usecase::policy::guarded;
use crate::usecase::{archive, co_sign, explain};

/// How far back, in seconds.
const BACK_SECONDS: u64 = 7 * 24 * 3600;
/// Rows that are looked through in one statement, and for one answer.
const STRETCH: u64 = 20_000;
const LOOKED_AT: u64 = 200_000;
/// Reads and denials that are decided once more.
const MOST: usize = 10_000;
/// The most groups of an answer.
const GROUPS: usize = 50;

/// What is to be looked for.
#[derive(Debug)]
pub struct Wanted {
    project: Project,
    policy: Policy,
    same_co_sign: bool,
    secrets: Vec<SecretId>,
    is_bound: bool,
    asker: Option<String>,
    now: Millis,
}

/// What a policy would have done.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Past {
    /// Since when it was looked.
    pub since: Millis,
    /// Whether there were more reads in the week than are looked at for one answer.
    pub is_cut: bool,
    /// Whether it was looked at what the policy guards; else at every secret of the project.
    pub is_bound: bool,
    /// Values that were delivered.
    pub reads: u64,
    /// Reads that a policy denied.
    pub denials: u64,
    /// Of the reads, those that it would have denied.
    pub denied: u64,
    /// Of the reads, those that would have waited for a co-signer.
    pub waiting: u64,
    /// Of the denials, those that it would have let through.
    pub let_through: u64,
    /// By reader and secret, those first for whom most would have been otherwise. Those for whom nothing would are left out.
    pub groups: Vec<Group>,
    /// How many groups there are.
    pub found: usize,
}

/// What would have been otherwise for one reader and secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Group {
    /// Who.
    pub reader: String,
    /// The secret.
    pub secret: SecretId,
    /// What that is called.
    pub label: String,
    /// Values that were delivered.
    pub reads: u64,
    /// Of them, those that would have been denied.
    pub denied: u64,
    /// The first reason for that.
    pub because: Option<String>,
    /// Of them, those that would have waited for a co-signer.
    pub waiting: u64,
    /// Denials that would have been let through.
    pub let_through: u64,
}

/// What there was: a read or a denial.
#[derive(Clone, Debug)]
struct Tried {
    at: Millis,
    machine: MachineId,
    fleet: Option<FleetId>,
    secret: SecretId,
    address: IpAddr,
    denial: Option<DenialReason>,
}

/// What is known beside the rows.
struct Known {
    project: Project,
    policy: Policy,
    same_co_sign: bool,
    secrets: HashMap<SecretId, Secret>,
    fleets: HashMap<FleetId, Fleet>,
    labels: HashMap<Grantee, String>,
    signer: Option<Signer>,
    /// Reads of each secret by everybody, since ever.
    reads: HashMap<SecretId, u64>,
}

enum Signer {
    Fleet(Box<Fleet>),
    Machine(Box<Machine>),
}

/// What is to be looked for to say what `policy` would have done in place of `old`. Of a new one: on every secret of its
/// project.
pub(super) fn wanted(
    context: &Context<'_>,
    manager: &Manager<'_>,
    project: &Project,
    old: Option<&Policy>,
    policy: &Policy,
) -> Wanted {
    let is_ours = |it: &&Secret| it.project == project.id && it.phase == SecretPhase::Active;
    let secrets = match old {
        Some(old) => guarded(context.state, old).map(|it| it.id.clone()).collect(),
        None => context.state.secrets.values().filter(is_ours).map(|it| it.id.clone()).collect(),
    };
    let terms = policy.document.co_sign.as_ref();
    Wanted {
        project: project.clone(),
        policy: policy.clone(),
        same_co_sign: terms.is_some() && old.is_some_and(|it| it.document.co_sign.as_ref() == terms),
        secrets,
        is_bound: old.is_some(),
        asker: manager.asker(),
        now: context.now,
    }
}

/// Looks for it.
pub async fn look(app: &App, wanted: Wanted) -> Result<Past, Refusal> {
    let _turn = wanted.asker.as_deref().map(|it| app.questions.take(it)).transpose().map_err(|_| {
        let text = "the audit is being looked through already, for you or for others: try again in some seconds";
        Refusal { retry_after_seconds: Some(3), ..Refusal::new(RefusalKind::TooMany, text) }
    })?;
    let since = Millis(wanted.now.0.saturating_sub(Millis(0).plus_seconds(BACK_SECONDS).0));
    let known = archive::known(app).await.map_err(|error| away(&error))?;
    let first = archive::first_at(app, &known, since).await.map_err(|error| away(&error))?;
    let head = known.head.seq;
    let end = known.base.seq.max(first.saturating_sub(1)).max(head.saturating_sub(LOOKED_AT));
    let filter = ReadFilter { reader: None, secrets: Some(wanted.secrets.clone()) };
    let (mut upper, mut rows): (u64, Vec<AuditRow>) = (head, Vec::new());
    while upper > end && rows.len() < MOST && !wanted.secrets.is_empty() {
        let lower = upper.saturating_sub(STRETCH).max(end);
        let left = u32::try_from(MOST - rows.len()).unwrap_or(u32::MAX);
        rows.extend(app.records.reads(&filter, lower, upper, left).await.map_err(|error| away(&error))?);
        upper = lower;
    }
    let is_cut = rows.len() >= MOST || end > first.saturating_sub(1).max(known.base.seq);
    let oldest = rows.last().map(|it| it.time).filter(|_| is_cut);
    rows.reverse();
    let tried: Vec<Tried> = rows.iter().filter_map(tried).collect();
    let is_bound = wanted.is_bound;
    let known = {
        let world = app.live.read();
        let reads = |secret: &SecretId| world.ledger.secret_usage(secret).usage.reads;
        gather(&world.state, reads, wanted, &tried)
    };
    let past = decide(&known, &tried);
    Ok(Past { since: oldest.unwrap_or(since), is_cut, is_bound, ..past })
}

/// A read or a denial that a policy has to do with. Whom something else denied, no policy would have let through.
fn tried(row: &AuditRow) -> Option<Tried> {
    let entry = view::parse(row)?;
    let is_of_policy = |it: DenialReason| it.is_of_axis() || it == DenialReason::PolicyMissing;
    let counts = match entry.action {
        Action::SecretRead => true,
        Action::SecretReadDenied => entry.denial.is_some_and(is_of_policy),
        _ => false,
    };
    let (machine, secret, address) = (entry.machine?, entry.secret?, entry.source_ip?);
    counts.then_some(Tried { at: row.time, machine, fleet: entry.fleet, secret, address, denial: entry.denial })
}

fn gather(state: &State, reads: impl Fn(&SecretId) -> u64, wanted: Wanted, tried: &[Tried]) -> Known {
    let Wanted { project, policy, same_co_sign, .. } = wanted;
    let signer = co_sign::co_signer(state, &policy).map(|it| match it {
        CoSigner::Fleet(it) => Signer::Fleet(Box::new(it.clone())),
        CoSigner::Machine(it) => Signer::Machine(Box::new(it.clone())),
    });
    let mut known = Known {
        project,
        policy,
        same_co_sign,
        secrets: HashMap::new(),
        fleets: HashMap::new(),
        labels: HashMap::new(),
        signer,
        reads: HashMap::new(),
    };
    for it in tried {
        let Some(secret) = state.secrets.get(&it.secret).filter(|_| !known.secrets.contains_key(&it.secret)) else {
            continue;
        };
        known.reads.insert(it.secret.clone(), reads(&it.secret));
        let (project, policy) = (known.project.id.clone(), Some(known.policy.name.clone()));
        known.secrets.insert(it.secret.clone(), Secret { project, policy, ..secret.clone() });
    }
    for it in tried {
        if let Some(fleet) = it.fleet.as_ref().and_then(|id| state.fleets.get(id)) {
            known.fleets.entry(fleet.id.clone()).or_insert_with(|| fleet.clone());
        }
        let grantee = grantee(it);
        if let Entry::Vacant(place) = known.labels.entry(grantee) {
            let label = co_sign::reader(state, place.key());
            place.insert(label);
        }
    }
    known
}

fn grantee(tried: &Tried) -> Grantee {
    tried.fleet.clone().map_or_else(|| Grantee::Machine(tried.machine.clone()), Grantee::Fleet)
}

/// Decides them once more, the oldest first.
fn decide(known: &Known, tried: &[Tried]) -> Past {
    let approved = {
        // A read that was let through had the same approval.
        let mut policy = known.policy.clone();
        policy.document.co_sign = policy.document.co_sign.filter(|_| !known.same_co_sign);
        policy
    };
    let mut counted = Counted::of(known, tried);
    let mut groups: BTreeMap<(Grantee, SecretId), Group> = BTreeMap::new();
    let mut past = Past::default();
    for it in tried {
        let Some(secret) = known.secrets.get(&it.secret) else { continue };
        let grantee = grantee(it);
        let label = known.labels.get(&grantee).cloned().unwrap_or_else(|| grantee.to_string());
        let fleet = it.fleet.as_ref().and_then(|id| known.fleets.get(id));
        let machine = explain::stand_in(it.machine.clone(), label.clone(), &secret.vault, it.fleet.clone(), it.at);
        let policy = if it.denial.is_none() { &approved } else { &known.policy };
        let signer = known.signer.as_ref().map(|it| match it {
            Signer::Fleet(it) => CoSigner::Fleet(it),
            Signer::Machine(it) => CoSigner::Machine(it),
        });
        let facts = Facts {
            now: it.at,
            address: it.address,
            account: Standing::Active,
            project: &known.project,
            machine: &machine,
            fleet,
            secret,
            member: true,
            grants: Vec::new(),
            policy: Guard::Policy(policy),
            counters: counted.at(&known.policy, it),
            consent: Consent { co_signer: signer, request: None, answered_by: None },
        };
        let said = policy::guarded(&facts);
        if said.is_ok() {
            counted.count(it);
        }
        let group = groups.entry((grantee, it.secret.clone())).or_insert_with(|| Group {
            reader: label,
            secret: it.secret.clone(),
            label: secret_label(secret),
            reads: 0,
            denied: 0,
            because: None,
            waiting: 0,
            let_through: 0,
        });
        let sum = &mut past;
        match (it.denial, said) {
            (None, said) => {
                (sum.reads, group.reads) = (sum.reads + 1, group.reads + 1);
                match said {
                    Ok(()) => {}
                    Err(denial) if denial.asks => {
                        (sum.waiting, group.waiting) = (sum.waiting + 1, group.waiting + 1);
                    }
                    Err(denial) => {
                        (sum.denied, group.denied) = (sum.denied + 1, group.denied + 1);
                        group.because.get_or_insert(denial.message);
                    }
                }
            }
            (Some(_), said) => {
                sum.denials += 1;
                if said.is_ok() {
                    (sum.let_through, group.let_through) = (sum.let_through + 1, group.let_through + 1);
                }
            }
        }
    }
    let mut groups: Vec<Group> =
        groups.into_values().filter(|it| it.denied + it.waiting + it.let_through > 0).collect();
    groups.sort_by_key(|it| std::cmp::Reverse(it.denied + it.waiting + it.let_through));
    past.found = groups.len();
    groups.truncate(GROUPS);
    Past { groups, ..past }
}

/// What the policy itself would have let through until now.
struct Counted {
    total: HashMap<SecretId, u64>,
    /// By secret and reader: the minute and the day that are counted, and how many.
    lately: HashMap<(SecretId, Reader), [(Millis, u64); 2]>,
    by_pod: bool,
}

impl Counted {
    fn of(known: &Known, tried: &[Tried]) -> Self {
        let mut total = known.reads.clone();
        // What was read in the week is counted as the policy lets it through.
        for it in tried.iter().filter(|it| it.denial.is_none()) {
            if let Some(reads) = total.get_mut(&it.secret) {
                *reads = reads.saturating_sub(1);
            }
        }
        let cap = known.policy.document.rate_cap.as_ref();
        let by_pod = cap.is_some_and(|it| it.counted_by == sikkerkey_protocol::policy::CountedBy::Pod);
        Self { total, lately: HashMap::new(), by_pod }
    }

    fn reader(&self, tried: &Tried) -> (SecretId, Reader) {
        let reader = if self.by_pod { Reader::Pod(tried.machine.clone()) } else { Reader::Grantee(grantee(tried)) };
        (tried.secret.clone(), reader)
    }

    /// What a cap compares this one with.
    fn at(&mut self, policy: &Policy, tried: &Tried) -> Counters {
        let minute = cap::minute_of(tried.at).start;
        // A policy without a zone has no today, and counts none.
        let day = cap::day_of(&policy.document, tried.at).map_or(minute, |it| it.start);
        let key = self.reader(tried);
        let [of_minute, of_day] = self.lately.entry(key).or_insert([(minute, 0), (day, 0)]);
        for (counted, start) in [(&mut *of_minute, minute), (&mut *of_day, day)] {
            if counted.0 != start {
                *counted = (start, 0);
            }
        }
        let total = self.total.get(&tried.secret).copied().unwrap_or(0);
        Counters { minute: of_minute.1, day: of_day.1, total, again: 0 }
    }

    fn count(&mut self, tried: &Tried) {
        let key = self.reader(tried);
        for counted in self.lately.get_mut(&key).into_iter().flatten() {
            counted.1 += 1;
        }
        *self.total.entry(tried.secret.clone()).or_default() += 1;
    }
}

#[cfg(test)]
mod tests;
