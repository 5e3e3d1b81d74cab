//! Traces: the start of a pod is one, and whoever takes them in can do no harm.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Bytes;
use axum::http::StatusCode;
use axum::routing::post;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::KeyValue;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use prost::Message as _;
use sikkerkey_e2e::installation::Installation;
use sikkerkey_e2e::wait::wait_for;
use sikkerkey_operator::manifests::MUTATE_PATH;
use sikkerkey_protocol::Call;
use sikkerkey_protocol::enrolment::{Attest, Register};
use sikkerkey_protocol::kubernetes::{ApplyGrant, IssueVoucher};
use sikkerkey_protocol::sync::Sync;
use tokio::runtime::Runtime;

use crate::team::{SHOP, Team};
use crate::{BOUND, alone_traced, host};

/// What spans may say. A name that is not here may carry what must not leave.
const ATTRIBUTES: [&str; 17] = [
    "attempt",
    "denied",
    "error",
    "files",
    "http.request.method",
    "http.response.status_code",
    "http.route",
    "key",
    "kind",
    "missing",
    "outcome",
    "peer",
    "ready",
    "reason",
    "released",
    "told",
    "what",
];

/// A span as the collector got it.
#[derive(Clone, Debug)]
struct Span {
    trace: Vec<u8>,
    parent: Vec<u8>,
    /// Who made it, its name, and the route if it has one.
    title: String,
    attributes: BTreeMap<String, String>,
}

/// A collector that takes OTLP over HTTP, or hangs. It has threads of its own.
struct Collector {
    url: String,
    spans: Arc<Mutex<BTreeMap<Vec<u8>, Span>>>,
    raw: Arc<Mutex<Vec<u8>>>,
    hangs: Arc<AtomicBool>,
    _runtime: Runtime,
}

impl Collector {
    fn start() -> Self {
        let runtime = Runtime::new().unwrap();
        let listener = runtime.block_on(tokio::net::TcpListener::bind("127.0.0.1:0")).unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let (spans, raw, hangs) =
            (Arc::<Mutex<BTreeMap<_, _>>>::default(), Arc::<Mutex<Vec<u8>>>::default(), Arc::<AtomicBool>::default());
        let kept = (Arc::clone(&spans), Arc::clone(&raw), Arc::clone(&hangs));
        let take = move |body: Bytes| {
            let (spans, raw, hangs) = kept.clone();
            async move {
                if hangs.load(Ordering::Relaxed) {
                    std::future::pending::<()>().await;
                }
                let Ok(request) = ExportTraceServiceRequest::decode(body.clone()) else {
                    return StatusCode::BAD_REQUEST;
                };
                raw.lock().unwrap().extend_from_slice(&body);
                spans.lock().unwrap().extend(all(request));
                StatusCode::OK
            }
        };
        let router = Router::new().route("/v1/traces", post(take));
        runtime.spawn(async move { axum::serve(listener, router).await });
        Self { url, spans, raw, hangs, _runtime: runtime }
    }

    fn spans(&self) -> BTreeMap<Vec<u8>, Span> {
        self.spans.lock().unwrap().clone()
    }

    /// The titles from the beginning of a span's trace to it, as far as they have arrived.
    fn way(spans: &BTreeMap<Vec<u8>, Span>, span: &Span) -> String {
        let before = spans.get(&span.parent).filter(|parent| parent.trace == span.trace);
        match before {
            Some(parent) => format!("{} > {}", Self::way(spans, parent), span.title),
            None if span.parent.is_empty() => span.title.clone(),
            None => format!("? > {}", span.title),
        }
    }

    fn ways(&self) -> BTreeSet<String> {
        let spans = self.spans();
        spans.values().map(|span| Self::way(&spans, span)).collect()
    }
}

fn all(request: ExportTraceServiceRequest) -> Vec<(Vec<u8>, Span)> {
    let mut found = Vec::new();
    for resource in request.resource_spans {
        let of = attributes(&resource.resource.unwrap_or_default().attributes);
        let service = of["service.name"].trim_start_matches("sikkerkey-").to_owned();
        for span in resource.scope_spans.into_iter().flat_map(|scope| scope.spans) {
            let attributes = attributes(&span.attributes);
            let route = attributes.get("http.route").map(|route| format!(" {route}")).unwrap_or_default();
            let title = format!("{service}: {}{route}", span.name);
            found.push((span.span_id, Span { trace: span.trace_id, parent: span.parent_span_id, title, attributes }));
        }
    }
    found
}

fn attributes(of: &[KeyValue]) -> BTreeMap<String, String> {
    let text = |it: &KeyValue| match it.value.as_ref().and_then(|it| it.value.as_ref()) {
        Some(Value::StringValue(text)) => text.clone(),
        Some(Value::IntValue(number)) => number.to_string(),
        other => format!("{other:?}"),
    };
    of.iter().map(|it| (it.key.clone(), text(it))).collect()
}

