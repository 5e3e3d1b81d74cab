//! Whether the chain holds.

use super::chain;
use crate::crypto::row_mac::MacKey;
use crate::store::{AuditRow, ChainHead};

/// What is wrong with the first row that does not fit.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Break {
    /// Rows are missing.
    #[error("row {expected} is missing: the next one is {found}")]
    Gap {
        /// The number that should follow.
        expected: u64,
        /// The number that does.
        found: u64,
    },
    /// A row was changed, or the one before it was.
    #[error("row {0} was changed, or does not follow the one before it")]
    Changed(u64),
}

/// Follows the chain over rows that arrive in order.
pub struct Verifier<'k> {
    key: &'k MacKey,
    head: ChainHead,
}

impl<'k> Verifier<'k> {
    /// Begins before the first row.
    pub fn new(key: &'k MacKey) -> Self {
        Self::after(key, ChainHead::default())
    }

    /// Begins after a row that is known.
    pub fn after(key: &'k MacKey, head: ChainHead) -> Self {
        Self { key, head }
    }

    /// Goes on behind a row that did not fit, as if it had.
    pub fn resume(&mut self, row: &AuditRow) {
        self.head = ChainHead { seq: row.seq, hash: row.hash };
    }

    /// The last row that held. Rows cut off at the end are found by comparing this with a head that is known.
    pub fn head(&self) -> ChainHead {
        self.head
    }

    /// Looks at the next row.
    pub fn next(&mut self, row: &AuditRow) -> Result<(), Break> {
        let expected = self.head.seq + 1;
        if row.seq != expected {
            return Err(Break::Gap { expected, found: row.seq });
        }
        if chain::hash(self.key, &self.head.hash, row.seq, row.time, &row.entry) != row.hash {
            return Err(Break::Changed(row.seq));
        }
        self.head = ChainHead { seq: row.seq, hash: row.hash };
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use zeroize::Zeroizing;

    use super::*;
    use crate::audit::entry::{Action, Actor, Entry};
    use crate::model::millis::Millis;

    fn verify(key: &MacKey, rows: &[AuditRow]) -> Result<u64, Break> {
        let mut verifier = Verifier::new(key);
        rows.iter().try_for_each(|row| verifier.next(row))?;
        Ok(verifier.head().seq)
    }

    #[test]
    fn an_edit_a_gap_and_a_swap_are_found_at_their_row() {
        let key = MacKey::new(Zeroizing::new([1; 32]));
        let entry = |detail: &str| Entry { detail: detail.into(), ..Entry::new(Action::SecretRead, Actor::System) };
        let mut rows = chain::append(&key, ChainHead::default(), Millis(1), &[entry("a"), entry("b")]).unwrap();
        let head = ChainHead { seq: 2, hash: rows[1].hash };
        rows.extend(chain::append(&key, head, Millis(2), &[entry("c"), entry("d")]).unwrap());
        assert_eq!(verify(&key, &rows), Ok(4));

        let edited = |change: fn(&mut Vec<AuditRow>)| {
            let mut rows = rows.clone();
            change(&mut rows);
            verify(&key, &rows)
        };
        assert_eq!(edited(|rows| rows[1].entry = rows[1].entry.replace('b', "x")), Err(Break::Changed(2)));
        assert_eq!(edited(|rows| rows[2].time = Millis(9)), Err(Break::Changed(3)));
        assert_eq!(edited(|rows| drop(rows.remove(1))), Err(Break::Gap { expected: 2, found: 3 }));
        assert_eq!(edited(|rows| drop(rows.remove(0))), Err(Break::Gap { expected: 1, found: 2 }));
        assert_eq!(edited(|rows| rows[2].hash = [0; 32]), Err(Break::Changed(3)));
        // A row taken out and the rest numbered anew still does not fit.
        assert_eq!(
            edited(|rows| {
                rows.remove(1);
                rows[1].seq = 2;
            }),
            Err(Break::Changed(2))
        );
        assert_eq!(verify(&MacKey::new(Zeroizing::new([2; 32])), &rows), Err(Break::Changed(1)));
    }
}
