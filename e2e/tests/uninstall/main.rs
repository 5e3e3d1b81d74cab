//! Uninstalling, in every order, leaves nothing hanging, an operator that is away is in nobody's way, and a later version takes over
//! from an earlier one. Each test has a cluster of its own, and takes it apart.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test's helpers fail the test, and looking into JSON that is not there gives null"
)]

mod away;
mod certificates;
#[path = "../without_node/plugin_program.rs"]
mod plugin_program;
#[path = "../main_job/team.rs"]
#[expect(dead_code, reason = "no pod runs here")]
mod team;
mod upgraded;

use std::sync::LazyLock;
use std::time::Duration;

use sikkerkey_e2e::cluster::{Cluster, Options};
use sikkerkey_e2e::installation::{Installation, LogLevel, NAMESPACE, Programs};
use sikkerkey_e2e::report::Report;
use sikkerkey_e2e::wait::wait_for;

use crate::plugin_program::{plugin, text};
use crate::team::{SHOP, Team};

/// The bound of one wait. The longest is for a Lease to grow old, which takes a minute.
const BOUND: Duration = Duration::from_mins(2);

const POLICY: &str = r"
apiVersion: sikkerkey.com/v1alpha1
kind: AccessPolicy
metadata: {name: few}
spec: {timeZone: UTC, rateCap: {perDay: 1000}}
";

const DEFINITIONS: [&str; 4] =
    ["machines.sikkerkey.com", "secrets.sikkerkey.com", "grants.sikkerkey.com", "accesspolicies.sikkerkey.com"];

static PROGRAMS: LazyLock<Programs> = LazyLock::new(|| Programs::build(&Report::silent()).expect("the programs build"));

/// An installation in which a team has one object of each kind in force.
async fn installed() -> Installation {
    let programs = tokio::task::spawn_blocking(|| PROGRAMS.clone()).await.unwrap();
    let report = Report::silent();
    let options = Options::control_plane().with_controllers().report(report.clone());
    let cluster = Cluster::start(options).await.unwrap();
    let installation = Installation::start(cluster, programs, LogLevel::Info, &report).await.unwrap();
    let team = Team::new(&installation, "shop").await;
    team.apply(SHOP).await;
    team.apply(POLICY).await;
    for (kind, name) in [("Machine", "web"), ("Secret", "db"), ("Grant", "web-reads-db"), ("AccessPolicy", "few")] {
        team.condition(kind, name, "Programmed", "True", "Programmed").await;
    }
    installation
}

/// Deletes without waiting for the end.
async fn delete(installation: &Installation, kind: &str, names: &[&str]) {
    let args: Vec<&str> = ["delete", kind, "--wait=false"].iter().chain(names).copied().collect();
    installation.cluster.kubectl().run(args).await.unwrap();
}

/// Waits until these are no more.
async fn gone(installation: &Installation, kind: &str, names: &[&str]) {
    let kubectl = installation.cluster.kubectl();
    wait_for(&format!("{kind} {names:?} to be gone"), BOUND, async || {
        let args: Vec<&str> = ["get", kind, "--ignore-not-found", "-o", "name"].iter().chain(names).copied().collect();
        let left = kubectl.run(args).await.map_err(|error| error.to_string())?;
        if left.is_empty() { Ok(()) } else { Err(left) }
    })
    .await
    .unwrap();
}

/// How many grants the server holds.
async fn granted(installation: &Installation) -> usize {
    let said = installation.admin_json(&["grant", "list"]).await.unwrap();
    said["grants"].as_array().unwrap_or_else(|| panic!("{said}")).len()
}

#[tokio::test]
async fn the_definitions_first_while_all_is_there() {
    let installation = installed().await;
    assert_eq!(granted(&installation).await, 1);
    delete(&installation, "crd", &DEFINITIONS).await;
    gone(&installation, "crd", &DEFINITIONS).await;
    assert_eq!(granted(&installation).await, 0, "the objects went when the access was gone");
    let ended = installation.operator.terminate(BOUND).await.unwrap();
    assert!(ended.success(), "{ended:?}");
    installation.cluster.stop().await;
}

#[tokio::test]
async fn the_server_first_then_the_definitions() {
    let installation = installed().await;
    installation.server.kill().await.unwrap();
    delete(&installation, "crd", &DEFINITIONS).await;
    // Its last word: it does not wait for a server that will never be back.
    let ended = installation.operator.terminate(BOUND).await.unwrap();
    assert!(ended.success(), "{ended:?}");
    gone(&installation, "crd", &DEFINITIONS).await;
    installation.cluster.stop().await;
}

#[tokio::test]
async fn the_teams_namespace_while_the_server_is_gone() {
    let installation = installed().await;
    installation.server.kill().await.unwrap();
    delete(&installation, "namespace", &["shop"]).await;
    // After a minute of patience.
    gone(&installation, "namespace", &["shop"]).await;
    installation.cluster.stop().await;
}

#[tokio::test]
async fn the_operators_namespace_first() {
    let installation = installed().await;
    delete(&installation, "namespace", &[NAMESPACE]).await;
    let ended = installation.operator.terminate(BOUND).await.unwrap();
    assert!(ended.success(), "{ended:?}");
    gone(&installation, "namespace", &[NAMESPACE]).await;
    let kubectl = installation.cluster.kubectl();
    let held = ["get", "sikkerkey", "-A", "-o", "jsonpath={.items[*].metadata.finalizers}"];
    assert_eq!(kubectl.run(held).await.unwrap(), "", "no object is held");
    delete(&installation, "crd", &DEFINITIONS).await;
    gone(&installation, "crd", &DEFINITIONS).await;
    installation.cluster.stop().await;
}

#[tokio::test]
async fn an_operator_that_was_killed_and_one_command() {
    let installation = installed().await;
    let kubeconfig = installation.cluster.kubeconfig();
    let uninstall = async |more: &[&str]| {
        let args: Vec<&str> = ["uninstall", "-A"].iter().chain(more).copied().collect();
        plugin(&installation, &kubeconfig, &args).await
    };
    let refused = uninstall(&["--yes"]).await;
    assert_eq!(refused.status.code(), Some(2));
    assert!(text(&refused.stderr).starts_with("Error: an operator may still be at work ("), "{refused:?}");

    installation.operator.kill().await.unwrap();
    delete(&installation, "crd", &DEFINITIONS).await;
    let told = wait_for("the operator's Lease to grow old", BOUND, async || {
        let told = uninstall(&[]).await;
        if told.status.success() { Ok(told) } else { Err(text(&told.stderr).to_owned()) }
    });
    let told = told.await.unwrap();
    let page = text(&told.stdout);
    for object in ["skm/web", "sks/db", "skg/web-reads-db", "skp/few"] {
        assert!(page.lines().any(|line| line.starts_with("shop ") && line.contains(object)), "{page}");
    }
    assert!(page.contains("Nothing was changed: --yes does it."), "{page}");
    let kubectl = installation.cluster.kubectl();
    assert_eq!(kubectl.run(["get", "sikkerkey", "-A", "-o", "name"]).await.unwrap().lines().count(), 4);

    let done = uninstall(&["--yes"]).await;
    assert!(done.status.success() && text(&done.stdout).contains("They can be deleted now."), "{done:?}");
    gone(&installation, "crd", &DEFINITIONS).await;
    installation.cluster.stop().await;
}
