//! Who changes something: a person, at the server or with a session, or a program on behalf of somebody.

use sikkerkey_protocol::id::VaultId;

use super::account::person::Person;
use super::source::Source;
use crate::audit::entry::{Action, Actor, Entry};
use crate::model::agent::Agent;

/// Who changes something. What both may do is one use case; what an agent alone may not do is [`super::fence`]'s.
#[derive(Clone, Copy)]
pub(crate) enum Author<'a> {
    /// A person at the command line of the server.
    Person,
    /// An agent, from somewhere.
    Agent(&'a Agent, Source),
    /// A person with a session.
    SignedIn(Person<'a>),
}

impl Author<'_> {
    /// A row for the audit by this author.
    pub(crate) fn entry(&self, action: Action, vault: &VaultId, detail: String) -> Entry {
        let source_ip = match self {
            Self::Person => None,
            Self::Agent(_, source) => Some(source.address),
            Self::SignedIn(it) => Some(it.source.address),
        };
        Entry { vault: Some(vault.clone()), source_ip, detail, ..Entry::new(action, self.actor()) }
    }

    /// Who it is in the audit.
    pub(crate) fn actor(&self) -> Actor {
        match self {
            Self::Person => Actor::Administrator,
            Self::Agent(agent, _) => Actor::Agent(agent.id.clone()),
            Self::SignedIn(it) => Actor::Person(it.account.id.clone()),
        }
    }

    /// Who it is, for people.
    pub(crate) fn name(&self) -> String {
        match self {
            Self::Person => "an administrator".to_owned(),
            Self::Agent(agent, _) => format!("agent {:?} ({})", agent.name, agent.id),
            Self::SignedIn(it) => it.account.email.clone(),
        }
    }

    /// Whether it is a person, be it at the server or in a browser.
    pub(crate) fn is_person(&self) -> bool {
        matches!(self, Self::Person | Self::SignedIn(_))
    }
}
