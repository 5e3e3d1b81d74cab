//! Grants to machines that belong to no fleet.

use std::collections::{BTreeMap, BTreeSet};

use sikkerkey_protocol::id::{MachineId, ProjectId, SecretId};

use super::project::find_machine;
use super::{by_person, conflict, invalid, not_found, secret};
use crate::audit::entry::{Action, Entry};
use crate::decision::{Context, Decided};
use crate::entropy;
use crate::model::grant::Grant;
use crate::model::millis::Millis;
use crate::model::{Entity, EntityKind};
use crate::usecase::steps::{Steps, describe};

/// Grants secrets to a machine: one grant for each project they are in. Answers the grants' ids.
pub fn create(
    context: &Context<'_>,
    machine: &MachineId,
    secrets: &[SecretId],
    expires_at: Option<Millis>,
) -> Decided<Vec<String>> {
    let machine = find_machine(context, machine)?;
    if expires_at.is_some_and(|end| end <= context.now) {
        return Err(invalid("the grant would have ended already: give a later --expires-at".to_owned()));
    }
    let mut by_project: BTreeMap<ProjectId, BTreeSet<SecretId>> = BTreeMap::new();
    for id in secrets {
        let secret = secret::find(context, id)?;
        if context.state.membership(&machine.id, &secret.project).is_none() {
            let project = context.state.projects.get(&secret.project).map_or("", |it| it.name.as_str());
            return Err(conflict(format!(
                "machine {} is no member of project {project}: add it with project add-machine {} --machine {}",
                machine.name, secret.project, machine.id
            )));
        }
        by_project.entry(secret.project.clone()).or_default().insert(id.clone());
    }
    if by_project.is_empty() {
        return Err(invalid("name at least one secret with --secret".to_owned()));
    }
    let mut steps = Steps::default();
    let mut ids = Vec::new();
    for (project, secrets) in by_project {
        let names = secrets.iter().filter_map(|it| context.state.secrets.get(it)).map(|it| it.name.as_str());
        let detail = format!("{} to {}", names.collect::<Vec<_>>().join(" "), describe(machine));
        let entry = by_person(Action::GrantApply, Some(&machine.vault), detail);
        let (of, who) = (Some(project.clone()), Some(machine.id.clone()));
        steps.audit.push(Entry { project: of, machine: who, ..entry });
        let grant = Grant {
            id: entropy::uuid(context.entropy),
            vault: machine.vault.clone(),
            project,
            grantee: machine.grantee(),
            secrets: secrets.into_iter().collect(),
            expires_at,
            managed: None,
        };
        ids.push(grant.id.clone());
        steps.put(Entity::Grant(grant));
    }
    Ok(steps.decide(move |_| ids))
}

/// Takes a grant back.
pub fn delete(context: &Context<'_>, id: &str) -> Decided<()> {
    let grant = context.state.grants.get(id);
    let grant = grant.ok_or_else(|| not_found(format!("there is no grant {id}: grant list shows them")))?;
    if let Some(managed) = &grant.managed {
        return Err(conflict(format!(
            "Grant {} of cluster {} says so: delete it there",
            managed.object.key, managed.cluster
        )));
    }
    let mut steps = Steps::default();
    let detail = format!("{} secrets to {}", grant.secrets.len(), grant.grantee);
    let entry = by_person(Action::GrantDelete, Some(&grant.vault), detail);
    steps.audit.push(Entry { project: Some(grant.project.clone()), ..entry });
    steps.remove(EntityKind::Grant, id);
    Ok(steps.decide(|_| ()))
}
