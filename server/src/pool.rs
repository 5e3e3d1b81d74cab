//! One copy of what many have alike.

use std::borrow::Borrow;
use std::collections::HashSet;
use std::hash::Hash;
use std::sync::Arc;

/// Fewer than this are not worth looking through.
const FEW: usize = 64;

/// One copy of what many have alike: the node of a hundred pods, the versions that a fleet holds. What nobody else has any
/// more is forgotten when there is half as much again as there was the last time.
pub struct Pool<T: ?Sized> {
    copies: HashSet<Arc<T>>,
    tidied: usize,
}

impl<T: ?Sized> Default for Pool<T> {
    fn default() -> Self {
        Self { copies: HashSet::new(), tidied: 0 }
    }
}

impl<T: Eq + Hash + ?Sized> Pool<T> {
    /// Puts the one copy in the place of `it`.
    pub fn share(&mut self, it: &mut Arc<T>) {
        if let Some(copy) = self.copies.get(Borrow::<T>::borrow(it)) {
            *it = Arc::clone(copy);
            return;
        }
        if self.copies.len() >= FEW.max(self.tidied + self.tidied / 2) {
            self.copies.retain(|copy| Arc::strong_count(copy) > 1);
            self.tidied = self.copies.len();
        }
        self.copies.insert(Arc::clone(it));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equals_are_one_and_what_nobody_has_is_forgotten() {
        let mut pool = Pool::default();
        let kept: Vec<Arc<str>> = (0..3).flat_map(|n| [n, n]).map(|n| Arc::from(n.to_string())).collect();
        let mut shared = kept.clone();
        for it in &mut shared {
            pool.share(it);
        }
        assert_eq!(shared, kept);
        assert!(shared.chunks(2).all(|pair| Arc::ptr_eq(&pair[0], &pair[1])));
        for n in 3..100_000 {
            pool.share(&mut Arc::from(n.to_string()));
        }
        assert!(pool.copies.len() <= FEW + 3, "{}", pool.copies.len());
        assert!(shared.iter().all(|it| pool.copies.contains(it)));
    }
}
