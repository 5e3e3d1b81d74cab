//! A cluster that was taken back: its older generations may be applied again.

use sikkerkey_protocol::kubernetes::{Kind, Rewind, Rewound};

use super::scope::{Scope, invalid};
use crate::audit::entry::Action;
use crate::decision::{Context, Decided};
use crate::model::Entity;
use crate::model::agent::Agent;
use crate::model::managed::Managed;
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
    let taken_back = |held: &Managed| {
        let is_it = held.object.uid == request.uid && held.object.generation == request.from;
        let mut back = held.clone();
        back.object.generation = request.to;
        is_it.then_some(back)
    };
    let optional = |held: &Option<Managed>| held.as_ref().and_then(taken_back);
    let found = match request.kind {
        Kind::Machine => state.fleet_of(cluster, key).and_then(|held| {
            let mut fleet = held.clone();
            fleet.managed = taken_back(&held.managed)?;
            Some((held.project.clone(), Entity::Fleet(fleet)))
        }),
        Kind::Secret => state.secret_of(cluster, key).and_then(|held| {
            let mut secret = held.clone();
            secret.managed = Some(optional(&held.managed)?);
            Some((held.project.clone(), Entity::Secret(secret)))
        }),
        Kind::Grant => state.grant_of(cluster, key).and_then(|held| {
            let mut grant = held.clone();
            grant.managed = Some(optional(&held.managed)?);
            Some((held.project.clone(), Entity::Grant(grant)))
        }),
        Kind::AccessPolicy => state.policy_of(cluster, key).and_then(|held| {
            let mut policy = held.clone();
            policy.managed = Some(optional(&held.managed)?);
            Some((held.project.clone(), Entity::Policy(policy)))
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
