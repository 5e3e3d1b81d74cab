//! People who failed to log in too often.
//!
//! A person's address is no secret, so whoever knows it could keep its owner out by failing as them. Failures lock the
//! pair of account and network, and a network that fails as many accounts. Failures from networks that the account never
//! logged in from slow down whoever comes from such networks, and nobody else: the owner goes on from where they always
//! were. An address that stands for many clients is never locked, and only slowed down: where the account knows it, by what
//! failed there, and not by strangers elsewhere.
//!
//! An account that does not exist is treated as one that does, so that nobody learns which do.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};

use ipnet::IpNet;
use sikkerkey_protocol::canonical::sha256_hex;

use super::{make_room, network};
use crate::model::millis::Millis;

const WINDOW: i64 = 15 * 60_000;
/// Failures of one network as one account.
const OF_PAIR: usize = 5;
/// Failures of one network as anybody.
const OF_NETWORK: usize = 30;
/// Failures as one account from networks that it does not know, or from one that it knows and shares with others.
const OF_STRANGERS: usize = 10;
const LOCK_SECONDS: u64 = 15 * 60;
/// Beyond that, those strangers together, or whoever is at that network, may try once in so many seconds.
const SLOW_SECONDS: u64 = 60;

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Key {
    Pair(String, IpAddr),
    Network(IpAddr),
    Strangers(String),
    /// An account at a network that it knows and that stands for many clients.
    Shared(String, IpAddr),
}

impl Key {
    /// Whether it is slowed down, and never locked.
    fn is_slow(&self) -> bool {
        matches!(self, Self::Strangers(_) | Self::Shared(..))
    }
}

/// Who tries to log in.
#[derive(Clone, Debug)]
pub struct Claim {
    account: String,
    network: IpAddr,
    is_shared: bool,
    is_known: bool,
}

/// A lock that begins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Begun {
    /// What is locked: a part of a sentence.
    pub what: String,
    /// Until when, not included.
    pub until: Millis,
}

/// Who failed to log in too often. In memory: a restart forgets, which gives an attacker nothing that waiting would not.
#[derive(Default)]
pub struct People {
    shared: Vec<IpNet>,
    inner: Mutex<Inner>,
}

#[derive(Default)]
struct Inner {
    failures: HashMap<Key, Vec<Millis>>,
    locks: HashMap<Key, Millis>,
}

impl People {
    /// Addresses in `shared` stand for many clients.
    pub fn new(shared: Vec<IpNet>) -> Self {
        Self { shared, inner: Mutex::default() }
    }

    /// Somebody at `address` says to be `email`. `known` are the networks from which that account has logged in.
    pub fn claim(&self, email: &str, address: IpAddr, known: &[IpAddr]) -> Claim {
        let network = network(address);
        Claim {
            account: key_of(email),
            network,
            is_shared: self.shared.iter().any(|range| range.contains(&address)),
            is_known: known.contains(&network),
        }
    }

    /// Whether they may try now. If not, in how many seconds.
    pub fn check(&self, now: Millis, claim: &Claim) -> Result<(), u64> {
        let inner = self.lock();
        let until = claim.shut_out_by().into_iter().filter_map(|it| inner.locks.get(&it)).max();
        match until.filter(|it| now < **it) {
            None => Ok(()),
            Some(until) => Err(u64::try_from((until.0 - now.0 + 999) / 1000).unwrap_or(1).max(1)),
        }
    }

    /// They were somebody else, or gave a wrong password or code. Returns the locks that this begins.
    pub fn failed(&self, now: Millis, claim: &Claim) -> Vec<Begun> {
        let mut inner = self.lock();
        let Inner { failures, locks } = &mut *inner;
        make_room(failures, locks, now, WINDOW);
        let mut begun = Vec::new();
        for (key, limit, seconds) in claim.counted_for() {
            let times = inner.failures.entry(key.clone()).or_default();
            times.retain(|at| now.0 - at.0 < WINDOW);
            times.push(now);
            if times.len() < limit {
                continue;
            }
            // What is only slowed down stays slow as long as the failures come.
            if !key.is_slow() {
                inner.failures.remove(&key);
            }
            let until = now.plus_seconds(seconds);
            let before = inner.locks.insert(key.clone(), until);
            if key.is_slow() && before.is_some_and(|it| now.0 < it.0 + WINDOW) {
                continue;
            }
            let what = match key {
                Key::Pair(_, network) => format!("this account from {network}"),
                Key::Network(network) => format!("logins from {network}"),
                Key::Strangers(_) => "this account from new addresses, again and again,".to_owned(),
                Key::Shared(_, network) => format!("this account from {network}, again and again,"),
            };
            begun.push(Begun { what, until });
        }
        begun
    }

