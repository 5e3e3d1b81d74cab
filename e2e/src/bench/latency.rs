//! How long answers took.

use std::time::Duration;

/// How long each of many answers took.
#[derive(Clone, Debug, Default)]
pub(super) struct Latencies(Vec<Duration>);

impl Latencies {
    /// In any order.
    pub(super) fn new(mut latencies: Vec<Duration>) -> Self {
        latencies.sort_unstable();
        Self(latencies)
    }

    /// How many there are.
    pub(super) fn count(&self) -> usize {
        self.0.len()
    }

    /// The latency that a share of all answers did not exceed, by the nearest rank. Zero without any answer.
    pub(super) fn quantile(&self, per_mille: usize) -> Duration {
        let rank = (self.0.len() * per_mille).div_ceil(1000).max(1);
        self.0.get(rank - 1).copied().unwrap_or_default()
    }

    /// The middle.
    pub(super) fn median(&self) -> Duration {
        self.quantile(500)
    }
}

/// The middle of some figures.
pub(super) fn median(mut figures: Vec<f64>) -> f64 {
    figures.sort_unstable_by(f64::total_cmp);
    figures.get(figures.len() / 2).copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quantile_is_the_nearest_rank() {
        let latencies = Latencies::new((1..=1000).rev().map(Duration::from_millis).collect());
        let of = |per_mille| latencies.quantile(per_mille).as_millis();
        assert_eq!((of(500), of(990), of(999), of(1000)), (500, 990, 999, 1000));
        assert_eq!(Latencies::new(vec![Duration::from_secs(3)]).median(), Duration::from_secs(3));
        assert_eq!(Latencies::default().median(), Duration::ZERO);
    }
}
