//! How much a server does when it is asked for all it can, and what each answer costs it.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;

use super::clients::Fleet;
use super::load::{Answered, Requests};
use super::served::Served;

/// Connections that saturate.
pub(super) const CONNECTIONS: usize = 64;
/// Requests of a first burst, from which follows how many the measurement needs.
const BURST: usize = CONNECTIONS * 8;
/// When requests are due is random, and the same in each run.
const SEED: u64 = 3;

/// What it is asked.
#[derive(Clone, Copy, Debug)]
pub(super) enum Ask {
    /// Signed reads of one secret each.
    Reads(Fleet),
    /// The empty answer.
    Nothing,
}

/// What came of it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Saturation {
    /// Answers a second.
    pub(super) rate: f64,
    /// The server's processor time for one.
    pub(super) cpu: Duration,
    /// What one made the server write to the device.
    pub(super) device_bytes: f64,
}

impl Ask {
    /// That many requests, signed now.
    pub(super) async fn requests(self, count: usize) -> Result<Requests> {
        match self {
            Self::Reads(fleet) => fleet.reads(count).await,
            Self::Nothing => Ok(Requests::Same(Arc::new(b"GET / HTTP/1.1\r\nhost: localhost\r\n\r\n".to_vec()), count)),
        }
    }
}

/// Saturates a server for about `time`.
pub(super) async fn saturate(served: &Served, ask: Ask, time: Duration) -> Result<Saturation> {
    let load = served.load(CONNECTIONS);
    let burst = load.closed(&ask.requests(BURST).await?).await?;
    let requests = ask.requests(enough(burst.rate(), time)).await?;
    measured(served, &requests).await
}

/// How many requests last for `time`.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a rate is positive and far below the limits"
)]
pub(super) fn enough(rate: f64, time: Duration) -> usize {
    ((rate * time.as_secs_f64()).ceil() as usize).max(CONNECTIONS)
}

/// Has them answered as fast as can be, and sees what that costs.
pub(super) async fn measured(served: &Served, requests: &Requests) -> Result<Saturation> {
    costs(served, served.load(CONNECTIONS).closed(requests)).await
}

/// Asks at a rate, and sees what that costs.
pub(super) async fn paced(served: &Served, ask: Ask, rate: f64, time: Duration) -> Result<Saturation> {
    let requests = ask.requests(enough(rate, time)).await?;
    costs(served, served.load(CONNECTIONS).open(&requests, rate, SEED)).await
}

async fn costs(served: &Served, load: impl Future<Output = Result<Answered>>) -> Result<Saturation> {
    let before = served.meter.used()?;
    let answered = load.await?;
    let used = served.meter.used()?.since(&before);
    let count = u32::try_from(answered.count)?.max(1);
    #[expect(clippy::cast_precision_loss, reason = "far below what a float holds exactly")]
    let device_bytes = used.device_bytes as f64 / f64::from(count);
    Ok(Saturation { rate: answered.rate(), cpu: used.cpu / count, device_bytes })
}
