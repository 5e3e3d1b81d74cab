//! Nonces that are used up.

use std::net::IpAddr;

use sikkerkey_protocol::header::{SKEW_SECONDS, WINDOW_SECONDS};

/// How long a nonce can matter after its timestamp, in seconds.
pub const LIFE_SECONDS: i64 = WINDOW_SECONDS + SKEW_SECONDS;

/// A nonce that is burnt in the same transaction as what it was sent for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Spend {
    /// Who signed: a machine's or an agent's id in its canonical form.
    pub signer: String,
    /// The nonce.
    pub nonce: String,
    /// The signed timestamp, in Unix seconds.
    pub timestamp: i64,
    /// From where it came; not known of one that was burnt before the server started.
    pub address: Option<IpAddr>,
}
