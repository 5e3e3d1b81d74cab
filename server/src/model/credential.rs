//! How a person proves to be an account.

use std::fmt;
use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use super::millis::Millis;

/// The most addresses that are remembered of an account.
pub const ADDRESSES: usize = 8;

/// What a person logs in with. Apart from the [`Account`](super::account::Account), which every read looks at.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
pub struct Credential {
    /// The account.
    pub account: String,
    /// The password, hashed (see [`crate::crypto::password`]).
    pub password: String,
    /// When it was set.
    pub password_set_at: Millis,
    /// The second factor.
    #[serde(default)]
    pub second_factor: Option<SecondFactor>,
    /// A second factor that was begun and is not confirmed.
    #[serde(default)]
    pub begun: Option<Begun>,
    /// MACs of the recovery codes that were not used yet.
    #[serde(default)]
    pub recovery_codes: Vec<String>,
    /// Networks from which the person has logged in, the latest last: from there no stranger's failures keep them out.
    #[serde(default)]
    pub addresses: Vec<IpAddr>,
}

/// A time-based one-time password (RFC 6238).
#[derive(Clone, PartialEq, Serialize, Deserialize)]
pub struct SecondFactor {
    /// Its seed, sealed by a key that follows from the master key.
    pub seed: Vec<u8>,
    /// Since when it is asked for.
    pub since: Millis,
    /// The newest step of time whose code was used: neither it nor an earlier one is good again.
    pub last_step: u64,
}

/// A second factor that is not confirmed.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
pub struct Begun {
    /// Its seed, sealed.
    pub seed: Vec<u8>,
    /// Until when it can be confirmed, not included.
    pub expires_at: Millis,
}

impl Credential {
    /// One with a password alone.
    pub fn new(account: String, password: String, now: Millis) -> Self {
        Self {
            account,
            password,
            password_set_at: now,
            second_factor: None,
            begun: None,
            recovery_codes: Vec::new(),
            addresses: Vec::new(),
        }
    }

    /// Remembers a network from which the person has logged in.
    pub fn remember(&mut self, network: IpAddr) {
        self.addresses.retain(|it| *it != network);
        self.addresses.push(network);
        if self.addresses.len() > ADDRESSES {
            self.addresses.remove(0);
        }
    }
}

impl fmt::Debug for Credential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Credential of {}", self.account)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_network_that_was_not_used_for_longest_is_forgotten() {
        let mut credential = Credential::new("a".into(), "hash".into(), Millis(0));
        let address = |n: u8| IpAddr::from([192, 0, 2, n]);
        for n in 0..8 {
            credential.remember(address(n));
        }
        credential.remember(address(0));
        credential.remember(address(8));
        let left: Vec<_> = [2, 3, 4, 5, 6, 7, 0, 8].map(address).into();
        assert_eq!(credential.addresses, left);
    }

    #[test]
    fn a_credential_does_not_print_what_it_holds() {
        let credential = Credential::new("a".into(), "hash".into(), Millis(0));
        assert_eq!(format!("{credential:?}"), "Credential of a");
    }
}
