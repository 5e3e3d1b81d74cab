//! Places for connections: so many in all, and so many for one address.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};

use ipnet::IpNet;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::{Limits, one_address};
use crate::metrics::Metrics;

/// Places for connections.
pub(super) struct Places {
    all: Arc<Semaphore>,
    shared: Arc<Shared>,
}

struct Shared {
    per_address: usize,
    exempt: Vec<IpNet>,
    by_address: Mutex<HashMap<IpAddr, usize>>,
}

/// A place for whoever comes next.
pub(super) struct Free {
    permit: OwnedSemaphorePermit,
    shared: Arc<Shared>,
}

/// The place of one connection.
pub(super) struct Place {
    /// None: the address may have as many as it likes.
    address: Option<IpAddr>,
    shared: Arc<Shared>,
    metrics: Arc<Metrics>,
    _permit: OwnedSemaphorePermit,
}

impl Places {
    pub(super) fn new(limits: &Limits) -> Self {
        let shared =
            Shared { per_address: limits.per_address, exempt: limits.shared.clone(), by_address: Mutex::default() };
        Self { all: Arc::new(Semaphore::new(limits.connections)), shared: Arc::new(shared) }
    }

    /// Waits until there is a place.
    pub(super) async fn wait(&self) -> Free {
        loop {
            // Never closed, so there is always a place some time.
            let Ok(permit) = Arc::clone(&self.all).acquire_owned().await else { continue };
            return Free { permit, shared: Arc::clone(&self.shared) };
        }
    }
}

impl Free {
    /// Takes it for `peer`. None: that address has as many as it may.
    pub(super) fn take(self, peer: IpAddr, metrics: &Arc<Metrics>) -> Option<Place> {
        let peer = peer.to_canonical();
        let is_exempt = peer.is_loopback() || self.shared.exempt.iter().any(|range| range.contains(&peer));
        let address = (!is_exempt).then(|| one_address(peer));
        if let Some(address) = address {
            let mut by_address = self.shared.by_address.lock().unwrap_or_else(PoisonError::into_inner);
            let count = by_address.entry(address).or_default();
            if *count >= self.shared.per_address {
                return None;
            }
            *count += 1;
        }
        metrics.connections.inc();
        Some(Place { address, shared: self.shared, metrics: Arc::clone(metrics), _permit: self.permit })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.metrics.connections.dec();
        let Some(address) = self.address else { return };
        let mut by_address = self.shared.by_address.lock().unwrap_or_else(PoisonError::into_inner);
        match by_address.get_mut(&address) {
            Some(count) if *count > 1 => *count -= 1,
            _ => drop(by_address.remove(&address)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn one_address_has_so_many_places_and_a_shared_one_as_many_as_there_are() {
        let limits = Limits {
            connections: 10,
            per_address: 2,
            shared: vec!["10.0.0.0/8".parse().unwrap()],
            ..Limits::default()
        };
        let (places, metrics) = (Places::new(&limits), Arc::default());
        let take = async |address: &str| places.wait().await.take(address.parse().unwrap(), &metrics);
        let first = take("192.0.2.1").await.unwrap();
        let _second = take("::ffff:192.0.2.1").await.unwrap();
        assert!(take("192.0.2.1").await.is_none());
        let _other = [take("192.0.2.2").await.unwrap(), take("2001:db8::1").await.unwrap()];
        let network = take("2001:db8::2").await.unwrap();
        assert!(take("2001:db8::3").await.is_none());
        drop(network);
        let _again = take("2001:db8::3").await.unwrap();
        drop(first);
        let _first = take("192.0.2.1").await.unwrap();
        let _exempt: Vec<_> = [take("10.1.2.3").await, take("10.1.2.3").await, take("10.1.2.3").await].into();
        let _loopback = [take("127.0.0.1").await.unwrap(), take("::1").await.unwrap()];
        assert_eq!(metrics.connections.get(), 10);
        assert_eq!(places.all.available_permits(), 0);
    }
}
