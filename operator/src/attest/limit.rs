//! How often somebody may ask. A bucket for each, filled evenly; memory is bounded.

use std::collections::HashMap;
use std::hash::Hash;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// How many are remembered at once. Beyond it, newcomers share one bucket.
const REMEMBERED: usize = 4096;

/// Limits the rate per address ([`network`]), or per whoever asks.
#[derive(Debug)]
pub struct Limiter<K> {
    burst: u32,
    interval: Duration,
    /// When each bucket will be full again; none: that of the newcomers.
    full_at: Mutex<HashMap<Option<K>, Instant>>,
}

impl<K: Eq + Hash> Limiter<K> {
    /// At most `burst` at once, then one in each `interval`.
    pub fn new(burst: u32, interval: Duration) -> Self {
        Self { burst, interval, full_at: Mutex::default() }
    }

    /// Whether another one by `who` may pass at `now`; it is counted if so.
    pub fn admits(&self, who: K, now: Instant) -> bool {
        let mut full_at = self.full_at.lock().unwrap_or_else(PoisonError::into_inner);
        let mut key = Some(who);
        if !full_at.contains_key(&key) && full_at.len() >= REMEMBERED {
            full_at.retain(|_, full| *full > now);
            if full_at.len() >= REMEMBERED {
                key = None;
            }
        }
        let full = full_at.get(&key).copied().unwrap_or(now).max(now) + self.interval;
        let admitted = full.duration_since(now) <= self.interval * self.burst;
        if admitted {
            full_at.insert(key, full);
        }
        admitted
    }

    /// Whether one by `who` passed so short a while before `now` that another would not. Nothing is counted.
    pub fn is_full(&self, who: K, now: Instant) -> bool {
        let full_at = self.full_at.lock().unwrap_or_else(PoisonError::into_inner);
        let full = full_at.get(&Some(who)).copied().unwrap_or(now).max(now) + self.interval;
        full.duration_since(now) > self.interval * self.burst
    }
}

/// What counts as one address: that of IPv4, and the /64 of IPv6.
pub fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() >> 64 << 64)),
        v4 @ IpAddr::V4(_) => v4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_passes_and_then_one_per_interval() {
        let limiter = Limiter::new(3, Duration::from_secs(1));
        let address = |text: &str| network(text.parse().unwrap());
        let (a, b) = (address("10.0.0.1"), address("10.0.0.2"));
        let start = Instant::now();
        let passed = (0..5).filter(|_| limiter.admits(a, start)).count();
        assert_eq!(passed, 3);
        assert!(limiter.admits(b, start), "another address has its own bucket");
        assert!(!limiter.admits(a, start + Duration::from_millis(999)));
        assert!(limiter.admits(a, start + Duration::from_secs(1)));
        assert!(!limiter.admits(a, start + Duration::from_secs(1)));
        assert!(limiter.admits(address("::ffff:10.0.0.1"), start + Duration::from_secs(2)));
        assert!(!limiter.admits(a, start + Duration::from_secs(2)), "a mapped address is the address");
    }

    #[test]
    fn many_who_ask_do_not_grow_memory() {
        let limiter = Limiter::new(1, Duration::from_mins(1));
        let start = Instant::now();
        let passed = (0..20_000_u32).filter(|n| limiter.admits(*n, start)).count();
        assert_eq!(passed, REMEMBERED + 1, "the rest shares one bucket");
        assert!(limiter.full_at.lock().unwrap().len() <= REMEMBERED + 1);
        assert!(limiter.admits(20_000, start + Duration::from_mins(2)), "old ones are forgotten");
    }

    #[test]
    fn one_ipv6_network_is_one_address() {
        let limiter = Limiter::new(1, Duration::from_secs(1));
        let start = Instant::now();
        let admits = |address: &str| limiter.admits(network(address.parse().unwrap()), start);
        assert!(admits("2001:db8::1"));
        assert!(!admits("2001:db8::2"));
        assert!(admits("2001:db8:0:1::1"));
    }
}
