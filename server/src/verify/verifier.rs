//! Verifying signatures that wait at the same moment together.
//!
//! Tasks of their own take what waits and verify it at once: nobody waits for more to come. On an idle server a
//! signature is alone, and costs what it always cost and a hop to another task; on a busy one dozens come together and
//! cost half as much each. The tasks are never cancelled by a client that goes away.

use std::num::NonZero;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use sikkerkey_protocol::key::{Claim, PublicKey, Signature, verify_all};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;

use crate::metrics::Metrics;

/// The most that are verified at once. More would save little, and hold a thread for longer: this many take 2 ms.
const TOGETHER: usize = 128;
/// How many may wait for one task. All of them together take 30 ms.
const WAITING: usize = 2048;
/// How many times those who are ready to run are let in before verifying begins.
const GATHERING: usize = 32;
/// How often nobody may be ready before it does, where several have come.
const PATIENCE: usize = 4;

/// Why a request is not verified.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unverified {
    /// The signature is not good.
    BadSignature,
    /// Too many wait already: nothing was looked at.
    Overloaded,
}

/// The way to the tasks that verify. They end when it is dropped.
pub struct Verifier {
    lanes: Vec<mpsc::Sender<Job>>,
    next: AtomicUsize,
    metrics: Arc<Metrics>,
}

struct Job {
    key: PublicKey,
    message: Vec<u8>,
    signature: Signature,
    reply: oneshot::Sender<bool>,
}

impl Verifier {
    /// Starts the tasks: one for every two cores, because the other half of the work is not theirs. None of them ends
    /// before this is dropped.
    pub fn start(metrics: &Arc<Metrics>) -> (Self, JoinSet<()>) {
        let mut tasks = JoinSet::new();
        let count = std::thread::available_parallelism().map_or(1, NonZero::get).div_ceil(2);
        let lanes = (0..count).map(|_| {
            let (lane, jobs) = mpsc::channel(WAITING);
            tasks.spawn(work(jobs, Arc::clone(metrics)));
            lane
        });
        let lanes = lanes.collect();
        (Self { lanes, next: AtomicUsize::new(0), metrics: Arc::clone(metrics) }, tasks)
    }

    /// Verifies a signature.
    pub async fn verify(&self, key: PublicKey, message: Vec<u8>, signature: Signature) -> Result<(), Unverified> {
        let begun = Instant::now();
        let (reply, answer) = oneshot::channel();
        let turn = self.next.fetch_add(1, Ordering::Relaxed) % self.lanes.len().max(1);
        let Some(lane) = self.lanes.get(turn) else { return Err(Unverified::Overloaded) };
        lane.try_send(Job { key, message, signature, reply }).map_err(|_| Unverified::Overloaded)?;
        let is_good = answer.await.map_err(|_| Unverified::Overloaded)?;
        self.metrics.verify_seconds.observe(begun.elapsed().as_secs_f64());
        if is_good { Ok(()) } else { Err(Unverified::BadSignature) }
    }
}

async fn work(mut jobs: mpsc::Receiver<Job>, metrics: Arc<Metrics>) {
    let mut taken = Vec::with_capacity(TOGETHER);
    while jobs.recv_many(&mut taken, TOGETHER).await > 0 {
        gather(&mut jobs, &mut taken).await;
        // Whoever has gone away needs no answer.
        taken.retain(|job| !job.reply.is_closed());
        let claims = taken.iter().map(|Job { key, message, signature, .. }| Claim { key, message, signature });
        let claims: Vec<Claim<'_>> = claims.collect();
        let good = verify_all(&claims);
        if !good.is_empty() {
            // Far below what a float holds exactly.
            metrics.verified_together.observe(u32::try_from(good.len()).map_or(f64::MAX, f64::from));
        }
        for (job, is_good) in taken.drain(..).zip(good) {
            // Whoever has gone away meanwhile needs no answer either.
            let _gone = job.reply.send(is_good);
        }
    }
}

/// Lets those who are ready to run come in. On an idle server nobody is ready, and this takes no time. Where two have come,
/// more are likely to be on their way: those are given another chance.
async fn gather(jobs: &mut mpsc::Receiver<Job>, taken: &mut Vec<Job>) {
    let mut nobody = 0;
    for _ in 0..GATHERING {
        let before = taken.len();
        tokio::task::yield_now().await;
        while taken.len() < TOGETHER
            && let Ok(job) = jobs.try_recv()
        {
            taken.push(job);
        }
        nobody = if taken.len() == before { nobody + 1 } else { 0 };
        if nobody > PATIENCE || taken.len() < 2 || taken.len() >= TOGETHER {
            return;
        }
    }
}

#[cfg(test)]
mod tests;
