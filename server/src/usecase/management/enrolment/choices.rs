//! What a person chooses among who is about to make an enrolment token.

use sikkerkey_protocol::id::{ProjectId, SecretId};
use sikkerkey_protocol::management::Scope;

use super::super::Manager;
use crate::decision::{Context, Decided};
use crate::model::secret::SecretPhase;
use crate::usecase::steps::Steps;

/// Projects that stand on a page.
const PROJECTS: usize = 200;
/// Secrets that stand there.
const SECRETS: usize = 500;

/// What can be chosen.
#[derive(Debug, Default)]
pub struct Choices {
    /// Projects, by name: the first 200, and the one that is chosen.
    pub projects: Vec<(ProjectId, String)>,
    /// Secrets of the chosen project, by name: the first 500.
    pub secrets: Vec<(SecretId, String)>,
    /// How many more of them there are.
    pub more: usize,
}

/// Which project is chosen, if it is asked for choices at all.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// The project.
    pub project: Option<ProjectId>,
}

/// The choices. None are looked for, or whoever asks makes no tokens: nothing.
pub fn choices(_: &Context<'_>, manager: &Manager<'_>, wanted: Option<Wanted>) -> Decided<Choices> {
    let mut steps = Steps::default();
    steps.audit.push(manager.looked_at_vault("a new machine".to_owned()));
    let wanted = wanted.filter(|_| manager.require(Scope::EnrolmentWrite).is_ok());
    let sight = manager.sight();
    Ok(steps.decide(move |context| {
        let Some(Wanted { project }) = wanted else { return Choices::default() };
        let projects = context.state.projects.values().filter(|it| sight.has(it));
        let mut projects: Vec<_> = projects.map(|it| (&it.name, &it.id)).collect();
        projects.sort_unstable();
        let chosen = project.filter(|id| projects.iter().any(|(_, it)| *it == id));
        let secrets = context.state.secrets.values().filter(|it| Some(&it.project) == chosen.as_ref());
        let mut secrets: Vec<_> =
            secrets.filter(|it| it.phase == SecretPhase::Active).map(|it| (&it.name, &it.id)).collect();
        secrets.sort_unstable();
        let shown =
            projects.iter().enumerate().filter(|(index, (_, id))| *index < PROJECTS || Some(*id) == chosen.as_ref());
        Choices {
            projects: shown.map(|(_, (name, id))| ((*id).clone(), (*name).clone())).collect(),
            secrets: secrets.iter().take(SECRETS).map(|(name, id)| ((*id).clone(), (*name).clone())).collect(),
            more: secrets.len().saturating_sub(SECRETS),
        }
    }))
}
