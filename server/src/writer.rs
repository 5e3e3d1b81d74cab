//! The one task that changes anything.
//!
//! Everything that has to be durable goes through one queue, in order, into one task that is never cancelled. It takes
//! what waits and commits it as one group, so that a hundred reads cost one write to the disk:
//!
//! 1. on a shared database: the lock on the head, and what other servers have done since; from now on this server knows
//!    all that was acknowledged by any, and no other decides anything;
//! 1. all nonces in one statement; those that were used before are replays;
//! 2. each request is decided, in order, against the state of this very moment, and applied in memory;
//! 3. counters, delivered versions, changed entities and audit rows, in a few statements;
//! 4. commit; and only then does anybody get an answer.
//!
//! When a group cannot be written, what it did in memory is taken back, every one in it is answered that the server is
//! unavailable, and the server is not ready until a write succeeds. A panic in here ends the process: a server that
//! cannot write must not pretend.

mod alert;
mod archived;
mod catch_up;
mod change;
mod group;
mod nonces;
mod pressure;
mod read;
mod task;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use sikkerkey_traces::span;
use tokio::sync::{Mutex, mpsc, oneshot, watch};
use tokio::time::{Instant, sleep_until};
use tracing::Instrument as _;
use tracing::field::Empty;

pub use self::change::ChangeRequest;
use self::pressure::Pressure;
pub(crate) use self::pressure::overloaded;
pub use self::read::{Attempt, Claim, Committed, Files, Outcome, ReadRequest, Receipt, Released, Standing};
pub use self::task::{Parts, WriterTask};
use crate::audit::entry::Entry;
use crate::refusal::{Refusal, RefusalKind};
use crate::store::ChainHead;

/// The most requests that are written together.
pub const MAX_GROUP: usize = 256;
/// How many requests may wait for the writer. Reads are refused before it is full; beyond it, changes wait for a place.
const QUEUE: usize = 4096;
/// A group that takes longer hangs: the database gives no answer.
const HANGS: Duration = Duration::from_secs(3);
/// The least time between two looks for somebody unknown.
const BETWEEN_LOOKS: Duration = Duration::from_millis(20);

/// The way to the one task that changes anything. Cheap to clone.
#[derive(Clone)]
pub struct Writer {
    queue: mpsc::Sender<Box<dyn group::Job>>,
    health: Arc<AtomicBool>,
    progress: watch::Receiver<Option<Instant>>,
    is_shared: bool,
    /// The last look for somebody unknown that came to an end.
    last_look: Arc<Mutex<Option<Look>>>,
    audit_head: watch::Receiver<ChainHead>,
    pressure: Pressure,
}

/// A look for somebody whom this server does not know.
struct Look {
    began: Instant,
    did_see: bool,
}

impl Writer {
    /// Runs a management use case: decides, writes, applies, answers. Its nonce is burnt whatever the use case says.
    pub async fn change<T: Send + 'static>(&self, request: ChangeRequest<T>) -> Result<T, Refusal> {
        let (reply, answer) = oneshot::channel();
        let span = span!("decide and commit", what = request.what);
        self.submit(Box::new(change::ChangeJob::new(request, reply)), answer).instrument(span).await
    }

    /// Decides reads, burns the nonce, writes the audit. The receipt is what revealing a value asks for.
    pub async fn read(&self, request: ReadRequest) -> Result<Receipt, Refusal> {
        if self.is_overloaded() {
            return Err(self.pressure.shed(request.source.address));
        }
        let (reply, answer) = oneshot::channel();
        let span = span!("decide and commit", what = "read", released = Empty, denied = Empty, reason = Empty);
        let job = Box::new(read::ReadJob::new(request, reply));
        let receipt = self.submit(job, answer).instrument(span.clone()).await;
        if let Ok(receipt) = &receipt
            && !span.is_disabled()
        {
            receipt.note(&span);
        }
        receipt
    }

    /// Ends when this server knows all that any other had done before.
    pub async fn catch_up(&self) -> Result<(), Refusal> {
        if !self.is_shared {
            return Ok(());
        }
        let (reply, answer) = oneshot::channel();
        self.submit(Box::new(catch_up::CatchUpJob::new(reply)), answer).await
    }

    /// The same for somebody whom this server does not know, and another may. Strangers can ask as often as they like, so
    /// all who come within a moment share one look.
    pub async fn catch_up_after_miss(&self) -> Result<(), Refusal> {
        if !self.is_shared {
            return Ok(());
        }
        let arrived = Instant::now();
        let mut last = self.last_look.lock().await;
        match &*last {
            // One that failed has seen nobody, and was a look all the same: while the database is away, not each of
            // those who wait has to find that out for himself.
            Some(look) if look.began >= arrived => return if look.did_see { Ok(()) } else { Err(unavailable()) },
            Some(look) => sleep_until(look.began + BETWEEN_LOOKS).await,
            None => {}
        }
        let began = Instant::now();
        let looked = self.catch_up().await;
        // Only now: whoever goes away while he looks has not looked for those who came with him.
        *last = Some(Look { began, did_see: looked.is_ok() });
        looked
    }

    /// The end of the audit, as it is committed.
    pub fn audit_head(&self) -> watch::Receiver<ChainHead> {
        self.audit_head.clone()
    }

    /// Drops the rows of the audit up to `base`, which must have been exported, and says so in a row.
    pub async fn drop_audit(&self, base: ChainHead, entry: Option<Entry>) -> Result<(), Refusal> {
        let (reply, answer) = oneshot::channel();
        self.submit(Box::new(archived::DropJob { base, entry, reply }), answer).await
    }

    /// Whether the last write succeeded, and none hangs.
    pub fn is_healthy(&self) -> bool {
        let hangs = self.progress.borrow().is_some_and(|begun| begun.elapsed() >= HANGS);
        self.health.load(Ordering::Relaxed) && !hangs
    }

    /// Whether a read would have to wait too long.
    pub fn is_overloaded(&self) -> bool {
        self.pressure.is_too_much()
    }

    /// How many requests wait for their answer.
    pub fn waiting(&self) -> usize {
        self.pressure.waiting()
    }

    async fn submit<T>(
        &self,
        job: Box<dyn group::Job>,
        answer: oneshot::Receiver<Result<T, Refusal>>,
    ) -> Result<T, Refusal> {
        let waiting = self.pressure.enter(job.spend().map(|it| it.signer.as_str()))?;
        self.queue.send(job).await.map_err(|_| unavailable())?;
        let answer = answer.await.map_err(|_| unavailable())?;
        waiting.answered();
        answer
    }
}

/// What everybody hears whose request could not be written.
fn unavailable() -> Refusal {
    Refusal::new(
        RefusalKind::Unavailable,
        "the server cannot write to its database at the moment: nothing was done; try again",
    )
}
