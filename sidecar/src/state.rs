//! What the sidecar says about itself in the volume: the file `..state`, which `wait` and `ready` read.
//!
//! It never holds a value. The file beside it, `..lock`, is locked for as long as the sidecar lives, so a state that a
//! killed sidecar left behind is told from one that holds.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;
use serde::{Deserialize, Serialize};

use crate::clock::{Clock, UnixMillis, rfc3339};

const STATE: &str = "..state";
const UNFINISHED: &str = "..state_tmp";
const LOCK: &str = "..lock";
/// The largest state that is read.
const MAX_STATE: u64 = 16 << 10;

/// The reason of a state: one word for programs.
pub mod reason {
    /// It has just started.
    pub const STARTING: &str = "Starting";
    /// All that should be there is there.
    pub const READY: &str = "Ready";
    /// The operator or the server refuses this pod (403). `wait` ends at once.
    pub const ENROLMENT_REFUSED: &str = "EnrolmentRefused";
    /// It cannot become a machine for now.
    pub const ENROLMENT_FAILED: &str = "EnrolmentFailed";
    /// The server is away.
    pub const SERVER_UNREACHABLE: &str = "ServerUnreachable";
    /// The server answers, but not to this.
    pub const SERVER_REFUSED: &str = "ServerRefused";
    /// The server was away for longer than the files may stay.
    pub const FILES_STALE: &str = "FilesStale";
    /// The server has said nothing of a secret yet.
    pub const PENDING: &str = "Pending";
    /// A file's path is not allowed.
    pub const FILE_REFUSED: &str = "FileRefused";
    /// A file's inputs do not fit its format.
    pub const FILE_INVALID: &str = "FileInvalid";
    /// This version does not know a format.
    pub const FORMAT_UNSUPPORTED: &str = "FormatUnsupported";
    /// The files do not fit the volume.
    pub const VOLUME_FULL: &str = "VolumeFull";
    /// The files cannot be written.
    pub const PUBLISH_FAILED: &str = "PublishFailed";
}

/// What the file says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct State {
    /// Whether every required file is there.
    pub ready: bool,
    /// Why, for a program: of [`reason`], or a denial's.
    pub reason: String,
    /// Why, for a person.
    pub message: String,
    /// Since when it says so, in RFC 3339.
    pub time: String,
    /// Whether the pod has a machine at the server that nobody has given up. A restarted sidecar ends it by enrolling.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub machine: bool,
    /// Until when the files stay if the server is not heard from, in RFC 3339. A restarted sidecar goes on from there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub files_until: Option<String>,
    /// Whether every required file has been there once in this pod: from then on the application runs.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub was_complete: bool,
}

/// Writes the state.
pub struct StateFile {
    mount: PathBuf,
    clock: std::sync::Arc<dyn Clock>,
    written: State,
    lock: File,
}

/// The volume is not this process's to write.
#[derive(Debug, thiserror::Error)]
pub enum StateError {
    /// It cannot be written.
    #[error("cannot write in {mount}, where the volume should be mounted")]
    Write {
        /// The volume.
        mount: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Another sidecar is at work there.
    #[error("another sidecar is at work in {0}")]
    Busy(PathBuf),
}

impl Drop for StateFile {
    fn drop(&mut self) {
        // Closing alone is not enough: a process that is being started has the descriptor until it runs its program. What fails
        // here is made good when the process ends.
        let _ = flock(&self.lock, FlockOperation::Unlock);
    }
}

impl StateFile {
    /// Says that the sidecar has just started, and from now on holds the lock. Also gives what the state was before.
    pub fn open(mount: &Path, clock: std::sync::Arc<dyn Clock>) -> Result<(Self, Option<State>), StateError> {
        let failed = |source| StateError::Write { mount: mount.to_owned(), source };
        let path = mount.join(LOCK);
        let lock =
            OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(path).map_err(failed)?;
        let before = read(mount).ok();
        let written = State {
            ready: false,
            reason: reason::STARTING.to_owned(),
            message: "the sidecar has just started".to_owned(),
            time: rfc3339(clock.now()),
            machine: before.as_ref().is_some_and(|state| state.machine),
            files_until: before.as_ref().and_then(|state| state.files_until.clone()),
            was_complete: before.as_ref().is_some_and(|state| state.was_complete),
        };
        if is_locked(&lock).map_err(failed)? {
            return Err(StateError::Busy(mount.to_owned()));
        }
        // The old state goes before the lock comes: whoever sees the lock sees a state of this process.
        write(mount, &written).map_err(failed)?;
        // Whoever asks whether the lock is held holds it himself for a moment, so this waits.
        flock(&lock, FlockOperation::LockExclusive).map_err(|error| failed(error.into()))?;
        Ok((Self { mount: mount.to_owned(), clock, written, lock }, before))
    }

    /// Says `reason` and `message`, if that is new.
    pub fn say(&mut self, ready: bool, reason: &str, message: &str) {
        let now = &self.written;
        if (now.ready, now.reason.as_str(), now.message.as_str()) == (ready, reason, message) {
            return;
        }
        if ready {
            tracing::info!(reason, "{message}");
        } else {
            tracing::warn!(reason, "not ready: {message}");
        }
        self.written = State {
            ready,
            reason: reason.to_owned(),
            message: message.to_owned(),
            time: rfc3339(self.clock.now()),
            machine: self.written.machine,
            files_until: self.written.files_until.take(),
            was_complete: self.written.was_complete || ready,
        };
        self.save();
    }

    /// What it says.
    pub fn said(&self) -> &State {
        &self.written
    }

    /// Whether it says that every required file is there.
    pub fn is_ready(&self) -> bool {
        self.written.ready
    }

