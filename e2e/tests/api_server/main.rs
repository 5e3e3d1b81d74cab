//! The four kinds in a real API server, with no more than their definitions and the admission policies. These tests need no root.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test's helpers fail the test"
)]

mod converted;
mod gitops;
mod golden;
mod health;
mod kustomize;
mod names;
mod printed;
mod refused;
mod refused_objects;
mod shipped_policy;
mod states;
mod upgrade;

use std::time::Duration;

use sikkerkey_e2e::cargo;
use sikkerkey_e2e::cluster::{Cluster, Options};
use sikkerkey_e2e::wait::wait_for;

/// The bound of one wait.
const BOUND: Duration = Duration::from_secs(90);

/// An API server that knows the four kinds.
async fn with_kinds() -> Cluster {
    let cluster = with_definitions().await;
    cluster.kubectl().apply(&sikkerkey_crds::admission::to_yaml().unwrap()).await.unwrap();
    cluster
}

/// The same, without the admission policies: it takes also what an operator must refuse.
async fn with_definitions() -> Cluster {
    let cluster = Cluster::start(Options::control_plane()).await.unwrap();
    let kubectl = cluster.kubectl();
    let crds = cargo::workspace().join("crds").display().to_string();
    kubectl.run(["apply", "--server-side", "-f", &crds]).await.unwrap();
    kubectl.run(["wait", "--for=condition=Established", "crd", "--all", "--timeout=60s"]).await.unwrap();
    // Schemas are published some moments later, and until then kubectl explains nothing and asks for no strict look at fields.
    wait_for("the schemas of the kinds", BOUND, async || {
        let published = kubectl.run(["get", "--raw", "/openapi/v3/apis/sikkerkey.com/v1alpha1"]).await?;
        let missing = ["Machine", "Secret", "Grant", "AccessPolicy"]
            .into_iter()
            .find(|kind| !published.contains(&format!("com.sikkerkey.v1alpha1.{kind}\"")));
        anyhow::ensure!(missing.is_none(), "{missing:?}");
        anyhow::Ok(())
    })
    .await
    .unwrap();
    // kubectl remembers what there was before, and a category is not looked up again.
    kubectl.run(["api-resources"]).await.unwrap();
    cluster
}
