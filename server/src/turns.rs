//! Turns at work that takes long: one for each who asks, and a few in all.
//!
//! What is asked for beyond that is refused before anything of it is begun, so whoever asks a thousand times keeps neither
//! the memory nor the connection that the rest of the server needs.

use std::collections::HashSet;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Turns, of which a few can be had at once.
#[derive(Debug)]
pub struct Turns {
    most: usize,
    taken: Mutex<HashSet<String>>,
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
        Self { most, taken: Mutex::default() }
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

    fn lock(&self) -> MutexGuard<'_, HashSet<String>> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        self.turns.lock().remove(&self.whose);
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
}
