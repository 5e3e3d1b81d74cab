//! All that a cluster holds.

use std::collections::BTreeSet;

use crate::site::Site;

/// Each object in a line: kind, namespace, name. What comes and goes by itself is not counted.
pub(crate) async fn of(site: &Site) -> BTreeSet<String> {
    let kinds = site.ask(&["api-resources", "--verbs=list", "-o", "name"]).await;
    // Events are of the past, and the others follow from what they belong to.
    let ephemeral =
        ["events", "events.events.k8s.io", "endpoints", "endpointslices.discovery.k8s.io", "componentstatuses"];
    let kinds: Vec<&str> = kinds.lines().filter(|kind| !ephemeral.contains(kind)).collect();
    let line = r#"jsonpath={range .items[*]}{.kind}{" "}{.metadata.namespace}{" "}{.metadata.name}{"\n"}{end}"#;
    let listed = site.ask(&["get", &kinds.join(","), "-A", "-o", line]).await;
    // What Kubernetes' own parts keep for themselves comes when it comes.
    let is_theirs =
        |line: &&str| [" kube-system ", " kube-node-lease ", " kube-public "].iter().any(|it| line.contains(it));
    listed.lines().filter(|line| !is_theirs(line)).map(str::to_owned).collect()
}
