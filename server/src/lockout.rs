//! Who failed to authenticate too often.
//!
//! Three failures in five minutes lock for thirty. What counts is a signature that does not verify and a machine that
//! nobody knows; what is stale, replayed, revoked or expired does not, because an honest client may send that.
//!
//! A lock must not be a weapon. A machine's id is no secret, so whoever knows one could lock the machine out by failing
//! as it. Failures count against the pair of machine and address, and against the address. Against the machine as a
//! whole they count only from addresses that never authenticated as it, and that lock shuts out only such addresses: the
//! machine itself goes on from where it always was. For the same reason a lock on an address, which its neighbours behind
//! one gateway may have earned, does not shut out who has authenticated from there; and where an address is known to be
//! shared, not even the pair is locked.

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Mutex, PoisonError};

use ipnet::IpNet;

use crate::metrics::LockKind;
use crate::model::millis::Millis;

const FAILURES: usize = 3;
const WINDOW: i64 = 5 * 60_000;
const LOCK_SECONDS: u64 = 30 * 60;
/// A token cannot be guessed, so wrong ones are only kept from flooding: an operator that the server does not trust yet
/// must get in within a moment of being trusted.
const TOKEN_FAILURES: usize = 10;
const TOKEN_WINDOW: i64 = 60_000;
const TOKEN_LOCK_SECONDS: u64 = 30;
/// Failures of one address that are audited one by one in a minute; the rest is counted.
const AUDITED: u32 = 5;
/// Addresses remembered for each machine, and places for everything else. Beyond it the oldest are forgotten.
const ADDRESSES: usize = 16;
const PLACES: usize = 100_000;

/// What is locked.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Locked {
    /// An address, whoever it says to be.
    Address(IpAddr),
    /// A machine or agent, from one address.
    Pair(String, IpAddr),
    /// A machine or agent, from addresses that never authenticated as it.
    Signer(String),
    /// Tokens from an address.
    Tokens(IpAddr),
}

impl Locked {
    /// The kind, for metrics.
    pub fn kind(&self) -> LockKind {
        match self {
            Self::Address(_) => LockKind::Address,
            Self::Pair(..) => LockKind::Pair,
            Self::Signer(_) => LockKind::Signer,
            Self::Tokens(_) => LockKind::Tokens,
        }
    }
}

impl fmt::Display for Locked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Address(address) => write!(f, "address {address}"),
            Self::Pair(signer, address) => write!(f, "{signer} from {address}"),
            Self::Signer(signer) => write!(f, "{signer} from new addresses"),
            Self::Tokens(address) => write!(f, "tokens from {address}"),
        }
    }
}

/// A lock.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lock {
    /// What is locked.
    pub what: Locked,
    /// Until when, not included.
    pub until: Millis,
}

/// Who failed to authenticate too often. In memory: a restart forgets, which gives an attacker nothing that waiting would
/// not. Where each machine was last is not forgotten, so that a restart opens no way to lock it out.
#[derive(Default)]
pub struct Lockout {
    shared: Vec<IpNet>,
    inner: Mutex<Inner>,
}

#[derive(Default)]
struct Inner {
    failures: HashMap<Locked, Vec<Millis>>,
    locks: HashMap<Locked, Millis>,
    known: HashMap<String, Vec<IpAddr>>,
    audited: HashMap<IpAddr, (i64, u32)>,
}

impl Lockout {
    /// Addresses in `shared` stand for many clients and are never locked as such.
    pub fn new(shared: Vec<IpNet>) -> Self {
        Self { shared, inner: Mutex::default() }
    }

    /// Whether a request from `address`, as `signer` if it names one, is shut out.
    pub fn check(&self, now: Millis, address: IpAddr, signer: Option<&str>) -> Result<(), Lock> {
        let address = network(address);
        let inner = self.lock();
        let mut locks = Vec::new();
        if let Some(signer) = signer {
            locks.push(Locked::Pair(signer.to_owned(), address));
        }
        if signer.is_none_or(|it| !inner.knows(it, address)) {
            locks.push(Locked::Address(address));
            locks.extend(signer.map(|it| Locked::Signer(it.to_owned())));
        }
        locks.into_iter().find_map(|it| inner.active(now, it)).map_or(Ok(()), Err)
    }

    /// Whether tokens from `address` are shut out. Nothing else shuts them out: who registers has not authenticated yet,
    /// and a token cannot be guessed.
    pub fn check_tokens(&self, now: Millis, address: IpAddr) -> Result<(), Lock> {
        self.lock().active(now, Locked::Tokens(network(address))).map_or(Ok(()), Err)
    }