    /// They have logged in.
    pub fn succeeded(&self, claim: &Claim) {
        self.lock().failures.remove(&Key::Pair(claim.account.clone(), claim.network));
    }

    /// Ends every lock on an address. Returns how many there were.
    pub fn lift_address(&self, address: IpAddr) -> usize {
        let address = network(address);
        self.lift(|it| match it {
            Key::Pair(_, it) | Key::Network(it) | Key::Shared(_, it) => *it == address,
            Key::Strangers(_) => false,
        })
    }

    /// Ends every lock on an account. Returns how many there were.
    pub fn lift_account(&self, email: &str) -> usize {
        let account = key_of(email);
        self.lift(|it| match it {
            Key::Pair(it, _) | Key::Strangers(it) | Key::Shared(it, _) => *it == account,
            Key::Network(_) => false,
        })
    }

    fn lift(&self, is_it: impl Fn(&Key) -> bool) -> usize {
        let mut inner = self.lock();
        let before = inner.locks.len();
        inner.locks.retain(|it, _| !is_it(it));
        inner.failures.retain(|it, _| !is_it(it));
        before - inner.locks.len()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What is typed there may be a password: it is not kept.
fn key_of(email: &str) -> String {
    sha256_hex(email.trim().to_lowercase().as_bytes())
}

impl Claim {
    fn shut_out_by(&self) -> Vec<Key> {
        let mut keys = Vec::new();
        if !self.is_shared {
            keys.push(Key::Pair(self.account.clone(), self.network));
        }
        if !self.is_known {
            keys.push(Key::Network(self.network));
        }
        keys.extend(self.slowed_as());
        keys
    }

    fn slowed_as(&self) -> Option<Key> {
        match (self.is_known, self.is_shared) {
            (false, _) => Some(Key::Strangers(self.account.clone())),
            (true, true) => Some(Key::Shared(self.account.clone(), self.network)),
            (true, false) => None,
        }
    }

    fn counted_for(&self) -> Vec<(Key, usize, u64)> {
        let mut keys = Vec::new();
        if !self.is_shared {
            keys.push((Key::Pair(self.account.clone(), self.network), OF_PAIR, LOCK_SECONDS));
            keys.push((Key::Network(self.network), OF_NETWORK, LOCK_SECONDS));
        }
        keys.extend(self.slowed_as().map(|it| (it, OF_STRANGERS, SLOW_SECONDS)));
        keys
    }
}

#[cfg(test)]
mod tests {
    use super::super::PLACES;
    use super::*;

    const OWNER: &str = "jane@example.com";

    fn address(n: u16) -> IpAddr {
        let [high, low] = n.to_be_bytes();
        [198, 18, high, low].into()
    }

    fn at(seconds: i64) -> Millis {
        Millis(1_000_000_000_000 + seconds * 1000)
    }

    fn fail(people: &People, now: Millis, email: &str, from: IpAddr, known: &[IpAddr]) -> usize {
        let claim = people.claim(email, from, known);
        people.failed(now, &claim).len()
    }

    fn check(people: &People, now: Millis, email: &str, from: IpAddr, known: &[IpAddr]) -> Result<(), u64> {
        people.check(now, &people.claim(email, from, known))
    }

    #[test]
    fn five_failures_lock_the_pair_for_a_quarter_of_an_hour_however_the_address_is_written() {
        let people = People::default();
        let here = address(1);
        let begun: Vec<_> = (0..5).map(|n| fail(&people, at(n), OWNER, here, &[])).collect();
        assert_eq!(begun, [0, 0, 0, 0, 1]);
        assert_eq!(check(&people, at(4), " Jane@Example.COM", here, &[]), Err(900));
        assert_eq!(check(&people, at(4 + 899), OWNER, here, &[]), Err(1));
        assert_eq!(check(&people, at(4 + 900), OWNER, here, &[]), Ok(()));
        assert_eq!(check(&people, at(4), "john@example.com", here, &[]), Ok(()));
        assert_eq!(check(&people, at(4), OWNER, address(2), &[]), Ok(()));
    }

    #[test]
    fn failures_that_are_far_apart_and_a_login_between_them_lock_nothing() {
        let people = People::default();
        for n in 0..20 {
            fail(&people, at(n * 300), OWNER, address(1), &[address(1)]);
            assert_eq!(check(&people, at(n * 300), OWNER, address(1), &[address(1)]), Ok(()), "{n}");
        }
        let people = People::default();
        for n in 0..12 {
            fail(&people, at(n), OWNER, address(1), &[address(1)]);
            if n % 4 == 3 {
                people.succeeded(&people.claim(OWNER, address(1), &[]));
            }
        }
        assert_eq!(check(&people, at(12), OWNER, address(1), &[address(1)]), Ok(()));
    }

    #[test]
    fn strangers_with_many_addresses_are_slowed_to_one_try_a_minute_and_the_owner_at_home_is_not() {
        let people = People::default();
        let home = [address(1)];
        let mut tries = 0;
        for second in 0..3600_i64 {
            let from = address(u16::try_from(second).unwrap() + 100);
            if check(&people, at(second), OWNER, from, &home).is_ok() {
                tries += 1;
                fail(&people, at(second), OWNER, from, &home);
            }
            assert_eq!(check(&people, at(second), OWNER, home[0], &home), Ok(()), "at {second}");
        }
        assert!((60..=90).contains(&tries), "{tries} tries in an hour");
    }

    #[test]
    fn a_network_that_fails_as_everybody_is_locked_and_whoever_has_logged_in_from_there_is_not() {
        let people = People::default();
        let office = address(1);
        let begun: usize = (0..30).map(|n| fail(&people, at(n), &format!("{n}@example.com"), office, &[])).sum();
        assert_eq!(begun, 1);
        assert_eq!(check(&people, at(30), "new@example.com", office, &[]), Err(899));
        assert_eq!(check(&people, at(30), OWNER, office, &[office]), Ok(()));
    }

    #[test]
    fn an_address_that_many_share_is_slowed_down_and_never_locked() {
        let people = People::new(vec!["198.18.0.0/16".parse().unwrap()]);
        for n in 0..10 {
            fail(&people, at(n), OWNER, address(1), &[address(1)]);
        }
        assert_eq!(check(&people, at(10), OWNER, address(1), &[address(1)]), Err(59));
        assert_eq!(check(&people, at(10), "john@example.com", address(1), &[]), Ok(()));
        assert_eq!(check(&people, at(9 + 60), OWNER, address(1), &[address(1)]), Ok(()));
    }

    #[test]
    fn strangers_elsewhere_do_not_slow_an_owner_whose_address_is_shared() {
        let people = People::new(vec!["198.18.0.0/24".parse().unwrap()]);
        let (home, office) = (address(1), address(2));
        let known = [home, office];
        // From addresses of their own, and from one that others share.
        for (n, from) in [address(0x100), address(0x101), address(3)].into_iter().cycle().take(30).enumerate() {
            fail(&people, at(i64::try_from(n).unwrap()), OWNER, from, &known);
        }
        assert_eq!(check(&people, at(30), OWNER, address(4), &known), Err(59));
        assert_eq!(check(&people, at(30), OWNER, home, &known), Ok(()));
        // Nor does one network that is known slow another, or strangers.
        let begun: Vec<_> = (0..12).map(|n| fail(&people, at(1000 + n), OWNER, office, &known)).collect();
        assert_eq!(begun, [0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0]);
        assert_eq!(check(&people, at(1012), OWNER, office, &known), Err(59));
        assert_eq!(check(&people, at(1012), OWNER, home, &known), Ok(()));
        assert_eq!(check(&people, at(1012), OWNER, address(4), &known), Ok(()));
        assert_eq!(people.lift_address(office), 1);
        assert_eq!(check(&people, at(1012), OWNER, office, &known), Ok(()));
    }

    #[test]
    fn locks_are_lifted_by_address_and_by_account() {
        let people = People::default();
        for n in 0..5 {
            fail(&people, at(n), OWNER, address(1), &[]);
        }
        assert_eq!((people.lift_address(address(2)), people.lift_account("john@example.com")), (0, 0));
        assert_eq!(people.lift_account("JANE@example.com"), 1);
        assert_eq!(check(&people, at(5), OWNER, address(1), &[]), Ok(()));
        for n in 0..5 {
            fail(&people, at(n), OWNER, address(1), &[]);
        }
        assert_eq!(people.lift_address(address(1)), 1);
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let people = People::default();
        for n in 0..60_000 {
            fail(&people, at(n / 100), &format!("{n}@example.com"), address(1), &[]);
        }
        assert!(people.lock().failures.len() <= PLACES + 3, "{}", people.lock().failures.len());
    }
}
