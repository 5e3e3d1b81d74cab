//! Dropping rows of the audit that were exported.

use tokio::sync::oneshot;

use super::group::{Group, Job, Nonce};
use super::unavailable;
use crate::audit::entry::Entry;
use crate::model::spend::Spend;
use crate::refusal::Refusal;
use crate::store::ChainHead;

pub(super) struct DropJob {
    pub(super) base: ChainHead,
    pub(super) entry: Option<Entry>,
    pub(super) reply: oneshot::Sender<Result<(), Refusal>>,
}

impl Job for DropJob {
    fn spend(&self) -> Option<&Spend> {
        None
    }

    fn perform(&mut self, group: &mut Group<'_>, _: Nonce) {
        group.done.audit_base = Some(self.base);
        if let Some(entry) = self.entry.take() {
            group.audit(entry);
        }
    }

    fn finish(self: Box<Self>, committed: bool) {
        drop(self.reply.send(if committed { Ok(()) } else { Err(unavailable()) }));
    }
}
