//! Pods that are gone.

use std::collections::BTreeSet;

use sikkerkey_protocol::kubernetes::{GonePods, PodsRevoked};

use super::scope::Scope;
use crate::audit::entry::Action;
use crate::decision::{Context, Decided};
use crate::model::agent::Agent;
use crate::model::cluster::GonePod;
use crate::model::token::TokenPurpose;
use crate::model::{Entity, EntityKind};
use crate::refusal::invalid;
use crate::usecase::source::Source;
use crate::usecase::steps::Steps;

/// The most uids in one request.
pub const MAX_UIDS: usize = 1000;

/// Revokes the machines of pods that are gone, and remembers the pods, so that a voucher that is late makes no zombie.
pub fn gone(context: &Context<'_>, agent: &Agent, source: Source, request: GonePods) -> Decided<PodsRevoked> {
    let scope = Scope::of(context, agent, source)?;
    let plain = |uid: &String| !uid.is_empty() && uid.len() <= 64 && uid.bytes().all(|b| b.is_ascii_graphic());
    if request.uids.len() > MAX_UIDS || !request.uids.iter().all(plain) {
        return Err(invalid(format!("uids are at most {MAX_UIDS} uids of pods")));
    }
    let (state, cluster) = (context.state, &scope.cluster.name);
    let uids: BTreeSet<String> = request.uids.into_iter().collect();
    let mut steps = Steps::default();
    let (mut revoked, mut learnt) = (0, 0);
    for uid in &uids {
        for machine in state.machines_of_pod(cluster, &uid.as_str().into()) {
            let project = machine.fleet.as_ref().and_then(|it| state.fleets.get(it)).map(|it| &it.project);
            steps.revoke(machine, scope.entry(Action::MachineRevoke, project, String::new()), "its pod is gone");
            revoked += 1;
        }
        // One that a person revoked is, now that it is gone, forgotten like any other.
        if state.gone_pods.get(&GonePod::id(cluster, uid)).is_none_or(|it| it.revoked) {
            steps.put(Entity::GonePod(GonePod {
                cluster: cluster.clone(),
                uid: uid.clone(),
                since: context.now,
                revoked: false,
            }));
            learnt += 1;
        }
    }
    for token in state.tokens.values() {
        if matches!(&token.purpose, TokenPurpose::Pod(it) if *it.pod.cluster == **cluster && uids.contains(&it.pod.pod.uid.to_string()))
        {
            steps.remove(EntityKind::Token, &token.id());
        }
    }
    if learnt > 0 {
        let some: Vec<&str> = uids.iter().take(5).map(String::as_str).collect();
        let detail = format!("{learnt} pods are gone: {}{}", some.join(" "), if uids.len() > 5 { " …" } else { "" });
        steps.audit.push(scope.entry(Action::PodGone, None, detail));
    }
    Ok(steps.decide(move |_| PodsRevoked { revoked }))
}
