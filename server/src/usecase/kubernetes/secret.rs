//! `Secret` objects.
//!
//! Applying never replaces a value that is there: a recipe that changed is used for the next version, and an object that
//! is applied again finds the value that was kept for it. Three things make a new version: a supplied or sealed value that
//! differs, a rotation that is due, and a source of another kind. That a person is to set the value from now on makes none by
//! itself: what is there stays until he does. Where an object has had a value that is not here, a database restored from an
//! earlier day, none is made in its place: what reads it would lock itself out of what still has the old one.

use sikkerkey_protocol::error_body::ErrorCode;
use sikkerkey_protocol::kubernetes::{
    ApplySecret, ExpectedVersion, ObjectKey, Recipe, Rotation, SecretSource, SecretState, TakenFrom,
};

use super::scope::{Scope, check_generation, check_key, check_object};
use super::{project, sealed, standing};
use crate::audit::entry::{Action, Entry};
use crate::decision::{Context, Decided};
use crate::model::Entity;
use crate::model::agent::Agent;
use crate::model::millis::Millis;
use crate::model::project::Project;
use crate::model::secret::{Secret, SecretPhase, ValueOrigin};
use crate::policy::window::instant;
use crate::refusal::{Refusal, RefusalKind, invalid};
use crate::usecase::fence;
use crate::usecase::fresh_id::fresh_id;
use crate::usecase::new_version::{self, Cause};
use crate::usecase::rotation::Schedule;
use crate::usecase::source::Source;
use crate::usecase::steps::Steps;
use crate::value::{self, Value, ValueError};

/// From five minutes to 366 days, in seconds.
const INTERVALS: std::ops::RangeInclusive<u64> = 300..=8784 * 3600;

/// Where the value comes from, checked.
enum Origin {
    Generated(Recipe),
    Supplied(Value, TakenFrom),
    Kept,
    Sealed(sealed::Unsealed),
    External(Vec<String>),
}

/// Puts a `Secret` in force.
pub fn apply(context: &Context<'_>, agent: &Agent, source: Source, request: ApplySecret) -> Decided<SecretState> {
    let scope = Scope::of(context, agent, source)?;
    let ApplySecret { object, source, policy, rotation, expected } = request;
    check_object(&object)?;
    check_policy(&object.key, policy.as_deref())?;
    check_rotation(rotation.as_ref())?;
    let origin = origin(&scope, &object.key, source)?;
    let mut steps = Steps::default();
    let project = project::ensure(&scope, &object, &mut steps)?;
    let old = context.state.secret_of(&scope.cluster.name, &object.key);
    check_generation(old.and_then(|it| it.managed.as_ref()), &object)?;

    let mut secret = match old {
        Some(old) => old.clone(),
        None if context.state.secret_named(&project.id, &object.key.name).is_some() => {
            let text = format!(
                "project {} has a secret {} that no Secret object stands for: rename one of the two",
                project.name, object.key.name
            );
            return Err(Refusal::new(RefusalKind::Conflict, text));
        }
        None => new_secret(context, &project, &object.key.name)?,
    };
    // Also of a value that was kept: a Secret that is made anew does not take it out of its policy.
    fence::may_rebind(context.state, scope.author(), &secret, policy.as_deref())?;
    if old.is_some_and(|it| it.policy != policy || it.phase != SecretPhase::Active) {
        secret.bindings += 1;
    }
    secret.phase = SecretPhase::Active;
    secret.managed = Some(scope.managed(&object));
    secret.policy = policy;
    secret.rotation = rotation;
    if let Some(sealing) = &mut secret.sealing {
        sealing.is_source = false;
    }
    secret.taken_over = matches!(origin, Origin::Supplied(..) | Origin::Kept);
    let lost = is_lost(&secret, expected, context.now);
    let renewed = match origin {
        Origin::Generated(recipe) => {
            let came_otherwise = secret.origin.as_ref().is_some_and(|it| *it != ValueOrigin::Generated);
            let first = secret.version == 0 && !lost;
            let due = first || came_otherwise || Schedule::of(&secret).is_due(context.now);
            let made = due.then(|| (value::make(&recipe, context.entropy), ValueOrigin::Generated));
            secret.recipe = Some(recipe);
            made
        }
        Origin::Supplied(value, from) => {
            secret.recipe = None;
            let from = ValueOrigin::Taken(from);
            if differs(context, &project, &secret, &value)? {
                Some((value, from))
            } else {
                // The same value, now from there.
                secret.origin = Some(from);
                None
            }
        }
        Origin::Kept => {
            secret.recipe = None;
            None
        }
        Origin::Sealed(sealed::Unsealed { value, at }) => {
            secret.recipe = None;
            secret.sealing = Some(sealed::remember(&object.key, secret.sealing, at)?);
            if differs(context, &project, &secret, &value)? {
                Some((value, ValueOrigin::Sealed))
            } else {
                secret.origin = Some(ValueOrigin::Sealed);
                None
            }
        }
        Origin::External(fields) => {
            secret.recipe = None;
            if secret.version == 0 {
                secret.field_names = fields;
            }
            None
        }
    };
    let rotated = renewed.is_some() && secret.version > 0 && secret.recipe.is_some();
    match renewed {
        Some((value, origin)) => {
            let cause = Cause { origin, by: scope.author().actor() };
            new_version::add(context, &project, &mut secret, value, cause, &mut steps)?;
        }
        None if old == Some(&secret) => {}
        None => steps.put(Entity::Secret(touched(&scope, &mut secret))),
    }
    let unbound = old.and_then(|it| it.policy.clone()).filter(|_| secret.policy.is_none());
    if old != Some(&secret) {
        let action = match old {
            None => Action::SecretCreate,
            Some(_) if rotated => Action::SecretRotate,
            Some(_) => Action::SecretUpdate,
        };
        let mut entry = scope.entry(action, Some(&project.id), detail(&object.key, old, &secret, expected));
        entry.secret = Some(secret.id.clone());
        steps.audit.push(entry.clone());
        // By itself, so that those who look for it find it: four eyes have become two.
        if let Some(was) = &unbound {
            let detail = format!("no policy guards Secret {} any more: {was} did", object.key);
            steps.audit.push(Entry { action: Action::PolicyUnbind, detail, ..entry });
        }
    }
    Ok(steps.decide(move |context| SecretState { unbound, ..standing::of_secret(context, &secret) }))
}

