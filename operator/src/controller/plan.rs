//! What a pass over an object decides, and what came of it: the shapes that the four kinds share. Pure.

use k8s_openapi::jiff::Timestamp;
use serde::Serialize;
use serde::de::DeserializeOwned;
use sikkerkey_crds::condition::{Condition, ConditionStatus, ConditionType, find};
use sikkerkey_crds::reason::Reason;
use sikkerkey_crds::received::Received;
use sikkerkey_protocol::Call;
use sikkerkey_protocol::error_body::ErrorCode;
use sikkerkey_protocol::kubernetes::{Kind, ObjectMeta};

use super::Context;
use super::conditions::{self, Findings, Programmed, Verdict};
use super::error::Error;
use super::events::News;
use crate::index::Index;
use crate::index::seen::IndexedKind;
use crate::pods::Pods;
use crate::server::ServerError;

/// What to do with an object.
#[derive(Debug)]
pub enum Plan<C> {
    /// This generation is not accepted. Nothing changes at the server.
    Reject {
        /// Why, in one word.
        reason: Reason,
        /// Why, in a sentence.
        what: String,
    },
    /// The operator does not manage its namespace. Nothing is in force: the comparison takes it out.
    NotManaged,
    /// Something it names exists and has not been looked at yet: its first conditions cause another pass.
    Wait,
    /// Put it in force as far as it resolves.
    Act {
        /// `ResolvedRefs`.
        resolved: Verdict,
        /// What to tell the server.
        action: Action<C>,
    },
}

/// What to tell the server.
#[derive(Debug)]
pub enum Action<C> {
    /// This is in force.
    Apply(C),
    /// Nothing of it is in force.
    Withdraw,
    /// Nothing: it cannot be put in force, for this reason.
    Cannot(Verdict),
}

/// What came of it.
#[derive(Debug)]
pub enum Outcome<S> {
    /// The server was not asked.
    NotAsked,
    /// It is in force, and stands like this.
    InForce(S),
    /// Nothing of it is in force.
    Withdrawn,
    /// The call failed.
    Failed(ServerError),
}

/// Everything that a status follows from.
pub struct Evidence<'a, K: Reconciled> {
    /// The object.
    pub object: &'a Received<K>,
    /// What was gathered.
    pub facts: &'a K::Facts,
    /// What was planned.
    pub plan: &'a Plan<K::Apply>,
    /// What came of it.
    pub outcome: &'a Outcome<K::State>,
    /// The status as it was.
    pub previous: &'a K::Status,
    /// The generation that was in force before.
    pub in_force: Option<i64>,
    /// Whether the server is known to have held nothing of it.
    pub is_absent: bool,
    /// Name of the cluster at the server.
    pub cluster: &'a str,
    /// Where the server is.
    pub server_url: &'a str,
    /// Now.
    pub now: Timestamp,
}

/// What the state of the server adds to a plan.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Opinion {
    /// Of `ResolvedRefs`, where the plan found nothing wrong.
    pub resolved: Option<Verdict>,
    /// Of `Programmed`, where the server was told.
    pub programmed: Option<Verdict>,
    /// Of `Ready`, where nothing else is wrong.
    pub ready: Option<Verdict>,
}

/// One of the four kinds, as a pass over it needs it: gather reads the index, plan and conclude are pure.
pub trait Reconciled: IndexedKind {
    /// Its name at the server.
    const WIRE: Kind;
    /// Its status.
    type Status: Clone + Default + PartialEq + Serialize + std::fmt::Debug + Send + Sync;
    /// What puts it in force.
    type Apply: Call<Answer = Self::State> + Serialize + std::fmt::Debug + Send + Sync;
    /// How the server holds it.
    type State: DeserializeOwned + std::fmt::Debug + Send + Sync;
    /// What a plan needs to know beside the object.
    type Facts: std::fmt::Debug + Send + Sync;

    /// The status as it was read.
    fn status(&self) -> Option<&Self::Status>;

    /// A status that says nothing but this.
    fn bare_status(generation: i64, conditions: Vec<Condition>) -> Self::Status;

