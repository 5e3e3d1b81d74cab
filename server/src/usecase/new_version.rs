//! A new version of a secret's value.

use std::collections::BTreeMap;

use sikkerkey_protocol::kubernetes::{Generator, Recipe};
use sikkerkey_protocol::secret_text::SecretText;

use crate::audit::entry::Actor;
use crate::crypto::keyring::ResealError;
use crate::decision::Context;
use crate::model::project::Project;
use crate::model::secret::{Made, Secret, ValueOrigin};
use crate::model::version::{Sealed, Version};
use crate::model::{Change, Entity};
use crate::refusal::{Refusal, RefusalKind};
use crate::usecase::steps::Steps;
use crate::value::{self, Value};

/// How many versions of a secret are kept. The one before them goes when another is made.
pub(crate) const KEPT_VERSIONS: u64 = 100;

/// Why there is a new version.
pub(crate) struct Cause {
    pub(crate) origin: ValueOrigin,
    pub(crate) by: Actor,
}

/// Seals `value` as the next version of `secret`, which is put with it.
pub(crate) fn add(
    context: &Context<'_>,
    project: &Project,
    secret: &mut Secret,
    value: Value,
    cause: Cause,
    steps: &mut Steps,
) -> Result<(), Refusal> {
    let sealed = context
        .keyring
        .seal(project, &secret.id, secret.version + 1, &value.text, context.entropy)
        .map_err(|_| Refusal::new(RefusalKind::Unavailable, "the server cannot seal the value: see its log"))?;
    secret.field_names = value.field_names;
    put(context, secret, sealed, cause, steps);
    Ok(())
}

/// Seals what stands in `held`, an earlier version or the present one, as the next, with other texts in some fields.
pub(crate) fn add_again(
    context: &Context<'_>,
    project: &Project,
    secret: &mut Secret,
    (held, replaced): (&Version, &BTreeMap<String, SecretText>),
    cause: Cause,
    steps: &mut Steps,
) -> Result<(), Refusal> {
    let sealed = context.keyring.reseal(project, held, secret.version + 1, replaced, context.entropy);
    let sealed = sealed.map_err(|error| match error {
        ResealError::Value(error) => Refusal::new(RefusalKind::Invalid, error.to_string()),
        ResealError::Crypto(_) => {
            tracing::error!(secret = %secret.id, version = held.version, "the stored value does not open");
            let text = format!(
                "the stored value of version {} does not open: try again, and if it stays so, look into the server's log",
                held.version
            );
            Refusal::new(RefusalKind::Unavailable, text)
        }
    })?;
    secret.field_names.clone_from(&held.field_names);
    put(context, secret, sealed, cause, steps);
    Ok(())
}

/// Makes the next version by chance: the plain value, or these fields of a structured one; none: all of them.
pub(crate) fn generate(
    context: &Context<'_>,
    project: &Project,
    secret: &mut Secret,
    (generator, fields): (&Generator, &[String]),
    cause: Cause,
    steps: &mut Steps,
) -> Result<(), Refusal> {
    if secret.field_names.is_empty() {
        let made = value::make(&Recipe::Plain(generator.clone()), context.entropy);
        return add(context, project, secret, made, cause, steps);
    }
    let names = if fields.is_empty() { &secret.field_names } else { fields };
    let made: BTreeMap<String, SecretText> =
        names.iter().map(|it| (it.clone(), value::text(generator, context.entropy))).collect();
    replace(context, project, secret, &made, cause, steps)
}

/// Makes the next version of other texts in some fields of a structured value, or in all of them.
pub(crate) fn replace(
    context: &Context<'_>,
    project: &Project,
    secret: &mut Secret,
    texts: &BTreeMap<String, SecretText>,
    cause: Cause,
    steps: &mut Steps,
) -> Result<(), Refusal> {
    if secret.field_names.iter().all(|it| texts.contains_key(it)) {
        // What is there is not needed, and may be what does not open.
        let fields: Vec<_> = secret.field_names.iter().filter_map(|it| Some((it.as_str(), texts.get(it)?))).collect();
        let value = value::object(&fields).map_err(|error| Refusal::new(RefusalKind::Invalid, error.to_string()))?;
        return add(context, project, secret, value, cause, steps);
    }
    let held = present(context, secret)?;
    add_again(context, project, secret, (&held, texts), cause, steps)
}

/// The newest version, as it is sealed.
fn present(context: &Context<'_>, secret: &Secret) -> Result<Version, Refusal> {
    let sealed = context.state.value(&secret.id).ok_or_else(|| {
        Refusal::new(RefusalKind::Conflict, format!("{} has no value yet: set one first", secret.name))
    })?;
    Ok(Version {
        vault: secret.vault.clone(),
        project: secret.project.clone(),
        secret: secret.id.clone(),
        version: secret.version,
        time: secret.version_time.unwrap_or_default(),
        field_names: secret.field_names.clone(),
        sealed: sealed.clone(),
    })
}

fn put(context: &Context<'_>, secret: &mut Secret, sealed: Sealed, cause: Cause, steps: &mut Steps) {
    let number = secret.version + 1;
    let Cause { origin, by } = cause;
    secret.version = number;
    secret.version_time = Some(context.now);
    secret.due_by_reads = None;
    secret.touch(context.now, by.clone());
    let oldest = (number + 1).saturating_sub(KEPT_VERSIONS);
    secret.history.versions.push(Made { version: number, origin: origin.clone(), by });
    secret.history.versions.retain(|it| it.version >= oldest);
    secret.origin = Some(origin);
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
    if oldest > 1 {
        steps.changes.push(Change::ForgetVersion(secret.id.clone(), oldest - 1));
    }
}
