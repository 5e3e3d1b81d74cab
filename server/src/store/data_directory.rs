//! The directory that holds the data, and the lock on it.

use std::fs::{DirBuilder, File, OpenOptions, TryLockError};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use super::StoreError;

/// The name of the database in a data directory.
pub(super) const DATABASE: &str = "sikkerkey.db";

/// A data directory that belongs to this process until it is dropped.
#[derive(Debug)]
pub struct DataDirectory {
    path: PathBuf,
    /// The kernel lets go of the lock when the process ends, however it ends.
    lock: File,
}

impl DataDirectory {
    /// Makes the directory when there is none, and locks it.
    pub fn lock(path: &Path) -> Result<Self, StoreError> {
        let shown = || path.display().to_string();
        let failed = |error| StoreError::Directory(shown(), error);
        if !path.is_dir() {
            DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(failed)?;
        }
        let lock = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(path.join("lock"))
            .map_err(failed)?;
        match lock.try_lock() {
            Ok(()) => {
                let directory = Self { path: path.to_owned(), lock };
                // SQLite would make it readable by others; its companion files take their mode from it.
                let database = OpenOptions::new().append(true).create(true).mode(0o600).open(directory.database());
                database.map_err(failed)?;
                Ok(directory)
            }
            Err(TryLockError::WouldBlock) => Err(StoreError::InUse(shown())),
            Err(TryLockError::Error(error)) => Err(failed(error)),
        }
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Whether something was ever stored here.
    pub fn has_data(&self) -> bool {
        std::fs::metadata(self.database()).is_ok_and(|it| it.len() > 0)
    }

    /// The database.
    pub fn database(&self) -> PathBuf {
        self.path.join(DATABASE)
    }
}

impl Drop for DataDirectory {
    fn drop(&mut self) {
        // Closing alone is not enough: a process that is being started has the descriptor until it runs its program. What
        // fails here is made good when the process ends.
        drop(self.lock.unlock());
    }
}
