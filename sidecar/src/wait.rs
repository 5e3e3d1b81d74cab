//! The two gates: `wait` holds the application back until the files are there, `ready` says whether they are.

use std::path::Path;
use std::time::Duration;

use crate::state::{self, State, reason};

/// How long `wait` waits: well below the minute that the deletion of a pod may take.
pub const BOUND: Duration = Duration::from_secs(45);
const NO_SIDECAR: &str = "the sidecar is not running";

/// Why the files are not there: one line for a pod's status.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotReady {
    /// The sidecar says so.
    #[error("{reason}: {message}")]
    Said {
        /// For a program.
        reason: String,
        /// For a person.
        message: String,
    },
    /// There is no sidecar.
    #[error("{NO_SIDECAR}")]
    NoSidecar,
    /// Its state cannot be read.
    #[error("cannot read the sidecar's state: {0}")]
    Unreadable(String),
}

/// Whether the files are there now.
pub fn ready(mount: &Path) -> Result<(), NotReady> {
    judge(state::read_live(mount).map_err(|error| error.to_string()))
}

/// Waits until the files are there or it is clear that they will not be. `pause` waits a moment and gives how long that
/// was.
pub fn wait(mount: &Path, bound: Duration, mut pause: impl FnMut(Duration) -> Duration) -> Result<(), NotReady> {
    let mut waited = Duration::ZERO;
    loop {
        let result = ready(mount);
        let is_final = match &result {
            Ok(()) => true,
            Err(NotReady::Said { reason, .. }) => reason == reason::ENROLMENT_REFUSED,
            Err(_) => false,
        };
        if is_final || waited >= bound {
            return result;
        }
        // Quick at first, when it is a matter of milliseconds; after that it is a matter of people.
        waited += pause(Duration::from_millis(if waited < Duration::from_secs(2) { 5 } else { 50 }));
    }
}

fn judge(state: Result<Option<State>, String>) -> Result<(), NotReady> {
    match state {
        Ok(Some(State { ready: true, .. })) => Ok(()),
        Ok(Some(State { reason, message, .. })) => Err(NotReady::Said { reason, message }),
        Ok(None) => Err(NotReady::NoSidecar),
        Err(error) => Err(NotReady::Unreadable(error)),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::clock::SystemClock;
    use crate::state::StateFile;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn it_waits_until_the_sidecar_says_that_it_is_ready() {
        let volume = tempfile::tempdir().unwrap();
        let mut file = None;
        let mut steps = 0;
        let result = wait(volume.path(), BOUND, |moment| {
            steps += 1;
            match steps {
                1 => file = Some(StateFile::open(volume.path(), Arc::new(SystemClock)).unwrap().0),
                2 => file.as_mut().unwrap().say(false, "NotGranted", "file a waits"),
                3 => file.as_mut().unwrap().say(true, reason::READY, "1 file"),
                _ => panic!("it should have ended"),
            }
            moment
        });
        assert_eq!((result, steps), (Ok(()), 3));
    }

    #[test]
    fn at_the_bound_it_ends_with_what_the_sidecar_says() {
        let volume = tempfile::tempdir().unwrap();
        let (mut file, _) = StateFile::open(volume.path(), Arc::new(SystemClock)).unwrap();
        file.say(false, "NotGranted", "file db/password waits for Secret shop/db");
        let mut waited = Duration::ZERO;
        let error = wait(volume.path(), BOUND, |moment| {
            waited += moment;
            moment
        })
        .unwrap_err();
        assert_eq!(error.to_string(), "NotGranted: file db/password waits for Secret shop/db");
        assert!(waited >= BOUND && waited < BOUND + SECOND, "{waited:?}");
    }

    #[test]
    fn a_refused_enrolment_ends_it_at_once() {
        let volume = tempfile::tempdir().unwrap();
        let (mut file, _) = StateFile::open(volume.path(), Arc::new(SystemClock)).unwrap();
        file.say(false, reason::ENROLMENT_REFUSED, "the operator does not vouch for this pod");
        let error = wait(volume.path(), BOUND, |_| panic!("it should not wait")).unwrap_err();
        assert_eq!(error.to_string(), "EnrolmentRefused: the operator does not vouch for this pod");
    }

    #[test]
    fn without_a_sidecar_nothing_is_ready_whatever_stands_in_the_volume() {
        let volume = tempfile::tempdir().unwrap();
        assert_eq!(ready(volume.path()), Err(NotReady::NoSidecar));
        let (mut file, _) = StateFile::open(volume.path(), Arc::new(SystemClock)).unwrap();
        file.say(true, reason::READY, "1 file");
        assert_eq!(ready(volume.path()), Ok(()));
        drop(file);
        assert_eq!(ready(volume.path()), Err(NotReady::NoSidecar));
    }

    #[test]
    fn a_torn_state_is_none() {
        let volume = tempfile::tempdir().unwrap();
        let (_file, _) = StateFile::open(volume.path(), Arc::new(SystemClock)).unwrap();
        std::fs::write(volume.path().join("..state"), "{\"ready\":tr").unwrap();
        assert!(matches!(ready(volume.path()), Err(NotReady::Unreadable(_))));
    }
}
