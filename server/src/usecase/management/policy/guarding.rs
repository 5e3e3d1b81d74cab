//! What a policy guards, from its own side: what it may guard, what it is taken off, and how it goes.

use sikkerkey_protocol::management::Binding;

use super::shown::{Guarded, PAGE, Row, find, guarded_row, row};
use super::{Choice, Manager, not_found};
use crate::decision::{Context, Decided};
use crate::model::secret::{Secret, SecretPhase};
use crate::policy::secret_label;
use crate::refusal::{Refusal, conflict};
use crate::usecase::co_sign;
use crate::usecase::policy;
use crate::usecase::steps::Steps;

/// How many readers are named.
const NAMED: usize = 20;

/// A page of what a policy may guard.
#[derive(Debug)]
pub struct Candidates {
    /// The policy.
    pub policy: Row,
    /// The secrets of its project that it does not guard, by name.
    pub secrets: Vec<Candidate>,
    /// Which page it is.
    pub page: usize,
    /// How many are found.
    pub total: usize,
}

/// A secret that a policy may guard.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Candidate {
    /// The secret.
    pub secret: Guarded,
    /// The policy that guards it now, by name.
    pub now: Option<String>,
}

/// What is to be known before a policy is taken off a secret.
#[derive(Debug)]
pub struct Unbinding {
    /// The policy.
    pub policy: Row,
    /// The secret.
    pub secret: Guarded,
    /// Whether the policy guards it.
    pub is_bound: bool,
    /// Some of those who read it then at any time, from anywhere.
    pub readers: Vec<String>,
}

/// The secret that a policy is to guard.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Chosen {
    /// Its id.
    pub secret: String,
    /// The policy that a page showed as guarding it, by name.
    pub was: Option<String>,
}

/// How a policy is to go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Removal {
    /// With what it guards taken from under it before.
    pub releases: bool,
    /// The revision of it that a page showed, and the mark of what it guarded: see [`super::shown::Shown::guards`].
    pub seen: Option<(u64, String)>,
}

/// What a policy may guard.
pub fn candidates(
    context: &Context<'_>,
    manager: &Manager<'_>,
    [policy]: [&str; 1],
    (text, page): (String, usize),
) -> Decided<Candidates> {
    let policy = find(context, manager, policy)?.clone();
    let mut steps = Steps::default();
    steps.audit.push(manager.looked(&policy.project, format!("what policy {} may guard", policy.name)));
    Ok(steps.decide(move |context| {
        let text = text.trim().to_lowercase();
        let is_found = |it: &&Secret| {
            it.project == policy.project
                && it.phase == SecretPhase::Active
                && it.policy.as_ref() != Some(&policy.name)
                && (text.is_empty() || it.name.to_lowercase().contains(&text))
        };
        let mut found: Vec<&Secret> = context.state.secrets.values().filter(is_found).collect();
        found.sort_by(|a, b| (&a.name, &a.id).cmp(&(&b.name, &b.id)));
        let total = found.len();
        let page = page.clamp(1, total.div_ceil(PAGE).max(1));
        let candidate = |it: &Secret| Candidate { secret: guarded_row(context, it), now: it.policy.clone() };
        let secrets = found.into_iter().skip((page - 1) * PAGE).take(PAGE).map(candidate).collect();
        Candidates { policy: row(context, &policy), secrets, page, total }
    }))
}

/// Lets a policy guard a secret of its project, in place of the one that a page showed.
pub fn bind(context: &Context<'_>, manager: &Manager<'_>, [policy]: [&str; 1], chosen: Chosen) -> Decided<Binding> {
    let policy = Some(find(context, manager, policy)?.id.clone());
    let Chosen { secret, was } = chosen;
    super::choose(context, manager, [&secret], Choice { policy, was })
}

/// What is to be known before a policy is taken off a secret.
pub fn unbinding(context: &Context<'_>, manager: &Manager<'_>, [policy, secret]: [&str; 2]) -> Decided<Unbinding> {
    let policy = find(context, manager, policy)?.clone();
    let secret = manager.secret(context, secret)?.clone();
    if secret.project != policy.project {
        return Err(not_found(format!("project of policy {} has no secret of that id", policy.name)));
    }
    let mut steps = Steps::default();
    let mut entry =
        manager.looked(&policy.project, format!("who reads {} without policy {}", secret.name, policy.name));
    entry.secret = Some(secret.id.clone());
    steps.audit.push(entry);
    Ok(steps.decide(move |context| {
        let state = context.state;
        let reads = |grantee: &&_| state.is_granted(grantee, &secret.id, context.now);
        let readers = state.grantees_of(&secret.id).filter(reads).take(NAMED);
        let readers = readers.map(|it| co_sign::reader(state, it)).collect();
        let is_bound = secret.policy.as_ref() == Some(&policy.name);
        Unbinding { policy: row(context, &policy), secret: guarded_row(context, &secret), is_bound, readers }
    }))
}

/// Takes a policy off a secret that it guards.
pub fn unbind(context: &Context<'_>, manager: &Manager<'_>, [policy, secret]: [&str; 2]) -> Decided<Binding> {
    let name = find(context, manager, policy)?.name.clone();
    let secret = bound(context, manager, &name, secret)?.id.to_string();
    super::unbind(context, manager, [&secret])
}

/// Removes a policy. Answers its name.
pub fn delete(context: &Context<'_>, manager: &Manager<'_>, [policy]: [&str; 1], removal: Removal) -> Decided<String> {
    let policy = find(context, manager, policy)?;
    let Removal { releases, seen } = removal;
    // What is released is read by whoever is granted it: that is said of what somebody saw, and of nothing else.
    if releases && seen != Some((policy.revision, policy::mark_of_guarded(context.state, policy))) {
        let text = format!("policy {} has changed, or guards others than you saw: open the page again", policy.name);
        return Err(conflict(text));
    }
    let remove = if releases { policy::release } else { policy::remove };
    let steps = remove(context, manager.author(), policy)?;
    let name = policy.name.clone();
    Ok(steps.decide(move |_| name))
}

/// A secret that the policy guards. One that another guards meanwhile is not touched by an old page.
fn bound<'s>(context: &Context<'s>, manager: &Manager<'_>, policy: &str, secret: &str) -> Result<&'s Secret, Refusal> {
    let secret = manager.secret(context, secret)?;
    if secret.policy.as_deref() == Some(policy) {
        return Ok(secret);
    }
    Err(not_found(format!("policy {policy} does not guard {} (any more)", secret_label(secret))))
}
