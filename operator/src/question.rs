//! What a person asks about objects of ours: answered by the server, as far as the person may `get` them.
//!
//! A person has no connection to the server. `kubectl sikkerkey explain` and `audit` create a `Question` as a dry run, and the
//! API server, which stores nothing, calls this webhook for the answer. Every replica answers, with its own session.
//!
//! # The way of one question
//!
//! 1. The API server authenticates the person, and RBAC says whether they may `create questions` in that namespace.
//! 2. Here: one that would be stored is refused, and one of somebody who asks too often.
//! 3. The API server is asked whether this person may `get` each object named ([`rights`]). No token is passed on.
//! 4. The object must be the very one, by its uid. Whoever may `get` it knows the uid, and nobody else: a pod that reaches this
//!    listener and claims to be the API server, and a person, learns nothing of objects it cannot see.
//! 5. The server answers about objects of this cluster. What the person may not see is taken out ([`rights::Sight`]), the answer
//!    is cut to a bound, and goes into `answer`.
//!
//! # Failure modes
//!
//! Every refusal says what to do ([`refusal`]). API server or server away, or too slow: a 503 within the time that the API server
//! waits. Nothing else depends on this webhook: it is called for questions only.

mod ask;
pub mod refusal;
pub mod rights;

use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::authentication::v1::UserInfo;
use kube::Client;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use sikkerkey_crds::names::GROUP;
use sikkerkey_crds::question::{Asked, QuestionSpec};
use sikkerkey_protocol::Call;
use tokio::sync::Semaphore;
use tokio::time::{Instant, timeout};

use self::ask::{AuditAsk, BootstrapAsk, ExplainAsk};
use self::refusal::Refusal;
use crate::attest::limit::Limiter;
use crate::index::Index;
use crate::server::Session;
use crate::webhook::patch::Operation;
use crate::webhook::review::{self, Answer, Malformed, Request, Verb};

/// The largest answer, in bytes.
const MAX_ANSWER: usize = 32 * 1024;
/// How many questions one person may ask at once, and how far apart they are after that.
const BURST: u32 = 10;
const INTERVAL: Duration = Duration::from_secs(1);
/// The same of everybody together, at this replica: looking through the audit takes the server up to a second.
const BURST_OF_ALL: u32 = 40;
const INTERVAL_OF_ALL: Duration = Duration::from_millis(250);
/// Questions in work at once.
const AT_ONCE: usize = 4;
/// How long one waits for its turn, for the API server, and for the server. Together less than the API server waits for us.
const TURN: Duration = Duration::from_secs(1);
const RIGHTS: Duration = Duration::from_secs(3);
const SERVER: Duration = Duration::from_secs(5);
/// The longest name of a person that the server keeps, in bytes.
const MAX_NAME: usize = 256;

/// Answers questions.
pub struct Questions {
    client: Client,
    index: Arc<Index>,
    session: Session,
    of_one: Limiter<String>,
    of_all: Limiter<()>,
    turns: Semaphore,
}

/// What of a `Question` is looked at.
#[derive(serde::Deserialize)]
struct Question {
    spec: QuestionSpec,
}

impl Questions {
    /// Asks through `session` about what `index` holds, after `client` said who may.
    pub fn new(client: Client, index: Arc<Index>, session: Session) -> Self {
        Self {
            client,
            index,
            session,
            of_one: Limiter::new(BURST, INTERVAL),
            of_all: Limiter::new(BURST_OF_ALL, INTERVAL_OF_ALL),
            turns: Semaphore::new(AT_ONCE),
        }
    }

    /// Answers a review of a question.
    pub async fn answer(&self, body: &[u8]) -> Result<(Vec<u8>, Answer), Malformed> {
        let request = review::read(body)?;
        let answer = self.review(&request).await?;
        Ok((review::write(&request.uid, &answer)?, answer))
    }

    async fn review(&self, request: &Request<'_>) -> Result<Answer, Malformed> {
        let is_question = request.kind.group == GROUP && request.kind.kind == "Question";
        if !is_question || request.operation != Verb::Create {
            return Ok(Answer::admit());
        }
        let namespace = request.required_namespace()?;
        let object = request.required_object()?;
        let person = request.user_info.as_ref().ok_or(Malformed::Missing("request.userInfo"))?;
        let told = if request.dry_run == Some(true) {
            self.told(person, namespace, object.get()).await
        } else {
            Err(Refusal::Stored)
        };
        Ok(match told {
            Ok(told) => Answer::Admit { patch: vec![Operation::add("/answer", told)], warnings: Vec::new() },
            Err(refusal) => {
                Answer::Refuse { code: refusal.status(), reason: refusal.reason(), message: refusal.to_string() }
            }
        })
    }