    /// Says whether the pod has a machine.
    pub fn note_machine(&mut self, machine: bool) {
        self.written.machine = machine;
        self.save();
    }

    /// Says until when the files stay.
    pub fn keep_files_until(&mut self, until: Option<UnixMillis>) {
        self.written.files_until = until.map(rfc3339);
        self.save();
    }

    fn save(&self) {
        if let Err(error) = write(&self.mount, &self.written) {
            tracing::error!(%error, "cannot write the state: wait and ready see an older one");
        }
    }
}

fn write(mount: &Path, state: &State) -> io::Result<()> {
    let mut text = serde_json::to_string(state)?;
    text.push('\n');
    match replace(mount, text.as_bytes()) {
        // A page of its own is there already: a full volume can still say that it is full. Readers take a torn text for
        // none.
        Err(error) if error.kind() == io::ErrorKind::StorageFull => {
            let mut file = OpenOptions::new().write(true).open(mount.join(STATE))?;
            file.write_all(text.as_bytes())?;
            file.set_len(text.len() as u64)
        }
        result => result,
    }
}

fn replace(mount: &Path, text: &[u8]) -> io::Result<()> {
    let unfinished = mount.join(UNFINISHED);
    match std::fs::remove_file(&unfinished) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o644).open(&unfinished)?;
    let result = file.write_all(text).and_then(|()| std::fs::rename(&unfinished, mount.join(STATE)));
    if result.is_err() {
        drop(std::fs::remove_file(&unfinished));
    }
    result
}

/// Reads the state, whoever wrote it.
pub fn read(mount: &Path) -> io::Result<State> {
    let mut text = Vec::new();
    File::open(mount.join(STATE))?.take(MAX_STATE).read_to_end(&mut text)?;
    Ok(serde_json::from_slice(&text)?)
}

/// Reads the state of the sidecar that lives; `None` when none does.
pub fn read_live(mount: &Path) -> io::Result<Option<State>> {
    let lock = match File::open(mount.join(LOCK)) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        lock => lock?,
    };
    if is_locked(&lock)? { read(mount).map(Some) } else { Ok(None) }
}

fn is_locked(lock: &File) -> io::Result<bool> {
    match flock(lock, FlockOperation::NonBlockingLockShared) {
        Err(Errno::WOULDBLOCK) => Ok(true),
        Err(error) => Err(error.into()),
        Ok(()) => {
            flock(lock, FlockOperation::Unlock)?;
            Ok(false)
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::clock::SystemClock;

    #[test]
    fn a_state_that_a_dead_sidecar_left_behind_counts_for_nothing() {
        let volume = tempfile::tempdir().unwrap();
        let (mut file, before) = StateFile::open(volume.path(), Arc::new(SystemClock)).unwrap();
        assert_eq!(before, None);
        file.say(true, reason::READY, "2 files");
        assert_eq!(read_live(volume.path()).unwrap().unwrap().message, "2 files");
        assert!(matches!(StateFile::open(volume.path(), Arc::new(SystemClock)), Err(StateError::Busy(_))));
        drop(file);
        assert!(read(volume.path()).unwrap().ready);
        assert_eq!(read_live(volume.path()).unwrap(), None, "the lock went with its holder");

        let (_file, before) = StateFile::open(volume.path(), Arc::new(SystemClock)).unwrap();
        assert_eq!(before.unwrap().message, "2 files");
        assert_eq!(read(volume.path()).unwrap().reason, reason::STARTING);
    }

    #[test]
    fn the_machine_and_the_instant_until_which_files_stay_outlive_what_is_said_and_the_process() {
        let volume = tempfile::tempdir().unwrap();
        let (mut file, _) = StateFile::open(volume.path(), Arc::new(SystemClock)).unwrap();
        file.keep_files_until(Some(1_792_204_561_123));
        file.note_machine(true);
        file.say(true, reason::READY, "1 file");
        drop(file);
        let (mut file, before) = StateFile::open(volume.path(), Arc::new(SystemClock)).unwrap();
        for state in [before.unwrap(), read(volume.path()).unwrap()] {
            assert_eq!((state.machine, state.files_until.as_deref()), (true, Some("2026-10-17T02:36:01.123Z")));
        }
        file.note_machine(false);
        file.say(false, reason::PENDING, "");
        assert!(!read(volume.path()).unwrap().machine);
    }

    #[test]
    fn that_every_required_file_was_there_outlives_what_is_said_and_the_process() {
        let volume = tempfile::tempdir().unwrap();
        let (mut file, _) = StateFile::open(volume.path(), Arc::new(SystemClock)).unwrap();
        file.say(false, "NotGranted", "file a waits");
        assert!(!file.said().was_complete);
        file.say(true, reason::READY, "1 file");
        file.say(false, reason::FILES_STALE, "the server was away");
        assert!(file.said().was_complete);
        drop(file);
        let (file, _) = StateFile::open(volume.path(), Arc::new(SystemClock)).unwrap();
        assert!(file.said().was_complete && read(volume.path()).unwrap().was_complete);
    }

    #[test]
    fn a_volume_that_is_not_there_is_named() {
        let Err(error) = StateFile::open(Path::new("/nowhere"), Arc::new(SystemClock)) else { panic!("it opened") };
        assert!(error.to_string().starts_with("cannot write in /nowhere,"), "{error}");
    }

    #[test]
    fn the_file_has_the_keys_that_others_read() {
        let state = State {
            ready: false,
            reason: "NotGranted".into(),
            message: "m".into(),
            time: "t".into(),
            machine: false,
            files_until: None,
            was_complete: false,
        };
        let text = serde_json::to_string(&state).unwrap();
        assert_eq!(text, r#"{"ready":false,"reason":"NotGranted","message":"m","time":"t"}"#);
    }
}
