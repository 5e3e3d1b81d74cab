//! Machines: gather, plan, conclude.

pub mod convert;
pub mod gather;
pub mod plan;
pub mod room;
pub mod status;

use k8s_openapi::jiff::Timestamp;
use sikkerkey_crds::condition::Condition;
use sikkerkey_crds::machine::{Machine, MachineStatus};
use sikkerkey_crds::received::Received;
use sikkerkey_protocol::kubernetes::{ApplyMachine, Kind, MachineState, ObjectMeta};

use super::plan::{Evidence, Plan, Reconciled};
use crate::index::Index;
use crate::pods::Pods;

impl Reconciled for Machine {
    const WIRE: Kind = Kind::Machine;
    type Status = MachineStatus;
    type Apply = ApplyMachine;
    type State = MachineState;
    type Facts = gather::Facts;

    fn status(&self) -> Option<&MachineStatus> {
        self.status.as_ref()
    }

    fn bare_status(generation: i64, conditions: Vec<Condition>) -> MachineStatus {
        MachineStatus { observed_generation: Some(generation), conditions, ..MachineStatus::default() }
    }

    fn conditions_of(status: &MachineStatus) -> &[Condition] {
        &status.conditions
    }

    fn gather(object: &Received<Self>, index: &Index, now: Timestamp) -> gather::Facts {
        gather::gather(object, index, now)
    }

    fn count_pods(object: &Received<Self>, facts: &mut gather::Facts, pods: &Pods) {
        facts.outdated_pods = pods.outdated(object);
        facts.served_once = pods.served_once(object);
    }

    fn plan(object: &Received<Self>, meta: ObjectMeta, facts: &gather::Facts) -> Plan<ApplyMachine> {
        plan::plan(object, meta, facts)
    }

    fn conclude(evidence: &Evidence<'_, Self>) -> MachineStatus {
        status::conclude(evidence)
    }

    fn without_counters(status: &MachineStatus) -> MachineStatus {
        MachineStatus { last_seen_time: None, pods: None, ..status.clone() }
    }

    fn counters_turned(previous: &MachineStatus, wanted: &MachineStatus) -> bool {
        let alive = |status: &MachineStatus| status.pods.as_ref().and_then(|pods| pods.alive).unwrap_or_default();
        (alive(previous) == 0) != (alive(wanted) == 0)
    }

    fn changes_at(&self, facts: &gather::Facts, _: &MachineStatus) -> [Option<Timestamp>; 2] {
        let host = self.status.as_ref().and_then(|status| status.host.as_ref());
        let expires = host.and_then(|host| host.expires_time.as_ref()).map(|end| end.0);
        [expires, facts.grant_ends.into_iter().chain(facts.granted.changes_at).min()]
    }
}
