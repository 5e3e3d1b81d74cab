//! Turns at work that takes long: one for each who asks, and a few in all.
//!
//! What is asked for beyond that is refused before anything of it is begun, so whoever asks a thousand times keeps neither
//! the memory nor the connection that the rest of the server needs.

use std::collections::HashSet;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::{Instant, timeout_at};

/// Turns, of which a few can be had at once.
#[derive(Debug)]
pub struct Turns {
    most: usize,
    taken: Mutex<HashSet<String>>,
    freed: Notify,
}

/// A turn. It is over when this is dropped.
#[derive(Debug)]
pub struct Turn<'a> {
    turns: &'a Turns,
    whose: String,
}

/// Why there is no turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoTurn {
    /// Whoever asks has one.
    HasOne,
    /// Others have all of them.
    AllTaken,
}

impl Turns {
    /// Turns, of which `most` can be had at once.
    pub fn new(most: usize) -> Self {
        Self { most, taken: Mutex::default(), freed: Notify::new() }
    }

    /// A turn of this one's.
    pub fn take(&self, whose: &str) -> Result<Turn<'_>, NoTurn> {
        let mut taken = self.lock();
        if taken.contains(whose) {
            return Err(NoTurn::HasOne);
        }
        if taken.len() >= self.most {
            return Err(NoTurn::AllTaken);
        }
        taken.insert(whose.to_owned());
        Ok(Turn { turns: self, whose: whose.to_owned() })
    }

    /// A turn of this one's, as soon as there is one within that time. Whoever waits has begun nothing yet.
    pub async fn wait(&self, whose: &str, patience: Duration) -> Result<Turn<'_>, NoTurn> {
        let end = Instant::now() + patience;
        loop {
            let mut freed = std::pin::pin!(self.freed.notified());
            // Before it is looked: what is freed in between is heard of.
            freed.as_mut().enable();
            let why = match self.take(whose) {
                Ok(turn) => return Ok(turn),
                Err(why) => why,
            };
            if patience.is_zero() || timeout_at(end, freed).await.is_err() {
                return Err(why);
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashSet<String>> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        self.turns.lock().remove(&self.whose);
        self.turns.freed.notify_waiters();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_has_one_turn_and_all_have_a_few() {
        let turns = Turns::new(2);
        let first = turns.take("a").unwrap();
        assert_eq!(turns.take("a").map(drop), Err(NoTurn::HasOne));
        let second = turns.take("b").unwrap();
        assert_eq!(turns.take("c").map(drop), Err(NoTurn::AllTaken));
        assert_eq!(turns.take("a").map(drop), Err(NoTurn::HasOne));
        drop(first);
        let third = turns.take("c").unwrap();
        assert_eq!(turns.take("a").map(drop), Err(NoTurn::AllTaken));
        drop((second, third));
        assert!(turns.take("a").is_ok() && turns.lock().is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn whoever_is_patient_has_the_turn_that_is_given_back_and_no_other() {
        let turns = Turns::new(1);
        let first = turns.take("a").unwrap();
        let (none, second) = (turns.wait("a", Duration::ZERO), turns.wait("a", Duration::from_secs(2)));
        assert_eq!(none.await.map(drop), Err(NoTurn::HasOne));
        assert_eq!(turns.wait("b", Duration::from_secs(2)).await.map(drop), Err(NoTurn::AllTaken));
        let ((), second) = tokio::join!(async { drop(first) }, second);
        assert!(second.is_ok());
    }
}
