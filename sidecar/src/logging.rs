//! What is written to standard error while the sidecar runs.

use sikkerkey_traces::{Traces, is_log};
use tracing::level_filters::LevelFilter;
use tracing::{Level, Metadata, Subscriber};
use tracing_subscriber::filter::{FilterExt, Targets, filter_fn};
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::{Layer, SubscriberExt};
use tracing_subscriber::registry;

/// Our own code may speak at every level, because none of it logs a value, a key, a token or a voucher. Libraries see
/// whole requests and may say only that something is wrong, whatever the filter asks for.
fn is_allowed(metadata: &Metadata<'_>) -> bool {
    let is_ours = metadata.target().starts_with("sikkerkey") && is_log(metadata);
    is_ours || *metadata.level() <= Level::WARN
}

/// Reads a filter such as `debug` or `sikkerkey_sidecar::agent=trace,info`. The second value is false when the text is
/// no filter: then it is `info`.
pub fn parse_filter(text: &str) -> (Targets, bool) {
    match text.parse() {
        Ok(filter) => (filter, true),
        Err(_) => (Targets::new().with_default(LevelFilter::INFO), false),
    }
}

/// Lines of plain text, filtered, to `writer`, and the spans of `traces`.
pub fn subscriber<W>(filter: Targets, writer: W, traces: &Traces) -> impl Subscriber + Send + Sync + use<W>
where
    W: for<'writer> MakeWriter<'writer> + Send + Sync + 'static,
{
    let lines = tracing_subscriber::fmt::layer().with_ansi(false).with_writer(writer);
    registry().with(lines.with_filter(filter.and(filter_fn(is_allowed)))).with(traces.layer())
}

/// Starts logging to standard error, and making spans.
pub fn start(text: &str, traces: &Traces) {
    let (filter, understood) = parse_filter(text);
    if tracing::subscriber::set_global_default(subscriber(filter, std::io::stderr, traces)).is_ok() && !understood {
        tracing::warn!("SIKKERKEY_LOG is no filter: logging info. Say error, warn, info, debug or trace");
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;

    #[derive(Clone, Default)]
    struct Lines(Arc<Mutex<Vec<u8>>>);

    impl std::io::Write for Lines {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_library_is_heard_only_when_something_is_wrong_whatever_the_filter_says() {
        let lines = Lines::default();
        let writer = lines.clone();
        let (filter, understood) = parse_filter("trace,hyper=trace");
        assert!(understood);
        tracing::subscriber::with_default(subscriber(filter, move || writer.clone(), &Traces::off()), || {
            tracing::trace!(target: "hyper::proto", "a whole body");
            tracing::info!(target: "rustls", "a whole record");
            tracing::warn!(target: "hyper::proto", "something is wrong");
            tracing::trace!(target: "sikkerkey_sidecar::agent", "a step");
        });
        let text = String::from_utf8(lines.0.lock().unwrap().clone()).unwrap();
        assert!(!text.contains("a whole"), "{text}");
        assert!(text.contains("something is wrong") && text.contains("a step"), "{text}");
    }

    #[test]
    fn a_filter_that_is_none_means_info() {
        let (filter, understood) = parse_filter("sikkerkey=loud");
        assert!(!understood);
        assert!(filter.would_enable("sikkerkey_sidecar", &Level::INFO));
        assert!(!filter.would_enable("sikkerkey_sidecar", &Level::DEBUG));
    }
}
