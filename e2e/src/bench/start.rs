//! P12: how much later an application starts because of us, on a real kubelet.
//!
//! Pods with and without the label in turn, one at a time, each after a random pause: the kubelet lists its containers once a second, and
//! a loop in step with that would always meet the same moment. When a container's main ran is what the container runtime notes of its
//! first line.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::Pod;
use kube::api::{DeleteParams, LogParams, PostParams};
use kube::{Api, Client};
use serde_json::{Value, json};

use super::Bench;
use super::latency::Latencies;
use super::row::{Better, Row, Unit, short};
use crate::cluster::{Cluster, Options};
use crate::installation::{Installation, LogLevel, Programs};
use crate::pod;
use crate::wait::wait_for;

/// Whatever takes longer than this has failed.
const BOUND: Duration = Duration::from_mins(2);
const NAMESPACE: &str = "start";
const NAME: &str = "web";
/// What an application needs.
const MANIFESTS: &str = r"
apiVersion: v1
kind: ServiceAccount
metadata: {name: web}
---
apiVersion: sikkerkey.com/v1alpha1
kind: Secret
metadata: {name: db}
spec: {source: {generate: {}}}
---
apiVersion: sikkerkey.com/v1alpha1
kind: Machine
metadata: {name: web}
spec:
  workload: {serviceAccountNames: [web]}
  delivery: {files: [{path: db/password, secretRefs: [{name: db}]}]}
---
apiVersion: sikkerkey.com/v1alpha1
kind: Grant
metadata: {name: web-reads-db}
spec: {machineRef: {name: web}, secretRefs: [{name: db}]}
";

pub(super) async fn measure(bench: &Bench<'_>, operator: PathBuf, sidecar: PathBuf) -> Result<Vec<Row>> {
    let cluster = Cluster::start(Options::node().report(bench.report.clone())).await?;
    let programs = Programs::with_sidecar(bench.programs.server.to_owned(), operator, sidecar);
    let installation = Installation::start(cluster, programs, LogLevel::Info, bench.report).await?;
    let rows = play(bench, &installation).await;
    if rows.is_err() {
        bench.say(&format!("logs are kept in {}", installation.cluster.keep_logs().display()));
    }
    let stopped = installation.cluster.stop().await;
    ensure!(stopped.leftovers.is_empty(), "left behind: {}", stopped.leftovers.join("\n"));
    rows
}

async fn play(bench: &Bench<'_>, installation: &Installation) -> Result<Vec<Row>> {
    installation.cluster.namespace(NAMESPACE).await?;
    let kubectl = installation.cluster.kubectl();
    kubectl.run_with_input(["apply", "-n", NAMESPACE, "-f", "-"], MANIFESTS).await?;
    let ready = ["wait", "-n", NAMESPACE, "--for=condition=Ready", "machine.sikkerkey.com/web", "--timeout=60s"];
    kubectl.run(ready).await?;
    let client = installation.admin_client()?;
    // The first pod of a node is slower than all others.
    let (mut with, mut without) = (Vec::new(), Vec::new());
    for n in 0..=bench.scale.starts {
        for injected in [n % 2 == 0, n % 2 != 0] {
            let took = one(&client, n, injected).await?;
            if n > 0 {
                if injected { with.push(took) } else { without.push(took) }
            }
        }
    }
    let (with, without) = (Latencies::new(with), Latencies::new(without));
    let later = with.median().as_secs_f64() - without.median().as_secs_f64();
    Ok(vec![Row {
        point: "P12",
        what: "an application starts later, with its files, than without us".to_owned(),
        measured: format!("median {} s of {} pods", short(with.median().as_secs_f64()), with.count()),
        reference: format!("{} s without", short(without.median().as_secs_f64())),
        figure: later,
        unit: Unit::Seconds,
        better: Better::Less,
        floor: 1.0,
        stretch: Some(0.6),
    }])
}

/// From the creation of a pod to its application's main.
async fn one(client: &Client, n: usize, injected: bool) -> Result<Duration> {
    let mut random = [0; 2];
    getrandom::fill(&mut random).map_err(|error| anyhow::anyhow!("no random bytes: {error}"))?;
    tokio::time::sleep(Duration::from_millis(u64::from(u16::from_be_bytes(random)) % 1000)).await;
    let name = format!("{}-{n}", if injected { "injected" } else { "plain" });
    let pods: Api<Pod> = Api::namespaced(client.clone(), NAMESPACE);
    let created = now();
    pods.create(&PostParams::default(), &serde_json::from_value(object(&name, injected))?).await?;
    pod::ready(client, NAMESPACE, &name, BOUND).await?;
    let params = LogParams { container: Some("app".to_owned()), timestamps: true, ..LogParams::default() };
    let line = wait_for("the application's first line", BOUND, async || {
        let log = pods.logs(&name, &params).await.map_err(|error| error.to_string())?;
        log.lines().next().map(str::to_owned).ok_or_else(|| "there is none".to_owned())
    })
    .await?;
    let (time, said) = line.split_once(' ').context("a line without a time")?;
    ensure!(said == "started", "the application said {said:?}");
    let started: Timestamp = time.parse()?;
    pods.delete(&name, &DeleteParams::default().grace_period(0)).await?;
    pod::gone(client, NAMESPACE, &name, BOUND).await?;
    Duration::try_from(started.duration_since(created)).context("it started before it was made")
}

/// The runtime's clock is this machine's.
#[expect(clippy::disallowed_methods, reason = "the processes under test have no other clock")]
fn now() -> Timestamp {
    Timestamp::now()
}

fn object(name: &str, injected: bool) -> Value {
    let (labels, read) = if injected {
        (json!({"sikkerkey.com/machine": NAME}), "test -s /run/secrets/sikkerkey/db/password && ")
    } else {
        (json!({}), "")
    };
    json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {"name": name, "labels": labels},
        "spec": {
            "serviceAccountName": NAME,
            "automountServiceAccountToken": false,
            "terminationGracePeriodSeconds": 1,
            "containers": [{
                "name": "app", "image": crate::image::BUSYBOX_IMAGE, "imagePullPolicy": "Never",
                "command": ["sh", "-c", format!("{read}echo started && exec sleep 3600")],
            }],
        },
    })
}
