//! Canaries, and projects that they froze.

use sikkerkey_protocol::canonical::sha256_hex;
use sikkerkey_protocol::management::{
    CanaryList, CanaryTrip, CanaryView, ConfigureCanary, CreateCanary, ProjectFrozen,
};

use super::access::{Named, project_named};
use super::secret::{looked, settle};
use super::{Manager, not_found};
use crate::decision::{Context, Decided};
use crate::model::canary::Canary;
use crate::model::secret::{Secret, SecretPhase};
use crate::refusal::{Refusal, conflict};
use crate::state::State;
use crate::usecase::canary::{self, Trap};
use crate::usecase::freeze;
use crate::usecase::steps::Steps;

/// The canaries of a project, by name.
pub fn list(context: &Context<'_>, manager: &Manager<'_>, [project]: [&str; 1]) -> Decided<CanaryList> {
    let project = manager.project(context, project)?.id.clone();
    let mut steps = Steps::default();
    steps.audit.push(manager.looked(&project, "the canaries".to_owned()));
    Ok(steps.decide(move |context| {
        let state = context.state;
        let ours = state.canaries.values().filter(|it| it.project == project);
        let ours = ours.filter_map(|it| Some((state.secrets.get(&it.secret)?, it)));
        let ours = ours.filter(|(secret, _)| secret.phase == SecretPhase::Active);
        let mut canaries: Vec<_> = ours.map(|(secret, it)| view(state, secret, it)).collect();
        canaries.sort_by(|a, b| (&a.name, &a.id).cmp(&(&b.name, &b.id)));
        CanaryList { canaries }
    }))
}

/// One canary.
pub fn get(context: &Context<'_>, manager: &Manager<'_>, [canary]: [&str; 1]) -> Decided<CanaryView> {
    let (secret, canary) = find(context, manager, canary)?;
    let (secret, canary) = (secret.clone(), canary.clone());
    let mut steps = Steps::default();
    steps.audit.push(looked(manager, &secret, format!("canary {}", secret.name)));
    Ok(steps.decide(move |context| view(context.state, &secret, &canary)))
}

/// Makes a secret whose value means nothing, and a canary of it.
pub fn create(
    context: &Context<'_>,
    manager: &Manager<'_>,
    []: [&str; 0],
    request: CreateCanary,
) -> Decided<CanaryView> {
    let CreateCanary { project_id, name, enabled, trigger_freeze_project, trigger_freeze_related_projects } = request;
    let project = manager.project(context, &project_id)?;
    let trap = Trap {
        armed: enabled,
        freeze_project: trigger_freeze_project,
        freeze_related: trigger_freeze_related_projects,
    };
    let (secret, canary, steps) = canary::plant(context, manager.author(), project, name, trap)?;
    Ok(steps.decide(move |context| view(context.state, &secret, &canary)))
}

/// Changes what a canary does.
pub fn configure(
    context: &Context<'_>,
    manager: &Manager<'_>,
    [canary]: [&str; 1],
    request: ConfigureCanary,
) -> Decided<CanaryView> {
    change(context, manager, canary, |was| Trap {
        freeze_project: request.trigger_freeze_project.unwrap_or(was.freeze_project),
        freeze_related: request.trigger_freeze_related_projects.unwrap_or(was.freeze_related),
        ..was
    })
}

/// Arms a canary.
pub fn enable(context: &Context<'_>, manager: &Manager<'_>, [canary]: [&str; 1]) -> Decided<CanaryView> {
    change(context, manager, canary, |was| Trap { armed: true, ..was })
}

/// Disarms a canary, which stays one. What it froze stays frozen.
pub fn disable(context: &Context<'_>, manager: &Manager<'_>, [canary]: [&str; 1]) -> Decided<CanaryView> {
    change(context, manager, canary, |was| Trap { armed: false, ..was })
}

/// What a secret does when it is read as a canary.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SetCanary {
    /// Whether a read springs it.
    pub armed: bool,
    /// Whether a read freezes its project.
    pub freeze_project: bool,
    /// Whether a read freezes the projects that share machines with its own.
    pub freeze_related: bool,
}

/// Makes a secret a canary, or changes what it does as one.
///
/// `seen` is the mark of what a page showed: a form of an old one takes back nothing that somebody else did meanwhile.
pub fn set(
    context: &Context<'_>,
    manager: &Manager<'_>,
    [secret]: [&str; 1],
    (to, seen): (SetCanary, String),
) -> Decided<CanaryView> {
    let secret = manager.secret(context, secret)?;
    let now = context.state.canaries.get(&secret.id).map(|it| view(context.state, secret, it));
    if mark(now.as_ref()) != seen {
        return Err(conflict("it does something else as a canary meanwhile: open the page again"));
    }
    let SetCanary { armed, freeze_project, freeze_related } = to;
    let trap = Trap { armed, freeze_project, freeze_related };
    let (canary, steps) = canary::set(manager.author(), secret, context.state.canaries.get(&secret.id), trap);
    let steps = settle(manager, steps, secret);
    let secret = secret.clone();
    Ok(steps.decide(move |context| view(context.state, &secret, &canary)))
}

