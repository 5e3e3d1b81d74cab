//! Everything the server holds of a cluster.

use sikkerkey_protocol::kubernetes::{Entry, Inventoried, Inventory, PodState};

use super::scope::Scope;
use super::standing;
use crate::decision::{Context, Decided};
use crate::model::agent::Agent;
use crate::model::managed::Managed;
use crate::model::secret::SecretPhase;
use crate::usecase::source::Source;
use crate::usecase::steps::answer;

/// Everything the server holds of the agent's cluster, and nothing of any other.
pub fn list(context: &Context<'_>, agent: &Agent, source: Source, _: Inventory) -> Decided<Inventoried> {
    let cluster = Scope::of(context, agent, source)?.cluster.name.clone();
    Ok(answer(move |context| of_cluster(context, &cluster)))
}

fn of_cluster(context: &Context<'_>, cluster: &str) -> Inventoried {
    let state = context.state;
    let ours = |managed: Option<&Managed>| managed.filter(|it| it.cluster == cluster).map(|it| it.object.clone());
    let mut all = Inventoried::default();
    for fleet in state.fleets.values() {
        let Some(object) = ours(Some(&fleet.managed)) else { continue };
        all.machines.push(Entry { object, state: standing::of_machine(context, fleet) });
        for machine in state.machines_in(&fleet.id).filter(|it| it.is_live(context.now)) {
            if let Some(pod) = &machine.pod {
                all.pods.push(PodState {
                    pod: (&pod.pod).into(),
                    machine: fleet.managed.object.key.clone(),
                    machine_id: machine.id.clone(),
                    last_seen: context.ledger.last_seen(&machine.id).map(|it| it.0),
                });
            }
        }
    }
    for secret in state.secrets.values().filter(|it| it.phase == SecretPhase::Active) {
        if let Some(object) = ours(secret.managed.as_ref()) {
            all.secrets.push(Entry { object, state: standing::of_secret(context, secret) });
        }
    }
    for grant in state.grants.values() {
        if let Some(object) = ours(grant.managed.as_ref()) {
            all.grants.push(Entry { object, state: standing::of_grant(context, grant, Vec::new()) });
        }
    }
    // A withdrawn one has no object: the operator would delete what is kept in its place.
    for policy in state.policies.values().filter(|it| !it.withdrawn) {
        if let Some(object) = ours(policy.managed.as_ref()) {
            all.policies.push(Entry { object, state: standing::of_policy(context, policy) });
        }
    }
    // The same state gives the same bytes, whatever the order of the maps.
    all.machines.sort_by(|a, b| a.object.key.cmp(&b.object.key));
    all.secrets.sort_by(|a, b| a.object.key.cmp(&b.object.key));
    all.grants.sort_by(|a, b| a.object.key.cmp(&b.object.key));
    all.policies.sort_by(|a, b| a.object.key.cmp(&b.object.key));
    all.pods.sort_by(|a, b| a.machine_id.cmp(&b.machine_id));
    all
}
