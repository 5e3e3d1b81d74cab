//! The one task that changes anything.
//!
//! Everything that has to be durable goes through one queue, in order, into one task that is never cancelled. It takes
//! what waits and commits it as one group, so that a hundred reads cost one write to the disk:
//!
//! 1. all nonces in one statement; those that were used before are replays;
//! 2. each request is decided, in order, against the state of this very moment, and applied in memory;
//! 3. counters, delivered versions, changed entities and audit rows, in a few statements;
//! 4. commit; and only then does anybody get an answer.
//!
//! When a group cannot be written, what it did in memory is taken back, every one in it is answered that the server is
//! unavailable, and the server is not ready until a write succeeds. A panic in here ends the process: a server that
//! cannot write must not pretend.

mod change;
mod group;
mod nonces;
mod pressure;
mod read;
mod task;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::sync::{mpsc, oneshot};

pub use self::change::ChangeRequest;
use self::pressure::Pressure;
pub(crate) use self::pressure::overloaded;
pub use self::read::{Attempt, Claim, Committed, Outcome, ReadRequest, Receipt, Released, Standing};
pub use self::task::{Parts, WriterTask};
use crate::refusal::{Refusal, RefusalKind};

/// How many requests may wait for the writer. Reads are refused before it is full; beyond it, changes wait for a place.
const QUEUE: usize = 4096;

/// The way to the one task that changes anything. Cheap to clone.
#[derive(Clone)]
pub struct Writer {
    queue: mpsc::Sender<Box<dyn group::Job>>,
    health: Arc<AtomicBool>,
    pressure: Pressure,
}

impl Writer {
    /// Runs a management use case: decides, writes, applies, answers. Its nonce is burnt whatever the use case says.
    pub async fn change<T: Send + 'static>(&self, request: ChangeRequest<T>) -> Result<T, Refusal> {
        let (reply, answer) = oneshot::channel();
        self.submit(Box::new(change::ChangeJob::new(request, reply)), answer).await
    }

    /// Decides reads, burns the nonce, writes the audit. The receipt is what revealing a value asks for.
    pub async fn read(&self, request: ReadRequest) -> Result<Receipt, Refusal> {
        if self.is_overloaded() {
            return Err(self.pressure.shed(request.source.address));
        }
        let (reply, answer) = oneshot::channel();
        self.submit(Box::new(read::ReadJob::new(request, reply)), answer).await
    }

    /// Whether the last write succeeded.
    pub fn is_healthy(&self) -> bool {
        self.health.load(Ordering::Relaxed)
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
