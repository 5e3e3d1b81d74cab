//! How server, operator and sidecar tell a collector what they spend time on: OpenTelemetry spans by OTLP over HTTP.
//!
//! Off unless a collector is named, and then a span costs one look at a cached flag: nothing is allocated, and no header is
//! read. On, a span that ends goes into a queue with a bound, and one task ([`export::Exporter`]) posts what is there.
//!
//! # Invariants
//!
//! * A span holds names from this repository's source, names of objects of the cluster and reasons: what may be logged may
//!   be here, and nothing else. Only spans made by [`span!`] leave, none of a library's and no line of the log.
//! * A collector that is away, slow or lies costs spans, which are counted ([`Fate`]), and nothing else: no memory beyond the
//!   queue, no time of whoever made the span.
//! * The `traceparent` of a caller says where a span belongs, and nothing is decided by it. It is read up to a bound, is no
//!   part of what is signed, and brings no more than [`sampler::PER_SECOND`] requests a second into the traces.
//!
//! # The way of a span
//!
//! [`span!`] → [`layer`] (`tracing-opentelemetry`, `opentelemetry_sdk`) → [`sampler`] → queue → [`export`] →
//! `opentelemetry-proto` → [`collector`].

pub mod collector;
pub mod endpoint;
pub mod export;
#[cfg(feature = "log")]
pub mod log;
pub mod parent;
pub mod sampler;

use std::sync::Arc;

use opentelemetry::KeyValue;
use opentelemetry::trace::TracerProvider as _;
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::SdkTracerProvider;
use tokio::sync::mpsc;
use tracing::{Metadata, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::filter::{LevelFilter, filter_fn};
use tracing_subscriber::registry::LookupSpan;

use self::collector::{Collector, SetupError};
use self::endpoint::Endpoint;
use self::export::{Exporter, Queue};
use self::sampler::{Ratio, sampler};

/// The target of every span that leaves.
pub const TARGET: &str = "sikkerkey_trace";

/// A span that leaves, where traces are on: its name, then fields as in the macros of `tracing`.
#[macro_export]
macro_rules! span {
    ($name:literal $($fields:tt)*) => {
        ::tracing::span!(target: "sikkerkey_trace", ::tracing::Level::INFO, $name $($fields)*)
    };
}

/// What became of spans.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Fate {
    /// The collector took them.
    Sent,
    /// The queue was full.
    QueueFull,
    /// The collector was away, slow, or did not want them.
    NotTaken,
}

impl Fate {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Sent, Self::QueueFull, Self::NotTaken];

    /// For a metric.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Sent => "Sent",
            Self::QueueFull => "QueueFull",
            Self::NotTaken => "NotTaken",
        }
    }
}

/// Counts what became of so many spans.
pub type Count = Arc<dyn Fn(Fate, u64) + Send + Sync>;

/// Where spans go, and how many.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The collector.
    pub endpoint: Endpoint,
    /// PEM certificates that vouch for it; none: the system's.
    pub authority: Option<String>,
    /// How many of the traces that begin here are kept.
    pub ratio: Ratio,
    /// Which program this is.
    pub service: &'static str,
    /// Which of several: the name of the pod, or of the host.
    pub instance: String,
    /// How many spans wait at most; each takes about a kilobyte.
    pub queue: usize,
}

/// What makes spans, and what takes them away.
pub struct Traces {
    provider: Option<SdkTracerProvider>,
    service: &'static str,
}

impl Traces {
    /// No spans are made.
    pub fn off() -> Self {
        Self { provider: None, service: "" }
    }

    /// Spans are made, and wait for the exporter to be run.
    pub fn on(settings: Settings, count: Count) -> Result<(Self, Exporter), SetupError> {
        let collector = Collector::new(settings.endpoint, settings.authority.as_deref())?;
        let (sender, receiver) = mpsc::channel(settings.queue);
        let resource = Resource::builder_empty()
            .with_attributes([
                KeyValue::new("service.name", settings.service),
                KeyValue::new("service.version", env!("CARGO_PKG_VERSION")),
                KeyValue::new("service.instance.id", settings.instance),
            ])
            .build();
        let provider = SdkTracerProvider::builder()
            .with_sampler(sampler(settings.ratio))
            .with_resource(resource.clone())
            .with_span_processor(Queue::new(sender, Arc::clone(&count)))
            .build();
        let traces = Self { provider: Some(provider), service: settings.service };
        Ok((traces, Exporter::new(receiver, collector, &resource, count)))
    }

    /// The layer that makes them. Without traces it is interested in nothing, so that nothing is made.
    pub fn layer<S>(&self) -> impl Layer<S> + Send + Sync + use<S>
    where
        S: Subscriber + for<'span> LookupSpan<'span> + Send + Sync,
    {
        let is_on = self.provider.is_some();
        let layer = self.provider.as_ref().map(|provider| {
            tracing_opentelemetry::layer()
                .with_tracer(provider.tracer(self.service))
                .with_location(false)
                .with_threads(false)
                .with_target(false)
                .with_level(false)
                .with_tracked_inactivity(false)
                .with_context_activation(false)
        });
        let filter = filter_fn(move |metadata| is_on && metadata.is_span() && !is_log(metadata));
        // Else every line that nobody wants would be looked at.
        layer.with_filter(filter.with_max_level_hint(if is_on { LevelFilter::INFO } else { LevelFilter::OFF }))
    }
}

/// Whether it is for the log: spans that leave are not.
pub fn is_log(metadata: &Metadata<'_>) -> bool {
    metadata.target() != TARGET
}

#[cfg(test)]
mod tests;
