//! Taking spans to the collector, a batch at a time.

use std::fmt;
use std::future::Future;
use std::pin::pin;
use std::time::Duration;

use opentelemetry::Context;
use opentelemetry_proto::tonic::collector::trace::v1::{ExportTraceServiceRequest, ExportTraceServiceResponse};
use opentelemetry_proto::transform::common::tonic::ResourceAttributesWithSchema;
use opentelemetry_proto::transform::trace::tonic::group_spans_by_resource_and_scope;
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::trace::{Span, SpanData, SpanProcessor};
use prost::Message as _;
use tokio::sync::mpsc;
use tokio::time::{sleep, timeout};

use crate::collector::{Collector, PostError};
use crate::{Count, Fate};

/// The most spans of one request.
const BATCH: usize = 256;
/// How long spans wait for others to go with.
const GATHER: Duration = Duration::from_secs(1);
/// How long the collector has for one request.
const PATIENCE: Duration = Duration::from_secs(5);
/// How long the last request may take.
const LAST: Duration = Duration::from_secs(1);

/// Where ended spans wait.
pub(crate) struct Queue {
    sender: mpsc::Sender<SpanData>,
    count: Count,
}

impl Queue {
    pub(crate) fn new(sender: mpsc::Sender<SpanData>, count: Count) -> Self {
        Self { sender, count }
    }
}

impl SpanProcessor for Queue {
    fn on_start(&self, _: &mut Span, _: &Context) {}

    fn on_end(&self, span: SpanData) {
        // Whoever made the span does not wait.
        if self.sender.try_send(span).is_err() {
            (self.count)(Fate::QueueFull, 1);
        }
    }

    fn force_flush(&self) -> OTelSdkResult {
        Ok(())
    }

    fn shutdown_with_timeout(&self, _: Duration) -> OTelSdkResult {
        Ok(())
    }
}

impl fmt::Debug for Queue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Queue").finish_non_exhaustive()
    }
}

/// Takes what waits to the collector.
pub struct Exporter {
    receiver: mpsc::Receiver<SpanData>,
    collector: Collector,
    resource: ResourceAttributesWithSchema,
    count: Count,
    is_away: bool,
}

impl Exporter {
    pub(crate) fn new(
        receiver: mpsc::Receiver<SpanData>,
        collector: Collector,
        resource: &Resource,
        count: Count,
    ) -> Self {
        Self { receiver, collector, resource: resource.into(), count, is_away: false }
    }

    /// Works until `stopped`, and then takes what is left once.
    pub async fn run(mut self, stopped: impl Future<Output = ()>) {
        let mut stopped = pin!(stopped);
        let mut batch = Vec::new();
        let is_over = |taken: usize| taken == 0;
        'work: loop {
            tokio::select! {
                () = &mut stopped => break,
                taken = self.receiver.recv_many(&mut batch, BATCH) => if is_over(taken) { break },
            }
            let mut gathered = pin!(sleep(GATHER));
            while batch.len() < BATCH {
                let room = BATCH - batch.len();
                tokio::select! {
                    () = &mut gathered => break,
                    () = &mut stopped => break 'work,
                    taken = self.receiver.recv_many(&mut batch, room) => if is_over(taken) { break },
                }
            }
            self.send(std::mem::take(&mut batch), PATIENCE).await;
        }
        self.receiver.close();
        while let Ok(span) = self.receiver.try_recv() {
            batch.push(span);
        }
        if !batch.is_empty() {
            self.send(batch, LAST).await;
        }
    }

    async fn send(&mut self, batch: Vec<SpanData>, patience: Duration) {
        let size = u64::try_from(batch.len()).unwrap_or(u64::MAX);
        let request =
            ExportTraceServiceRequest { resource_spans: group_spans_by_resource_and_scope(batch, &self.resource) };
        let posted = timeout(patience, self.collector.post(request.encode_to_vec())).await;
        let was_away = std::mem::replace(&mut self.is_away, !matches!(posted, Ok(Ok(_))));
        match posted.unwrap_or(Err(PostError::Late)) {
            Ok(answer) => {
                // What it says is believed as far as it can be true.
                let answer = ExportTraceServiceResponse::decode(&*answer).unwrap_or_default();
                let rejected = answer.partial_success.map_or(0, |it| u64::try_from(it.rejected_spans).unwrap_or(0));
                let rejected = rejected.min(size);
                (self.count)(Fate::Sent, size - rejected);
                (self.count)(Fate::NotTaken, rejected);
                if was_away {
                    tracing::info!("the collector takes spans again");
                }
            }
            Err(error) => {
                (self.count)(Fate::NotTaken, size);
                // Once: a collector that is away for a day would hide the rest of the log.
                if !was_away {
                    let error: &dyn std::error::Error = &error;
                    tracing::warn!(error, "the collector takes no spans: they are dropped and counted until it does");
                }
            }
        }
    }
}

impl fmt::Debug for Exporter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Exporter").finish_non_exhaustive()
    }
}
