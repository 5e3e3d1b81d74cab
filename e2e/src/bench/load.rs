//! The load generator.
//!
//! Closed: each connection sends its next request when it has the answer to the last; this finds out how much a server can do. Open: requests
//! are due at times that were fixed beforehand, as if by people who do not know of each other, and a latency counts from when its request was
//! due, not from when a connection was free for it; this finds out what people wait. (Otherwise a server that stands still for a second would
//! be asked nothing in that second, and look well.)

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio_rustls::TlsConnector;

use super::connection::Connection;
use super::latency::Latencies;

/// What is sent.
#[derive(Clone)]
pub(super) enum Requests {
    /// Each once.
    Each(Arc<Vec<Vec<u8>>>),
    /// One many times.
    Same(Arc<Vec<u8>>, usize),
}

/// To whom, over how many connections.
#[derive(Clone)]
pub(super) struct Load {
    pub(super) address: SocketAddr,
    /// For connections by TLS.
    pub(super) tls: Option<TlsConnector>,
    pub(super) connections: usize,
    /// An answer with a smaller body is an error.
    pub(super) least_body: usize,
}

/// What came of it. Every request was answered with 200.
#[derive(Debug)]
pub(super) struct Answered {
    pub(super) count: usize,
    pub(super) elapsed: Duration,
    pub(super) latencies: Latencies,
}

impl Answered {
    /// Answers per second.
    #[expect(clippy::cast_precision_loss, reason = "far below what a float holds exactly")]
    pub(super) fn rate(&self) -> f64 {
        self.count as f64 / self.elapsed.as_secs_f64()
    }
}

impl Requests {
    pub(super) fn len(&self) -> usize {
        match self {
            Self::Each(requests) => requests.len(),
            Self::Same(_, count) => *count,
        }
    }

    fn nth(&self, index: usize) -> Option<&[u8]> {
        match self {
            Self::Each(requests) => requests.get(index).map(Vec::as_slice),
            Self::Same(request, count) => (index < *count).then_some(request.as_slice()),
        }
    }
}

/// When requests are due.
#[derive(Clone)]
enum Pace {
    Closed,
    /// Each so long after the begin. There is a permit for each that is due.
    Open(Arc<Vec<Duration>>, Arc<Semaphore>),
}

/// Ends the pacing when the run ends, however it ends.
struct Pacing(Arc<Semaphore>);

impl Drop for Pacing {
    fn drop(&mut self) {
        self.0.close();
    }
}

impl Load {
    /// Sends all, each connection as fast as it is answered.
    pub(super) async fn closed(self, requests: &Requests) -> Result<Answered> {
        self.run(requests, Pace::Closed).await
    }

    /// Sends all at `rate` a second on average. `seed` decides the times.
    pub(super) async fn open(self, requests: &Requests, rate: f64, seed: u64) -> Result<Answered> {
        let due = schedule(requests.len(), rate, seed);
        self.run(requests, Pace::Open(Arc::new(due), Arc::new(Semaphore::new(0)))).await
    }

    async fn run(self, requests: &Requests, pace: Pace) -> Result<Answered> {
        ensure!(requests.len() > 0, "there is nothing to send");
        // Opened before the clock runs.
        let mut connections = Vec::with_capacity(self.connections);
        for _ in 0..self.connections {
            connections.push(Connection::open(self.address, self.tls.as_ref()).await?);
        }
        let next = Arc::new(AtomicUsize::new(0));
        let begun = Instant::now();
        let mut tasks = JoinSet::new();
        for connection in connections {
            let (load, requests, pace, next) = (self.clone(), requests.clone(), pace.clone(), Arc::clone(&next));
            tasks.spawn(async move { load.use_up(connection, &requests, &pace, &next, begun).await });
        }
        let _pacing = match &pace {
            Pace::Closed => None,
            Pace::Open(due, permits) => {
                let (due, permits) = (Arc::clone(due), Arc::clone(permits));
                let pacing = Pacing(Arc::clone(&permits));
                tokio::task::spawn_blocking(move || release(&due, &permits, begun));
                Some(pacing)
            }
        };
        let (mut latencies, mut last) = (Vec::with_capacity(requests.len()), begun);
        while let Some(ended) = tasks.join_next().await {
            for (latency, end) in ended.context("a connection panicked")?? {
                latencies.push(latency);
                last = last.max(end);
            }
        }
        Ok(Answered { count: latencies.len(), elapsed: last - begun, latencies: Latencies::new(latencies) })
    }

