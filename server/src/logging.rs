//! The log, and the spans that go to a collector.

use std::sync::Arc;

use anyhow::Context as _;
use sikkerkey_traces::export::Exporter;
use sikkerkey_traces::{Settings, Traces, log};
use tracing_subscriber::filter::EnvFilter;

use crate::cli::{LogFormat, Serve};
use crate::metrics::Metrics;

/// How many spans wait for the collector at most.
const SPANS: usize = 4096;

/// Starts both; what takes the spans to the collector, if they are to go anywhere.
pub fn start(arguments: &Serve, metrics: &Arc<Metrics>) -> anyhow::Result<Option<Exporter>> {
    let (traces, exporter) = match &arguments.otlp_endpoint {
        None => (Traces::off(), None),
        Some(endpoint) => {
            let authority = arguments.otlp_ca.as_ref().map(|path| {
                std::fs::read_to_string(path).with_context(|| format!("--otlp-ca: cannot read {}", path.display()))
            });
            let settings = Settings {
                endpoint: endpoint.clone(),
                authority: authority.transpose()?,
                ratio: arguments.trace_ratio,
                service: "sikkerkey-server",
                // What a pod, and most hosts, know themselves by.
                instance: std::env::var("HOSTNAME").unwrap_or_default(),
                queue: SPANS,
            };
            let metrics = Arc::clone(metrics);
            let count = Arc::new(move |fate, spans| metrics.count_spans(fate, spans));
            let (traces, exporter) = Traces::on(settings, count).context("--otlp-endpoint")?;
            (traces, Some(exporter))
        }
    };
    let filter = EnvFilter::try_from_env("SIKKERKEY_LOG").unwrap_or_else(|_| EnvFilter::new("info"));
    log::start(filter, arguments.log_format == LogFormat::Json, &traces);
    Ok(exporter)
}