    /// The conditions of a status.
    fn conditions_of(status: &Self::Status) -> &[Condition];

    /// Looks around.
    fn gather(object: &Received<Self>, index: &Index, now: Timestamp) -> Self::Facts;

    /// Looks at the pods, of which only the leader knows.
    fn count_pods(_object: &Received<Self>, _facts: &mut Self::Facts, _pods: &Pods) {}

    /// Reads from the API server what no index holds.
    fn look(
        _object: &Received<Self>,
        _facts: &mut Self::Facts,
        _context: &Context,
    ) -> impl Future<Output = Result<(), Error>> + Send {
        std::future::ready(Ok(()))
    }

    /// Does at the API server what may be done only once the server has answered.
    fn follow_up(
        _object: &Received<Self>,
        _facts: &mut Self::Facts,
        _outcome: &Outcome<Self::State>,
        _context: &Context,
    ) -> impl Future<Output = ()> + Send {
        std::future::ready(())
    }

    /// Whether the server holds something of an object that stands like this, and not nothing at all.
    fn gives(_state: &Self::State) -> bool {
        true
    }

    /// Whether nothing of the generation in force was at the server when this status was written.
    fn gave_nothing(_status: &Self::Status) -> bool {
        false
    }

    /// Decides.
    fn plan(object: &Received<Self>, meta: ObjectMeta, facts: &Self::Facts) -> Plan<Self::Apply>;

    /// The status that follows.
    fn conclude(evidence: &Evidence<'_, Self>) -> Self::Status;

    /// The status without its counters, for comparison.
    fn without_counters(status: &Self::Status) -> Self::Status;

    /// Whether counters of `wanted` should be seen at once: a first read, a first denial, a window that opens or
    /// closes, a read that waits for its co-signer or no longer does.
    fn counters_are_news(_previous: &Self::Status, _wanted: &Self::Status) -> bool {
        false
    }

    /// Why a read was last denied, as the status says it: another reason should be seen at once as well, though not each
    /// time when two of them take turns.
    fn last_denial(_status: &Self::Status) -> Option<&str> {
        None
    }

    /// What is told in an Event beside a new reason of `Ready`.
    fn further_news(_previous: &Self::Status, _wanted: &Self::Status) -> Option<News> {
        None
    }

    /// Whether counters of `wanted` should be seen soon, as far as there is a budget: something came where nothing was, or
    /// the other way round.
    fn counters_turned(_previous: &Self::Status, _wanted: &Self::Status) -> bool {
        false
    }

    /// Instants at which `status`, the one that was just concluded, may change by the clock alone.
    fn changes_at(&self, _facts: &Self::Facts, _status: &Self::Status) -> [Option<Timestamp>; 2] {
        [None, None]
    }

    /// What is told in an Event when the server has forgotten it.
    fn farewell(&self) -> Option<News> {
        None
    }

    /// Whether its value goes to the trash when it is deleted.
    fn is_trashed(&self) -> bool {
        false
    }
}

impl<K: Reconciled> Evidence<'_, K> {
    /// `metadata.generation`.
    pub fn generation(&self) -> i64 {
        self.object.meta().generation.unwrap_or_default()
    }

    /// How the server holds it, if it said so in this pass.
    pub fn state(&self) -> Option<&K::State> {
        match self.outcome {
            Outcome::InForce(state) => Some(state),
            Outcome::NotAsked | Outcome::Withdrawn | Outcome::Failed(_) => None,
        }
    }

    /// Whether nothing of it is in force, and it is not about to be.
    pub fn gives_nothing(&self) -> bool {
        matches!(self.plan, Plan::NotManaged) || self.is_void()
    }

    /// Whether the server holds nothing of it, and is not about to: what it said of itself there is void.
    pub fn is_void(&self) -> bool {
        match self.outcome {
            Outcome::InForce(_) => false,
            Outcome::Withdrawn => true,
            Outcome::NotAsked => self.is_absent,
            Outcome::Failed(error) => self.is_absent && error.is_refusal(),
        }
    }