    /// A signature did not verify, or the signer is nobody (`None`). Returns the locks that this begins.
    pub fn failed(&self, now: Millis, address: IpAddr, signer: Option<&str>) -> Vec<Lock> {
        let is_shared = self.shared.iter().any(|range| range.contains(&address));
        let address = network(address);
        let mut inner = self.lock();
        inner.tidy(now);
        let mut what = Vec::new();
        if !is_shared {
            what.push(Locked::Address(address));
        }
        if let Some(signer) = signer {
            if !is_shared {
                what.push(Locked::Pair(signer.to_owned(), address));
            }
            if !inner.knows(signer, address) {
                what.push(Locked::Signer(signer.to_owned()));
            }
        }
        what.into_iter().filter_map(|it| inner.count(now, it, FAILURES, WINDOW, LOCK_SECONDS)).collect()
    }

    /// A token was refused.
    pub fn token_failed(&self, now: Millis, address: IpAddr) -> Option<Lock> {
        let mut inner = self.lock();
        inner.tidy(now);
        inner.count(now, Locked::Tokens(network(address)), TOKEN_FAILURES, TOKEN_WINDOW, TOKEN_LOCK_SECONDS)
    }

    /// A request was authentic: its signature verified, and it was no replay.
    pub fn succeeded(&self, address: IpAddr, signer: &str) {
        let address = network(address);
        let mut inner = self.lock();
        if inner.knows(signer, address) {
            return;
        }
        inner.failures.remove(&Locked::Pair(signer.to_owned(), address));
        let known = inner.known.entry(signer.to_owned()).or_default();
        if known.len() >= ADDRESSES {
            known.remove(0);
        }
        known.push(address);
    }

    /// Whether a failure from `address` is audited by itself, or counted.
    pub fn may_audit(&self, now: Millis, address: IpAddr) -> bool {
        let minute = now.0.div_euclid(60_000);
        let mut inner = self.lock();
        inner.tidy(now);
        let entry = inner.audited.entry(network(address)).or_default();
        if entry.0 != minute {
            *entry = (minute, 0);
        }
        entry.1 += 1;
        entry.1 <= AUDITED
    }

    /// Ends every lock on an address. Returns how many there were.
    pub fn lift_address(&self, address: IpAddr) -> usize {
        let address = network(address);
        self.lift(|it| match it {
            Locked::Address(it) | Locked::Pair(_, it) | Locked::Tokens(it) => *it == address,
            Locked::Signer(_) => false,
        })
    }

    /// Ends every lock on a machine or agent. Returns how many there were.
    pub fn lift_signer(&self, signer: &str) -> usize {
        self.lift(|it| match it {
            Locked::Signer(it) | Locked::Pair(it, _) => it == signer,
            Locked::Address(_) | Locked::Tokens(_) => false,
        })
    }

    fn lift(&self, is_it: impl Fn(&Locked) -> bool) -> usize {
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

impl Inner {
    fn active(&self, now: Millis, what: Locked) -> Option<Lock> {
        let until = *self.locks.get(&what)?;
        (now < until).then_some(Lock { what, until })
    }

    fn knows(&self, signer: &str, address: IpAddr) -> bool {
        self.known.get(signer).is_some_and(|it| it.contains(&address))
    }

    /// The lock that this failure begins. One that is in force already goes on as it is.
    fn count(&mut self, now: Millis, what: Locked, limit: usize, window: i64, seconds: u64) -> Option<Lock> {
        if self.active(now, what.clone()).is_some() {
            return None;
        }
        let failures = self.failures.entry(what.clone()).or_default();
        failures.retain(|at| now.0 - at.0 < window);
        failures.push(now);
        if failures.len() < limit {
            return None;
        }
        self.failures.remove(&what);
        let until = now.plus_seconds(seconds);
        self.locks.insert(what.clone(), until);
        Some(Lock { what, until })
    }

    /// Forgets what is over. What an attacker can fill has an end: beyond it everything but the locks begins anew.
    fn tidy(&mut self, now: Millis) {
        if self.failures.len() + self.audited.len() + self.locks.len() + self.known.len() < PLACES {
            return;
        }
        self.locks.retain(|_, until| now < *until);
        self.failures.retain(|_, times| times.last().is_some_and(|at| now.0 - at.0 < WINDOW));
        self.audited.clear();
        if self.failures.len() >= PLACES / 2 {
            self.failures.clear();
        }
        if self.known.len() >= PLACES / 2 {
            let kept: HashSet<_> = self.known.keys().take(PLACES / 4).cloned().collect();
            self.known.retain(|signer, _| kept.contains(signer));
        }
    }
}

/// Who has one IPv6 address has its whole /64.
pub(crate) fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(it) => IpAddr::V6(Ipv6Addr::from_bits(it.to_bits() & (u128::MAX << 64))),
        it @ IpAddr::V4(_) => it,
    }
}

#[cfg(test)]
mod tests;
