//! Whether the API server only goes forward. Pure.

use k8s_openapi::api::coordination::v1::Lease;
use thiserror::Error;

use super::LEASE;
use crate::api_server;

/// The API server has forgotten what it had told: the cluster was restored from a backup while this process ran.
///
/// Versions of all objects come from one counter. A watch that is resumed waits for versions after the last one it saw, and
/// hears nothing of what happens until the counter is there once more. So this process must not go on with what it knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error(
    "the cluster was restored from a backup (Lease {LEASE} went back from version {from} to {to}): what this process knows of it \
     is void, it has to start anew"
)]
pub struct WentBack {
    from: u64,
    to: u64,
}

/// The newest version that was seen.
#[derive(Debug, Default)]
pub(super) struct Progress(u64);

impl Progress {
    /// Looks at a Lease that the API server has just sent, and not out of a cache.
    pub(super) fn note(&mut self, lease: &Lease) -> Result<(), WentBack> {
        let Some(version) = api_server::version(&lease.metadata) else { return Ok(()) };
        if version < self.0 {
            return Err(WentBack { from: self.0, to: version });
        }
        self.0 = version;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_an_older_version_than_the_newest_one_says_that_the_cluster_went_back() {
        let lease = |version: &str| {
            let mut lease = Lease::default();
            lease.metadata.resource_version = Some(version.to_owned());
            lease
        };
        let mut progress = Progress::default();
        for version in ["7", "7", "12", "not a number", "12", "100"] {
            assert_eq!(progress.note(&lease(version)), Ok(()), "{version}");
        }
        assert_eq!(progress.note(&Lease::default()), Ok(()));
        assert_eq!(progress.note(&lease("99")), Err(WentBack { from: 100, to: 99 }));
    }
}
