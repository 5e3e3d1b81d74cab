//! How long and how much is measured.

use std::time::Duration;

use super::clients::Fleet;
use super::operator::{Crowd, Hosts};

/// How long and how much is measured.
#[derive(Clone, Copy, Debug)]
pub(super) struct Scale {
    /// In words.
    pub(super) name: &'static str,
    /// Of one measurement of throughput or latency.
    pub(super) round: Duration,
    /// Measurements of which the middle one counts.
    pub(super) rounds: usize,
    /// Of each primitive.
    pub(super) primitive: Duration,
    /// Reads one after the other on an idle server; and times the device is waited for.
    pub(super) idle: usize,
    /// Of the latencies under load.
    pub(super) loaded: Duration,
    /// Of the saturation during which the log is watched.
    pub(super) saturation: Duration,
    /// Reads of P1 to P5.
    pub(super) fleet: Fleet,
    /// The restart storm.
    pub(super) storm: Fleet,
    /// What is in memory.
    pub(super) crowd: Fleet,
    /// Bytes of the database that is started with.
    pub(super) database: u64,
    /// The objects that the operator has to do with.
    pub(super) objects: Crowd,
    /// New Secrets of which each is timed.
    pub(super) newcomers: usize,
    /// Machines outside the cluster that read all the time.
    pub(super) hosts: Hosts,
    /// How long they read, and how long the server is away then.
    pub(super) reading: Duration,
    pub(super) outage: Duration,
    /// Pods that start at once, and how often.
    pub(super) pods: usize,
    pub(super) pod_rounds: usize,
    /// Sidecars of which each is timed, and how long one waits for nothing.
    pub(super) sidecars: usize,
    pub(super) idle_sidecar: Duration,
    /// Pods of each kind on a real node.
    pub(super) starts: usize,
    /// How long nothing changes.
    pub(super) quiet: Duration,
    /// How long the server is away from the operator.
    pub(super) away: Duration,
    /// Bytes of the database whose audit is looked through, and how often each page is looked at.
    pub(super) history: u64,
    pub(super) looks: usize,
}

impl Scale {
    /// As the targets say.
    pub(super) const FULL: Self = Self {
        name: "full",
        round: Duration::from_secs(10),
        rounds: 5,
        primitive: Duration::from_secs(2),
        idle: 2000,
        loaded: Duration::from_mins(1),
        saturation: Duration::from_mins(10),
        fleet: Fleet { machines: 1000, secrets: 1000, per_machine: 10 },
        storm: Fleet { machines: 10_000, secrets: 10_000, per_machine: 150 },
        crowd: Fleet { machines: 10_000, secrets: 10_000, per_machine: 10 },
        database: 1_000_000_000,
        objects: Crowd { namespaces: 100, secrets: 4000, grants: 4000, machines: 1900, policies: 100 },
        newcomers: 60,
        hosts: Hosts { namespaces: 100, machines: 10, secrets: 10 },
        reading: Duration::from_mins(20),
        outage: Duration::from_mins(5),
        pods: 1000,
        pod_rounds: 5,
        sidecars: 60,
        idle_sidecar: Duration::from_secs(40),
        starts: 30,
        quiet: Duration::from_mins(1),
        away: Duration::from_mins(1),
        history: 300_000_000,
        looks: 200,
    };
    /// In two minutes. Good for ratios, not for the last percent.
    pub(super) const QUICK: Self = Self {
        name: "quick",
        round: Duration::from_secs(3),
        rounds: 3,
        primitive: Duration::from_millis(500),
        idle: 500,
        loaded: Duration::from_secs(6),
        saturation: Duration::from_secs(20),
        storm: Fleet { machines: 1000, secrets: 1000, per_machine: 150 },
        database: 100_000_000,
        objects: Crowd { namespaces: 20, secrets: 800, grants: 800, machines: 380, policies: 20 },
        newcomers: 20,
        hosts: Hosts { namespaces: 10, machines: 5, secrets: 6 },
        reading: Duration::from_mins(1),
        outage: Duration::from_secs(30),
        pods: 300,
        pod_rounds: 3,
        sidecars: 30,
        idle_sidecar: Duration::from_secs(20),
        starts: 12,
        quiet: Duration::from_secs(20),
        away: Duration::from_secs(20),
        history: 100_000_000,
        looks: 50,
        ..Self::FULL
    };
    /// Only to see that it works: the figures mean nothing.
    pub(super) const SMOKE: Self = Self {
        name: "smoke",
        round: Duration::from_millis(100),
        rounds: 1,
        primitive: Duration::from_millis(20),
        idle: 10,
        loaded: Duration::from_millis(200),
        saturation: Duration::from_millis(200),
        fleet: Fleet { machines: 10, secrets: 10, per_machine: 2 },
        storm: Fleet { machines: 10, secrets: 20, per_machine: 15 },
        crowd: Fleet { machines: 20, secrets: 20, per_machine: 2 },
        database: 3_000_000,
        objects: Crowd { namespaces: 2, secrets: 8, grants: 8, machines: 4, policies: 2 },
        newcomers: 2,
        hosts: Hosts { namespaces: 1, machines: 2, secrets: 2 },
        reading: Duration::from_secs(3),
        outage: Duration::from_secs(2),
        pods: 5,
        pod_rounds: 1,
        sidecars: 2,
        idle_sidecar: Duration::from_secs(1),
        starts: 1,
        quiet: Duration::from_secs(2),
        away: Duration::from_secs(2),
        history: 3_000_000,
        looks: 1,
    };
}
