//! Secrets (sks): gather, look, plan, conclude.

pub mod convert;
pub mod gather;
pub mod original;
pub mod plan;
pub mod status;
pub mod take;
pub mod unbind;

use k8s_openapi::jiff::Timestamp;
use sikkerkey_crds::condition::Condition;
use sikkerkey_crds::received::Received;
use sikkerkey_crds::secret::{DeletionPolicy, Secret, SecretStatus};
use sikkerkey_protocol::kubernetes::{ApplySecret, Kind, ObjectMeta, SecretState};

use super::Context;
use super::error::Error;
use super::events::News;
use super::plan::{Evidence, Outcome, Plan, Reconciled};
use crate::index::Index;

impl Reconciled for Secret {
    const WIRE: Kind = Kind::Secret;
    type Status = SecretStatus;
    type Apply = ApplySecret;
    type State = SecretState;
    type Facts = gather::Facts;

    fn status(&self) -> Option<&SecretStatus> {
        self.status.as_ref()
    }

    fn bare_status(generation: i64, conditions: Vec<Condition>) -> SecretStatus {
        SecretStatus { observed_generation: Some(generation), conditions, ..SecretStatus::default() }
    }

    fn conditions_of(status: &SecretStatus) -> &[Condition] {
        &status.conditions
    }

    fn gather(object: &Received<Self>, index: &Index, now: Timestamp) -> gather::Facts {
        gather::gather(object, index, now)
    }

    fn plan(object: &Received<Self>, meta: ObjectMeta, facts: &gather::Facts) -> Plan<ApplySecret> {
        plan::plan(object, meta, facts)
    }

    fn conclude(evidence: &Evidence<'_, Self>) -> SecretStatus {
        status::conclude(evidence)
    }

    fn without_counters(status: &SecretStatus) -> SecretStatus {
        SecretStatus { pods: None, ..status.clone() }
    }

    fn counters_turned(previous: &SecretStatus, wanted: &SecretStatus) -> bool {
        let total = |status: &SecretStatus| status.pods.as_ref().and_then(|pods| pods.total).unwrap_or_default();
        let current = |status: &SecretStatus| status.pods.as_ref().and_then(|pods| pods.current).unwrap_or_default();
        let [before, after] = [previous, wanted].map(|status| (total(status) > 0, current(status) < total(status)));
        // Pods come or the last one goes; the first one falls behind, or all serve the newest version again.
        before != after
    }

    fn changes_at(&self, facts: &gather::Facts, status: &SecretStatus) -> [Option<Timestamp>; 2] {
        // In place of a value that is lost the server makes another one in a pass, and never by itself.
        let asked_for = self.spec.rotation.as_ref().and_then(|rotation| rotation.older_than.as_ref());
        let asked_for = asked_for.filter(|_| status::says_lost(status)).map(|instant| instant.0);
        [facts.grants.changes_at, facts.look_at.or(asked_for)]
    }

    async fn look(object: &Received<Self>, facts: &mut gather::Facts, context: &Context) -> Result<(), Error> {
        take::look(object, facts, context).await
    }

    async fn follow_up(
        object: &Received<Self>,
        facts: &mut gather::Facts,
        outcome: &Outcome<SecretState>,
        context: &Context,
    ) {
        if let Outcome::InForce(SecretState { unbound: Some(policy), .. }) = outcome {
            unbind::tell(object, policy, context).await;
        }
        take::follow_up(object, facts, outcome, context).await;
    }

    fn farewell(&self) -> Option<News> {
        Some(status::farewell(self.spec.deletion_policy()))
    }

    fn is_trashed(&self) -> bool {
        self.spec.deletion_policy() == DeletionPolicy::Delete
    }
}
