//! When a secret is renewed that no object stands for.
//!
//! A schedule says how often, and of which fields. What is due is renewed with everything else that is
//! ([`super::housekeeping`]), and once, however often it was missed.

use sikkerkey_protocol::kubernetes::Generator;

use super::author::Author;
use super::managed::refuse_managed;
use super::rotation::Schedule;
use super::secret::{about, check_fields, refuse_canary};
use super::steps::Steps;
use crate::audit::entry::Action;
use crate::decision::Context;
use crate::model::Entity;
use crate::model::millis::Millis;
use crate::model::secret::{RotationSchedule, Secret};
use crate::refusal::{Refusal, RefusalKind, conflict};
use crate::value;

/// From five minutes to 30 days, in seconds.
const INTERVALS: std::ops::RangeInclusive<u64> = 300..=30 * 24 * 3600;

/// What a schedule is to say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Wanted {
    pub(crate) every_seconds: u64,
    pub(crate) generator: Generator,
    /// See [`RotationSchedule::fields`].
    pub(crate) fields: Vec<String>,
    pub(crate) enabled: bool,
}

impl Wanted {
    /// What a schedule says already.
    pub(crate) fn of(it: &RotationSchedule) -> Self {
        let RotationSchedule { every_seconds, generator, fields, enabled, since: _ } = it.clone();
        Self { every_seconds, generator, fields, enabled }
    }
}

/// Gives a secret a schedule, which it does not have yet.
pub(crate) fn attach(
    context: &Context<'_>,
    author: Author<'_>,
    secret: &Secret,
    wanted: Wanted,
) -> Result<(Secret, Steps), Refusal> {
    if secret.schedule.is_some() {
        return Err(conflict(format!("{} has a schedule already: change that one", secret.name)));
    }
    put(context, author, secret, wanted)
}

/// Changes what the schedule of a secret says.
pub(crate) fn change(
    context: &Context<'_>,
    author: Author<'_>,
    secret: &Secret,
    wanted: Wanted,
) -> Result<(Secret, Steps), Refusal> {
    require(secret)?;
    put(context, author, secret, wanted)
}

/// Takes the schedule off a secret, which keeps its value.
pub(crate) fn remove(context: &Context<'_>, author: Author<'_>, secret: &Secret) -> Result<(Secret, Steps), Refusal> {
    require(secret)?;
    let mut secret = Secret { schedule: None, ..secret.clone() };
    secret.touch(context.now, author.actor());
    let mut steps = Steps::default();
    let detail = format!("{} is not renewed by itself any more", secret.name);
    steps.audit.push(about(author, Action::SecretScheduleUpdate, &secret, detail));
    steps.put(Entity::Secret(secret.clone()));
    Ok((secret, steps))
}

/// The schedule of a secret.
pub(crate) fn require(secret: &Secret) -> Result<&RotationSchedule, Refusal> {
    let none = || Refusal::new(RefusalKind::NotFound, format!("{} has no rotation schedule", secret.name));
    secret.schedule.as_ref().ok_or_else(none)
}

/// When a secret is renewed next by its schedule or its policy.
pub(crate) fn next(secret: &Secret) -> Option<Millis> {
    secret.active_schedule().and_then(|_| Schedule::of(secret).next)
}

fn put(context: &Context<'_>, author: Author<'_>, secret: &Secret, wanted: Wanted) -> Result<(Secret, Steps), Refusal> {
    refuse_managed("Secret", secret.managed.as_ref())?;
    refuse_canary(context, secret)?;
    if !INTERVALS.contains(&wanted.every_seconds) {
        let text = format!("intervalSeconds is from 300 to 2592000, not {}", wanted.every_seconds);
        return Err(Refusal::new(RefusalKind::Invalid, text));
    }
    value::check_by_hand(&wanted.generator).map_err(|it| Refusal::new(RefusalKind::Invalid, it.to_string()))?;
    check_fields(secret, &wanted.fields)?;
    let mut steps = Steps::default();
    let was = secret.schedule.as_ref();
    if was.map(Wanted::of).as_ref() == Some(&wanted) {
        return Ok((secret.clone(), steps));
    }
    // One that is switched on counts from now: a value that is older already is not renewed in the same moment.
    let since = was.filter(|it| it.enabled || !wanted.enabled).map_or(context.now, |it| it.since);
    let Wanted { every_seconds, generator, fields, enabled } = wanted;
    let mut secret = secret.clone();
    secret.schedule = Some(RotationSchedule { every_seconds, generator, fields, enabled, since });
    secret.touch(context.now, author.actor());
    let detail = if enabled {
        format!("{} is renewed every {every_seconds} seconds", secret.name)
    } else {
        format!("{} is not renewed until its schedule is switched on again", secret.name)
    };
    steps.audit.push(about(author, Action::SecretScheduleUpdate, &secret, detail));
    steps.put(Entity::Secret(secret.clone()));
    Ok((secret, steps))
}
