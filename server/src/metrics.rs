//! What is measured. Few, and labelled by enums alone.

use std::sync::atomic::AtomicU64;

use prometheus_client::encoding::text::encode;
use prometheus_client::encoding::{EncodeLabelSet, EncodeLabelValue};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::Registry;
use sikkerkey_traces::Fate;

use crate::audit::entry::Severity;
use crate::health::Missing;

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

/// What keeps the server from being ready.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct MissingLabel {
    /// By the name that `/readyz` gives it.
    pub what: &'static str,
}

/// Work of the server's own, which nobody waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, EncodeLabelValue)]
pub enum Work {
    /// Ending what is over and forgetting what has no use any more.
    Housekeeping,
    /// Moving old days of the audit to files.
    Archiving,
    /// Looking through the audit for webhooks.
    Webhooks,
    /// Taking over a certificate whose files have changed.
    Certificate,
    /// Taking over an authority whose file has changed.
    Authority,
}

impl Work {
    /// All of it.
    pub const ALL: [Self; 5] =
        [Self::Housekeeping, Self::Archiving, Self::Webhooks, Self::Certificate, Self::Authority];
}

/// Work of the server's own.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct WorkLabel {
    /// Which.
    pub work: Work,
}

/// How grave a row of the audit is.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct SeverityLabel {
    /// How grave.
    pub severity: &'static str,
}

/// A certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, EncodeLabelValue)]
pub enum Certificate {
    /// That of the listener.
    Serving,
}

/// A certificate.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct CertificateLabel {
    /// Which.
    pub certificate: Certificate,
}

/// What became of spans.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct FateLabel {
    /// What.
    pub fate: &'static str,
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
    /// 1 for what keeps the server from being ready.
    pub missing: Family<MissingLabel, Gauge>,
    /// Seconds by which the database's clock is ahead of the machine's own.
    pub clock_skew: Gauge<f64, AtomicU64>,
    /// 1 while the wall clock is further ahead than time has passed.
    pub clock_has_leapt: Gauge,
    /// When the certificate ends that is served, in Unix seconds.
    pub certificate_ends: Family<CertificateLabel, Gauge>,
    /// Work of the server's own that failed.
    pub failed_work: Family<WorkLabel, Counter>,
    /// Stored values that did not open when they were wanted.
    pub unreadable_values: Counter,
    /// Rows of the audit that were told to people in the log.
    pub alerts: Family<SeverityLabel, Counter>,
    /// Canaries that were read.
    pub canaries: Counter,
    /// Seconds for which an anchor has lacked the newest checkpoint.
    pub anchor_lag: Gauge,
    /// Checks of the audit's chain that found it broken.
    pub broken_chains: Counter,
    /// Secrets whose new value the server should have made a while ago.
    pub overdue_rotations: Gauge,
    /// Spans of traces.
    pub spans: Family<FateLabel, Counter>,
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
            missing: Family::default(),
            clock_skew: Gauge::default(),
            clock_has_leapt: Gauge::default(),
            certificate_ends: Family::default(),
            failed_work: Family::default(),
            unreadable_values: Counter::default(),
            alerts: Family::default(),
            canaries: Counter::default(),
            anchor_lag: Gauge::default(),
            broken_chains: Counter::default(),
            overdue_rotations: Gauge::default(),
            spans: Family::default(),
        };
        // There from the start: what appears with its first count has not increased for whoever looks.
        for work in Work::ALL {
            metrics.failed_work.get_or_create(&WorkLabel { work }).inc_by(0);
        }
        for severity in Severity::ALL {
            metrics.alerts.get_or_create(&SeverityLabel { severity: severity.as_str() }).inc_by(0);
        }
        for fate in Fate::ALL {
            metrics.count_spans(fate, 0);
        }
        metrics.show_missing(&[]);
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
            "missing", "Whether this keeps the server from being ready", missing;
            "clock_skew_seconds", "The database's clock minus the machine's own", clock_skew;
            "clock_leapt", "Whether the wall clock is ahead of the time that has passed", clock_has_leapt;
            "certificate_expires_timestamp_seconds", "When the certificate ends that is served", certificate_ends;
            "failed_work", "Work of the server's own that failed and is tried again", failed_work;
            "unreadable_values", "Stored values that did not open when they were wanted", unreadable_values;
            "alerts", "Rows of the audit that were told to people in the log", alerts;
            "canaries_triggered", "Canaries that were read", canaries;
            "anchor_lag_seconds", "Time for which an anchor of the audit has lacked the newest checkpoint", anchor_lag;
            "broken_chains", "Checks of the audit's chain that found it broken", broken_chains;
            "rotations_overdue", "Secrets whose new value the server should have made a while ago", overdue_rotations;
            "spans", "Spans of traces, by what became of them", spans;
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

    /// Shows what keeps the server from being ready.
    pub fn show_missing(&self, missing: &[Missing]) {
        for what in Missing::ALL {
            let label = MissingLabel { what: what.as_str() };
            self.missing.get_or_create(&label).set(i64::from(missing.contains(&what)));
        }
    }

    /// Counts work of the server's own that failed.
    pub fn count_failed(&self, work: Work) {
        self.failed_work.get_or_create(&WorkLabel { work }).inc();
    }

    /// Counts what became of so many spans.
    pub fn count_spans(&self, fate: Fate, count: u64) {
        self.spans.get_or_create(&FateLabel { fate: fate.as_str() }).inc_by(count);
    }

    /// Counts a row that was told to people.
    pub fn count_alert(&self, severity: Severity) {
        self.alerts.get_or_create(&SeverityLabel { severity: severity.as_str() }).inc();
    }

    /// Shows when the certificate ends that is served; none: that is not known.
    pub fn show_certificate(&self, ends: Option<i64>) {
        let label = CertificateLabel { certificate: Certificate::Serving };
        match ends {
            Some(at) => _ = self.certificate_ends.get_or_create(&label).set(at),
            None => _ = self.certificate_ends.remove(&label),
        }
    }

    /// Counts a connection that the server closed.
    pub fn count_closed(&self, cause: ClosedCause) {
        self.closed.get_or_create(&ClosedLabel { cause }).inc();
    }
}
