//! What the operator counts. Labels come from enums, never from names of objects.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use prometheus_client::encoding::{EncodeLabelSet, EncodeLabelValue, text};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::Registry;
use sikkerkey_protocol::kubernetes::Kind;
use sikkerkey_traces::Fate;
use tokio::time::Instant;
use tracing::Span;

/// All metrics of one process. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Metrics {
    registry: Arc<Registry>,
    reconciles: Family<ReconcileLabels, Counter>,
    status_writes: Family<KindLabel, Counter>,
    events: Counter<u64, AtomicU64>,
    watch_errors: Family<WatchLabel, Counter>,
    server_up: Gauge,
    leader: Gauge,
    comparing: Gauge,
    comparison_seconds: Histogram,
    comparison_stopped: Gauge,
    orphans_deleted: Counter<u64, AtomicU64>,
    pods_revoked: Counter<u64, AtomicU64>,
    objects: Family<ObjectLabels, Gauge>,
    pods_to_revoke: Gauge,
    certificate_ends: Family<CertificateLabel, Gauge>,
    certificate_failures: Counter<u64, AtomicU64>,
    spans: Family<FateLabel, Counter>,
}

/// A comparison with the server that is under way. It is over when this goes.
#[derive(Debug)]
pub struct Comparison {
    running: Gauge,
    seconds: Histogram,
    begun: Instant,
}

impl Drop for Comparison {
    fn drop(&mut self) {
        self.running.set(0);
        self.seconds.observe(self.begun.elapsed().as_secs_f64());
    }
}

