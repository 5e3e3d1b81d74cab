//! What server and operator count themselves.

use std::time::Duration;

use anyhow::{Context, Result};

use crate::installation::Installation;

/// Asks for it.
pub(super) struct Expositions {
    client: reqwest::Client,
    server: String,
    operator: String,
}

/// All metrics of a process at one time (`OpenMetrics`).
#[derive(Debug)]
pub(super) struct Exposition(String);

impl Expositions {
    pub(super) fn of(installation: &Installation) -> Result<Self> {
        let ca = reqwest::Certificate::from_pem(&std::fs::read(installation.ca_file())?)?;
        // A minute passes between two questions, and so long a server keeps no connection that is not used.
        let builder = reqwest::Client::builder().tls_certs_only([ca]).pool_max_idle_per_host(0);
        let client = builder.timeout(Duration::from_secs(5)).build()?;
        let metrics = |origin: String| format!("{origin}/metrics");
        let (server, operator) = (metrics(installation.server_url()), metrics(installation.operator_url()));
        Ok(Self { client, server, operator })
    }

    pub(super) async fn server(&self) -> Result<Exposition> {
        self.ask(&self.server).await.context("the server's metrics")
    }

    pub(super) async fn operator(&self) -> Result<Exposition> {
        self.ask(&self.operator).await.context("the operator's metrics")
    }

    async fn ask(&self, url: &str) -> Result<Exposition> {
        Ok(Exposition(self.client.get(url).send().await?.error_for_status()?.text().await?))
    }
}

impl Exposition {
    /// The sum of a metric over all labels that hold this text.
    pub(super) fn sum(&self, metric: &str, label: &str) -> f64 {
        let values = self.0.lines().filter_map(|line| {
            let (name, value) = line.rsplit_once(' ')?;
            let labels = name.strip_prefix(metric)?;
            let is_it = labels.is_empty() || labels.starts_with('{');
            (is_it && labels.contains(label)).then(|| value.parse::<f64>().ok())?
        });
        // The sum of none is minus zero.
        0.0 + values.sum::<f64>()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_metric_is_summed_over_the_labels_that_are_wanted() {
        let text = "# TYPE r counter\nr_total{status=\"200\"} 5\nr_total{status=\"503\"} 2\nr_totals 9\ng 1\n# EOF\n";
        let exposition = Exposition(text.into());
        let sums = [("r_total", ""), ("r_total", "\"503\""), ("g", ""), ("absent", "")];
        let sums = sums.map(|(metric, label)| exposition.sum(metric, label).to_string());
        assert_eq!(sums, ["7", "2", "1", "0"]);
    }
}
