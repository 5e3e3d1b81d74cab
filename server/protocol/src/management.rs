//! The management plane: what the agents of people ask for, in the words of the public protocol.
//!
//! A `GET` looks and a `POST` changes; there is no other method, and a `POST` without fields has no body. No route
//! answers a value.

mod agent;
mod allowlist;
mod audit;
mod canary;
mod enrolment;
mod machine;
mod member;
mod policy;
mod project;
mod schedule;
mod scope;
mod secret;
mod stats;
mod trash;
mod webhook;

pub use self::agent::*;
pub use self::allowlist::*;
pub use self::audit::*;
pub use self::canary::*;
pub use self::enrolment::*;
pub use self::machine::*;
pub use self::member::*;
pub use self::policy::*;
pub use self::project::*;
pub use self::schedule::*;
pub use self::scope::{Scope, UnknownScope};
pub use self::secret::*;
pub use self::stats::*;
pub use self::trash::*;
pub use self::webhook::*;
