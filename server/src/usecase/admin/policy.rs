//! Access policies of a person, and the secrets that they guard.

use sikkerkey_protocol::id::SecretId;
use sikkerkey_protocol::policy::PolicyDocument;

use super::{by_person, check_name, conflict, invalid, not_found, project, secret};
use crate::audit::entry::{Action, Entry};
use crate::decision::{Context, Decided};
use crate::entropy;
use crate::model::policy::Policy;
use crate::model::secret::Secret;
use crate::model::{Entity, EntityKind};
use crate::policy;
use crate::refusal::Refusal;
use crate::usecase::steps::Steps;

/// Puts a policy in force, or replaces what it says. Answers its revision.
pub fn set(context: &Context<'_>, project: &str, name: &str, document: PolicyDocument) -> Decided<u64> {
    let project = project::find(context, project)?;
    check_name("the name", name)?;
    policy::check(&document).map_err(|flaw| invalid(flaw.to_string()))?;
    let old = context.state.policy_named(&project.id, name);
    if let Some(old) = old {
        refuse_managed(old)?;
    }
    let revision = old.map_or(1, |it| it.revision + u64::from(it.document != document));
    let policy = Policy {
        id: old.map_or_else(|| entropy::uuid(context.entropy), |it| it.id.clone()),
        vault: project.vault.clone(),
        project: project.id.clone(),
        name: name.to_owned(),
        revision,
        document,
        protected: old.is_some_and(|it| it.protected),
        withdrawn: false,
        managed: None,
    };
    let mut steps = Steps::default();
    if old != Some(&policy) {
        steps.audit.push(about(Action::PolicyApply, &policy, format!("policy {name}, revision {revision}")));
        steps.put(Entity::Policy(policy));
    }
    Ok(steps.decide(move |_| revision))
}

/// Removes a policy that guards nothing any more.
pub fn delete(context: &Context<'_>, project: &str, name: &str) -> Decided<()> {
    let project = project::find(context, project)?;
    let policy = context.state.policy_named(&project.id, name);
    let policy = policy.ok_or_else(|| not_found(format!("project {} has no policy {name}", project.name)))?;
    refuse_managed(policy)?;
    let bound: Vec<&str> = context.state.secrets_naming(&project.id, name).map(|it| it.id.as_str()).take(5).collect();
    if !bound.is_empty() {
        return Err(conflict(format!(
            "policy {name} guards {}: take it off them with policy unbind",
            bound.join(", ")
        )));
    }
    let mut steps = Steps::default();
    steps.audit.push(about(Action::PolicyDelete, policy, format!("policy {name}")));
    steps.remove(EntityKind::Policy, &policy.id);
    Ok(steps.decide(|_| ()))
}

/// Lets a policy of the same project guard a secret, in place of any other; without a policy, none does.
pub fn bind(context: &Context<'_>, id: &SecretId, policy: Option<&str>) -> Decided<()> {
    let secret = secret::find(context, id)?;
    secret::refuse_managed(secret)?;
    if let Some(name) = policy
        && context.state.policy_named(&secret.project, name).is_none()
    {
        return Err(not_found(format!("the project of {} has no policy {name}: policy list shows them", secret.name)));
    }
    let mut steps = Steps::default();
    if secret.policy.as_deref() != policy {
        let detail = match policy {
            Some(name) => format!("policy {name} guards {}", secret.name),
            None => format!("no policy guards {}", secret.name),
        };
        steps.audit.push(secret::about(Action::SecretUpdate, secret, detail));
        steps.put(Entity::Secret(Secret { policy: policy.map(str::to_owned), ..secret.clone() }));
    }
    Ok(steps.decide(|_| ()))
}

fn refuse_managed(policy: &Policy) -> Result<(), Refusal> {
    match &policy.managed {
        None => Ok(()),
        Some(it) => Err(conflict(format!(
            "AccessPolicy {} of cluster {} stands for it: edit or delete that object",
            it.object.key, it.cluster
        ))),
    }
}

fn about(action: Action, policy: &Policy, detail: String) -> Entry {
    Entry { project: Some(policy.project.clone()), ..by_person(action, Some(&policy.vault), detail) }
}
