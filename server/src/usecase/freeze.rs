//! Freezing projects by hand, and letting them answer again.

use super::author::Author;
use super::steps::Steps;
use crate::audit::entry::{Action, Entry};
use crate::model::Entity;
use crate::model::project::Project;

/// Refuses every read in a project.
pub(crate) fn freeze(author: Author<'_>, project: &Project) -> Steps {
    set(author, project, true, Action::ProjectUpdate)
}

/// Lets a project answer again. A canary in it stays armed.
pub(crate) fn unfreeze(author: Author<'_>, project: &Project) -> Steps {
    set(author, project, false, Action::ProjectUnfreeze)
}

fn set(author: Author<'_>, project: &Project, frozen: bool, action: Action) -> Steps {
    let mut steps = Steps::default();
    if project.frozen != frozen {
        let detail = format!("project {} {}", project.name, if frozen { "frozen" } else { "unfrozen" });
        let entry = author.entry(action, &project.vault, detail);
        steps.audit.push(Entry { project: Some(project.id.clone()), ..entry });
        steps.put(Entity::Project(Project { frozen, ..project.clone() }));
    }
    steps
}
