//! What the listener counts. Labels come from enums, never from names of objects.

use std::time::Duration;

use prometheus_client::encoding::{EncodeLabelSet, EncodeLabelValue, text};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

/// Upper bounds of the durations, in seconds.
const BUCKETS: [f64; 9] = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.05, 0.25, 1.0, 5.0];

/// A route.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, EncodeLabelValue)]
pub enum Route {
    /// Pods.
    Mutate,
    /// Our own kinds.
    Validate,
    /// Attestation.
    Attest,
    /// What sidecars report.
    Report,
    /// Questions of people.
    Question,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct AnswerLabels {
    route: Route,
    outcome: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RouteLabel {
    route: Route,
}

/// The counters.
#[derive(Debug)]
pub struct Counters {
    registry: Registry,
    answers: Family<AnswerLabels, Counter>,
    durations: Family<RouteLabel, Histogram>,
}

impl Counters {
    /// All of them, at nothing.
    pub fn new() -> Self {
        let mut registry = Registry::with_prefix("sikkerkey_operator");
        let answers = Family::default();
        let histogram: fn() -> Histogram = || Histogram::new(BUCKETS);
        let durations = Family::new_with_constructor(histogram);
        registry.register("answers", "Answers, by route and outcome", answers.clone());
        registry.register("answer_duration_seconds", "Time to the answer, by route", durations.clone());
        Self { registry, answers, durations }
    }

    /// An answer was given. `outcome` is a reason of an enum, or `Admitted`, `Vouched`, `Malformed`.
    pub fn answered(&self, route: Route, outcome: &'static str, took: Duration) {
        self.answers.get_or_create(&AnswerLabels { route, outcome }).inc();
        self.durations.get_or_create(&RouteLabel { route }).observe(took.as_secs_f64());
    }

    /// `others` (`OpenMetrics` text) and these.
    pub fn encode_after(&self, others: &str) -> String {
        let mut text = others.trim_end().trim_end_matches("# EOF").to_owned();
        // Writing into a String cannot fail.
        let _ = text::encode(&mut text, &self.registry);
        text
    }
}

impl Default for Counters {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_texts_become_one_with_one_end() {
        let counters = Counters::new();
        counters.answered(Route::Attest, "PodGone", Duration::from_millis(2));
        let text = counters.encode_after("# HELP x y.\nx 1\n# EOF\n");
        assert!(text.starts_with("# HELP x y.\nx 1\n# HELP sikkerkey_operator_answers"), "{text}");
        assert!(text.contains("sikkerkey_operator_answers_total{route=\"Attest\",outcome=\"PodGone\"} 1"), "{text}");
        assert_eq!(text.matches("# EOF").count(), 1);
    }
}
