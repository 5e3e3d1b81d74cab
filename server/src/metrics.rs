//! What is measured. Few, and labelled by enums alone.

use prometheus_client::encoding::text::encode;
use prometheus_client::encoding::{EncodeLabelSet, EncodeLabelValue};
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

/// What was locked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, EncodeLabelValue)]
pub enum LockKind {
    /// An address.
    Address,
    /// A signer from one address.
    Pair,
    /// A signer from new addresses.
    Signer,
    /// Tokens from an address.
    Tokens,
}

/// What was locked.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct LockLabel {
    /// What.
    pub what: LockKind,
}

/// Why a request was refused before anything was done for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, EncodeLabelValue)]
pub enum ShedCause {
    /// It would have waited too long for the writer.
    Writer,
    /// Too many signatures waited to be verified.
    Verifier,
    /// Its signer asked too often.
    Rate,
    /// Too many of its signer waited for the writer.
    Share,
}

/// Why a request was refused before anything was done for it.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct ShedLabel {
    /// Why.
    pub cause: ShedCause,
}

/// Why a connection was closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, EncodeLabelValue)]
pub enum ClosedCause {
    /// Its address has too many.
    Address,
    /// The TLS handshake failed or took too long.
    Handshake,
    /// Nothing was asked for too long.
    Idle,
}

/// Why a connection was closed.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct ClosedLabel {
    /// Why.
    pub cause: ClosedCause,
}

/// What came of a delivery to a webhook.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, EncodeLabelValue)]
pub enum DeliveryOutcome {
    /// It was taken.
    Delivered,
    /// It was answered, and not by 2xx.
    Refused,
    /// It was not answered in time.
    Slow,
    /// There was no connection.
    Unreachable,
    /// Deliveries do not go to its address.
    Blocked,
}

/// What came of a delivery to a webhook.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct DeliveryLabel {
    /// What.
    pub outcome: DeliveryOutcome,
}

/// What is measured.
pub struct Metrics {
    registry: Registry,
    /// Answers by status.
    pub responses: Family<StatusLabel, Counter>,
    /// Seconds from a request's arrival until its signature was verified.
    pub verify_seconds: Histogram,
    /// Signatures that were verified at once.
    pub verified_together: Histogram,
    /// Seconds that deciding one group took.
    pub decide_seconds: Histogram,
    /// Seconds that decrypting one value took.
    pub decrypt_seconds: Histogram,
    /// Requests that one commit wrote.
    pub group_size: Histogram,
    /// Seconds that one commit took.
    pub commit_seconds: Histogram,
    /// Requests that wait for the writer.
    pub queued: Gauge,
    /// Sidecars that wait for news.
    pub waiting: Gauge,
    /// Commits that failed.
    pub failed_commits: Counter,
    /// Checkpoints of the audit that were signed.
    pub checkpoints: Counter,
    /// Times that an anchor did not take a checkpoint.
    pub anchor_failures: Counter,
    /// Locks that began.
    pub lockouts: Family<LockLabel, Counter>,
    /// Requests refused before anything was done for them.
    pub shed: Family<ShedLabel, Counter>,
    /// Connections that are open.
    pub connections: Gauge,
    /// Connections that the server closed.
    pub closed: Family<ClosedLabel, Counter>,
    /// Deliveries to webhooks that were tried.
    pub deliveries: Family<DeliveryLabel, Counter>,
    /// Seconds since the oldest event that a webhook has not got yet.
    pub delivery_lag: Gauge,
    /// Webhooks that the server has switched off.
    pub disabled_webhooks: Counter,
}

impl Default for Metrics {
    fn default() -> Self {
        let mut registry = Registry::with_prefix("sikkerkey");
        let seconds = |first| Histogram::new(exponential_buckets(first, 2.0, 14));
        let sizes = || Histogram::new(exponential_buckets(1.0, 2.0, 10));
        let metrics = Self {
            registry: Registry::default(),
            responses: Family::default(),
            verify_seconds: seconds(0.000_02),
            verified_together: sizes(),
            decide_seconds: seconds(0.000_005),
            decrypt_seconds: seconds(0.000_001),
            group_size: sizes(),
            commit_seconds: seconds(0.000_1),
            queued: Gauge::default(),
            waiting: Gauge::default(),
            failed_commits: Counter::default(),
            lockouts: Family::default(),
            shed: Family::default(),
            connections: Gauge::default(),
            closed: Family::default(),
            checkpoints: Counter::default(),
            anchor_failures: Counter::default(),
            deliveries: Family::default(),
            delivery_lag: Gauge::default(),
            disabled_webhooks: Counter::default(),
        };
        macro_rules! register {
            ($($name:literal, $help:literal, $metric:ident;)*) => {
                $(registry.register($name, $help, metrics.$metric.clone());)*
            };
        }
        register! {
            "responses", "Answers by status", responses;
            "verify_seconds", "Time from a request's arrival until its signature was verified", verify_seconds;
            "verified_together", "Signatures that were verified at once", verified_together;
            "decide_seconds", "Time that deciding one group took", decide_seconds;
            "decrypt_seconds", "Time that decrypting one value took", decrypt_seconds;
            "group_size", "Requests that one commit wrote", group_size;
            "commit_seconds", "Time that one commit took", commit_seconds;
            "queued_requests", "Requests that wait for the writer", queued;
            "waiting_sidecars", "Sidecars that wait for news", waiting;
            "failed_commits", "Commits that failed: nothing of them was done", failed_commits;
            "lockouts", "Locks after failed authentications that began", lockouts;
            "shed", "Requests refused before anything was done for them", shed;
            "connections", "Connections that are open", connections;
            "closed_connections", "Connections that the server closed", closed;
            "audit_checkpoints", "Checkpoints of the audit that were signed", checkpoints;
            "anchor_failures", "Checkpoints that an anchor did not take", anchor_failures;
            "webhook_deliveries", "Deliveries to webhooks that were tried", deliveries;
            "webhook_lag_seconds", "Age of the oldest event that a webhook has not got yet", delivery_lag;
            "webhooks_disabled", "Webhooks that the server has switched off after too many failures", disabled_webhooks;
        }
        Self { registry, ..metrics }
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

    /// Counts a request that was refused before anything was done for it.
    pub fn count_shed(&self, cause: ShedCause) {
        self.shed.get_or_create(&ShedLabel { cause }).inc();
    }

    /// Counts a delivery to a webhook.
    pub fn count_delivery(&self, outcome: DeliveryOutcome) {
        self.deliveries.get_or_create(&DeliveryLabel { outcome }).inc();
    }

    /// Counts a connection that the server closed.
    pub fn count_closed(&self, cause: ClosedCause) {
        self.closed.get_or_create(&ClosedLabel { cause }).inc();
    }
}
