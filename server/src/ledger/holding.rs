//! What a machine has of a secret.

/// The version of a secret that a machine was delivered last, and whether it uses it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Holding {
    /// Which version.
    pub version: u64,
    /// Whether it stands in the machine's files, as far as the machine has said. One that writes none has it with the answer.
    pub in_files: bool,
}

impl Holding {
    /// As the database has it: a version that is in no file yet is below zero. To a release that knows no such versions it is
    /// one that is long out of date.
    pub fn stored(self) -> i64 {
        let version = i64::try_from(self.version).unwrap_or(i64::MAX);
        if self.in_files { version } else { -version }
    }

    /// From what the database has.
    pub fn restored(stored: i64) -> Self {
        Self { version: stored.unsigned_abs(), in_files: stored >= 0 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_read_back_as_it_was_stored() {
        for in_files in [true, false] {
            let holding = Holding { version: 7, in_files };
            assert_eq!(Holding::restored(holding.stored()), holding);
        }
        assert_eq!(Holding::restored(3), Holding { version: 3, in_files: true }, "what earlier releases stored");
    }
}