/// A mark of what a secret does as a canary: another one as soon as that is changed.
pub(crate) fn mark(canary: Option<&CanaryView>) -> String {
    let does = canary.map(|it| SetCanary {
        armed: it.enabled,
        freeze_project: it.trigger_freeze_project,
        freeze_related: it.trigger_freeze_related_projects,
    });
    sha256_hex(format!("{does:?}").as_bytes())
}

/// Makes a canary an ordinary secret again. What it froze stays frozen.
pub fn remove(context: &Context<'_>, manager: &Manager<'_>, [canary]: [&str; 1]) -> Decided<()> {
    let (secret, _) = find(context, manager, canary)?;
    Ok(canary::remove(manager.author(), secret).decide(|_| ()))
}

/// A project, with what may have frozen it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frozen {
    /// The project.
    pub project: Named,
    /// Whether it is frozen.
    pub frozen: bool,
    /// The canaries that were sprung, the last first.
    pub sprung: Vec<CanaryView>,
    /// The names of the machines that sprang them last, in the same order; none of one that is gone.
    pub by: Vec<Option<String>>,
}

/// Which canaries may have frozen a project: those of any project of the vault that were sprung.
pub fn frozen(context: &Context<'_>, manager: &Manager<'_>, [project]: [&str; 1]) -> Decided<Frozen> {
    let project = manager.project(context, project)?;
    let state = context.state;
    let ours = state.canaries.values().filter(|it| it.vault == project.vault && it.trips > 0);
    let freezes = |it: &&Canary| (it.project == project.id && it.freeze_project) || it.freeze_related;
    let ours = ours.filter(freezes).filter_map(|it| Some((state.secrets.get(&it.secret)?, it)));
    let mut sprung: Vec<_> = ours.map(|(secret, it)| view(state, secret, it)).collect();
    sprung.sort_by_key(|it| std::cmp::Reverse(it.last_trip.as_ref().map(|it| it.at)));
    let machine = |it: &CanaryView| state.machines.get(&it.last_trip.as_ref()?.machine_id).map(|it| it.name.clone());
    let by = sprung.iter().map(machine).collect();
    let answer = Frozen { project: project_named(project), frozen: project.frozen, sprung, by };
    let mut steps = Steps::default();
    steps.audit.push(manager.looked(&project.id, format!("what has frozen project {}", project.name)));
    Ok(steps.decide(move |_| answer))
}

/// Lets a frozen project answer again. Its canaries stay armed.
pub fn unfreeze(context: &Context<'_>, manager: &Manager<'_>, [project]: [&str; 1]) -> Decided<ProjectFrozen> {
    let project = manager.project(context, project)?;
    let steps = freeze::unfreeze(manager.author(), project);
    let steps = manager.settle(steps, &project.id, || format!("project {} is not frozen", project.name));
    let id = project.id.clone();
    Ok(steps.decide(|_| ProjectFrozen { id, frozen: false }))
}

fn change(
    context: &Context<'_>,
    manager: &Manager<'_>,
    canary: &str,
    to: impl FnOnce(Trap) -> Trap,
) -> Decided<CanaryView> {
    let (secret, old) = find(context, manager, canary)?;
    let (canary, steps) = canary::set(manager.author(), secret, Some(old), to(Trap::of(old)));
    let steps = settle(manager, steps, secret);
    let secret = secret.clone();
    Ok(steps.decide(move |context| view(context.state, &secret, &canary)))
}

/// A canary as people see it.
pub(crate) fn view(state: &State, secret: &Secret, canary: &Canary) -> CanaryView {
    CanaryView {
        id: secret.id.clone(),
        project_id: secret.project.clone(),
        name: secret.name.clone(),
        enabled: canary.armed,
        trigger_freeze_project: canary.freeze_project,
        trigger_freeze_related_projects: canary.freeze_related,
        fire_count: canary.trips,
        last_trip: canary.last_trip.as_ref().map(|it| CanaryTrip {
            at: it.at.0,
            machine_id: it.machine.clone(),
            source_ip: it.address,
        }),
        project_frozen: state.projects.get(&canary.project).is_some_and(|it| it.frozen),
    }
}

fn find<'s>(context: &Context<'s>, manager: &Manager<'_>, id: &str) -> Result<(&'s Secret, &'s Canary), Refusal> {
    let secret = manager.secret(context, id).ok();
    let canary = secret.and_then(|it| Some((it, context.state.canaries.get(&it.id)?)));
    canary.ok_or_else(|| not_found("this vault has no canary of that id"))
}
