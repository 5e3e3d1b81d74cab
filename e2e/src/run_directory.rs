//! The directory of one run: everything a cluster writes is below it, and all of it goes when the run ends.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::log_file::LogFile;

/// Written when a run failed: its logs are kept then.
const KEEP_LOGS: &str = "keep-logs";

/// The directory of one run.
#[derive(Clone, Debug)]
pub struct RunDirectory {
    path: PathBuf,
}

impl RunDirectory {
    pub(crate) fn new(path: PathBuf) -> Self {
        Self { path }
    }

    /// The directory itself.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// A path below it.
    pub fn join(&self, relative: impl AsRef<Path>) -> PathBuf {
        self.path.join(relative)
    }

    /// Where it keeps what has to be in memory; it goes with the directory.
    pub(crate) fn memory(&self) -> PathBuf {
        memory_of(&self.path)
    }

    /// The log file of a process.
    pub fn log(&self, name: &str) -> LogFile {
        LogFile::new(&self.path.join("log").join(format!("{name}.log")))
    }

    /// Where the logs are.
    pub fn logs(&self) -> PathBuf {
        self.path.join("log")
    }

    /// Keeps the logs beyond the end of the run, and says where they will be.
    pub fn keep_logs(&self) -> PathBuf {
        // What cannot be kept is only a log.
        let _ = fs::write(self.path.join(KEEP_LOGS), "");
        kept_logs(&self.path)
    }
}

/// The parts that each run has.
pub(crate) fn create_parts(path: &Path) -> io::Result<()> {
    ["log", "pki", "kubeconfig"].iter().try_for_each(|part| fs::create_dir(path.join(part)))
}

/// Removes the directory of a run that is over, but for its logs if they are to be kept. Only what this user owns is touched: the
/// place above it may be writable by everybody.
pub(crate) fn remove(path: &Path) -> io::Result<()> {
    if is_ours(&memory_of(path))? {
        fs::remove_dir_all(memory_of(path))?;
    }
    if !is_ours(path)? {
        return Ok(());
    }
    if path.join(KEEP_LOGS).exists() {
        let kept = kept_logs(path);
        // One failed run is kept for each number: the newest.
        let _ = fs::remove_dir_all(&kept);
        let _ = fs::rename(path.join("log"), kept);
    }
    fs::remove_dir_all(path)
}

fn memory_of(path: &Path) -> PathBuf {
    Path::new("/dev/shm").join(path.to_string_lossy().trim_start_matches('/').replace('/', "-"))
}

/// Whether there is a directory of this user. Something else of that name is an error.
fn is_ours(path: &Path) -> io::Result<bool> {
    use std::os::unix::fs::MetadataExt;
    let metadata = match fs::symlink_metadata(path) {
        Ok(metadata) => metadata,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
        Err(error) => return Err(error),
    };
    if !metadata.is_dir() || metadata.uid() != rustix::process::getuid().as_raw() {
        return Err(io::Error::other(format!("{} is not a directory of this user", path.display())));
    }
    Ok(true)
}

/// Where the logs of a failed run are after its end.
fn kept_logs(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push("-failed-logs");
    PathBuf::from(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn removing_a_run_keeps_its_logs_only_when_asked() {
        let base = tempfile::tempdir().unwrap();
        let run = RunDirectory::new(base.path().join("run"));
        for keep in [false, true] {
            fs::create_dir(run.path()).unwrap();
            create_parts(run.path()).unwrap();
            fs::write(run.join("log/etcd.log"), "line\n").unwrap();
            fs::create_dir_all(run.memory().join("pod")).unwrap();
            let kept = keep.then(|| run.keep_logs());
            remove(run.path()).unwrap();
            assert!(!run.path().exists() && !run.memory().exists());
            match kept {
                Some(kept) => assert_eq!(fs::read_to_string(kept.join("etcd.log")).unwrap(), "line\n"),
                None => assert_eq!(fs::read_dir(base.path()).unwrap().count(), 0),
            }
        }
    }

    #[test]
    fn a_link_in_place_of_the_directory_is_refused() {
        let base = tempfile::tempdir().unwrap();
        let link = base.path().join("run");
        std::os::unix::fs::symlink(base.path(), &link).unwrap();
        assert!(remove(&link).unwrap_err().to_string().contains("is not a directory of this user"));
        assert!(base.path().exists());
    }
}
