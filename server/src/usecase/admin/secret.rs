//! Values that a person sets.

use sikkerkey_protocol::id::SecretId;
use sikkerkey_protocol::secret_text::SecretText;

use super::{by_person, conflict, invalid, not_found};
use crate::audit::entry::Action;
use crate::decision::{Context, Decided};
use crate::model::secret::SecretPhase;
use crate::usecase::new_version;
use crate::usecase::steps::Steps;
use crate::value::Value;

/// Sets a value as the next version. With `fields`, it is a structured one of these fields; without, it has the fields
/// that the secret has or expects. Answers the version.
pub fn set(context: &Context<'_>, id: &SecretId, value: SecretText, fields: Option<Vec<String>>) -> Decided<u64> {
    let state = context.state;
    let secret = state.secrets.get(id).filter(|it| it.phase == SecretPhase::Active);
    let secret = secret.ok_or_else(|| not_found(format!("there is no secret {id}: secret list shows them")))?;
    if secret.recipe.is_some() {
        return Err(conflict(format!(
            "the server makes the values of {} itself: rotate it, or change its source to external",
            secret.name
        )));
    }
    let project = state.projects.get(&secret.project);
    let project = project.ok_or_else(|| not_found(format!("the project of {} is gone", secret.name)))?;
    let fields = fields.unwrap_or_else(|| secret.field_names.clone());
    let value = Value::parse(value, fields).map_err(|error| invalid(error.to_string()))?;
    let mut secret = secret.clone();
    let mut steps = Steps::default();
    new_version::add(context, project, &mut secret, value, &mut steps)?;
    let detail = format!("{}/{}, version {}", project.name, secret.name, secret.version);
    let mut entry = by_person(Action::SecretUpdate, Some(&secret.vault), detail);
    (entry.project, entry.secret) = (Some(secret.project.clone()), Some(secret.id.clone()));
    steps.audit.push(entry);
    let version = secret.version;
    Ok(steps.decide(move |_| version))
}
