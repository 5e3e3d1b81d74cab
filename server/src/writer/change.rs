//! Management changes on their way through the writer.

use std::net::IpAddr;

use sikkerkey_protocol::id::VaultId;
use tokio::sync::oneshot;

use super::group::{Group, Job, Nonce};
use super::unavailable;
use crate::audit::entry::{Action, Actor, Entry};
use crate::decision::{Context, Decided};
use crate::model::spend::Spend;
use crate::refusal::{Refusal, RefusalKind};
use crate::state::State;

/// The longest text of a refusal in the audit, in characters.
const LONGEST: usize = 1000;

/// A management use case with everything it needs.
pub struct ChangeRequest<T> {
    /// The nonce of a signed request.
    pub spend: Option<Spend>,
    /// Who asks: stands in the audit of a refusal.
    pub actor: Actor,
    /// From where.
    pub source_ip: Option<IpAddr>,
    /// What is asked, in a few words, for the audit of a refusal.
    pub what: &'static str,
    /// The use case.
    pub decide: UseCase<T>,
}

/// A use case with its request inside.
pub(crate) type UseCase<T> = Box<dyn FnOnce(&Context<'_>) -> Decided<T> + Send>;

pub(super) struct ChangeJob<T> {
    request: Option<ChangeRequest<T>>,
    spend: Option<Spend>,
    outcome: Option<Result<T, Refusal>>,
    reply: oneshot::Sender<Result<T, Refusal>>,
}

impl<T> ChangeJob<T> {
    pub(super) fn new(mut request: ChangeRequest<T>, reply: oneshot::Sender<Result<T, Refusal>>) -> Self {
        Self { spend: request.spend.take(), request: Some(request), outcome: None, reply }
    }
}

/// The vault of whoever asks: what he is refused is seen where the rest of what he does is.
fn vault_of(state: &State, actor: &Actor) -> Option<VaultId> {
    match actor {
        Actor::Machine(id) => state.machines.get(id).map(|it| it.vault.clone()),
        Actor::Agent(id) => state.agents.get(id).map(|it| it.vault.clone()),
        // A person may have several, and what concerns none of them is not told there.
        Actor::Person(_) | Actor::Administrator | Actor::System | Actor::Anonymous => None,
    }
}

impl<T: Send + 'static> Job for ChangeJob<T> {
    fn spend(&self) -> Option<&Spend> {
        self.spend.as_ref()
    }

    fn perform(&mut self, group: &mut Group<'_>, nonce: Nonce) {
        let Some(request) = self.request.take() else { return };
        let vault = vault_of(&group.world.state, &request.actor);
        let refused = |refusal: &Refusal| {
            let action = if refusal.kind == RefusalKind::Unauthenticated {
                Action::AuthFailure
            } else {
                Action::ManagementDenied
            };
            let mut entry = Entry::new(action, request.actor.clone());
            if let Actor::Machine(id) = &request.actor {
                entry.machine = Some(id.clone());
            }
            entry.vault.clone_from(&vault);
            entry.source_ip = request.source_ip;
            entry.denial = refusal.denial;
            // What was sent is repeated in some of them, and the audit keeps everything for ever.
            let message: String = refusal.message.chars().take(LONGEST).collect();
            entry.detail = format!("{}: {message}", request.what);
            entry
        };
        if let Err(refusal) = nonce.check() {
            group.audit(refused(&refusal));
            self.outcome = Some(Err(refusal));
            return;
        }
        let decided = (request.decide)(&group.context());
        self.outcome = Some(match decided {
            Err(refusal) => {
                group.audit(refused(&refusal));
                Err(refusal)
            }
            Ok(decision) => {
                for change in decision.changes {
                    group.change(change);
                }
                for entry in decision.audit {
                    group.audit(entry);
                }
                Ok((decision.answer)(&group.context()))
            }
        });
    }

    fn finish(self: Box<Self>, committed: bool) {
        let outcome = if committed { self.outcome.unwrap_or_else(|| Err(unavailable())) } else { Err(unavailable()) };
        // Whoever asked may be gone by now; what was done stands all the same.
        drop(self.reply.send(outcome));
    }
}
