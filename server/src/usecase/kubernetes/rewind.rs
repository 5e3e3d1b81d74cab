//! A cluster that was taken back: its older generations may be applied again.

use sikkerkey_protocol::kubernetes::{Kind, Rewind, Rewound};

use super::scope::Scope;
use crate::audit::entry::Action;
use crate::decision::{Context, Decided};
use crate::model::Entity;
use crate::model::agent::Agent;
use crate::model::fleet::Fleet;
use crate::model::grant::Grant;
use crate::model::managed::Managed;
use crate::model::policy::Policy;
use crate::model::secret::Secret;
use crate::refusal::invalid;
use crate::usecase::source::Source;
use crate::usecase::steps::Steps;

/// Holds an object by an older generation from now on. One that is not there, is another of the same name, or was applied in yet
/// another generation meanwhile is left as it is.
#[expect(clippy::needless_pass_by_value, reason = "a route hands its request over")]
pub fn rewind(context: &Context<'_>, agent: &Agent, source: Source, request: Rewind) -> Decided<Rewound> {
    let scope = Scope::of(context, agent, source)?;
    if request.to >= request.from {
        return Err(invalid("to is not an older generation than from".to_owned()));
    }
    let (state, cluster, key) = (context.state, &scope.cluster.name, &request.key);
    let mut steps = Steps::default();
    let taken_back = |held: Option<&Managed>| {
        let held = held.filter(|it| it.object.uid == request.uid && it.object.generation == request.from)?;
        let mut back = held.clone();
        back.object.generation = request.to;
        Some(back)
    };
    // What apply measures a generation by is found as apply finds it: a Secret that is retained and a policy that is withdrawn
    // are in force for nobody, and would still refuse the older generation.
    let found = match request.kind {
        Kind::Machine => state.fleet_of(cluster, key).and_then(|held| {
            let managed = taken_back(Some(&held.managed))?;
            Some((held.project.clone(), Entity::Fleet(Fleet { managed, ..held.clone() })))
        }),
        Kind::Secret => state.secret_of(cluster, key).and_then(|held| {
            let managed = Some(taken_back(held.managed.as_ref())?);
            Some((held.project.clone(), Entity::Secret(Secret { managed, ..held.clone() })))
        }),
        Kind::Grant => state.grant_of(cluster, key).and_then(|held| {
            let managed = Some(taken_back(held.managed.as_ref())?);
            Some((held.project.clone(), Entity::Grant(Grant { managed, ..held.clone() })))
        }),
        Kind::AccessPolicy => state.policy_of(cluster, key).and_then(|held| {
            let managed = Some(taken_back(held.managed.as_ref())?);
            Some((held.project.clone(), Entity::Policy(Policy { managed, ..held.clone() })))
        }),
    };
    if let Some((project, entity)) = found {
        let detail = format!(
            "{:?} {key}: the cluster went back from generation {} to {}",
            request.kind, request.from, request.to
        );
        steps.audit.push(scope.entry(Action::ObjectRewind, Some(&project), detail));
        steps.put(entity);
    }
    Ok(steps.decide(|_| Rewound {}))
}
