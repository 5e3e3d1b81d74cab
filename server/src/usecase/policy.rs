//! Access policies that no object stands for, and the secrets that they guard: what a person does at the server and an
//! agent on the management plane.

use sikkerkey_protocol::canonical::sha256_hex;
use sikkerkey_protocol::management::PolicyObject;
use sikkerkey_protocol::policy::{Approver, CoSign, PolicyDocument};

use super::admin::check_name;
use super::author::Author;
use super::fence;
use super::managed::refuse_managed;
use super::steps::Steps;
use crate::audit::entry::{Action, Entry};
use crate::decision::Context;
use crate::entropy;
use crate::model::policy::Policy;
use crate::model::project::Project;
use crate::model::secret::{Secret, SecretPhase};
use crate::model::{Entity, EntityKind};
use crate::policy;
use crate::refusal::{Refusal, conflict, invalid};
use crate::state::State;

/// The most secrets that a policy is taken off in one step.
const MOST_RELEASED: usize = 1000;

/// What a policy is to be.
pub(crate) struct Wanted {
    pub(crate) name: String,
    pub(crate) document: PolicyDocument,
    /// See [`Policy::written`].
    pub(crate) written: Option<PolicyObject>,
}

/// Puts a policy in force, or replaces `old`. One that has another name takes the secrets that it guards along.
pub(crate) fn put(
    context: &Context<'_>,
    author: Author<'_>,
    project: &Project,
    old: Option<&Policy>,
    wanted: Wanted,
) -> Result<(Policy, Steps), Refusal> {
    let Wanted { name, document, written } = wanted;
    // One of before stays, whatever its name.
    if old.is_none_or(|it| it.name != name) {
        check_name("the name", &name)?;
    }
    policy::check(&document).map_err(|flaw| invalid(flaw.to_string()))?;
    let names_object = document.co_sign.as_ref().is_some_and(|it| matches!(it.approver, Approver::Object(_)));
    if names_object && project.namespace.is_none() {
        let text = "coSign.approver.object is of a cluster, and this project of none: name a machine by its id, as in \
                    {\"machine\": \"ID\"}";
        return Err(invalid(text.to_owned()));
    }
    refuse_unknown_approver(context.state, project, old, &document)?;
    let renamed = old.filter(|it| it.name != name);
    if let Some(old) = old {
        refuse_managed_policy(author, old)?;
        fence::may_change(context.state, author, old, &document)?;
    }
    let mut steps = Steps::default();
    if let Some(old) = renamed {
        fence::may_remove(author, old, "rename")?;
        rename(context, old, &name, &mut steps)?;
    }
    if (old.is_none() || renamed.is_some()) && context.state.policy_named(&project.id, &name).is_some() {
        return Err(conflict(format!("project {} has a policy {name} already", project.name)));
    }
    let revision = old.map_or(1, |it| it.revision + u64::from(it.document != document));
    let policy = Policy {
        id: old.map_or_else(|| entropy::uuid(context.entropy), |it| it.id.clone()),
        vault: project.vault.clone(),
        project: project.id.clone(),
        name,
        revision,
        document,
        protected: old.is_some_and(|it| it.protected),
        withdrawn: false,
        written,
        managed: None,
    };
    if old != Some(&policy) {
        let was = renamed.map_or_else(String::new, |old| format!(" (was {})", old.name));
        let axes = policy.document.axes().join(", ");
        let detail = format!("policy {}{was}, revision {revision}: {axes}", policy.name);
        steps.audit.push(about(author, Action::PolicyApply, &policy, detail));
        steps.put(Entity::Policy(policy.clone()));
    }
    Ok((policy, steps))
}

/// Nobody would ever approve. One that is gone since it was named is no reason to refuse another change.
fn refuse_unknown_approver(
    state: &State,
    project: &Project,
    old: Option<&Policy>,
    document: &PolicyDocument,
) -> Result<(), Refusal> {
    let Some(CoSign { approver: approver @ Approver::Machine(id), .. }) = &document.co_sign else { return Ok(()) };
    let is_as_before = old.and_then(|it| it.document.co_sign.as_ref()).is_some_and(|it| it.approver == *approver);
    if is_as_before || state.machines.get(id).is_some_and(|it| it.vault == project.vault) {
        return Ok(());
    }
    Err(invalid(format!("coSign.approver.machine {id} is no machine of this vault: machine list shows them")))
}

/// A secret names its policy by name. Those that no object stands for go along; those of an object name what stands in it.
fn rename(context: &Context<'_>, old: &Policy, name: &str, steps: &mut Steps) -> Result<(), Refusal> {
    for secret in context.state.secrets_naming(&old.project, &old.name) {
        if let Some(object) = secret.managed.as_ref().filter(|_| !is_trashed(secret)) {
            return Err(conflict(format!(
                "Secret {} of cluster {} names policy {}: give that another policyRef first",
                object.object.key, object.cluster, old.name
            )));
        }
        steps.put(Entity::Secret(Secret { policy: Some(name.to_owned()), ..secret.clone() }));
    }
    Ok(())
}

