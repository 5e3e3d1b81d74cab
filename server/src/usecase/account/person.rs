//! Whoever has logged in, for one request.

use sikkerkey_protocol::denial::DenialReason;

use crate::audit::entry::{Action, Actor, Entry};
use crate::decision::Context;
use crate::model::account::{Account, Standing};
use crate::model::session::Session;
use crate::model::{Change, Entity};
use crate::refusal::{Refusal, RefusalKind};
use crate::usecase::source::Source;

/// Whoever has logged in, for one request. There is none without a session that goes on.
#[derive(Clone, Copy)]
pub struct Person<'a> {
    /// The account, which is in good standing.
    pub account: &'a Account,
    /// The session.
    pub session: &'a Session,
    /// From where the request comes.
    pub source: Source,
}

impl<'a> Person<'a> {
    /// Lets in whoever has the session whose token has this hash.
    pub fn admit(context: &Context<'a>, hash: &str, source: Source) -> Result<Self, Refusal> {
        let session = context.state.session_with_hash(hash).filter(|it| !it.has_ended(context.now));
        let session = session.ok_or_else(no_session)?;
        let account = context.state.accounts.get(&session.account).ok_or_else(no_session)?;
        require_standing(account)?;
        Ok(Self { account, session, source })
    }

    /// Writes down that the session is used, if that was not done only just now.
    pub fn used(&self, context: &Context<'_>) -> Option<Change> {
        self.session.used(context.now).map(|it| Change::put(Entity::Session(it)))
    }

    /// A row for the audit by this person.
    pub(crate) fn entry(&self, action: Action, detail: String) -> Entry {
        by(self.account, self.source, action, detail)
    }
}

/// A row for the audit by an account.
pub(super) fn by(account: &Account, source: Source, action: Action, detail: String) -> Entry {
    Entry { source_ip: Some(source.address), detail, ..Entry::new(action, Actor::Person(account.id.clone())) }
}

/// The refusal of whoever has no session.
pub fn no_session() -> Refusal {
    Refusal::new(RefusalKind::Unauthenticated, "there is no session, or it has ended: log in")
}

/// An account that is not in good standing does nothing at all.
pub(crate) fn require_standing(account: &Account) -> Result<(), Refusal> {
    let text = match account.standing {
        Standing::Active => return Ok(()),
        Standing::Suspended => "this account is suspended: ask whoever runs the server",
        Standing::Banned => "this account is banned",
        Standing::PendingVerification => "this account is not verified yet: ask whoever runs the server to activate it",
    };
    Err(Refusal::new(RefusalKind::Forbidden, text).denial(DenialReason::AccountNotActive))
}
