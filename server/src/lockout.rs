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

pub mod people;

use std::collections::HashMap;
use std::fmt;
use std::hash::Hash;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Mutex, PoisonError};

use ipnet::IpNet;

use crate::fingerprint::{Fingerprint, Fingerprints};
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
/// Failures of one address that are audited one by one in a minute, and of all addresses; the rest is counted. Who has a
/// large network has more addresses than the disk has place.
const AUDITED: u32 = 5;
const AUDITED_IN_ALL: u32 = 300;
/// Addresses remembered for each machine. Beyond it the one that was not used for longest is forgotten.
const ADDRESSES: usize = 16;
/// Of each kind of thing, so many are remembered. Beyond it the older half is forgotten.
const PLACES: usize = 40_000;
/// Signers whose addresses are remembered. Only who has authenticated takes a place here.
const SIGNERS: usize = 100_000;

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
    /// When the last of the locks is over.
    locked_until: Option<Millis>,
    known: HashMap<Fingerprint, Known>,
    names: Fingerprints,
    /// Counts authentications, to tell which was later.
    authenticated: u64,
    audited: HashMap<IpAddr, Minute>,
    audited_in_all: Minute,
    locks_audited: Minute,
}

/// From where a signer has authenticated.
#[derive(Default)]
struct Known {
    /// The latest last.
    addresses: Vec<IpAddr>,
    used: u64,
}

/// How often something happened in one minute.
#[derive(Clone, Copy, Default)]
struct Minute {
    minute: i64,
    count: u32,
}

impl Minute {
    /// Counts one, and returns how many there are in this minute.
    fn count(&mut self, now: Millis) -> u32 {
        let minute = now.0.div_euclid(60_000);
        if self.minute != minute {
            *self = Self { minute, count: 0 };
        }
        self.count = self.count.saturating_add(1);
        self.count
    }
}

impl Lockout {
    /// Addresses in `shared` stand for many clients and are never locked as such.
    pub fn new(shared: Vec<IpNet>) -> Self {
        Self { shared, inner: Mutex::default() }
    }

    /// Whether a request from `address`, as `signer` if it names one, is shut out.
    pub fn check(&self, now: Millis, address: IpAddr, signer: Option<&str>) -> Result<(), Lock> {
        let inner = self.lock();
        if inner.locked_until.is_none_or(|until| now >= until) {
            return Ok(());
        }
        let address = network(address);
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

    /// Until when machines and agents are shut out from somewhere, by their ids.
    pub fn signers(&self, now: Millis) -> HashMap<String, Millis> {
        let inner = self.lock();
        let mut signers: HashMap<String, Millis> = HashMap::new();
        for (what, until) in inner.locks.iter().filter(|(_, until)| now < **until) {
            if let Locked::Pair(signer, _) | Locked::Signer(signer) = what {
                let known = signers.entry(signer.clone()).or_insert(*until);
                *known = (*known).max(*until);
            }
        }
        signers
    }

    /// From where a machine or agent is shut out, and until when: an address, or none for every one that it never came from.
    pub fn on_signer(&self, now: Millis, signer: &str) -> Vec<(Option<IpAddr>, Millis)> {
        let inner = self.lock();
        let locks = inner.locks.iter().filter(|(_, until)| now < **until);
        let mut locks: Vec<_> = locks
            .filter_map(|(what, until)| match what {
                Locked::Pair(of, address) if of == signer => Some((Some(*address), *until)),
                Locked::Signer(of) if of == signer => Some((None, *until)),
                _ => None,
            })
            .collect();
        locks.sort_unstable();
        locks
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
        inner.authenticated += 1;
        let used = inner.authenticated;
        let name = inner.names.of(signer);
        if let Some(known) = inner.known.get_mut(&name)
            && let Some(place) = known.addresses.iter().position(|it| *it == address)
        {
            known.used = used;
            if let Some(later) = known.addresses.get_mut(place..) {
                later.rotate_left(1);
            }
            return;
        }
        inner.failures.remove(&Locked::Pair(signer.to_owned(), address));
        if inner.known.len() >= SIGNERS {
            halve(&mut inner.known, |known| known.used);
        }
        let known = inner.known.entry(name).or_default();
        known.used = used;
        if known.addresses.len() >= ADDRESSES {
            known.addresses.remove(0);
        }
        // Almost always there is one.
        known.addresses.reserve_exact(1);
        known.addresses.push(address);
    }

    /// Whether a failure from `address` is audited by itself, or counted.
    pub fn may_audit(&self, now: Millis, address: IpAddr) -> bool {
        let mut inner = self.lock();
        inner.tidy(now);
        let of_address = inner.audited.entry(network(address)).or_default().count(now);
        of_address <= AUDITED && inner.audited_in_all.count(now) <= AUDITED_IN_ALL
    }

    /// Whether a lock that begins is audited by itself, or counted.
    pub fn may_audit_lock(&self, now: Millis) -> bool {
        self.lock().locks_audited.count(now) <= AUDITED_IN_ALL
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
        self.known.get(&self.names.of(signer)).is_some_and(|it| it.addresses.contains(&address))
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
        self.locked_until = self.locked_until.max(Some(until));
        Some(Lock { what, until })
    }

    fn tidy(&mut self, now: Millis) {
        make_room(&mut self.failures, &mut self.locks, now, WINDOW);
        if self.audited.len() >= PLACES {
            self.audited.clear();
        }
    }
}

/// Forgets what is over, and of what an attacker can fill the older half. Looked through only when it is full, so that each
/// request pays for a part of it. Failures count for `window`, in milliseconds.
fn make_room<K: Eq + Hash>(
    failures: &mut HashMap<K, Vec<Millis>>,
    locks: &mut HashMap<K, Millis>,
    now: Millis,
    window: i64,
) {
    if failures.len() >= PLACES {
        failures.retain(|_, times| times.last().is_some_and(|at| now.0 - at.0 < window));
        if failures.len() > PLACES / 2 {
            halve(failures, |times| times.last().map_or(0, |at| at.0));
        }
    }
    if locks.len() >= PLACES {
        locks.retain(|_, until| now < *until);
        if locks.len() > PLACES / 2 {
            halve(locks, |until| until.0);
        }
    }
}

/// Forgets the older half.
fn halve<K: Eq + Hash, V, A: Ord + Copy>(map: &mut HashMap<K, V>, age: impl Fn(&V) -> A) {
    let mut ages: Vec<A> = map.values().map(&age).collect();
    let middle = ages.len() / 2;
    if middle < ages.len() {
        let (_, middle, _) = ages.select_nth_unstable(middle);
        let middle = *middle;
        map.retain(|_, value| age(value) > middle);
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
