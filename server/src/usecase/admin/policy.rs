//! Access policies of a person, the secrets that they guard, and the fence around some of them.

use sikkerkey_protocol::id::SecretId;
use sikkerkey_protocol::policy::PolicyDocument;

use super::{not_found, project, secret};
use crate::audit::entry::Action;
use crate::decision::{Context, Decided};
use crate::model::policy::Policy;
use crate::model::{Entity, EntityKind};
use crate::refusal::Refusal;
use crate::usecase::author::Author;
use crate::usecase::fence;
use crate::usecase::policy::{self, Wanted, about, guarded};
use crate::usecase::steps::Steps;

/// Puts a policy in force, or replaces what it says. Answers its revision.
pub fn set(context: &Context<'_>, project: &str, name: &str, document: PolicyDocument) -> Decided<u64> {
    let project = project::find(context, project)?;
    let old = context.state.policy_named(&project.id, name);
    let wanted = Wanted { name: name.to_owned(), document, written: None };
    let (policy, steps) = policy::put(context, Author::Person, project, old, wanted)?;
    Ok(steps.decide(move |_| policy.revision))
}

/// Removes a policy that guards nothing any more.
pub fn delete(context: &Context<'_>, project: &str, name: &str) -> Decided<()> {
    let steps = policy::remove(context, Author::Person, find(context, project, name)?)?;
    Ok(steps.decide(|_| ()))
}

/// Lets a policy of the same project guard a secret, in place of any other; without a policy, none does.
pub fn bind(context: &Context<'_>, id: &SecretId, policy: Option<&str>) -> Decided<()> {
    let secret = secret::find(context, id)?;
    secret::refuse_managed(secret)?;
    let policy = match policy {
        None => None,
        Some(name) => Some(context.state.policy_named(&secret.project, name).ok_or_else(|| {
            not_found(format!("the project of {} has no policy {name}: policy list shows them", secret.name))
        })?),
    };
    let steps = policy::bind(context, Author::Person, secret, policy)?;
    Ok(steps.decide(|_| ()))
}

/// Puts the fence around a policy: from now on agents tighten it at most.
pub fn protect(context: &Context<'_>, project: &str, name: &str) -> Decided<()> {
    let policy = find(context, project, name)?;
    if let Some(co_sign) = &policy.document.co_sign {
        fence::require_vouched(context.state, policy, co_sign)?;
    }
    let mut steps = Steps::default();
    if !policy.protected {
        let detail = format!("policy {name}: agents may tighten it at most");
        steps.audit.push(about(Author::Person, Action::PolicyProtect, policy, detail));
        steps.put(Entity::Policy(Policy { protected: true, ..policy.clone() }));
    }
    Ok(steps.decide(|_| ()))
}

/// Takes the fence away. A policy whose object was deleted while it was protected goes now: what it kept is answered.
/// Answers whether it went.
pub fn unprotect(context: &Context<'_>, project: &str, name: &str) -> Decided<bool> {
    let policy = find(context, project, name)?;
    let mut steps = Steps::default();
    if policy.protected {
        let detail = format!("policy {name}: agents may change and remove it");
        steps.audit.push(about(Author::Person, Action::PolicyUnprotect, policy, detail));
        if policy.withdrawn {
            let locked = guarded(context.state, policy).count();
            let detail = format!("policy {name}, withdrawn before: {locked} secrets that name it stay locked");
            steps.audit.push(about(Author::Person, Action::PolicyDelete, policy, detail));
            steps.remove(EntityKind::Policy, &policy.id);
        } else {
            steps.put(Entity::Policy(Policy { protected: false, ..policy.clone() }));
        }
    }
    let goes = policy.withdrawn;
    Ok(steps.decide(move |_| goes))
}

fn find<'a>(context: &Context<'a>, project: &str, name: &str) -> Result<&'a Policy, Refusal> {
    let project = project::find(context, project)?;
    let policy = context.state.policy_named(&project.id, name);
    policy.ok_or_else(|| not_found(format!("project {} has no policy {name}", project.name)))
}
