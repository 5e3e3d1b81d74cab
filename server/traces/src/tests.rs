use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use http::{HeaderMap, HeaderValue};
use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTracePartialSuccess, ExportTraceServiceRequest, ExportTraceServiceResponse,
};
use opentelemetry_proto::tonic::trace::v1::Span as Sent;
use prost::Message as _;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::registry;

use super::*;

const PARENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

/// What a collector does with a request.
#[derive(Clone, Copy)]
enum Manner {
    Takes,
    /// Says that it rejected so many.
    Rejects(i64),
    Fails,
    /// Reads, and never answers.
    Hangs,
    /// Answers without end.
    Talks,
}

struct Rig {
    traces: Traces,
    exporter: Exporter,
    counts: Arc<[AtomicU64; 3]>,
    received: Arc<Mutex<Vec<Sent>>>,
}

impl Rig {
    async fn new(manner: Manner, queue: usize) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap()).parse().unwrap();
        let received: Arc<Mutex<Vec<Sent>>> = Arc::default();
        tokio::spawn(collect(listener, manner, Arc::clone(&received)));
        let counts: Arc<[AtomicU64; 3]> = Arc::default();
        let counted = Arc::clone(&counts);
        let count: Count = Arc::new(move |fate, spans| {
            let at = Fate::ALL.iter().position(|it| *it == fate).unwrap();
            counted[at].fetch_add(spans, Ordering::Relaxed);
        });
        let ratio = "1".parse().unwrap();
        let settings = Settings { endpoint, authority: None, ratio, service: "test", instance: "pod-1".into(), queue };
        let (traces, exporter) = Traces::on(settings, count).unwrap();
        Self { traces, exporter, counts, received }
    }

    /// Does the work, and ends the exporter after it.
    async fn after(self, work: impl FnOnce()) -> (Vec<Sent>, [u64; 3]) {
        tracing::subscriber::with_default(registry().with(self.traces.layer()), work);
        self.exporter.run(std::future::ready(())).await;
        let counts = [0, 1, 2].map(|at| self.counts[at].load(Ordering::Relaxed));
        (std::mem::take(&mut *self.received.lock().unwrap()), counts)
    }
}

async fn collect(listener: TcpListener, manner: Manner, received: Arc<Mutex<Vec<Sent>>>) {
    while let Ok((mut stream, _)) = listener.accept().await {
        let received = Arc::clone(&received);
        tokio::spawn(async move {
            let mut read = Vec::new();
            let body = loop {
                let mut part = [0; 4096];
                let size = stream.read(&mut part).await.unwrap();
                read.extend_from_slice(&part[..size]);
                let Some(end) = read.windows(4).position(|it| it == b"\r\n\r\n") else { continue };
                let head = String::from_utf8_lossy(&read[..end]).to_lowercase();
                assert!(
                    head.starts_with("post /v1/traces http/1.1") && head.contains("application/x-protobuf"),
                    "{head}"
                );
                let length: usize =
                    head.split("content-length: ").nth(1).unwrap().lines().next().unwrap().parse().unwrap();
                if read.len() >= end + 4 + length {
                    break read.split_off(end + 4);
                }
            };
            let request = ExportTraceServiceRequest::decode(&*body).unwrap();
            for resource in &request.resource_spans {
                let names = resource.resource.iter().flat_map(|it| &it.attributes).map(|it| it.key.as_str());
                let names: Vec<_> = names.collect();
                assert!(names.contains(&"service.name") && names.contains(&"service.instance.id"), "{names:?}");
            }
            let spans = request.resource_spans.into_iter().flat_map(|it| it.scope_spans).flat_map(|it| it.spans);
            received.lock().unwrap().extend(spans);
            let partial_success = match manner {
                Manner::Rejects(rejected_spans) => {
                    Some(ExportTracePartialSuccess { rejected_spans, error_message: "no".into() })
                }
                _ => None,
            };
            let answer = ExportTraceServiceResponse { partial_success }.encode_to_vec();
            let status = if matches!(manner, Manner::Fails) { "500 No" } else { "200 OK" };
            let head = format!("HTTP/1.1 {status}\r\ncontent-length: {}\r\n\r\n", answer.len());
            match manner {
                Manner::Hangs => std::future::pending().await,
                Manner::Talks => {
                    stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 1000000000\r\n\r\n").await.unwrap();
                    while stream.write_all(&[0; 4096]).await.is_ok() {}
                }
                _ => stream.write_all(&[head.as_bytes(), &answer].concat()).await.unwrap(),
            }
        });
    }
}

fn hex(bytes: &[u8]) -> String {
    let id: Result<[u8; 16], _> = bytes.try_into();
    // Of a span, or of a trace.
    id.map_or_else(
        |_| format!("{:016x}", u64::from_be_bytes(bytes.try_into().unwrap())),
        |id| format!("{:032x}", u128::from_be_bytes(id)),
    )
}

#[test]
fn without_a_collector_no_span_is_made_and_no_header_told() {
    tracing::subscriber::with_default(registry().with(Traces::off().layer()), || {
        let span = span!("start", reason = "Ready");
        assert!(span.is_disabled());
        span.in_scope(|| assert_eq!(parent::traceparent(), None));
    });
}

