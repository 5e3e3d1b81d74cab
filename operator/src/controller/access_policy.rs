//! Access policies: gather, plan, conclude.

pub mod convert;
pub mod gather;
pub mod plan;
pub mod status;

use k8s_openapi::jiff::Timestamp;
use sikkerkey_crds::access_policy::{AccessPolicy, AccessPolicyStatus};
use sikkerkey_crds::condition::Condition;
use sikkerkey_crds::received::Received;
use sikkerkey_protocol::kubernetes::{ApplyPolicy, Kind, ObjectMeta, PolicyState};

use super::plan::{Evidence, Plan, Reconciled};
use crate::index::Index;

impl Reconciled for AccessPolicy {
    const WIRE: Kind = Kind::AccessPolicy;
    type Status = AccessPolicyStatus;
    type Apply = ApplyPolicy;
    type State = PolicyState;
    type Facts = gather::Facts;

    fn status(&self) -> Option<&AccessPolicyStatus> {
        self.status.as_ref()
    }

    fn bare_status(generation: i64, conditions: Vec<Condition>) -> AccessPolicyStatus {
        AccessPolicyStatus { observed_generation: Some(generation), conditions, ..AccessPolicyStatus::default() }
    }

    fn conditions_of(status: &AccessPolicyStatus) -> &[Condition] {
        &status.conditions
    }

    fn gather(object: &Received<Self>, index: &Index, _: Timestamp) -> gather::Facts {
        gather::gather(object, index)
    }

    fn gave_nothing(status: &AccessPolicyStatus) -> bool {
        status.window.is_none()
    }

    fn plan(object: &Received<Self>, meta: ObjectMeta, facts: &gather::Facts) -> Plan<ApplyPolicy> {
        plan::plan(object, meta, facts)
    }

    fn conclude(evidence: &Evidence<'_, Self>) -> AccessPolicyStatus {
        status::conclude(evidence)
    }

    /// The window is not among what is written at once: all policies of a cluster may open at the same minute.
    fn without_counters(status: &AccessPolicyStatus) -> AccessPolicyStatus {
        AccessPolicyStatus { usage: None, window: None, ..status.clone() }
    }

    fn counters_are_news(previous: &AccessPolicyStatus, wanted: &AccessPolicyStatus) -> bool {
        let usage = |status: &AccessPolicyStatus| status.usage.clone().unwrap_or_default();
        let (before, after) = (usage(previous), usage(wanted));
        let axes = |usage: &sikkerkey_crds::access_policy::PolicyUsage| -> Vec<_> {
            usage.denied_by.iter().map(|denied| denied.axis).collect()
        };
        (before.reads.unwrap_or_default() == 0) != (after.reads.unwrap_or_default() == 0)
            || axes(&before) != axes(&after)
            || previous.window != wanted.window
            || before.pending_co_signs.unwrap_or_default() != after.pending_co_signs.unwrap_or_default()
    }

    /// Whether there is a number of reads that remain is known once a Secret is bound at the server too.
    fn counters_turned(previous: &AccessPolicyStatus, wanted: &AccessPolicyStatus) -> bool {
        let remaining = |status: &AccessPolicyStatus| status.usage.as_ref().and_then(|usage| usage.remaining_reads);
        remaining(previous).is_some() != remaining(wanted).is_some()
    }

    fn changes_at(&self, _: &gather::Facts, status: &AccessPolicyStatus) -> [Option<Timestamp>; 2] {
        let end = self.spec.ttl.as_ref().and_then(|ttl| ttl.expires_at.as_ref()).map(|end| end.0);
        let change = status.window.as_ref().and_then(|window| window.change_time.as_ref()).map(|change| change.0);
        [end, change]
    }
}
