//! Which tallies are not stored yet.
//!
//! A counter that nothing compares with would cost a page of the disk for each read. So it is stored later, a hundred at a
//! time; and the number of a row of the audit is stored with them, up to which everything is counted. When
//! the server starts, what the audit holds after it is counted again: no read is lost or counted twice, however the
//! server ended.

use std::collections::HashSet;

use sikkerkey_protocol::id::SecretId;

use super::tally::Reader;

/// The most that are stored together: the writer does nothing else meanwhile.
const MOST: usize = 128;
/// After so many rows of the audit their end is stored although no tally was late: reading on from it takes less time.
const STRIDE: u64 = 10_000;

type Key = (SecretId, Reader);

/// Which tallies are not stored yet.
#[derive(Default)]
pub(super) struct Unsaved {
    /// Changed since the round began.
    later: HashSet<Key>,
    /// Those of the round that are left.
    round: Vec<Key>,
    /// The end of the audit when the round began.
    upto: u64,
    /// On their way to the database.
    saving: Vec<Key>,
    /// What was to be stored last as counted.
    counted: u64,
}

impl Unsaved {
    /// A group that is committed has changed a tally, and has stored it or not.
    pub(super) fn changed(&mut self, key: Key, is_stored: bool) {
        if is_stored {
            self.later.remove(&key);
        } else {
            self.later.insert(key);
        }
    }

    /// Begins a round with everything that is late, unless one is under way. `head` is the last row of the audit. What is
    /// read again and again is late once in a round.
    pub(super) fn begin(&mut self, head: u64) {
        if self.round.is_empty() {
            self.round = self.later.drain().collect();
            self.upto = head;
        }
    }

    /// What is to be stored with the next group, and up to which row of the audit everything is counted then.
    pub(super) fn take(&mut self) -> (Vec<Key>, Option<u64>) {
        let left = self.round.len().saturating_sub(MOST);
        self.saving = self.round.split_off(left);
        let counted = self.round.is_empty().then_some(self.upto);
        self.counted = counted.unwrap_or(self.counted);
        (self.saving.clone(), counted)
    }

    /// Up to which row of the audit everything is counted anyway, when it is time to store that.
    pub(super) fn counted(&mut self, head: u64) -> Option<u64> {
        let is_due = self.later.is_empty() && self.round.is_empty() && head >= self.counted + STRIDE;
        self.counted = if is_due { head } else { self.counted };
        is_due.then_some(head)
    }

    /// The group is committed.
    pub(super) fn saved(&mut self) {
        self.saving.clear();
    }

    /// Whether a round is under way.
    pub(super) fn is_under_way(&self) -> bool {
        !self.round.is_empty()
    }

    /// The group failed: it is all to be done again.
    pub(super) fn failed(&mut self) {
        self.later.extend(self.saving.drain(..));
        self.later.extend(self.round.drain(..));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(n: usize) -> Key {
        let id = "00000000-0000-4000-8000-000000000001".parse().unwrap();
        (format!("sk_{n}").parse().unwrap(), Reader::Pod(id))
    }

    fn take(unsaved: &mut Unsaved, head: u64) -> (Vec<Key>, Option<u64>) {
        unsaved.begin(head);
        unsaved.take()
    }

    #[test]
    fn everything_is_stored_in_pieces_and_counted_up_to_where_the_round_began() {
        let mut unsaved = Unsaved::default();
        (0..=MOST).for_each(|n| unsaved.changed(key(n), false));
        let (first, counted) = take(&mut unsaved, 100);
        assert_eq!((first.len(), counted), (MOST, None));
        unsaved.saved();
        // What changes meanwhile is for the next round.
        unsaved.changed(key(0), false);
        let (second, counted) = take(&mut unsaved, 200);
        assert_eq!((second.len(), counted), (1, Some(100)));
        unsaved.saved();
        let (third, counted) = take(&mut unsaved, 300);
        assert_eq!((third, counted), (vec![key(0)], Some(300)));
        unsaved.saved();
        assert!(!unsaved.is_under_way());
    }

    #[test]
    fn what_could_not_be_stored_is_stored_later_and_what_was_stored_with_its_group_is_not() {
        let mut unsaved = Unsaved::default();
        unsaved.changed(key(1), false);
        unsaved.changed(key(2), false);
        unsaved.changed(key(2), true);
        assert_eq!(take(&mut unsaved, 10), (vec![key(1)], Some(10)));
        unsaved.failed();
        assert_eq!(take(&mut unsaved, 20), (vec![key(1)], Some(20)));
        unsaved.saved();
        assert!(!unsaved.is_under_way());
        // Where nothing is late, the end of the audit is stored by itself.
        assert_eq!(
            [STRIDE, 20 + STRIDE, 21 + STRIDE].map(|head| unsaved.counted(head)),
            [None, Some(20 + STRIDE), None]
        );
    }
}
