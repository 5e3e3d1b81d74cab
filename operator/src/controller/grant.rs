//! Grants: gather, plan, conclude.

pub mod convert;
pub mod gather;
pub mod plan;
pub mod status;

use k8s_openapi::jiff::Timestamp;
use sikkerkey_crds::condition::Condition;
use sikkerkey_crds::grant::{Grant, GrantStatus};
use sikkerkey_crds::received::Received;
use sikkerkey_protocol::kubernetes::{ApplyGrant, GrantState, Kind, ObjectMeta};

use super::events::News;
use super::plan::{Evidence, Plan, Reconciled};
use crate::index::Index;

impl Reconciled for Grant {
    const WIRE: Kind = Kind::Grant;
    type Status = GrantStatus;
    type Apply = ApplyGrant;
    type State = GrantState;
    type Facts = gather::Facts;

    fn status(&self) -> Option<&GrantStatus> {
        self.status.as_ref()
    }

    fn bare_status(generation: i64, conditions: Vec<Condition>) -> GrantStatus {
        GrantStatus { observed_generation: Some(generation), conditions, ..GrantStatus::default() }
    }

    fn conditions_of(status: &GrantStatus) -> &[Condition] {
        &status.conditions
    }

    fn gather(object: &Received<Self>, index: &Index, _: Timestamp) -> gather::Facts {
        gather::gather(object, index)
    }

    fn gives(state: &GrantState) -> bool {
        state.machine_id.is_some()
    }

    fn gave_nothing(status: &GrantStatus) -> bool {
        status.machine_id.is_none()
    }

    fn plan(object: &Received<Self>, meta: ObjectMeta, facts: &gather::Facts) -> Plan<ApplyGrant> {
        plan::plan(object, meta, facts)
    }

    fn conclude(evidence: &Evidence<'_, Self>) -> GrantStatus {
        status::conclude(evidence)
    }

    fn without_counters(status: &GrantStatus) -> GrantStatus {
        let problems = status.problems.iter().filter(|problem| !status::is_awaited(problem)).cloned().collect();
        GrantStatus { usage: None, problems, ..status.clone() }
    }

    fn counters_are_news(previous: &GrantStatus, wanted: &GrantStatus) -> bool {
        let reads = |status: &GrantStatus| status.usage.as_ref().and_then(|usage| usage.reads).unwrap_or_default();
        (reads(previous) == 0) != (reads(wanted) == 0) || !status::awaited(previous).eq(status::awaited(wanted))
    }

    fn last_denial(status: &GrantStatus) -> Option<&str> {
        status.usage.as_ref()?.last_denied.as_ref()?.reason.as_deref()
    }

    fn further_news(previous: &GrantStatus, wanted: &GrantStatus) -> Option<News> {
        status::news_of_awaited(previous, wanted)
    }

    fn changes_at(&self, _: &gather::Facts, _: &GrantStatus) -> [Option<Timestamp>; 2] {
        [self.spec.expires_at.as_ref().map(|end| end.0), None]
    }
}
