//! A secret as one form describes it: its value or how it is made, its policy, its note, whether it is a canary.

use std::collections::BTreeMap;

use sikkerkey_protocol::kubernetes::Generator;
use sikkerkey_protocol::management::{Scope, SecretNamed, SecretVersioned};
use sikkerkey_protocol::secret_text::SecretText;

use super::versioned;
use crate::decision::{Context, Decided};
use crate::model::policy::Policy;
use crate::model::project::Project;
use crate::refusal::{Refusal, invalid, not_found};
use crate::usecase::canary::{self, Trap};
use crate::usecase::management::Manager;
use crate::usecase::management::access::{Named, project_called, project_named};
use crate::usecase::management::canary::SetCanary;
use crate::usecase::policy;
use crate::usecase::secret::{self, Content, Wanted};
use crate::usecase::steps::Steps;
use crate::value;

/// The most policies that are offered to choose from; others are typed.
const CHOICES: usize = 200;

/// What a new secret is to be.
#[derive(Debug)]
pub struct NewSecret {
    /// Its project, by id or name.
    pub project: String,
    /// Its name.
    pub name: String,
    /// What people say about it.
    pub note: Option<String>,
    /// The policy that guards it, by id or name.
    pub policy: Option<String>,
    /// Its value.
    pub value: NewValue,
}

/// The first value of a secret.
#[derive(Debug)]
pub enum NewValue {
    /// One text.
    Text(SecretText),
    /// Fields: what is given, or nothing where the server makes the text.
    Fields(Vec<(String, Option<SecretText>)>, Generator),
    /// The server makes it.
    Made(Generator),
    /// It means nothing: the secret is a canary.
    Bait(SetCanary),
}

/// What there is to choose from for a new secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Choices {
    /// The first projects that take secrets by hand, by name.
    pub projects: Vec<Named>,
    /// Whether there are more.
    pub more_projects: bool,
    /// The policies of those projects, as the project's name and the policy; none: there are too many to choose from.
    pub policies: Option<Vec<(String, Named)>>,
}

/// What there is to choose from for a new secret.
pub fn choices(context: &Context<'_>, manager: &Manager<'_>, []: [&str; 0]) -> Decided<Choices> {
    let state = context.state;
    let projects = state.projects.values().filter(|it| manager.sees(it) && it.namespace.is_none());
    let mut projects: Vec<&Project> = projects.collect();
    projects.sort_unstable_by(|a, b| (&a.name, &a.id).cmp(&(&b.name, &b.id)));
    let policies = state.policies.values().filter(|it| !it.withdrawn).filter_map(|it| {
        let project = state.projects.get(&it.project).filter(|it| manager.sees(it) && it.namespace.is_none())?;
        Some((project.name.clone(), Named { name: it.name.clone(), id: it.id.clone() }))
    });
    let mut policies: Vec<_> = policies.collect();
    policies.sort_unstable();
    let answer = Choices {
        more_projects: projects.len() > super::overview::CHOICES,
        projects: projects.into_iter().take(super::overview::CHOICES).map(project_named).collect(),
        policies: (policies.len() <= CHOICES).then_some(policies),
    };
    let mut steps = Steps::default();
    steps.audit.push(manager.looked_at_vault("the form for a new secret".to_owned()));
    Ok(steps.decide(move |_| answer))
}

/// Makes a secret.
pub fn create(context: &Context<'_>, manager: &Manager<'_>, []: [&str; 0], wanted: NewSecret) -> Decided<SecretNamed> {
    let NewSecret { project, name, note, policy, value } = wanted;
    let project = project_called(context, manager, &project)?;
    let (author, mut steps) = (manager.author(), Steps::default());
    let secret = if let NewValue::Bait(to) = value {
        manager.require(Scope::PoliciesWrite)?;
        let trap = Trap { armed: to.armed, freeze_project: to.freeze_project, freeze_related: to.freeze_related };
        let (secret, _, more) = canary::plant(context, author, project, name, trap)?;
        merge(&mut steps, more);
        match note {
            None => secret,
            Some(note) => {
                let (secret, more) = secret::annotate(context, author, &secret, note)?;
                merge(&mut steps, more);
                secret
            }
        }
    } else {
        let (secret, more) = secret::create(context, author, project, Wanted { name, note, first: content(value)? })?;
        merge(&mut steps, more);
        secret
    };
    if let Some(policy) = policy {
        manager.require(Scope::PoliciesWrite)?;
        let policy = policy_called(context, project, &policy)?;
        merge(&mut steps, policy::bind(context, author, &secret, Some(policy))?);
    }
    Ok(steps.decide(move |_| SecretNamed { id: secret.id, name: secret.name }))
}

/// Sets other texts in some fields of a structured value.
#[expect(clippy::needless_pass_by_value, reason = "a page hands its form over")]
pub fn set_fields(
    context: &Context<'_>,
    manager: &Manager<'_>,
    [secret]: [&str; 1],
    texts: BTreeMap<String, SecretText>,
) -> Decided<SecretVersioned> {
    let secret = manager.secret(context, secret)?;
    Ok(versioned(secret::set_fields(context, manager.author(), secret, &texts)?))
}

fn content(value: NewValue) -> Result<Content, Refusal> {
    Ok(match value {
        NewValue::Text(text) => Content::Given(text, Vec::new()),
        NewValue::Made(generator) => Content::Made(generator),
        NewValue::Fields(fields, generator) if fields.iter().any(|(_, it)| it.is_none()) => {
            Content::Mixed(fields, generator)
        }
        NewValue::Fields(fields, _) => {
            let given: Vec<_> = fields.iter().filter_map(|(name, it)| Some((name.as_str(), it.as_ref()?))).collect();
            let value = value::object(&given).map_err(|error| invalid(error.to_string()))?;
            Content::Given(value.text, value.field_names)
        }
        NewValue::Bait(_) => return Err(invalid("a canary has no value of yours")),
    })
}

/// A policy of a project, by its id or its name.
fn policy_called<'s>(context: &Context<'s>, project: &Project, text: &str) -> Result<&'s Policy, Refusal> {
    let by_id = context.state.policies.get(text).filter(|it| it.project == project.id);
    let policy = by_id.or_else(|| context.state.policy_named(&project.id, text));
    let text = format!("project {} has no such policy: choose one of the same project, or none", project.name);
    policy.ok_or_else(|| not_found(text))
}

fn merge(steps: &mut Steps, more: Steps) {
    steps.changes.extend(more.changes);
    steps.audit.extend(more.audit);
}

#[cfg(test)]
mod tests;
