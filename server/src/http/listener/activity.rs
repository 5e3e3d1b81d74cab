//! Whether a connection does anything.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;

/// Whether a connection does anything: an HTTP/2 connection, and one that has not said yet what it speaks, have no time
/// limit of their own. Cheap to clone.
#[derive(Clone)]
pub(super) struct Activity(Arc<Inner>);

struct Inner {
    beginning: Instant,
    under_way: AtomicUsize,
    /// Milliseconds since the beginning: when a request last ended.
    last: AtomicU64,
    has_asked: AtomicBool,
    asks: Notify,
}

/// A request under way.
pub(super) struct UnderWay(Activity);

impl Activity {
    pub(super) fn new() -> Self {
        Self(Arc::new(Inner {
            beginning: Instant::now(),
            under_way: AtomicUsize::new(0),
            last: AtomicU64::new(0),
            has_asked: AtomicBool::new(false),
            asks: Notify::new(),
        }))
    }

    pub(super) fn begin(&self) -> UnderWay {
        self.0.under_way.fetch_add(1, Ordering::Relaxed);
        if !self.0.has_asked.swap(true, Ordering::Relaxed) {
            self.0.asks.notify_one();
        }
        UnderWay(self.clone())
    }

    /// Whether a request has begun yet.
    pub(super) fn has_asked(&self) -> bool {
        self.0.has_asked.load(Ordering::Relaxed)
    }

    /// Waits for the first request to begin. For one who waits, once.
    pub(super) async fn asks(&self) {
        self.0.asks.notified().await;
    }

    /// Begins to count anew.
    pub(super) fn touch(&self) {
        let millis = u64::try_from(self.0.beginning.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.0.last.store(millis, Ordering::Relaxed);
    }

    /// When to look again whether nothing was asked for `idle`.
    pub(super) fn idle_at(&self, idle: Duration) -> Instant {
        let last = if self.0.under_way.load(Ordering::Relaxed) > 0 { Instant::now() } else { self.last() };
        // A little later than the limit itself, so that hyper's own limit has the first word.
        last + idle + idle / 8
    }

    pub(super) fn is_idle(&self, idle: Duration) -> bool {
        self.0.under_way.load(Ordering::Relaxed) == 0 && Instant::now() >= self.last() + idle
    }

    fn last(&self) -> Instant {
        self.0.beginning + Duration::from_millis(self.0.last.load(Ordering::Relaxed))
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.0.touch();
        self.0.0.under_way.fetch_sub(1, Ordering::Relaxed);
    }
}