    /// The conditions, with the kind's own opinion and its own words for a refusal.
    pub fn conditions(&self, opinion: Opinion, words: impl FnOnce(Reason) -> Option<String>) -> Vec<Condition> {
        let generation = self.generation();
        let previous = K::conditions_of(self.previous);
        let mut findings = Findings {
            previous,
            generation,
            accepted: Verdict::holds(Reason::Accepted),
            resolved: None,
            programmed: Programmed::AsBefore,
            own: opinion.ready,
            now: self.now,
        };
        match self.plan {
            Plan::Reject { reason, what } => {
                findings.accepted = conditions::rejected(*reason, what, self.in_force);
                findings.programmed = conditions::programmed_meanwhile(previous, self.in_force, *reason);
                return conditions::conclude(findings);
            }
            Plan::NotManaged => {
                findings.accepted =
                    conditions::not_managed(self.object.meta().namespace.as_deref().unwrap_or_default());
                findings.programmed = Programmed::Now(findings.accepted.clone());
                return conditions::conclude(findings);
            }
            Plan::Wait => return previous.to_vec(),
            Plan::Act { resolved, action } => {
                let objects = resolved.status == ConditionStatus::True;
                findings.resolved = Some(opinion.resolved.filter(|_| objects).unwrap_or_else(|| resolved.clone()));
                if let Action::Cannot(verdict) = action {
                    findings.programmed = Programmed::Now(verdict.clone());
                }
            }
        }
        match self.outcome {
            Outcome::NotAsked => {}
            Outcome::InForce(_) | Outcome::Withdrawn => {
                let verdict = opinion.programmed.unwrap_or_else(|| Verdict::holds(Reason::Programmed));
                findings.programmed = Programmed::Now(verdict);
            }
            Outcome::Failed(ServerError::Refused { code: Some(ErrorCode::AdoptionRequired), .. }) => {
                findings.accepted = self.adoption_required();
                findings.programmed =
                    conditions::programmed_meanwhile(previous, self.in_force, Reason::AdoptionRequired);
            }
            // The project is frozen: what was in force is, and nobody reads.
            Outcome::Failed(ServerError::Refused { status: 423, .. }) => {
                findings.own = Some(self.frozen());
                findings.programmed = conditions::programmed_meanwhile(previous, self.in_force, Reason::ProjectFrozen);
            }
            Outcome::Failed(error) => {
                findings.programmed = conditions::programmed_after(error, generation, self.in_force, words);
                if findings.programmed == Programmed::AsBefore && findings.own.is_none() {
                    findings.own = own_before(previous);
                }
            }
        }
        conditions::conclude(findings)
    }

    fn adoption_required(&self) -> Verdict {
        let namespace = self.object.meta().namespace.clone().unwrap_or_default();
        let name = self.object.meta().name.clone().unwrap_or_default();
        Verdict::fails(
            Reason::AdoptionRequired,
            format!(
                "The server holds {kind} {namespace}/{name} from an earlier namespace of this name. If it is yours: \
                 sikkerkey-server admin adopt --cluster {cluster} --namespace {namespace}.",
                kind = K::KIND,
                cluster = self.cluster,
            ),
        )
    }

    fn frozen(&self) -> Verdict {
        let namespace = self.object.meta().namespace.clone().unwrap_or_default();
        Verdict::fails(
            Reason::ProjectFrozen,
            format!(
                "Project {namespace} is frozen since a canary was read: every read is refused until an administrator \
                 unfreezes it."
            ),
        )
    }
}

/// The kind's own word of the last pass, for one in which the server could not be asked.
fn own_before(previous: &[Condition]) -> Option<Verdict> {
    let ready = find(previous, ConditionType::Ready)?;
    let types = [ConditionType::Accepted, ConditionType::ResolvedRefs, ConditionType::Programmed];
    let copied = types.iter().filter_map(|type_| find(previous, *type_)).any(|c| c.status != ConditionStatus::True);
    let reason = Reason::ALL.iter().find(|reason| reason.as_str() == ready.reason)?;
    (!copied).then(|| Verdict { status: ready.status, reason: *reason, message: ready.message.clone() })
}
