//! Rotation schedules.

use std::collections::{BTreeMap, HashSet};

use sikkerkey_protocol::kubernetes::Generator;
use sikkerkey_protocol::management::{CreateSchedule, ScheduleDeleted, ScheduleList, ScheduleView, UpdateSchedule};
use sikkerkey_protocol::secret_text::SecretText;

use super::Manager;
use super::secret::{looked, names, settle};
use crate::audit::entry::Action;
use crate::decision::{Context, Decided};
use crate::model::secret::{RotationSchedule, Secret, SecretPhase};
use crate::refusal::{Refusal, RefusalKind, invalid};
use crate::usecase::schedule::{self, Wanted};
use crate::usecase::secret::{self, Content, default_generator};
use crate::usecase::steps::Steps;

/// Every schedule, by project and name.
pub fn list(context: &Context<'_>, manager: &Manager<'_>, []: [&str; 0]) -> Decided<ScheduleList> {
    let mut steps = Steps::default();
    let detail = "the rotation schedules".to_owned();
    steps.audit.push(manager.author().entry(Action::ManagementRead, manager.vault, detail));
    let secrets = context.state.secrets.values().filter(|it| it.phase == SecretPhase::Active);
    let scheduled = secrets.filter_map(|it| Some((it, it.schedule.as_ref()?)));
    let seen = scheduled.filter(|(it, _)| context.state.projects.get(&it.project).is_some_and(|it| manager.sees(it)));
    let mut dynamic_secrets: Vec<_> = seen.map(|(it, schedule)| view(it, schedule)).collect();
    dynamic_secrets.sort_by(|a, b| (&a.project_id, &a.name, &a.id).cmp(&(&b.project_id, &b.name, &b.id)));
    Ok(steps.decide(|_| ScheduleList { dynamic_secrets }))
}

/// One schedule, by its secret's id.
pub fn get(context: &Context<'_>, manager: &Manager<'_>, [secret]: [&str; 1]) -> Decided<ScheduleView> {
    let secret = manager.secret(context, secret)?;
    schedule::require(secret)?;
    let mut steps = Steps::default();
    steps.audit.push(looked(manager, secret, format!("the schedule of {}", secret.name)));
    answer(secret, steps)
}

/// Makes a schedule, and the secret as well unless there is one.
pub fn create(
    context: &Context<'_>,
    manager: &Manager<'_>,
    []: [&str; 0],
    request: CreateSchedule,
) -> Decided<ScheduleView> {
    let like = default_generator();
    let generator = Generator {
        length: request.length.unwrap_or(like.length),
        charset: request.charset.map_or(like.charset, Into::into),
    };
    let fields = request.fields.clone().unwrap_or_default();
    let wanted = Wanted { every_seconds: request.interval_seconds, generator, fields, enabled: true };
    match (&request.secret_id, &request.project_id, &request.name) {
        (Some(id), None, None) => attach(context, manager, id, &request, wanted),
        (None, Some(project), Some(name)) => {
            let (project, name) = (project.clone(), name.clone());
            make(context, manager, &project, name, request, wanted)
        }
        _ => Err(invalid("give either secretId, for a secret that there is, or projectId and name, for a new one")),
    }
}

/// How often, and with what, a secret is renewed from now on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PutSchedule {
    /// From 300 to 2592000 seconds.
    pub interval_seconds: u64,
    /// How new texts are made.
    pub generator: Generator,
    /// The fields that get new texts; empty: all of them.
    pub fields: Vec<String>,
}

/// Gives a secret that there is a schedule, or changes the one that it has.
pub fn put(
    context: &Context<'_>,
    manager: &Manager<'_>,
    [secret]: [&str; 1],
    to: PutSchedule,
) -> Decided<ScheduleView> {
    let secret = manager.secret(context, secret)?;
    let PutSchedule { interval_seconds: every_seconds, generator, fields } = to;
    let enabled = secret.schedule.as_ref().is_none_or(|it| it.enabled);
    let wanted = Wanted { every_seconds, generator, fields, enabled };
    let (secret, steps) = match &secret.schedule {
        None => schedule::attach(context, manager.author(), secret, wanted)?,
        Some(_) => schedule::change(context, manager.author(), secret, wanted)?,
    };
    answer(&secret, settle(manager, steps, &secret))
}

fn attach(
    context: &Context<'_>,
    manager: &Manager<'_>,
    id: &str,
    request: &CreateSchedule,
    wanted: Wanted,
) -> Decided<ScheduleView> {
    let secret = manager.secret(context, id)?;
    if request.static_fields.as_ref().is_some_and(|it| !it.is_empty()) {
        return Err(invalid(
            "staticFields are for a new secret: one that there is keeps what stands in its other fields",
        ));
    }
    if request.field_names.as_ref().is_some_and(|it| *it != secret.field_names) {
        return Err(invalid("fieldNames are for a new secret: one that there is has its fields"));
    }
    let (noted, mut steps) = match &request.note {
        None => (secret.clone(), Steps::default()),
        Some(note) => secret::annotate(context, manager.author(), secret, note.clone())?,
    };
    let (secret, more) = schedule::attach(context, manager.author(), &noted, wanted)?;
    steps.changes.extend(more.changes);
    steps.audit.extend(more.audit);
    answer(&secret, steps)
}

