//! `helm uninstall`, and `helm install` into what stayed.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use sikkerkey_e2e::fleet::TEAMS;
use sikkerkey_e2e::wait::wait_for;

use crate::BOUND;
use crate::inventory;
use crate::site::{NAMESPACE, Site, seconds};
use crate::team::{self, Team, create};

/// Less than what is left of a leader's Lease then.
const SOON: Duration = Duration::from_secs(12);

/// What the chart's README says remains, and what the person made.
const REMAINS: [&str; 16] = [
    "APIService  v1alpha1.sikkerkey.com",
    "CustomResourceDefinition  accesspolicies.sikkerkey.com",
    "CustomResourceDefinition  grants.sikkerkey.com",
    "CustomResourceDefinition  machines.sikkerkey.com",
    "CustomResourceDefinition  questions.sikkerkey.com",
    "CustomResourceDefinition  secrets.sikkerkey.com",
    "ConfigMap sikkerkey-system kube-root-ca.crt",
    "Lease sikkerkey-system sikkerkey-operator",
    "Namespace  sikkerkey-system",
    "PersistentVolumeClaim sikkerkey-system sikkerkey-server-data",
    "Secret sikkerkey-system sikkerkey-ca",
    "Secret sikkerkey-system sikkerkey-root-key",
    "Secret sikkerkey-system sikkerkey-server-tls",
    "ServiceAccount sikkerkey-system default",
    "Namespace  payments",
    "Namespace  shop",
];

pub(crate) async fn and_installed_again(site: &Site, team: &mut Team, before: &BTreeSet<String>) {
    let restarts = team::restarts(site).await;
    let began = Instant::now();
    site.shell(&format!("helm uninstall sikkerkey -n {NAMESPACE} --wait")).await;
    let took = began.elapsed();
    let of_the_team = wait_for("nothing but what the README names to remain", BOUND, async || {
        let after = inventory::of(site).await;
        let (of_the_team, remains): (BTreeSet<String>, BTreeSet<String>) = after
            .difference(before)
            .cloned()
            .partition(|line| TEAMS.iter().any(|team| line.contains(&format!(" {team} "))));
        let expected: BTreeSet<String> = REMAINS.map(str::to_owned).into();
        let different: Vec<String> =
            remains.symmetric_difference(&expected).chain(before.difference(&after)).cloned().collect();
        if different.is_empty() { Ok(of_the_team) } else { Err(different.join(", ")) }
    })
    .await
    .unwrap();
    for kind in ["Machine", "Secret", "Grant", "AccessPolicy"] {
        assert!(of_the_team.iter().any(|line| line.starts_with(kind)), "the team's objects stay: {of_the_team:?}");
    }
    let held = site.ask(&["get", "sikkerkey", "-A", "-o", "jsonpath={.items[*].metadata.finalizers}"]).await;
    assert_eq!(held, "", "no object is held");
    team.noticed_nothing(site, &restarts).await;
    site.ask(&["delete", "sks", "later", "-n", team::NAMESPACE, "--timeout=10s"]).await;
    site.told(&format!(
        "helm uninstall took {}: what the README says remains, no finalizer, pods keep their files",
        seconds(took)
    ));

    let again =
        format!("helm install sikkerkey charts/sikkerkey -n {NAMESPACE} --set images.registry=localhost --wait");
    site.shell(&again).await;
    // Whoever is told that it is installed may make pods, as soon as kube-proxy has heard of it too: although the last leader's
    // Lease has not run out, and none leads.
    wait_for("a pod to be taken", SOON, async || create(site, "web", "after-uninstall").await).await.unwrap();
    team.reads_in(site, "after-uninstall").await;
    team.reader.find(site).await;
    let held = "jsonpath={range .items[*]}{.metadata.name}{.metadata.finalizers}{\"\\n\"}{end}";
    wait_for("every object to be held again", BOUND, async || {
        let objects = site.ask(&["get", "sikkerkey", "-n", team::NAMESPACE, "-o", held]).await;
        let is_held = |line: &str| line.ends_with("[\"sikkerkey.com/cleanup\"]");
        if objects.lines().count() > 4 && objects.lines().all(is_held) { Ok(()) } else { Err(objects) }
    })
    .await
    .unwrap();
    for kind in ["skm", "sks", "skg", "skp"] {
        site.ask(&["wait", kind, "--all", "-n", team::NAMESPACE, "--for=condition=Ready", "--timeout=60s"]).await;
    }
    team.noticed_nothing(site, &restarts).await;
    team.fleet.applied_again_changes_nothing().await.unwrap();
    site.told("installed again into what stayed: all goes on, with the same values");
}
