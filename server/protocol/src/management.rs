//! The management plane: what the agents of people ask for, in the words of the public protocol.
//!
//! A `GET` looks and a `POST` changes; there is no other method, and a `POST` without fields has no body. No route
//! answers a value.

mod policy;
mod scope;

pub use self::policy::*;
pub use self::scope::{Scope, UnknownScope};
