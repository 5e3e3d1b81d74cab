//! Arming canaries.

use sikkerkey_protocol::id::SecretId;

use super::{by_person, not_found, secret};
use crate::audit::entry::{Action, Entry};
use crate::decision::{Context, Decided};
use crate::model::canary::Canary;
use crate::model::secret::Secret;
use crate::model::{Entity, EntityKind};
use crate::usecase::steps::Steps;

/// Arms a secret as a canary, or changes what it does.
pub fn arm(context: &Context<'_>, id: &SecretId, freeze_project: bool, freeze_related: bool) -> Decided<()> {
    let secret = secret::find(context, id)?;
    let canary = Canary {
        secret: id.clone(),
        vault: secret.vault.clone(),
        project: secret.project.clone(),
        freeze_project,
        freeze_related,
    };
    let mut steps = Steps::default();
    if context.state.canaries.get(id) != Some(&canary) {
        let does = match (freeze_project, freeze_related) {
            (true, true) => "freezes its project and those that share machines with it",
            (true, false) => "freezes its project",
            (false, true) => "freezes the projects that share machines with its own",
            (false, false) => "is only told",
        };
        steps.audit.push(about(secret, format!("{} is an armed canary: a read of it {does}", secret.name)));
        steps.put(Entity::Canary(canary));
    }
    Ok(steps.decide(|_| ()))
}

/// Makes a canary an ordinary secret again. What it froze stays frozen.
pub fn disarm(context: &Context<'_>, id: &SecretId) -> Decided<()> {
    let armed = context.state.canaries.get(id).and_then(|it| context.state.secrets.get(&it.secret));
    let secret = armed.ok_or_else(|| not_found(format!("{id} is no armed canary: canary list shows them")))?;
    let mut steps = Steps::default();
    steps.audit.push(about(secret, format!("{} is no canary any more", secret.name)));
    steps.remove(EntityKind::Canary, id);
    Ok(steps.decide(|_| ()))
}

fn about(secret: &Secret, detail: String) -> Entry {
    let entry = by_person(Action::CanaryUpdate, Some(&secret.vault), detail);
    Entry { project: Some(secret.project.clone()), secret: Some(secret.id.clone()), ..entry }
}
