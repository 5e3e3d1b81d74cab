//! The SikkerKey wire protocol: what server, operator and sidecar say to each other, and nothing else.
//!
//! This crate does no I/O, knows no clock and no random source. It is the only code that the three programs share, so
//! a request that one signs and another verifies is the same bytes by construction.
//!
//! # The way of one signed request
//!
//! 1. The client builds the string to sign with [`canonical::string_to_sign`] from the method, the raw request target,
//!    the timestamp, a nonce and the exact body bytes, and signs it with its [`key::MachineKey`].
//! 2. It sends the four [`header`]s beside the request.
//! 3. The server parses them into [`header::SignedHeaders`], builds the same string from the raw bytes it received and
//!    verifies it with the [`key::PublicKey`] it has on record.
//!
//! # Invariants
//!
//! * A private key has no `Debug`, no `Display`, no `Serialize`, and is wiped when dropped ([`key::MachineKey`]).
//! * A secret value travels in [`secret_text::SecretText`], which prints as `[redacted]` and is wiped when dropped. Its
//!   text is reached only by [`secret_text::SecretText::expose`].
//! * Ids are parsed once, at the edge ([`id`]), into one canonical form.
//! * Success bodies of routes that the official SDKs call hold exactly the documented keys ([`machine_plane`]): some
//!   SDKs refuse any other.
//! * A sealed value opens only as what it was sealed for (`sealed`, a feature: sidecars do without); its randomness is an argument as well.

pub mod account;
pub mod bootstrap;
pub mod canonical;
pub mod co_sign;
pub mod denial;
pub mod enrolment;
pub mod error_body;
pub mod explain;
pub mod header;
pub mod id;
pub mod key;
pub mod kubernetes;
pub mod machine_plane;
pub mod management;
pub mod policy;
pub mod report;
#[cfg(feature = "schema")]
mod schema;
#[cfg(feature = "sealed")]
pub mod sealed;
pub mod secret_text;
pub mod sync;

/// A request of the extension routes: knows its path and what answers it.
///
/// Both ends use the same implementation, so a path or a body cannot drift apart between client and server. Every call
/// is a `POST` with a JSON body.
pub trait Call {
    /// The request target, beginning with `/v1/`.
    const PATH: &'static str;
    /// The body of a 200.
    type Answer;
}