    /// Takes requests until there are none, over one connection. Latencies, and when each answer was there.
    async fn use_up(
        self,
        mut connection: Connection,
        requests: &Requests,
        pace: &Pace,
        next: &AtomicUsize,
        begun: Instant,
    ) -> Result<Vec<(Duration, Instant)>> {
        let mut answered = Vec::new();
        loop {
            if let Pace::Open(_, permits) = pace {
                match permits.acquire().await {
                    Ok(permit) => permit.forget(),
                    Err(_) => return Ok(answered),
                }
            }
            let index = next.fetch_add(1, Ordering::Relaxed);
            let Some(request) = requests.nth(index) else { return Ok(answered) };
            let start = match pace {
                Pace::Closed => Instant::now(),
                Pace::Open(due, _) => begun + due.get(index).copied().unwrap_or_default(),
            };
            let body = connection.exchange(request).await?;
            let least = self.least_body;
            ensure!(body >= least, "an answer had a body of {body} bytes: at least {least} should have come");
            let end = Instant::now();
            answered.push((end.saturating_duration_since(start), end));
        }
    }
}

/// Lets requests go when they are due, and after the last everybody who still waits for one. On a thread of its own: the runtime's timer
/// counts in milliseconds, which is longer than a read takes.
#[expect(clippy::disallowed_methods, reason = "a request is due at a time, and at nothing else")]
fn release(due: &[Duration], permits: &Semaphore, begun: Instant) {
    for due in due {
        let wait = (begun + *due).saturating_duration_since(Instant::now());
        if !wait.is_zero() {
            std::thread::sleep(wait);
        }
        if permits.is_closed() {
            return;
        }
        permits.add_permits(1);
    }
    permits.add_permits(Semaphore::MAX_PERMITS / 2);
}

/// When each of `count` requests is due: independent of each other (a Poisson process), the same for the same seed.
fn schedule(count: usize, rate: f64, seed: u64) -> Vec<Duration> {
    let mut state = seed;
    let mut at = 0.0;
    let mut draw = move || {
        // SplitMix64 (Steele, Lea, Flood 2014), of which the upper 53 bits become a fraction.
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut bits = state;
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        bits ^= bits >> 31;
        #[expect(clippy::cast_precision_loss, reason = "53 bits are what a float holds exactly")]
        let fraction = (bits >> 11) as f64 / (1u64 << 53) as f64;
        fraction
    };
    let gaps = std::iter::repeat_with(move || -(1.0 - draw()).ln() / rate.max(f64::MIN_POSITIVE));
    let times = gaps.take(count).map(|gap| {
        at += gap;
        Duration::try_from_secs_f64(at).unwrap_or(Duration::MAX)
    });
    times.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_due_in_order_at_the_rate_and_at_the_same_times_for_the_same_seed() {
        let due = schedule(10_000, 1000.0, 7);
        assert!(due.is_sorted());
        let last = due.last().unwrap().as_secs_f64();
        assert!((9.0..11.0).contains(&last), "{last}");
        assert_eq!(due, schedule(10_000, 1000.0, 7));
        assert_ne!(due, schedule(10_000, 1000.0, 8));
    }

    #[tokio::test]
    async fn a_latency_under_open_load_counts_from_when_the_request_was_due() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (delay, count) = (Duration::from_millis(20), 20);
        // It answers one every 20 ms and is asked one every ms: each waits for all before it.
        let peer = tokio::spawn(async move {
            use tokio::io::{AsyncReadExt, AsyncWriteExt};
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut request = [0; 4];
            let mut tick = tokio::time::interval(delay);
            while stream.read_exact(&mut request).await.is_ok() {
                tick.tick().await;
                stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await.unwrap();
            }
        });
        let load = Load { address, tls: None, connections: 1, least_body: 0 };
        let answered = load.open(&Requests::Same(Arc::new(b"ping".to_vec()), count), 1000.0, 1).await.unwrap();
        assert_eq!(answered.count, count);
        assert!(answered.latencies.quantile(1000) > delay * 10, "{:?}", answered.latencies.quantile(1000));
        peer.await.unwrap();
    }
}
