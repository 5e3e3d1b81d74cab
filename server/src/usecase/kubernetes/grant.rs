//! `Grant` objects.

use std::collections::BTreeSet;

use sikkerkey_protocol::kubernetes::{ApplyGrant, GrantState, ObjectKey};

use super::scope::{Scope, check_generation, check_key, check_object};
use super::{project, standing};
use crate::audit::entry::Action;
use crate::decision::{Context, Decided};
use crate::entropy;
use crate::model::agent::Agent;
use crate::model::grant::Grant;
use crate::model::machine::Grantee;
use crate::model::millis::Millis;
use crate::model::secret::SecretPhase;
use crate::model::{Entity, EntityKind};
use crate::refusal::invalid;
use crate::usecase::source::Source;
use crate::usecase::steps::Steps;

const MAX_SECRETS: usize = 128;

/// Puts a `Grant` in force, as far as what it names exists.
pub fn apply(context: &Context<'_>, agent: &Agent, source: Source, request: ApplyGrant) -> Decided<GrantState> {
    let scope = Scope::of(context, agent, source)?;
    check_object(&request.object)?;
    check_key(&request.machine)?;
    if request.secrets.is_empty() || request.secrets.len() > MAX_SECRETS {
        return Err(invalid(format!("a Grant names from 1 to {MAX_SECRETS} Secrets")));
    }
    let state = context.state;
    let cluster = &scope.cluster.name;
    let mut steps = Steps::default();
    let project = project::ensure(&scope, &request.object, &mut steps)?;
    let old = state.grant_of(cluster, &request.object.key);
    check_generation(old.and_then(|it| it.managed.as_ref()), &request.object)?;

    let (mut secrets, mut granted, mut missing) = (Vec::new(), Vec::new(), Vec::new());
    for name in request.secrets.iter().collect::<BTreeSet<_>>() {
        let key = ObjectKey { namespace: request.object.key.namespace.clone(), name: name.clone() };
        match state.secret_of(cluster, &key).filter(|it| it.phase == SecretPhase::Active && it.project == project.id) {
            Some(secret) => {
                secrets.push(secret.id.clone());
                granted.push(name.clone());
            }
            None => missing.push(name.clone()),
        }
    }
    let Some(fleet) = state.fleet_of(cluster, &request.machine).filter(|it| it.vault == scope.agent.vault) else {
        // What the Grant gave before, it gave to another Machine: that is over.
        if let Some(old) = old {
            let detail = format!("Grant {}: Machine {} does not exist", request.object.key, request.machine);
            steps.audit.push(scope.entry(Action::GrantDelete, Some(&project.id), detail));
            steps.remove(EntityKind::Grant, &old.id);
        }
        let missing = request.secrets;
        return Ok(steps.decide(move |_| GrantState {
            machine_id: None,
            granted: vec![],
            missing,
            usage: <_>::default(),
            awaiting: vec![],
        }));
    };
    let grant = Grant {
        id: old.map_or_else(|| entropy::uuid(context.entropy), |it| it.id.clone()),
        vault: scope.agent.vault.clone(),
        project: project.id,
        grantee: Grantee::Fleet(fleet.id.clone()),
        secrets,
        expires_at: request.expires_at.map(Millis),
        managed: Some(scope.managed(&request.object)),
    };
    if old != Some(&grant) {
        let end =
            grant.expires_at.map_or_else(String::new, |it| format!(", until {}", crate::policy::window::instant(it)));
        let left_out = if missing.is_empty() { String::new() } else { format!(", without {}", missing.join(" ")) };
        let detail = format!(
            "Grant {} of {} to Machine {}{end}{left_out}",
            request.object.key,
            granted.join(" "),
            request.machine
        );
        steps.audit.push(scope.entry(Action::GrantApply, Some(&grant.project), detail));
        steps.put(Entity::Grant(grant.clone()));
    }
    Ok(steps.decide(move |context| standing::of_grant(context, &grant, missing)))
}
