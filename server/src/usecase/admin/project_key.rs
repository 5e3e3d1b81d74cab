//! A new key for a project.
//!
//! Wrapping the keys of all its values takes time, so it is done beside the writer ([`prepare`]). The writer only looks
//! whether it still fits and takes it as a whole ([`rotate`]): after a crash all keys are old or all are new.

use std::collections::HashMap;
use std::sync::Arc;

use super::by_person;
use crate::audit::entry::Action;
use crate::crypto::keyring::Keyring;
use crate::decision::{Context, Decision};
use crate::entropy::Entropy;
use crate::model::project::Project;
use crate::model::version::Version;
use crate::model::{Change, Entity};
use crate::refusal::{Refusal, RefusalKind};
use crate::usecase::steps::{Steps, answer};

/// A project's new key with the keys of its values under it.
pub struct Prepared {
    /// The project as it was when this was prepared.
    project: Project,
    /// Its new key, wrapped by the master's.
    wrapped_key: Vec<u8>,
    /// Every version of every secret, under the new key.
    versions: Vec<Version>,
}

/// Makes a new key and wraps the keys of `stored`, all versions there are, by it.
pub fn prepare(
    keyring: &Keyring,
    entropy: &dyn Entropy,
    project: Project,
    stored: Vec<Version>,
) -> Result<Prepared, Refusal> {
    let failed = |what: String| Refusal::new(RefusalKind::Unavailable, what);
    let wrapped_key = keyring.new_project_key(&project.vault, &project.id, entropy);
    let wrapped_key = wrapped_key.map_err(|error| failed(error.to_string()))?;
    let renewed = Project { wrapped_key: wrapped_key.clone(), ..project.clone() };
    let rewrap = |mut version: Version| {
        let (secret, number) = (&version.secret, version.version);
        let sealed = keyring.rewrap(&project, &renewed, secret, number, &version.sealed, entropy).map_err(|_| {
            let what = format!("version {number} of {secret} does not open, so its key cannot be wrapped anew");
            failed(format!("{what}: restore it from a backup, or find out who changed the database"))
        })?;
        version.sealed = Arc::new(sealed);
        Ok(version)
    };
    let versions = stored.into_iter().map(rewrap).collect::<Result<_, Refusal>>()?;
    Ok(Prepared { project, wrapped_key, versions })
}

/// Puts what was prepared in force, and answers how many versions it holds. None: the project or its secrets have
/// changed since, and nothing was done.
pub fn rotate(context: &Context<'_>, prepared: Prepared) -> Decision<Option<usize>> {
    let id = &prepared.project.id;
    let Some(project) = context.state.projects.get(id).filter(|it| it.wrapped_key == prepared.project.wrapped_key)
    else {
        return answer(|_| None);
    };
    // Versions are only ever added, or go with their secret: the same newest ones are the same all.
    let mut newest = HashMap::new();
    for version in &prepared.versions {
        let number = newest.entry(&version.secret).or_insert(0);
        *number = version.version.max(*number);
    }
    let secrets = context.state.secrets.values().filter(|it| &it.project == id && it.version > 0);
    if secrets.clone().count() != newest.len() || secrets.into_iter().any(|it| newest.get(&it.id) != Some(&it.version))
    {
        return answer(|_| None);
    }
    let count = prepared.versions.len();
    let mut steps = Steps::default();
    let mut entry = by_person(
        Action::ProjectKeyRotate,
        Some(&project.vault),
        format!("project {}, the keys of {count} values", project.name),
    );
    entry.project = Some(id.clone());
    steps.audit.push(entry);
    steps.put(Entity::Project(Project { wrapped_key: prepared.wrapped_key, ..project.clone() }));
    steps.changes.extend(prepared.versions.into_iter().map(Change::PutVersion));
    steps.decide(move |_| Some(count))
}

#[cfg(test)]
mod tests;
