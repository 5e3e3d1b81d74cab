//! Where a request comes from.

use std::net::IpAddr;

/// Where a request comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Source {
    /// The client's address, as the listener or a trusted proxy saw it.
    pub address: IpAddr,
}