fn touched(scope: &Scope<'_>, secret: &mut Secret) -> Secret {
    secret.touch(scope.context.now, scope.author().actor());
    secret.clone()
}

fn origin(scope: &Scope<'_>, object: &ObjectKey, source: SecretSource) -> Result<Origin, Refusal> {
    match source {
        SecretSource::Generate(recipe) => {
            value::check(&recipe).map_err(refuse)?;
            Ok(Origin::Generated(recipe))
        }
        SecretSource::Supplied { value, field_names, from } => {
            check_from(&from)?;
            Value::parse(value, field_names).map(|value| Origin::Supplied(value, from)).map_err(refuse)
        }
        SecretSource::Kept {} => Ok(Origin::Kept),
        SecretSource::External { fields } if fields.len() <= value::MAX_FIELDS => Ok(Origin::External(fields)),
        SecretSource::External { .. } => {
            Err(invalid(format!("source.external.fields has at most {} names", value::MAX_FIELDS)))
        }
        SecretSource::Sealed { key_id, ciphertext, namespace_scope } => {
            sealed::open(scope, object, &key_id, &ciphertext, namespace_scope).map(Origin::Sealed)
        }
    }
}

#[expect(clippy::needless_pass_by_value, reason = "the form that map_err takes")]
fn refuse(error: ValueError) -> Refusal {
    let refusal = invalid(error.to_string());
    if error == ValueError::TooLarge { refusal.code(ErrorCode::ValueTooLarge) } else { refusal }
}

/// It is kept and shown, so it is no longer than such names are.
fn check_from(from: &TakenFrom) -> Result<(), Refusal> {
    let fits = |name: &str| (1..=253).contains(&name.len()) && name.bytes().all(|b| b.is_ascii_graphic());
    if fits(&from.name) && from.key.as_deref().is_none_or(fits) {
        Ok(())
    } else {
        Err(invalid("source.supplied.from is not the name and the key of a Kubernetes Secret".to_owned()))
    }
}

fn check_policy(key: &ObjectKey, policy: Option<&str>) -> Result<(), Refusal> {
    let Some(policy) = policy else { return Ok(()) };
    check_key(&ObjectKey { namespace: key.namespace.clone(), name: policy.to_owned() })
        .map_err(|_| invalid("policyRef.name is not the name of a Kubernetes object".to_owned()))
}

fn check_rotation(rotation: Option<&Rotation>) -> Result<(), Refusal> {
    match rotation.and_then(|it| it.every_seconds) {
        Some(every) if !INTERVALS.contains(&every) => Err(invalid("rotation.every is from 5m to 8784h".to_owned())),
        _ => Ok(()),
    }
}

/// Whether a version that the object has had is not here, and nobody has asked for another one in its place.
fn is_lost(secret: &Secret, expected: Option<ExpectedVersion>, now: Millis) -> bool {
    let asked_for = secret.rotation.as_ref().and_then(|it| it.older_than);
    expected.is_some_and(|it| {
        let is_replaced = asked_for.is_some_and(|asked| it.made_at < asked && asked <= now.0);
        secret.version == 0 && it.version > 0 && !is_replaced
    })
}

fn new_secret(context: &Context<'_>, project: &Project, name: &str) -> Result<Secret, Refusal> {
    Ok(Secret::without_value(fresh_id("sk_", context)?, project, name.to_owned(), context.now))
}

fn differs(context: &Context<'_>, project: &Project, secret: &Secret, value: &Value) -> Result<bool, Refusal> {
    if secret.version == 0 || secret.field_names != value.field_names {
        return Ok(true);
    }
    let unreadable =
        || Refusal::new(RefusalKind::Unavailable, "the server cannot open the value it holds: see its log");
    let sealed = context.state.value(&secret.id).ok_or_else(unreadable)?;
    let holds = context.keyring.holds(project, &secret.id, secret.version, sealed, &value.text);
    holds.map(|same| !same).map_err(|_| unreadable())
}

fn detail(key: &ObjectKey, old: Option<&Secret>, new: &Secret, expected: Option<ExpectedVersion>) -> String {
    let mut parts = vec![format!("Secret {key}")];
    match old {
        Some(old) if old.phase == SecretPhase::Retained => parts.push("takes its kept value over".to_owned()),
        _ => {}
    }
    parts.push(match expected.filter(|it| new.version == 0 && it.version > 0) {
        Some(expected) => format!("no value, and version {} of it is lost", expected.version),
        None => format!("version {}", new.version),
    });
    if let Some(sealing) = new.sealing.filter(|it| it.is_source) {
        parts.push(format!("sealed at {}", instant(sealing.at)));
    }
    let was = old.and_then(|it| it.policy.as_deref());
    match (was, new.policy.as_deref()) {
        (None, None) => {}
        (was, is) if was == is => parts.push(format!("policy {}", is.unwrap_or("none"))),
        (was, is) => parts.push(format!("policy {} (was {})", is.unwrap_or("none"), was.unwrap_or("none"))),
    }
    parts.join(", ")
}
