//! The header `traceparent` (W3C Trace Context): where a request belongs.

use http::{HeaderMap, HeaderName, HeaderValue};
use opentelemetry::propagation::{Extractor, TextMapPropagator as _};
use opentelemetry::trace::{TraceContextExt as _, TraceFlags};
use opentelemetry_sdk::propagation::TraceContextPropagator;
use tracing::Span;
use tracing_opentelemetry::OpenTelemetrySpanExt as _;

/// Its name.
pub const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
/// The longest that is read, in bytes; version 00 has 55.
const MAX: usize = 64;

/// The one thing that is taken from a caller. `tracestate` would be handed on to others, and is not.
struct Carried<'a>(&'a str);

impl Extractor for Carried<'_> {
    fn get(&self, key: &str) -> Option<&str> {
        (key == TRACEPARENT.as_str()).then_some(self.0)
    }

    fn keys(&self) -> Vec<&str> {
        vec!["traceparent"]
    }
}

/// Puts the span below the caller's, if the headers name one. To be called before the span is entered.
pub fn follow(span: &Span, headers: &HeaderMap) {
    if span.is_disabled() {
        return;
    }
    let mut given = headers.get_all(TRACEPARENT).iter();
    // Of two nobody knows which is meant.
    if let (Some(one), None) = (given.next(), given.next())
        && let Ok(text) = one.to_str()
    {
        adopt(span, text);
    }
}

/// Puts the span below the one that a `traceparent` names; without one that can be read, it stays where it is.
pub fn adopt(span: &Span, traceparent: &str) {
    if span.is_disabled() || traceparent.len() > MAX {
        return;
    }
    let context = TraceContextPropagator::new().extract(&Carried(traceparent));
    if context.span().span_context().is_valid() {
        // It fails for a span that has begun: then it stays where it is.
        let _ = span.set_parent(context);
    }
}

/// What whoever is called now is to be told: the present span. None where traces are off.
pub fn traceparent() -> Option<HeaderValue> {
    of(&Span::current())
}

/// The same of another span.
pub fn of(span: &Span) -> Option<HeaderValue> {
    if span.is_disabled() {
        return None;
    }
    let context = span.context();
    let span = context.span();
    let context = span.span_context();
    let flags = context.trace_flags() & TraceFlags::SAMPLED;
    let text = format!("00-{}-{}-{:02x}", context.trace_id(), context.span_id(), flags.to_u8());
    if context.is_valid() { HeaderValue::from_str(&text).ok() } else { None }
}
