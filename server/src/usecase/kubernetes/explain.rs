//! Whether a `Machine` may read a `Secret`, for a person who asked the operator.

use sikkerkey_protocol::kubernetes::{ExplainRead, Kind, ReadExplained};

use super::scope::{Scope, asker, check_identity};
use crate::audit::entry::Action;
use crate::decision::{Context, Decided};
use crate::model::agent::Agent;
use crate::model::machine::PodUid;
use crate::refusal::invalid;
use crate::usecase::explain;
use crate::usecase::source::Source;
use crate::usecase::steps::Steps;

/// Answers by the rules that reads are decided by, about objects of the agent's cluster alone. Changes nothing and counts as
/// nothing; that somebody looked is in the audit.
pub fn explain(context: &Context<'_>, agent: &Agent, source: Source, asked: ExplainRead) -> Decided<ReadExplained> {
    let scope = Scope::of(context, agent, source)?;
    let ExplainRead { machine: reader, secret: read, pod_uid, address, asked_by } = asked;
    check_identity(&reader)?;
    check_identity(&read)?;
    let by = asker(&asked_by)?;
    let (state, cluster) = (context.state, &scope.cluster.name);
    let fleet = scope.fleet(&reader);
    let secret = scope.secret(&read);
    let detail = format!("why Machine {} may read {} or not, asked by {by}", reader.key, read.key);
    let mut entry = scope.entry(Action::ManagementRead, secret.map(|it| &it.project), detail);
    entry.secret = secret.map(|it| it.id.clone());
    let mut steps = Steps::default();
    steps.audit.push(entry);
    let (Some(fleet), Some(secret)) = (fleet, secret) else {
        let missing = [fleet.is_none().then_some(Kind::Machine), secret.is_none().then_some(Kind::Secret)];
        let not_held = missing.into_iter().flatten().collect();
        return Ok(steps.decide(move |_| ReadExplained { not_held, enrolled: None, explanation: None }));
    };
    let pod_uid = pod_uid.as_deref();
    if pod_uid.is_some_and(|it| it.is_empty() || it.len() > 64) {
        return Err(invalid("podUid is not a uid".to_owned()));
    }
    let uid = pod_uid.map(PodUid::from);
    let of_fleet = uid.iter().flat_map(|uid| state.machines_of_pod(cluster, uid));
    let of_fleet = of_fleet.filter(|it| it.fleet.as_ref() == Some(&fleet.id));
    let own = explain::foremost(of_fleet, context.ledger, context.now);
    let machine = match own {
        Some(own) => own.clone(),
        None => explain::member(state, context.ledger, fleet, context.now)?,
    };
    let explanation = explain::of(state, context.ledger, context.now, &machine, secret, address)?;
    let enrolled = pod_uid.map(|_| own.is_some());
    Ok(steps.decide(move |_| ReadExplained { not_held: Vec::new(), enrolled, explanation: Some(explanation) }))
}
