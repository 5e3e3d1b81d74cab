//! The log, and the spans that go to a collector.

use std::sync::Arc;

use anyhow::Context as _;
use sikkerkey_traces::export::Exporter;
use sikkerkey_traces::{Settings, Traces, log};
use tracing_subscriber::filter::EnvFilter;

use crate::cli::{LogFormat, RunOptions};
use crate::metrics::Metrics;

/// How many spans wait for the collector at most.
const SPANS: usize = 2048;

/// Starts both; what takes the spans to the collector, if they are to go anywhere.
pub fn start(options: &RunOptions, authority: Option<String>, metrics: &Metrics) -> anyhow::Result<Option<Exporter>> {
    let (traces, exporter) = match &options.otlp_endpoint {
        None => (Traces::off(), None),
        Some(endpoint) => {
            let metrics = metrics.clone();
            let settings = Settings {
                endpoint: endpoint.clone(),
                authority,
                ratio: options.trace_ratio,
                service: "sikkerkey-operator",
                instance: options.pod_name.clone(),
                queue: SPANS,
            };
            let count = Arc::new(move |fate, spans| metrics.spans(fate, spans));
            let (traces, exporter) = Traces::on(settings, count).context("--otlp-endpoint")?;
            (traces, Some(exporter))
        }
    };
    let filter = EnvFilter::try_new(&options.log_filter)?;
    log::start(filter, options.log_format == LogFormat::Json, &traces);
    Ok(exporter)
}
