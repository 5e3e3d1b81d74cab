//! What is measured. Few, and labelled by enums alone.

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::Registry;

/// The status of an answer.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct StatusLabel {
    /// As a number.
    pub status: u16,
}

/// What is measured.
pub struct Metrics {
    registry: Registry,
    /// Answers by status.
    pub responses: Family<StatusLabel, Counter>,
    /// Requests that one commit wrote.
    pub group_size: Histogram,
    /// Seconds that one commit took.
    pub commit_seconds: Histogram,
    /// Sidecars that wait for news.
    pub waiting: Gauge,
    /// Commits that failed.
    pub failed_commits: Counter,
    /// Checkpoints of the audit that were signed.
    pub checkpoints: Counter,
    /// Times that an anchor did not take a checkpoint.
    pub anchor_failures: Counter,
}

impl Default for Metrics {
    fn default() -> Self {
        let mut registry = Registry::with_prefix("sikkerkey");
        let responses = Family::<StatusLabel, Counter>::default();
        let group_size = Histogram::new(exponential_buckets(1.0, 2.0, 10));
        let commit_seconds = Histogram::new(exponential_buckets(0.000_1, 2.0, 14));
        let waiting = Gauge::default();
        let failed_commits = Counter::default();
        registry.register("responses", "Answers by status", responses.clone());
        registry.register("group_size", "Requests that one commit wrote", group_size.clone());
        registry.register("commit_seconds", "Time that one commit took", commit_seconds.clone());
        registry.register("waiting_sidecars", "Sidecars that wait for news", waiting.clone());
        registry.register("failed_commits", "Commits that failed: nothing of them was done", failed_commits.clone());
        let (checkpoints, anchor_failures) = (Counter::default(), Counter::default());
        registry.register("audit_checkpoints", "Checkpoints of the audit that were signed", checkpoints.clone());
        registry.register("anchor_failures", "Checkpoints that an anchor did not take", anchor_failures.clone());
        Self { registry, responses, group_size, commit_seconds, waiting, failed_commits, checkpoints, anchor_failures }
    }
}

impl Metrics {
    /// The text form of the `OpenMetrics` exposition.
    pub fn render(&self) -> String {
        let mut text = String::new();
        // Writing to a string cannot fail; a metric that refuses to be encoded leaves what came before it.
        let _: Result<(), std::fmt::Error> = encode(&mut text, &self.registry);
        text
    }
}
