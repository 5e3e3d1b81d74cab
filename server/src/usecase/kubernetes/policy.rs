//! `AccessPolicy` objects.

use sikkerkey_protocol::kubernetes::{ApplyPolicy, PolicyState};

use super::scope::{Scope, check_generation, check_object};
use super::{project, standing};
use crate::audit::entry::Action;
use crate::decision::{Context, Decided};
use crate::entropy;
use crate::model::Entity;
use crate::model::agent::Agent;
use crate::model::policy::Policy;
use crate::policy;
use crate::refusal::{Refusal, RefusalKind, invalid};
use crate::usecase::fence;
use crate::usecase::source::Source;
use crate::usecase::steps::Steps;

/// Puts an `AccessPolicy` in force. One that asks for what the server does not do is refused as a whole.
pub fn apply(context: &Context<'_>, agent: &Agent, source: Source, request: ApplyPolicy) -> Decided<PolicyState> {
    let scope = Scope::of(context, agent, source)?;
    check_object(&request.object)?;
    policy::check(&request.policy).map_err(|flaw| invalid(flaw.to_string()))?;
    let mut steps = Steps::default();
    let project = project::ensure(&scope, &request.object, &mut steps)?;
    let old = context.state.policy_of(&scope.cluster.name, &request.object.key);
    check_generation(old.and_then(|it| it.managed.as_ref()), &request.object)?;
    if old.is_none() && context.state.policy_named(&project.id, &request.object.key.name).is_some() {
        let text = format!(
            "project {} has a policy {} that no AccessPolicy object stands for: rename one of the two",
            project.name, request.object.key.name
        );
        return Err(Refusal::new(RefusalKind::Conflict, text));
    }
    if let Some(old) = old {
        fence::may_change(context.state, scope.author(), old, &request.policy)?;
    }
    let revision = old.map_or(1, |it| it.revision + u64::from(it.document != request.policy));
    let policy = Policy {
        id: old.map_or_else(|| entropy::uuid(context.entropy), |it| it.id.clone()),
        vault: scope.agent.vault.clone(),
        project: project.id,
        name: request.object.key.name.clone(),
        revision,
        document: request.policy,
        protected: old.is_some_and(|it| it.protected),
        withdrawn: false,
        written: None,
        managed: Some(scope.managed(&request.object)),
    };
    if old != Some(&policy) {
        let detail =
            format!("AccessPolicy {}, revision {revision}: {}", request.object.key, policy.document.axes().join(", "));
        steps.audit.push(scope.entry(Action::PolicyApply, Some(&policy.project), detail));
        steps.put(Entity::Policy(policy.clone()));
    }
    Ok(steps.decide(move |context| standing::of_policy(context, &policy)))
}
