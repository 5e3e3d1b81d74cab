//! A new version of a secret's value.

use crate::decision::Context;
use crate::model::project::Project;
use crate::model::secret::{Secret, ValueOrigin};
use crate::model::version::Version;
use crate::model::{Change, Entity};
use crate::refusal::{Refusal, RefusalKind};
use crate::usecase::steps::Steps;
use crate::value::Value;

/// Seals `value`, which came from `origin`, as the next version of `secret`, which is put with it.
pub(crate) fn add(
    context: &Context<'_>,
    project: &Project,
    secret: &mut Secret,
    value: Value,
    origin: ValueOrigin,
    steps: &mut Steps,
) -> Result<(), Refusal> {
    let number = secret.version + 1;
    let sealed = context
        .keyring
        .seal(project, &secret.id, number, &value.text, context.entropy)
        .map_err(|_| Refusal::new(RefusalKind::Unavailable, "the server cannot seal the value: see its log"))?;
    secret.version = number;
    secret.version_time = Some(context.now);
    secret.origin = Some(origin);
    secret.due_by_reads = None;
    secret.field_names = value.field_names;
    steps.put(Entity::Secret(secret.clone()));
    steps.changes.push(Change::PutVersion(Version {
        vault: secret.vault.clone(),
        project: secret.project.clone(),
        secret: secret.id.clone(),
        version: number,
        time: context.now,
        field_names: secret.field_names.clone(),
        sealed: sealed.into(),
    }));
    Ok(())
}
