//! A person's word that a namespace made anew is the same as before.

use super::{by_person, not_found};
use crate::audit::entry::Action;
use crate::decision::{Context, Decided};
use crate::model::Entity;
use crate::model::project::{Project, ProjectNamespace};
use crate::usecase::steps::Steps;

/// Lets a namespace take over what the server holds of an earlier one of its name. Without `uid`, whichever namespace of
/// the name applies something next. Without `namespace`, every namespace of the cluster: after a cluster was restored.
/// Answers how many.
pub fn adopt(context: &Context<'_>, cluster: &str, namespace: Option<&str>, uid: Option<&str>) -> Decided<usize> {
    let named = |it: &&Project| {
        it.namespace.as_ref().is_some_and(|ns| ns.cluster == cluster && namespace.is_none_or(|name| ns.name == name))
    };
    let mut steps = Steps::default();
    let mut adopted = 0;
    for project in context.state.projects.values().filter(named) {
        let Some(held) = &project.namespace else { continue };
        adopted += 1;
        let uid = uid.unwrap_or_default();
        if held.uid == uid {
            continue;
        }
        let whom = if uid.is_empty() { "the next namespace of that name" } else { uid };
        let detail = format!("namespace {} of cluster {cluster}: {whom} takes over what {} left", held.name, held.uid);
        let mut entry = by_person(Action::NamespaceAdopt, Some(&project.vault), detail);
        entry.project = Some(project.id.clone());
        steps.audit.push(entry);
        let namespace = Some(ProjectNamespace { uid: uid.to_owned(), ..held.clone() });
        steps.put(Entity::Project(Project { namespace, ..project.clone() }));
    }
    if adopted == 0 {
        let what = namespace.map_or_else(|| "any namespace".to_owned(), |it| format!("namespace {it}"));
        return Err(not_found(format!("the server holds nothing of {what} of cluster {cluster}")));
    }
    Ok(steps.decide(move |_| adopted))
}
