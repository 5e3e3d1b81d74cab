//! Random bytes, as an argument.

use rustix::io::Errno;
use rustix::rand::{GetRandomFlags, getrandom};

/// The operating system gave no random bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the operating system gives no random bytes: is getrandom forbidden by a seccomp profile?")]
pub struct RandomError;

/// A source of bytes that nobody can guess.
pub trait Random: Send + Sync {
    /// Fills `bytes`.
    fn fill(&self, bytes: &mut [u8]) -> Result<(), RandomError>;

    /// Spreads retries and renewals. Without random bytes they are not spread: that is no reason to stop.
    fn jitter(&self) -> u64 {
        let mut bytes = [0; 8];
        match self.fill(&mut bytes) {
            Ok(()) => u64::from_le_bytes(bytes),
            Err(RandomError) => u64::MAX,
        }
    }
}

/// `getrandom(2)`, called without the C library: a static program must not depend on files in `/dev` for its key.
#[derive(Clone, Copy, Debug, Default)]
pub struct OsRandom;

impl Random for OsRandom {
    fn fill(&self, bytes: &mut [u8]) -> Result<(), RandomError> {
        let mut rest = bytes;
        while !rest.is_empty() {
            let filled = match getrandom(&mut *rest, GetRandomFlags::empty()) {
                Err(Errno::INTR) => 0,
                filled => filled.map_err(|_| RandomError)?,
            };
            rest = rest.get_mut(filled..).ok_or(RandomError)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_byte_is_filled_and_no_two_fills_are_alike() {
        for length in [0, 1, 32, 1000] {
            let mut or = vec![0; length];
            for _ in 0..64 {
                let mut bytes = vec![0; length];
                OsRandom.fill(&mut bytes).unwrap();
                for (or, byte) in or.iter_mut().zip(bytes) {
                    *or |= byte;
                }
            }
            assert!(or.iter().all(|byte| *byte != 0), "{length}");
        }
        assert_ne!(OsRandom.jitter(), OsRandom.jitter());
    }
}