fn make(
    context: &Context<'_>,
    manager: &Manager<'_>,
    project: &str,
    name: String,
    request: CreateSchedule,
    mut wanted: Wanted,
) -> Decided<ScheduleView> {
    let project = manager.project(context, project)?;
    let mut given = request.static_fields.unwrap_or_default();
    let first = match request.field_names.filter(|it| !it.is_empty()) {
        None if wanted.fields.is_empty() && given.is_empty() => Content::Made(wanted.generator.clone()),
        None => return Err(invalid("fields and staticFields are of a structured secret: give its fieldNames as well")),
        Some(names) => {
            let fields = mixed(names, &wanted.fields, &mut given)?;
            // All of them, unless some are given.
            wanted.fields = if fields.iter().all(|(_, given)| given.is_none()) {
                Vec::new()
            } else {
                fields.iter().filter(|(_, given)| given.is_none()).map(|(name, _)| name.clone()).collect()
            };
            Content::Mixed(fields, wanted.generator.clone())
        }
    };
    let new = secret::Wanted { name, note: request.note, first };
    let (secret, mut steps) = secret::create(context, manager.author(), project, new)?;
    let (secret, more) = schedule::attach(context, manager.author(), &secret, wanted)?;
    steps.changes.extend(more.changes);
    steps.audit.extend(more.audit);
    answer(&secret, steps)
}

/// Each field with what is given for it, or nothing where the server makes it.
fn mixed(
    names: Vec<String>,
    made: &[String],
    given: &mut BTreeMap<String, SecretText>,
) -> Result<Vec<(String, Option<SecretText>)>, Refusal> {
    let known: HashSet<&String> = names.iter().collect();
    if made.iter().chain(given.keys()).any(|it| !known.contains(it)) {
        return Err(invalid("fields and staticFields name fields that stand in fieldNames, and no others"));
    }
    // Without a list, what is not given is made.
    let made: HashSet<&String> = made.iter().collect();
    let is_made = |name: &String, given: &BTreeMap<String, SecretText>| {
        if made.is_empty() { !given.contains_key(name) } else { made.contains(name) }
    };
    let mut fields = Vec::with_capacity(names.len());
    for name in names {
        let content = match (is_made(&name, given), given.remove(&name)) {
            (true, None) => None,
            (false, Some(text)) => Some(text),
            (true, Some(_)) => {
                return Err(invalid("a field stands in fields and in staticFields: which of the two is it?"));
            }
            (false, None) => {
                return Err(invalid("a field stands neither in fields nor in staticFields: put it into one"));
            }
        };
        fields.push((name, content));
    }
    if fields.iter().all(|(_, given)| given.is_some()) {
        return Err(invalid("every field stands in staticFields: there is nothing to renew"));
    }
    Ok(fields)
}

/// Changes a schedule.
pub fn update(
    context: &Context<'_>,
    manager: &Manager<'_>,
    [secret]: [&str; 1],
    request: UpdateSchedule,
) -> Decided<ScheduleView> {
    let secret = manager.secret(context, secret)?;
    let was = Wanted::of(schedule::require(secret)?);
    let UpdateSchedule { interval_seconds, length, charset, fields, enabled } = request;
    let generator = Generator {
        length: length.unwrap_or(was.generator.length),
        charset: charset.map_or(was.generator.charset, Into::into),
    };
    let wanted = Wanted {
        every_seconds: interval_seconds.unwrap_or(was.every_seconds),
        generator,
        fields: fields.unwrap_or(was.fields),
        enabled: enabled.unwrap_or(was.enabled),
    };
    let (secret, steps) = schedule::change(context, manager.author(), secret, wanted)?;
    let steps = settle(manager, steps, &secret);
    answer(&secret, steps)
}

/// Takes the schedule off a secret, which keeps its value.
pub fn delete(context: &Context<'_>, manager: &Manager<'_>, [secret]: [&str; 1]) -> Decided<ScheduleDeleted> {
    let secret = manager.secret(context, secret)?;
    let (secret, steps) = schedule::remove(context, manager.author(), secret)?;
    Ok(steps.decide(move |_| ScheduleDeleted { id: secret.id, deleted: true }))
}

/// A secret with its schedule, as people see them.
pub(crate) fn view(secret: &Secret, schedule: &RotationSchedule) -> ScheduleView {
    let fields = if schedule.fields.is_empty() { &secret.field_names } else { &schedule.fields };
    ScheduleView {
        id: secret.id.clone(),
        project_id: secret.project.clone(),
        name: secret.name.clone(),
        note: secret.note.clone(),
        version: secret.version,
        interval_seconds: schedule.every_seconds,
        length: schedule.generator.length,
        charset: schedule.generator.charset.into(),
        field_names: names(&secret.field_names),
        fields: names(fields),
        enabled: schedule.enabled,
        last_rotation_at: secret.version_time.map(|it| it.0),
        next_rotation_at: schedule::next(secret).map(|it| it.0),
    }
}

fn answer(secret: &Secret, steps: Steps) -> Decided<ScheduleView> {
    let view = secret.schedule.as_ref().map(|it| view(secret, it));
    let view = view.ok_or_else(|| Refusal::new(RefusalKind::NotFound, "this secret has no rotation schedule"))?;
    Ok(steps.decide(|_| view))
}
