//! Asking for no more than what other servers have done.

use tokio::sync::oneshot;

use super::group::{Group, Job, Nonce};
use super::unavailable;
use crate::model::spend::Spend;
use crate::refusal::Refusal;

pub(super) struct CatchUpJob(oneshot::Sender<Result<(), Refusal>>);

impl CatchUpJob {
    pub(super) fn new(reply: oneshot::Sender<Result<(), Refusal>>) -> Self {
        Self(reply)
    }
}

impl Job for CatchUpJob {
    fn spend(&self) -> Option<&Spend> {
        None
    }

    fn perform(&mut self, _: &mut Group<'_>, _: Nonce) {}

    fn finish(self: Box<Self>, committed: bool) {
        drop(self.0.send(if committed { Ok(()) } else { Err(unavailable()) }));
    }
}