#[tokio::test]
async fn a_span_arrives_below_its_callers_and_its_own_is_told_on() {
    let rig = Rig::new(Manner::Takes, 16).await;
    let told = Mutex::new(String::new());
    let (spans, counts) = rig
        .after(|| {
            let span = span!("request", otel.kind = "server", outcome = tracing::field::Empty);
            let mut headers = HeaderMap::new();
            headers.insert(parent::TRACEPARENT, HeaderValue::from_static(PARENT));
            headers.insert("tracestate", HeaderValue::from_static("vendor=evil"));
            parent::follow(&span, &headers);
            span.record("outcome", "Vouched");
            let child = span.in_scope(|| span!("call"));
            child.in_scope(|| {
                *told.lock().unwrap() = parent::traceparent().unwrap().to_str().unwrap().to_owned();
                tracing::error!("a line of the log");
                drop(tracing::info_span!("a library's"));
            });
        })
        .await;
    assert_eq!(counts, [2, 0, 0]);
    let find = |name: &str| spans.iter().find(|span| span.name == name).unwrap();
    let (request, call) = (find("request"), find("call"));
    assert_eq!((hex(&request.trace_id), hex(&request.parent_span_id)), (PARENT[3..35].into(), PARENT[36..52].into()));
    assert_eq!((&call.trace_id, &call.parent_span_id), (&request.trace_id, &request.span_id));
    assert_eq!(*told.lock().unwrap(), format!("00-{}-{}-01", hex(&call.trace_id), hex(&call.span_id)));
    let text = format!("{spans:?}");
    assert!(text.contains("Vouched") && !text.contains("evil") && !text.contains("line of the log"), "{text}");
}

#[tokio::test]
async fn a_header_that_is_none_is_passed_over() {
    let long = format!("cc-{}-{}-01-{}", &PARENT[3..35], &PARENT[36..52], "x".repeat(100));
    let zero = PARENT.replace(&PARENT[3..35], &"0".repeat(32));
    for headers in [vec![&*long], vec![&*zero], vec!["nonsense"], vec![""], vec!["00-é"], vec![PARENT, PARENT]] {
        let rig = Rig::new(Manner::Takes, 16).await;
        let (spans, _) = rig
            .after(|| {
                let span = span!("request");
                let values = headers.iter().map(|it| HeaderValue::from_bytes(it.as_bytes()).unwrap());
                parent::follow(
                    &span,
                    &values.map(|it| (parent::TRACEPARENT, it)).fold(HeaderMap::new(), |mut all, (name, it)| {
                        all.append(name, it);
                        all
                    }),
                );
                span.in_scope(|| {});
            })
            .await;
        assert!(spans[0].parent_span_id.is_empty(), "{headers:?}");
    }
}

#[tokio::test]
async fn a_caller_that_is_not_traced_is_not_traced_here() {
    let rig = Rig::new(Manner::Takes, 16).await;
    let (spans, _) = rig
        .after(|| {
            let span = span!("request");
            parent::adopt(&span, &PARENT.replace("-01", "-00"));
            span.in_scope(|| {
                assert!(parent::traceparent().unwrap().to_str().unwrap().ends_with("-00"));
            });
        })
        .await;
    assert!(spans.is_empty(), "{spans:?}");
}

#[tokio::test]
async fn what_does_not_fit_into_the_queue_is_counted_and_nobody_waits() {
    let rig = Rig::new(Manner::Takes, 8).await;
    let (spans, counts) = rig.after(|| (0..100_000).for_each(|_| drop(span!("request").entered()))).await;
    assert_eq!((spans.len(), counts), (8, [8, 99_992, 0]));
}

#[tokio::test]
async fn a_collector_that_fails_hangs_or_lies_costs_its_spans_and_ends_nothing() {
    for (manner, expected) in [
        (Manner::Fails, [0, 0, 2]),
        (Manner::Hangs, [0, 0, 2]),
        (Manner::Talks, [0, 0, 2]),
        (Manner::Rejects(1), [1, 0, 1]),
        (Manner::Rejects(i64::MAX), [0, 0, 2]),
        (Manner::Rejects(-7), [2, 0, 0]),
    ] {
        let begun = Instant::now();
        let work = || (0..2).for_each(|_| drop(span!("request").entered()));
        let (_, counts) = Rig::new(manner, 16).await.after(work).await;
        assert_eq!(counts, expected);
        // At the end it is waited for a second.
        assert!(begun.elapsed() < Duration::from_secs(10), "{:?}", begun.elapsed());
    }
}

#[tokio::test(start_paused = true)]
async fn spans_go_in_batches_while_the_process_runs() {
    let Rig { traces, exporter, counts, received } = Rig::new(Manner::Takes, 4096).await;
    let (stop, stopped) = oneshot::channel::<()>();
    let exporting = tokio::spawn(exporter.run(async { drop(stopped.await) }));
    tracing::subscriber::with_default(registry().with(traces.layer()), || {
        (0..1000).for_each(|_| drop(span!("request").entered()));
    });
    while counts[0].load(Ordering::Relaxed) < 1000 {
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert_eq!(received.lock().unwrap().len(), 1000);
    drop(stop);
    exporting.await.unwrap();
}
