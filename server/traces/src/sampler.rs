//! Which traces are kept.

use std::fmt;
use std::str::FromStr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use opentelemetry::trace::{Link, SpanKind, TraceContextExt as _, TraceId};
use opentelemetry::{Context, KeyValue};
use opentelemetry_sdk::trace::{Sampler, SamplingDecision, SamplingResult, ShouldSample};

/// How many requests a second callers bring into the traces.
pub const PER_SECOND: u32 = 200;

/// The share of the traces that begin here that is kept, from 0 to 1.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Ratio(f64);

/// It is no such share.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no share of traces: write a number from 0 to 1, such as 0.05")]
pub struct RatioError(String);

impl FromStr for Ratio {
    type Err = RatioError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let number = text.parse().ok().filter(|number| (0.0..=1.0).contains(number));
        number.map(Self).ok_or_else(|| RatioError(text.to_owned()))
    }
}

impl fmt::Display for Ratio {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// What is kept: of what begins here so many, and what callers keep, up to a bound: anybody can send a header.
pub(crate) fn sampler(Ratio(ratio): Ratio) -> impl ShouldSample + 'static {
    let inner = Sampler::ParentBased(Box::new(Sampler::TraceIdRatioBased(ratio)));
    Bounded { inner, budget: Arc::new(Mutex::new((Instant::now(), 0))) }
}

#[derive(Clone, Debug)]
struct Bounded {
    inner: Sampler,
    /// When the present second began, and how many callers it has let in.
    budget: Arc<Mutex<(Instant, u32)>>,
}

impl Bounded {
    fn is_within(&self, now: Instant) -> bool {
        let mut budget = self.budget.lock().unwrap_or_else(PoisonError::into_inner);
        let (began, used) = *budget;
        let (began, used) =
            if now.saturating_duration_since(began) >= Duration::from_secs(1) { (now, 0) } else { (began, used) };
        *budget = (began, (used + 1).min(PER_SECOND));
        used < PER_SECOND
    }
}

impl ShouldSample for Bounded {
    fn should_sample(
        &self,
        parent: Option<&Context>,
        trace_id: TraceId,
        name: &str,
        kind: &SpanKind,
        attributes: &[KeyValue],
        links: &[Link],
    ) -> SamplingResult {
        let is_asked_for = parent.is_some_and(|parent| {
            let span = parent.span();
            let context = span.span_context();
            context.is_valid() && context.is_remote() && context.is_sampled()
        });
        let mut result = self.inner.should_sample(parent, trace_id, name, kind, attributes, links);
        if is_asked_for && !self.is_within(Instant::now()) {
            result.decision = SamplingDecision::Drop;
        }
        result
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_is_a_number_from_0_to_1() {
        for text in ["0", "1", "0.05", "1.0"] {
            assert!(text.parse::<Ratio>().is_ok(), "{text}");
        }
        for text in ["", "2", "-0.1", "NaN", "5%"] {
            assert!(text.parse::<Ratio>().unwrap_err().to_string().contains("write a number from 0 to 1"), "{text}");
        }
    }

    #[test]
    fn callers_bring_so_many_a_second_and_no_more() {
        let began = Instant::now();
        let bounded = Bounded { inner: Sampler::AlwaysOn, budget: Arc::new(Mutex::new((began, 0))) };
        let kept = |at: Instant| (0..1000).filter(|_| bounded.is_within(at)).count();
        assert_eq!(kept(began), PER_SECOND as usize);
        assert_eq!(kept(began + Duration::from_millis(999)), 0);
        assert_eq!(kept(began + Duration::from_secs(1)), PER_SECOND as usize);
    }
}
