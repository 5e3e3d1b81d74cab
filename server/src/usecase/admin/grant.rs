//! Grants to machines that belong to no fleet.

use sikkerkey_protocol::id::{MachineId, SecretId};
use sikkerkey_protocol::management::GrantedSecrets;

use super::project::{self, find_machine};
use super::{not_found, secret};
use crate::decision::{Context, Decided};
use crate::model::millis::Millis;
use crate::refusal::Refusal;
use crate::usecase::author::Author;
use crate::usecase::management::member::{granted_secrets, of_project};
use crate::usecase::member;

/// Grants secrets to a machine: one grant for each project they are in. Answers the grants' ids.
pub fn create(
    context: &Context<'_>,
    machine: &MachineId,
    secrets: &[SecretId],
    expires_at: Option<Millis>,
) -> Decided<Vec<String>> {
    let machine = find_machine(context, machine)?;
    let secrets = secrets.iter().map(|id| secret::find(context, id)).collect::<Result<Vec<_>, Refusal>>()?;
    let (ids, steps) = member::add_grants(context, Author::Person, machine, &secrets, expires_at)?;
    Ok(steps.decide(move |_| ids))
}

/// Grants a machine these secrets of a project and no others.
pub fn set(context: &Context<'_>, project: &str, machine: &MachineId, secrets: &[SecretId]) -> Decided<GrantedSecrets> {
    let (project, machine) = (project::find(context, project)?, find_machine(context, machine)?);
    for id in secrets {
        let secret = secret::find(context, id)?;
        if secret.project != project.id {
            return Err(super::conflict(format!("{} is not of project {}", secret.name, project.name)));
        }
    }
    let wanted = of_project(context, project, secrets.iter().map(SecretId::as_str));
    let steps = member::set_grants(context, Author::Person, project, machine, &wanted)?;
    let (project, machine) = (project.clone(), machine.clone());
    Ok(steps.decide(move |context| granted_secrets(context, &project, &machine)))
}

/// Takes a grant back.
pub fn delete(context: &Context<'_>, id: &str) -> Decided<()> {
    let grant = context.state.grants.get(id);
    let grant = grant.ok_or_else(|| not_found(format!("there is no grant {id}: grant list shows them")))?;
    let steps = member::take_back(Author::Person, grant)?;
    Ok(steps.decide(|_| ()))
}
