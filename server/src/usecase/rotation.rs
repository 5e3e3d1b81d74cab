//! When a secret's value is replaced: by the clock, and by reads.

use crate::audit::entry::{Action, Actor, Entry};
use crate::decision::Context;
use crate::model::Entity;
use crate::model::millis::Millis;
use crate::model::project::Project;
use crate::model::secret::{Secret, ValueOrigin};
use crate::refusal::Refusal;
use crate::usecase::new_version::{self, Cause};
use crate::usecase::steps::{Steps, by_server};
use crate::value;

/// How long reads leave a version in force at least, in seconds: a fleet that reads each new version many times would
/// otherwise rotate without end.
const PAUSE_SECONDS: u64 = 300;

/// When a secret's next value is due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Schedule {
    /// None: never, or nobody has set a first value.
    pub(crate) next: Option<Millis>,
}

impl Schedule {
    pub(crate) fn of(secret: &Secret) -> Self {
        let Some(made) = secret.version_time else { return Self { next: None } };
        let rotation = secret.rotation.as_ref();
        let every = rotation.and_then(|it| it.every_seconds).map(|it| made.plus_seconds(it));
        // A version made at or after the instant has been replaced already: going back and forth rotates nothing.
        let older_than = rotation.and_then(|it| it.older_than).map(Millis).filter(|it| made < *it);
        let scheduled = secret.active_schedule().map(|it| made.max(it.since).plus_seconds(it.every_seconds));
        let by_reads = secret.due_by_reads.map(|it| it.max(after_pause(secret, made)));
        Self { next: every.into_iter().chain(older_than).chain(scheduled).chain(by_reads).min() }
    }

    pub(crate) fn is_due(self, now: Millis) -> bool {
        self.next.is_some_and(|it| it <= now)
    }
}

/// A person is told at once that a value is due; what the server makes itself can wait, unless it is the first rotation.
fn after_pause(secret: &Secret, made: Millis) -> Millis {
    if secret.is_made_here() && secret.version > 1 { made.plus_seconds(PAUSE_SECONDS) } else { made }
}

/// What follows when a read was the last that the policy allows one version: a new one, in the same transaction, or the
/// note that it is due. `reads` is how many there were.
pub(crate) fn reads_are_used_up(context: &Context<'_>, secret: &Secret, reads: u64) -> Result<Steps, Refusal> {
    let mut steps = Steps::default();
    if secret.due_by_reads.is_some() {
        return Ok(steps);
    }
    let mut secret = secret.clone();
    secret.due_by_reads = Some(context.now);
    let project = context.state.projects.get(&secret.project);
    let why = format!("it was read {reads} times");
    let may_be_now = secret.is_made_here() && Schedule::of(&secret).is_due(context.now);
    if let Some(project) = project.filter(|_| may_be_now) {
        renew(context, project, &secret, &why, &mut steps)?;
    } else {
        let detail = format!("{}, version {}: {why}", secret.name, secret.version);
        steps.audit.push(about(Action::SecretRotationDue, &secret, detail));
        steps.put(Entity::Secret(secret));
    }
    Ok(steps)
}

/// Replaces the value of a secret that the server can make one for.
pub(crate) fn renew(
    context: &Context<'_>,
    project: &Project,
    secret: &Secret,
    why: &str,
    steps: &mut Steps,
) -> Result<(), Refusal> {
    let mut renewed = secret.clone();
    let cause = Cause { origin: ValueOrigin::Generated, by: Actor::System };
    match (secret.active_schedule(), &secret.recipe) {
        (Some(it), _) => {
            new_version::generate(context, project, &mut renewed, (&it.generator, &it.fields), cause, steps)?;
        }
        (None, Some(recipe)) => {
            let made = value::make(recipe, context.entropy);
            new_version::add(context, project, &mut renewed, made, cause, steps)?;
        }
        (None, None) => return Ok(()),
    }
    let secret = renewed;
    let detail = format!("{}, version {}: {why}", secret.name, secret.version);
    steps.audit.push(about(Action::SecretRotate, &secret, detail));
    Ok(())
}

fn about(action: Action, secret: &Secret, detail: String) -> Entry {
    Entry {
        vault: Some(secret.vault.clone()),
        project: Some(secret.project.clone()),
        secret: Some(secret.id.clone()),
        detail,
        ..by_server(action)
    }
}
