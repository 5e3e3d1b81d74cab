//! What may be held of a listener at once, by all and by one address: nobody keeps the others out.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

use crate::attest::limit::network;

/// The largest review: two objects of the API server's own limit and their frame.
pub const MAX_REVIEW: u32 = 3 * 1024 * 1024;
/// Connections of one address. The API server has fewer reviews under way at once; the pods of a node that start together
/// may come from one address, and whoever finds no room tries again.
pub const PER_ADDRESS: usize = 64;
/// Bytes of reviews in work at once.
const REVIEWS: usize = 32 * 1024 * 1024;
/// How much of it one address may take: a largest review has room.
const REVIEWS_PER_ADDRESS: usize = 4 * 1024 * 1024;
/// How long a review waits for room: less than the API server waits for the answer.
const WAIT: Duration = Duration::from_secs(3);

/// Who is connected. IPv6 addresses count by their /64.
#[derive(Debug, Default)]
pub struct Sources(Mutex<HashMap<IpAddr, Held>>);

#[derive(Debug)]
struct Held {
    connections: usize,
    share: Arc<Semaphore>,
}

/// One connection. Its place is free when it is dropped.
#[derive(Debug)]
pub struct Connection {
    sources: Arc<Sources>,
    network: IpAddr,
    share: Arc<Semaphore>,
}

impl Sources {
    fn held(&self) -> MutexGuard<'_, HashMap<IpAddr, Held>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Another connection from `address`, if there is room for it.
    pub fn admit(self: &Arc<Self>, address: IpAddr) -> Option<Connection> {
        let network = network(address);
        let mut held = self.held();
        let source = held
            .entry(network)
            .or_insert_with(|| Held { connections: 0, share: Arc::new(Semaphore::new(REVIEWS_PER_ADDRESS)) });
        if source.connections >= PER_ADDRESS {
            return None;
        }
        source.connections += 1;
        Some(Connection { sources: Arc::clone(self), network, share: Arc::clone(&source.share) })
    }
}

impl Connection {
    /// What all connections of its address share.
    pub fn share(&self) -> Share {
        Share(Arc::clone(&self.share))
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        let mut held = self.sources.held();
        if let Some(source) = held.get_mut(&self.network) {
            source.connections -= 1;
            if source.connections == 0 {
                held.remove(&self.network);
            }
        }
    }
}

/// The share of one address in what reviews may hold.
#[derive(Clone, Debug)]
pub struct Share(Arc<Semaphore>);

/// The bytes of the reviews in work.
#[derive(Debug)]
pub struct Reviews(Arc<Semaphore>);

/// Room for one review, until it is dropped.
#[derive(Debug)]
pub struct Room {
    _of_address: OwnedSemaphorePermit,
    _of_all: OwnedSemaphorePermit,
}

impl Reviews {
    /// None in work.
    pub fn new() -> Self {
        Self(Arc::new(Semaphore::new(REVIEWS)))
    }

    /// Room for a review of so many bytes, or of the largest size when nobody says; nothing if there is none in time.
    pub async fn admit(&self, share: &Share, length: Option<u64>) -> Option<Room> {
        let bytes = length.and_then(|length| u32::try_from(length).ok()).unwrap_or(MAX_REVIEW).min(MAX_REVIEW);
        let admitted = async {
            let of_address = Arc::clone(&share.0).acquire_many_owned(bytes).await.ok()?;
            let of_all = Arc::clone(&self.0).acquire_many_owned(bytes).await.ok()?;
            Some(Room { _of_address: of_address, _of_all: of_all })
        };
        timeout(WAIT, admitted).await.ok().flatten()
    }
}

impl Default for Reviews {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(last: u8) -> IpAddr {
        [10, 0, 0, last].into()
    }

    #[test]
    fn an_address_has_its_connections_and_takes_nobody_elses() {
        let sources = Arc::new(Sources::default());
        let mut connections: Vec<_> = (0..PER_ADDRESS).map(|_| sources.admit(address(1)).unwrap()).collect();
        assert!(sources.admit(address(1)).is_none());
        assert!(sources.admit("::ffff:10.0.0.1".parse().unwrap()).is_none(), "a mapped address is the address");
        let other = sources.admit(address(2)).unwrap();
        connections.pop();
        let again = sources.admit(address(1)).unwrap();
        assert!(sources.admit(address(1)).is_none());
        drop((connections, other, again));
        assert!(sources.held().is_empty(), "who is gone is forgotten");
    }

    #[tokio::test(start_paused = true)]
    async fn one_address_leaves_room_for_the_reviews_of_others() {
        let sources = Arc::new(Sources::default());
        let of = |last| sources.admit(address(last)).unwrap();
        let (first, same, other) = (of(1), of(1), of(2));
        let reviews = Reviews::new();
        for length in [None, Some(u64::from(MAX_REVIEW)), Some(u64::MAX)] {
            let room = reviews.admit(&first.share(), length).await.unwrap();
            assert!(reviews.admit(&same.share(), Some(2 * 1024 * 1024)).await.is_none(), "{length:?}");
            assert!(reviews.admit(&same.share(), Some(10_000)).await.is_some());
            assert!(reviews.admit(&other.share(), None).await.is_some());
            drop(room);
            assert!(reviews.admit(&same.share(), None).await.is_some(), "what ended gives its room back");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn all_reviews_together_have_a_bound() {
        let sources = Arc::new(Sources::default());
        let connections: Vec<_> = (0..11).map(|last| sources.admit(address(last)).unwrap()).collect();
        let reviews = Reviews::new();
        let mut rooms = Vec::new();
        for connection in &connections {
            rooms.push(reviews.admit(&connection.share(), None).await);
        }
        let admitted = rooms.iter().filter(|room| room.is_some()).count();
        assert_eq!(admitted, REVIEWS / MAX_REVIEW as usize);
    }
}
