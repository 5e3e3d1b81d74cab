//! `kubectl sikkerkey doctor`: whether the installation does its work, tried out.
//!
//! The webhooks are asked by dry runs of what they must refuse: they answer as they would answer a team, and nothing is stored.

mod check;
mod probe;

use clap::Args;
use k8s_openapi::jiff::Timestamp;
use serde::Serialize;

use self::check::Check;
use super::cluster::{Cluster, ClusterError, ClusterOptions};
use super::leader_view::LeaderView;
use super::{Output, RED, paint, table};

/// What is looked at, and how it is told.
#[derive(Args, Clone, Debug)]
pub(super) struct DoctorOptions {
    #[command(flatten)]
    cluster: ClusterOptions,
    /// What to print
    #[arg(short, long, value_name = "OUTPUT", value_enum, default_value_t = Output::Text)]
    pub(super) output: Output,
}

/// What came out.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Diagnosis {
    checks: Vec<Check>,
}

/// Tries everything out.
pub(super) async fn diagnosis(options: &DoctorOptions, now: Timestamp) -> Result<Diagnosis, ClusterError> {
    let cluster = Cluster::connect(&options.cluster).await?;
    let namespace = &options.cluster.operator_namespace;
    let operator = LeaderView::of(cluster.lease(namespace).await?, namespace, now);
    let mut checks = vec![Check::definitions(probe::definitions(&cluster).await?), Check::operator(&operator)];
    let tried_in = cluster.one_namespace();
    if tried_in == "kube-system" || tried_in == namespace {
        checks.extend(["pods", "objects"].map(|name| Check::spared(name, tried_in)));
    } else {
        checks.push(Check::refusal("pods", &probe::pod(&cluster).await?));
        checks.push(Check::refusal("objects", &probe::object(&cluster).await?));
    }
    checks.push(Check::clock(probe::clock(&cluster).await?, now));
    Ok(Diagnosis { checks })
}

impl Diagnosis {
    /// Whether nothing was found that does not work.
    pub(super) fn is_in_order(&self) -> bool {
        self.checks.iter().all(|check| !check.is_bad())
    }

    /// The page.
    pub(super) fn text(&self, colour: bool) -> String {
        let rows: Vec<Vec<String>> = self.checks.iter().map(Check::row).collect();
        let lines = table::columns(&rows).into_iter().zip(&self.checks);
        let lines = lines.map(|(line, check)| if check.is_bad() { paint(colour, RED, &line) } else { line });
        lines.collect::<Vec<_>>().join("\n") + "\n"
    }
}