/// Removes a policy that guards nothing any more.
pub(crate) fn remove(context: &Context<'_>, author: Author<'_>, policy: &Policy) -> Result<Steps, Refusal> {
    refuse_managed_policy(author, policy)?;
    fence::may_remove(author, policy, "remove")?;
    let bound: Vec<&str> = guarded(context.state, policy).map(|it| it.id.as_str()).take(5).collect();
    if !bound.is_empty() {
        let how = match author {
            Author::Person => "policy unbind",
            Author::SignedIn(_) => "the page of the secret",
            Author::Agent(..) => "POST /v1/ai/secrets/{id}/binding/delete",
        };
        return Err(conflict(format!(
            "policy {} guards {}: take it off them with {how}",
            policy.name,
            bound.join(", ")
        )));
    }
    let mut steps = Steps::default();
    steps.audit.push(about(author, Action::PolicyDelete, policy, format!("policy {}", policy.name)));
    steps.remove(EntityKind::Policy, &policy.id);
    Ok(steps)
}

/// Takes a policy off everything that it guards, and removes it. Whoever is granted one of those secrets reads it then.
pub(crate) fn release(context: &Context<'_>, author: Author<'_>, policy: &Policy) -> Result<Steps, Refusal> {
    refuse_managed_policy(author, policy)?;
    fence::may_remove(author, policy, "remove")?;
    let mut steps = Steps::default();
    for (place, secret) in guarded(context.state, policy).enumerate() {
        if place >= MOST_RELEASED {
            let text = format!(
                "policy {} guards more than {MOST_RELEASED} secrets, which is too much for one step: let another guard some of \
                 them first",
                policy.name
            );
            return Err(conflict(text));
        }
        let unbound = bind(context, author, secret, None)?;
        steps.changes.extend(unbound.changes);
        steps.audit.extend(unbound.audit);
    }
    steps.audit.push(about(author, Action::PolicyDelete, policy, format!("policy {}", policy.name)));
    steps.remove(EntityKind::Policy, &policy.id);
    Ok(steps)
}

/// Lets a policy of the same project guard a secret, in place of any other; without a policy, none does.
pub(crate) fn bind(
    context: &Context<'_>,
    author: Author<'_>,
    secret: &Secret,
    policy: Option<&Policy>,
) -> Result<Steps, Refusal> {
    refuse_managed("Secret", secret.managed.as_ref())?;
    let name = policy.map(|it| it.name.as_str());
    fence::may_rebind(context.state, author, secret, name)?;
    if let Some(gone) = policy.filter(|it| it.withdrawn) {
        let text = format!("policy {} is withdrawn since its AccessPolicy is gone: apply that again first", gone.name);
        return Err(conflict(text));
    }
    let mut steps = Steps::default();
    if secret.policy.as_deref() != name {
        let detail = match name {
            Some(name) => format!("policy {name} guards {}", secret.name),
            None => format!("no policy guards {}", secret.name),
        };
        let action = if name.is_some() { Action::SecretUpdate } else { Action::PolicyUnbind };
        let entry = author.entry(action, &secret.vault, detail);
        let (project, id) = (Some(secret.project.clone()), Some(secret.id.clone()));
        steps.audit.push(Entry { project, secret: id, ..entry });
        let (policy, bindings) = (name.map(str::to_owned), secret.bindings + 1);
        steps.put(Entity::Secret(Secret { policy, bindings, ..secret.clone() }));
    }
    Ok(steps)
}

/// The secrets that a policy guards, or would guard again. What is in the trash is guarded by nothing and read by nobody.
pub(crate) fn guarded<'a>(state: &'a State, policy: &Policy) -> impl Iterator<Item = &'a Secret> {
    state.secrets_naming(&policy.project, &policy.name).filter(|it| !is_trashed(it))
}

/// A mark of all that a policy guards: another one as soon as it guards others.
pub(crate) fn mark_of_guarded(state: &State, policy: &Policy) -> String {
    let mut ids: Vec<&str> = guarded(state, policy).map(|it| it.id.as_str()).collect();
    ids.sort_unstable();
    sha256_hex(ids.join("\n").as_bytes())
}

/// A row about a policy.
pub(crate) fn about(author: Author<'_>, action: Action, policy: &Policy, detail: String) -> Entry {
    Entry { project: Some(policy.project.clone()), ..author.entry(action, &policy.vault, detail) }
}

fn refuse_managed_policy(author: Author<'_>, policy: &Policy) -> Result<(), Refusal> {
    // Its object is gone: a person clears up what is left.
    let is_left_over = policy.withdrawn && author.is_person();
    refuse_managed("AccessPolicy", policy.managed.as_ref().filter(|_| !is_left_over))
}

fn is_trashed(secret: &Secret) -> bool {
    matches!(secret.phase, SecretPhase::Trashed(_))
}