    async fn told(&self, person: &UserInfo, namespace: &str, question: &str) -> Result<Value, Refusal> {
        let name = person.username.as_deref().filter(|name| !name.is_empty()).ok_or(Refusal::Nobody)?;
        let now = Instant::now();
        if !self.of_one.admits(name.to_owned(), now) || !self.of_all.admits((), now) {
            return Err(Refusal::TooMany);
        }
        let question: Question =
            serde_json::from_str(question).map_err(|error| Refusal::NoQuestion(error.to_string()))?;
        let asked = question.spec.asked().map_err(|error| Refusal::NoQuestion(error.to_string()))?;
        let _turn = timeout(TURN, self.turns.acquire()).await.ok().and_then(Result::ok).ok_or(Refusal::Busy)?;
        if !self.index.is_synced() {
            return Err(Refusal::NotReady);
        }
        let asked_by = name.get(..name.floor_char_boundary(MAX_NAME)).unwrap_or_default().to_owned();
        match asked {
            Asked::Explain(asked) => {
                let ask = ExplainAsk::of(asked, namespace, asked_by)?;
                let sight = self.sight(person, &ask).await?;
                let call = ask.call(&self.index)?;
                let told = ask::seen_by(self.call(&call).await?, sight);
                bounded(&told)
            }
            Asked::Bootstrap(asked) => {
                let ask = BootstrapAsk::of(asked, namespace, asked_by);
                self.permitted(person, &ask.rights()).await?;
                let call = ask.call(&self.index)?;
                bounded(&self.call(&call).await?)
            }
            Asked::Audit(asked) => {
                let ask = AuditAsk::of(asked, namespace, asked_by);
                self.permitted(person, &ask.rights()).await?;
                let call = ask.call(&self.index)?;
                let mut told = self.call(&call).await?;
                loop {
                    match bounded(&told) {
                        // The oldest goes first.
                        Err(Refusal::TooLarge) if told.events.pop().is_some() => {}
                        done => return done,
                    }
                }
            }
        }
    }

    /// What of the answer this person may see, if any.
    async fn sight(&self, person: &UserInfo, ask: &ExplainAsk) -> Result<rights::Sight, Refusal> {
        let (needed, more) = (ask.rights(), ask.further_rights(&self.index));
        let looked = tokio::join!(self.permitted(person, &needed), self.has(person, &more.grants), async {
            match &more.policy {
                Some(right) => self.has(person, right).await,
                None => Ok(false),
            }
        });
        looked.0?;
        Ok(rights::Sight { grants: looked.1?, policy: looked.2? })
    }

    /// Whether the person has all of these rights; else which not.
    async fn permitted(&self, person: &UserInfo, rights: &[rights::Right]) -> Result<(), Refusal> {
        let held = futures::future::join_all(rights.iter().map(|right| self.has(person, right))).await;
        for (right, held) in rights.iter().zip(held) {
            if !held? {
                return Err(Refusal::NotAllowed(right.clone()));
            }
        }
        Ok(())
    }

    async fn has(&self, person: &UserInfo, right: &rights::Right) -> Result<bool, Refusal> {
        let asked = timeout(RIGHTS, rights::has(&self.client, person, right)).await;
        asked.map_err(|_| Refusal::ApiServerAway)?.map_err(|error| {
            tracing::warn!(error = &error as &dyn std::error::Error, "SubjectAccessReview failed");
            Refusal::ApiServerAway
        })
    }

    async fn call<C: Call + Serialize>(&self, call: &C) -> Result<C::Answer, Refusal>
    where
        C::Answer: DeserializeOwned,
    {
        let answered = timeout(SERVER, self.session.call(call)).await;
        answered.map_err(|_| Refusal::ServerSlow)?.map_err(Refusal::Server)
    }
}

/// The answer, if it is not too large.
fn bounded(told: &impl Serialize) -> Result<Value, Refusal> {
    let value = serde_json::to_value(told).map_err(|_| Refusal::TooLarge)?;
    if value.to_string().len() > MAX_ANSWER { Err(Refusal::TooLarge) } else { Ok(value) }
}

impl std::fmt::Debug for Questions {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Questions").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
