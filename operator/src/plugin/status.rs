//! `kubectl sikkerkey status`: one page that tells what does not work, where, and what to do.

mod finding;

use clap::Args;
use k8s_openapi::jiff::Timestamp;
use kube::api::DynamicObject;
use serde::Serialize;

use self::finding::{Finding, Weight};
use super::cluster::{Cluster, ClusterError, PartOptions, kinds};
use super::leader_view::LeaderView;
use super::{BOLD, Output, RED, YELLOW, table};

/// What is looked at, and how it is told.
#[derive(Args, Clone, Debug)]
pub(super) struct StatusOptions {
    #[command(flatten)]
    part: PartOptions,
    /// What to print
    #[arg(short, long, value_name = "OUTPUT", value_enum, default_value_t = Output::Text)]
    pub(super) output: Output,
}

/// How it stands.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Report {
    operator: LeaderView,
    /// How many objects there are.
    objects: usize,
    /// How many of them need nobody's attention.
    in_order: usize,
    /// The others; those that have to be mended first, then by namespace and name.
    findings: Vec<Finding>,
}

/// Looks at the cluster.
pub(super) async fn report(options: &StatusOptions, now: Timestamp) -> Result<Report, ClusterError> {
    let cluster = Cluster::connect_to(&options.part).await?;
    let namespace = &options.part.cluster.operator_namespace;
    let operator = LeaderView::of(cluster.lease(namespace).await?, namespace, now);
    let mut objects = Vec::new();
    for kind in kinds() {
        objects.extend(cluster.objects(&kind).await?.into_iter().map(|object| (kind.short.clone(), object)));
    }
    Ok(Report::of(operator, &objects))
}

impl Report {
    /// Of objects, each with the short name of its kind. Pure.
    fn of(operator: LeaderView, objects: &[(String, DynamicObject)]) -> Self {
        let mut findings: Vec<Finding> =
            objects.iter().filter_map(|(short, object)| Finding::about(short, object)).collect();
        findings.sort_by(|a, b| a.rank().cmp(&b.rank()));
        Self { operator, objects: objects.len(), in_order: objects.len() - findings.len(), findings }
    }

    /// Whether nothing has to be mended.
    pub(super) fn is_in_order(&self) -> bool {
        !self.operator.is_trouble() && self.findings.iter().all(|finding| finding.weight == Weight::Notice)
    }

    /// The page.
    pub(super) fn text(&self, now: Timestamp, colour: bool) -> String {
        let paint = |code: &str, text: &str| super::paint(colour, code, text);
        let count = |weight| self.findings.iter().filter(|finding| finding.weight == weight).count();
        let (mend, notice) = (count(Weight::Mend), count(Weight::Notice));
        let operator = self.operator.to_string();
        let operator = if self.operator.is_trouble() { paint(RED, &operator) } else { operator };
        let mut lines = vec![
            format!("Operator   {operator}"),
            format!("Objects    {}: {} in order, {mend} to mend, {notice} to notice", self.objects, self.in_order),
        ];
        for (weight, title, code) in [(Weight::Mend, "To mend", RED), (Weight::Notice, "To notice", YELLOW)] {
            let found: Vec<&Finding> = self.findings.iter().filter(|finding| finding.weight == weight).collect();
            if found.is_empty() {
                continue;
            }
            lines.extend([String::new(), paint(code, title)]);
            let head = ["NAMESPACE", "OBJECT", "SINCE", "REASON", "MESSAGE"].map(str::to_owned).to_vec();
            let rows = found.iter().flat_map(|finding| finding.rows(now));
            let mut rows = table::columns(&std::iter::once(head).chain(rows).collect::<Vec<_>>()).into_iter();
            lines.extend(rows.next().map(|head| paint(BOLD, &head)));
            lines.extend(rows);
        }
        lines.join("\n") + "\n"
    }
}

#[cfg(test)]
mod tests;
