//! The log of a program that people run, beside its spans.

use std::io::{IsTerminal as _, stderr};

use tracing_subscriber::filter::{EnvFilter, FilterExt as _, LevelFilter, filter_fn};
use tracing_subscriber::layer::{Layer, SubscriberExt as _};
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{Registry, fmt, registry};

use crate::{Traces, is_log};

/// Starts both: lines on standard error, as JSON or for people, and the spans of `traces`.
///
/// # Panics
///
/// When a log was started before.
pub fn start(filter: EnvFilter, as_json: bool, traces: &Traces) {
    // What the filter leaves out stays as cheap as without spans.
    let filter = filter.and(filter_fn(is_log).with_max_level_hint(LevelFilter::TRACE));
    let lines = fmt::layer().with_writer(stderr);
    let lines: Box<dyn Layer<Registry> + Send + Sync> =
        if as_json { lines.json().boxed() } else { lines.with_ansi(stderr().is_terminal()).boxed() };
    registry().with(lines.with_filter(filter)).with(traces.layer()).init();
}
