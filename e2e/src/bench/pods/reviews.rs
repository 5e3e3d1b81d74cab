//! P9: admission of pods.

use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::row;
use super::stage::{NAMESPACE, Stage, pod};
use crate::bench::Bench;
use crate::bench::load::{Load, Requests};
use crate::bench::row::{Row, Unit, short};

/// Reviews a second.
const RATE: f64 = 500.0;
/// The API server keeps some connections to a webhook.
const CONNECTIONS: usize = 8;
const PATH: &str = "/mutate-pods";

pub(super) async fn measure(bench: &Bench<'_>, stage: &mut Stage) -> Result<Vec<Row>> {
    let body = review()?;
    let address = stage.operator_address()?;
    let request = format!(
        "POST {PATH} HTTP/1.1\r\nhost: {address}\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    );
    let patch = patch_bytes(stage, &body).await?;
    let load = Load { address, tls: Some(stage.tls.clone()), connections: CONNECTIONS, least_body: patch };
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "some thousands")]
    let count = (RATE * bench.scale.round.as_secs_f64()) as usize;
    let requests = Requests::Same(Arc::new(request.into_bytes()), count.max(1));
    load.clone().open(&requests, RATE, 1).await?;
    let meter = stage.operator()?;
    stage.notes.since_last()?;
    let before = meter.used()?;
    let answered = load.open(&requests, RATE, 2).await?;
    let used = meter.used()?.since(&before);
    let (asked, memory) = (stage.notes.since_last()?, meter.memory()?);
    #[expect(clippy::cast_precision_loss, reason = "far below what a float holds exactly")]
    let (each, patch, resident, calls) =
        (used.cpu.as_secs_f64() / answered.count as f64, patch as f64, memory.resident as f64, asked.lookups as f64);
    let row = |what, measured, figure, unit, floor, stretch| row("P9", what, measured, figure, unit, floor, stretch);
    let slowest = answered.latencies.quantile(990).as_secs_f64();
    Ok(vec![
        row(
            "a review at 500 a second, 99 %",
            format!("{} reviews, median {} ms", answered.count, short(answered.latencies.median().as_secs_f64() * 1e3)),
            slowest,
            Unit::Milliseconds,
            5e-3,
            Some(2e-3),
        ),
        row(
            "operator CPU of a review",
            format!("{} µs", short(each * 1e6)),
            each,
            Unit::Milliseconds,
            0.2e-3,
            Some(0.1e-3),
        ),
        row("patch for 10 secrets", format!("{patch} bytes"), patch, Unit::Kilobytes, 2.5e3, Some(2e3)),
        row(
            "calls that it makes while answering",
            format!("{} MB resident", short(resident / 1e6)),
            calls,
            Unit::Count,
            0.0,
            None,
        ),
    ])
}

/// A review of a plain pod, as the API server sends it.
fn review() -> Result<String> {
    let object = serde_json::to_value(pod("web"))?;
    let review = json!({
        "apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview",
        "request": {
            "uid": "4be6f15c-1f0a-4d1f-8b43-8b1d2bd7d0ab",
            "kind": {"group": "", "version": "v1", "kind": "Pod"},
            "resource": {"group": "", "version": "v1", "resource": "pods"},
            "requestKind": {"group": "", "version": "v1", "kind": "Pod"},
            "requestResource": {"group": "", "version": "v1", "resource": "pods"},
            "name": "web", "namespace": NAMESPACE, "operation": "CREATE",
            "userInfo": {"username": "system:serviceaccount:kube-system:replicaset-controller", "groups": ["system:authenticated"]},
            "object": object, "oldObject": null, "dryRun": false, "options": null,
        },
    });
    Ok(review.to_string())
}

/// How large the patch is that the pod gets.
async fn patch_bytes(stage: &Stage, review: &str) -> Result<usize> {
    let ca = reqwest::Certificate::from_pem(stage.ca.as_bytes())?;
    let client = reqwest::Client::builder().tls_certs_only([ca]).build()?;
    let url = format!("{}{PATH}", stage.installation.operator_url());
    let answer = client.post(url).header("content-type", "application/json").body(review.to_owned()).send().await?;
    let answer: Value = serde_json::from_slice(&answer.error_for_status()?.bytes().await?)?;
    ensure!(answer.pointer("/response/allowed") == Some(&Value::Bool(true)), "the pod was refused: {answer}");
    let patch = answer.pointer("/response/patch").and_then(Value::as_str).context("the answer has no patch")?;
    Ok(STANDARD.decode(patch)?.len())
}
