//! What a management request leads to, decided from the state alone.
//!
//! A use case is a pure function from [`Context`] and request to a [`Decision`] or a refusal. The writer calls it where
//! no other change can come between, writes `changes` and `audit` in one transaction, applies them, and only then makes
//! the answer. A refusal is audited as well.

use crate::audit::entry::Entry;
use crate::crypto::keyring::Keyring;
use crate::entropy::Entropy;
use crate::ledger::Ledger;
use crate::model::Change;
use crate::model::millis::Millis;
use crate::refusal::Refusal;
use crate::state::State;

/// What a use case may look at.
#[derive(Clone, Copy)]
pub struct Context<'a> {
    /// What the server knows.
    pub state: &'a State,
    /// What has happened: reads, denials, deliveries, last requests.
    pub ledger: &'a Ledger,
    /// Now, by the clock that decides.
    pub now: Millis,
    /// Seals new values.
    pub keyring: &'a Keyring,
    /// Randomness for ids, tokens and values.
    pub entropy: &'a dyn Entropy,
    /// The server's public origin, without a trailing slash.
    pub public_url: &'a str,
}

/// What is to happen, and what is answered afterwards.
pub struct Decision<T> {
    /// Steps to the next state. None: nothing is written but the audit.
    pub changes: Vec<Change>,
    /// Rows for the audit. A request that changes something has at least one.
    pub audit: Vec<Entry>,
    /// Makes the answer from the context after the changes.
    pub answer: Answer<T>,
}

impl<T: 'static> Decision<T> {
    /// The same with another answer, made of this one.
    pub fn then<U>(self, make: impl FnOnce(T) -> U + Send + 'static) -> Decision<U> {
        let Self { changes, audit, answer } = self;
        Decision { changes, audit, answer: Box::new(move |context| make(answer(context))) }
    }
}

/// Makes an answer from the context after the changes.
pub type Answer<T> = Box<dyn FnOnce(&Context<'_>) -> T + Send>;

/// What a use case returns.
pub type Decided<T> = Result<Decision<T>, Refusal>;