/// How one pass over an object ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, EncodeLabelValue)]
pub enum Outcome {
    /// The object is as it should be, and so is its status.
    Done,
    /// It waits for something that will tell when it is there.
    Waits,
    /// The server is away.
    ServerAway,
    /// The server refused.
    Refused,
    /// The API server could not be asked or told.
    Failed,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ReconcileLabels {
    kind: &'static str,
    outcome: Outcome,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct KindLabel {
    kind: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct WatchLabel {
    resource: &'static str,
}

/// How an object stands, as its condition Ready says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, EncodeLabelValue)]
pub enum Ready {
    /// The server enforces what it says.
    True,
    /// It does not.
    False,
    /// Nobody has looked yet.
    Unknown,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ObjectLabels {
    kind: &'static str,
    ready: Ready,
}

/// A certificate that the operator keeps.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, EncodeLabelValue)]
pub enum Certificate {
    /// Of the authority.
    Root,
    /// Of this replica's listener.
    Serving,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct CertificateLabel {
    certificate: Certificate,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct FateLabel {
    fate: &'static str,
}

/// The name of a kind, for labels and messages.
pub fn kind_name(kind: Kind) -> &'static str {
    match kind {
        Kind::Machine => "Machine",
        Kind::Secret => "Secret",
        Kind::Grant => "Grant",
        Kind::AccessPolicy => "AccessPolicy",
    }
}

impl Metrics {
    /// All of them, at nothing.
    pub fn new() -> Self {
        let mut registry = Registry::with_prefix("sikkerkey_operator");
        let mut metrics = Self {
            registry: Arc::default(),
            reconciles: Family::default(),
            status_writes: Family::default(),
            events: Counter::default(),
            watch_errors: Family::default(),
            server_up: Gauge::default(),
            leader: Gauge::default(),
            comparing: Gauge::default(),
            comparison_seconds: Histogram::new(exponential_buckets(0.004, 2.0, 12)),
            comparison_stopped: Gauge::default(),
            orphans_deleted: Counter::default(),
            pods_revoked: Counter::default(),
            objects: Family::default(),
            pods_to_revoke: Gauge::default(),
            certificate_ends: Family::default(),
            certificate_failures: Counter::default(),
            spans: Family::default(),
        };
        registry.register("reconciles", "Passes over objects, by kind and outcome", metrics.reconciles.clone());
        registry.register("status_writes", "Statuses written, by kind", metrics.status_writes.clone());
        registry.register("events_published", "Events published", metrics.events.clone());
        registry.register("watch_errors", "Watches that broke, by resource", metrics.watch_errors.clone());
        registry.register("server_up", "Whether the server answered last (1) or not (0)", metrics.server_up.clone());
        registry.register("leader", "Whether this replica runs the controllers", metrics.leader.clone());
        registry.register("comparing", "Whether a comparison with the server is under way", metrics.comparing.clone());
        let seconds = metrics.comparison_seconds.clone();
        registry.register("comparison_seconds", "Time that a comparison with the server took", seconds);
        registry.register(
            "comparison_stopped",
            "Objects that a comparison would remove and does not, until somebody acknowledges it",
            metrics.comparison_stopped.clone(),
        );
        registry.register(
            "orphans_deleted",
            "Objects at the server that no longer stood in the cluster",
            metrics.orphans_deleted.clone(),
        );
        registry.register("pods_revoked", "Machines of pods that were revoked", metrics.pods_revoked.clone());
        registry.register(
            "objects",
            "Objects of our kinds, by how their status says they stand",
            metrics.objects.clone(),
        );
        registry.register(
            "pods_to_revoke",
            "Pods that are gone and whose machines the server has not been told to revoke yet",
            metrics.pods_to_revoke.clone(),
        );
        registry.register(
            "certificate_expires_timestamp_seconds",
            "When a certificate ends that the operator keeps",
            metrics.certificate_ends.clone(),
        );
        registry.register(
            "certificate_failures",
            "Times that the certificates could not be kept current",
            metrics.certificate_failures.clone(),
        );
        registry.register("spans", "Spans of traces, by what became of them", metrics.spans.clone());
        for fate in Fate::ALL {
            // There from the start: what appears with its first count has not increased for whoever looks.
            metrics.spans(fate, 0);
        }
        metrics.registry = Arc::new(registry);
        metrics
    }

    /// All of them as text (`OpenMetrics`), for `GET /metrics`.
    pub fn encode(&self) -> String {
        let mut text = String::new();
        // Writing into a String cannot fail.
        let _ = text::encode(&mut text, &self.registry);
        text
    }

    /// A pass over an object ended. Its span says so too.
    pub fn reconciled(&self, kind: Kind, outcome: Outcome) {
        Span::current().record("outcome", tracing::field::debug(outcome));
        self.reconciles.get_or_create(&ReconcileLabels { kind: kind_name(kind), outcome }).inc();
    }

    /// A status was written.
    pub fn status_written(&self, kind: Kind) {
        self.status_writes.get_or_create(&KindLabel { kind: kind_name(kind) }).inc();
    }

    /// An Event was published.
    pub fn event_published(&self) {
        self.events.inc();
    }

    /// A watch broke; it resumes by itself.
    pub fn watch_broke(&self, resource: &'static str) {
        self.watch_errors.get_or_create(&WatchLabel { resource }).inc();
    }

    /// Whether the server answered.
    pub fn server_up(&self, up: bool) {
        self.server_up.set(i64::from(up));
    }

    /// Whether this replica leads.
    pub fn leads(&self, leads: bool) {
        self.leader.set(i64::from(leads));
    }

    /// A comparison with the server begins.
    pub fn comparison(&self) -> Comparison {
        self.comparing.set(1);
        let (running, seconds) = (self.comparing.clone(), self.comparison_seconds.clone());
        Comparison { running, seconds, begun: Instant::now() }
    }

    /// How many removals wait for an acknowledgement.
    pub fn removals_held(&self, count: usize) {
        self.comparison_stopped.set(i64::try_from(count).unwrap_or(i64::MAX));
    }

    /// An object without its counterpart in the cluster was taken out of force.
    pub fn orphan_deleted(&self) {
        self.orphans_deleted.inc();
    }

    /// So many objects of a kind stand so.
    pub fn objects(&self, kind: Kind, ready: Ready, count: usize) {
        let labels = ObjectLabels { kind: kind_name(kind), ready };
        self.objects.get_or_create(&labels).set(i64::try_from(count).unwrap_or(i64::MAX));
    }

    /// So many pods are gone and not revoked.
    pub fn pods_to_revoke(&self, count: usize) {
        self.pods_to_revoke.set(i64::try_from(count).unwrap_or(i64::MAX));
    }

    /// A certificate ends then, in Unix seconds.
    pub fn certificate_ends(&self, certificate: Certificate, at: i64) {
        self.certificate_ends.get_or_create(&CertificateLabel { certificate }).set(at);
    }

    /// So became of so many spans.
    pub fn spans(&self, fate: Fate, count: u64) {
        self.spans.get_or_create(&FateLabel { fate: fate.as_str() }).inc_by(count);
    }

    /// The certificates could not be kept current.
    pub fn certificates_failed(&self) {
        self.certificate_failures.inc();
    }

    /// Machines of pods were revoked.
    pub fn pods_revoked(&self, count: u32) {
        self.pods_revoked.inc_by(u64::from(count));
    }
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_counted_shows_under_its_labels() {
        let metrics = Metrics::new();
        metrics.reconciled(Kind::Grant, Outcome::Done);
        metrics.reconciled(Kind::Grant, Outcome::Done);
        metrics.server_up(true);
        let text = metrics.encode();
        assert!(text.contains("sikkerkey_operator_reconciles_total{kind=\"Grant\",outcome=\"Done\"} 2"), "{text}");
        assert!(text.contains("sikkerkey_operator_server_up 1"), "{text}");
    }

    #[test]
    fn a_comparison_shows_while_it_runs_and_is_timed_when_it_is_over() {
        let metrics = Metrics::new();
        let comparison = metrics.comparison();
        let during = metrics.encode();
        assert!(during.contains("operator_comparing 1") && during.contains("comparison_seconds_count 0"), "{during}");
        drop(comparison);
        let after = metrics.encode();
        assert!(after.contains("operator_comparing 0") && after.contains("comparison_seconds_count 1"), "{after}");
    }
}