/// What a process holds in memory, in KiB.
fn resident(pid: i32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

/// The server's spans with this fate.
async fn lost(installation: &Installation) -> u64 {
    let ca = reqwest::Certificate::from_pem(&std::fs::read(installation.ca_file()).unwrap()).unwrap();
    let client = reqwest::Client::builder().tls_certs_only([ca]).build().unwrap();
    let text = client.get(format!("{}/metrics", installation.server_url())).send().await.unwrap().text().await.unwrap();
    let of = |fate: &str| {
        let name = format!("sikkerkey_spans_total{{fate=\"{fate}\"}} ");
        let line = text.lines().find_map(|line| line.strip_prefix(&name)).unwrap();
        line.parse::<u64>().unwrap()
    };
    of("QueueFull") + of("NotTaken")
}

#[test]
fn the_start_of_a_pod_is_one_trace_and_a_collector_that_hangs_changes_nothing() {
    let collector = Collector::start();
    alone_traced("traces", Some(&collector.url), async |installation| {
        let team = Team::new(installation, "traced").await;
        team.apply(SHOP).await;
        let pod = team.run(team.pod_object("web", "exec sleep 3600")).await;
        one_trace(&collector).await;
        let volume = installation.volume(&pod, "app").unwrap();
        let value = std::fs::read_to_string(volume.join("db/password")).unwrap();
        let token = installation.path(&pod, "sikkerkey", "/var/run/secrets/sikkerkey.com/token").unwrap();
        let token = std::fs::read_to_string(token).unwrap();
        nothing_secret(&collector, &value, token.trim());

        collector.hangs.store(true, Ordering::Relaxed);
        let auditor = host::host(&team, "auditor", &["db"]).await;
        let read = async |times: u32| {
            for _ in 0..times {
                let answer = auditor.client.get(&auditor.target("db")).await.unwrap();
                // One machine may not ask as often as it likes; that makes spans as well.
                assert!([200, 429].contains(&answer.status), "{answer:?}");
            }
        };
        // What the first reads make room for is not what is looked for.
        read(200).await;
        let (before, pid) = (resident(installation.server.pid()), installation.server.pid());
        read(2_500).await;
        let grown = resident(pid).saturating_sub(before);
        // 4096 spans fit into the queue, and up to 7,500 were made.
        assert!(grown < 24 * 1024, "the server has grown by {grown} KiB");
        assert!(lost(installation).await > 1_000);
        let late =
            team.run(team.pod_object("late", "test -s /run/secrets/sikkerkey/db/password && exec sleep 3600")).await;
        assert!(installation.volume(&late, "app").unwrap().join("db/password").exists());
    });
}

/// From the admission of the pod to its files, with the call of one part being the parent of what the next does for it.
async fn one_trace(collector: &Collector) {
    let (attest, register, sync, voucher) = (Attest::PATH, Register::PATH, Sync::PATH, IssueVoucher::PATH);
    let start = format!("operator: request {MUTATE_PATH} > sidecar: start");
    let enrol = format!("{start} > sidecar: exchange > sidecar: enrol");
    let attested = format!("{enrol} > sidecar: call {attest} > operator: request {attest}");
    let issued = format!("{attested} > operator: call {voucher} > server: request {voucher}");
    let registered = format!("{enrol} > sidecar: call {register} > server: request {register}");
    let synced = format!("{start} > sidecar: exchange > sidecar: call {sync} > server: request {sync}");
    let applied =
        format!("operator: reconcile > operator: call {path} > server: request {path}", path = ApplyGrant::PATH);
    let expected = [
        start.clone(),
        format!("{attested} > operator: review token"),
        format!("{attested} > operator: read pod"),
        format!("{issued} > server: verify signature"),
        format!("{issued} > server: decide and commit"),
        format!("{registered} > server: decide and commit"),
        format!("{synced} > server: verify signature"),
        format!("{synced} > server: decide and commit"),
        format!("{start} > sidecar: exchange > sidecar: swap files"),
        format!("{applied} > server: decide and commit"),
        "operator: reconcile > operator: write status".to_owned(),
    ];
    wait_for("the spans of the pod's start", BOUND, async || {
        let (ways, spans) = (collector.ways(), collector.spans());
        // The decision is told with them.
        let is_read = |span: &Span| {
            let of = |name| span.attributes.get(name).map(String::as_str);
            (of("what"), of("released"), of("denied")) == (Some("read"), Some("1"), Some("0"))
        };
        let missing: Vec<_> = expected.iter().filter(|way| !ways.contains(*way)).collect();
        if missing.is_empty() && spans.values().any(is_read) {
            Ok(())
        } else {
            Err(format!("{missing:#?} or a read in {ways:#?}"))
        }
    })
    .await
    .unwrap();
}

fn nothing_secret(collector: &Collector, value: &str, token: &str) {
    let raw = collector.raw.lock().unwrap().clone();
    let has = |needle: &str| raw.windows(needle.len()).any(|part| part == needle.as_bytes());
    assert!(has("sikkerkey-server") && value.len() == 40 && token.len() > 100);
    for secret in [value, token, token.rsplit('.').next().unwrap(), "PRIVATE KEY"] {
        assert!(!has(secret), "{secret} is in a span");
    }
    let names: BTreeSet<String> =
        collector.spans().into_values().flat_map(|span| span.attributes.into_keys()).collect();
    let unknown: Vec<_> = names.iter().filter(|name| !ATTRIBUTES.contains(&name.as_str())).collect();
    assert!(unknown.is_empty(), "{unknown:?}");
}
