//! Keeps the process's memory to itself.
//!
//! Between the start of the program and this call the kernel keeps it closed where the program file may be run but not
//! read (mode 0111), which is how images install it.

use rustix::process::{DumpableBehavior, Resource, Rlimit, set_dumpable_behavior, setrlimit};

/// The kernel did not let the process close its memory.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("cannot {step}, without which the key would not be safe in this process")]
pub struct CloseMemoryError {
    step: &'static str,
    source: rustix::io::Errno,
}

/// Forbids core dumps, and reading this process's memory to other processes of the same user (`ptrace`,
/// `/proc/PID/mem`). Call it before a key exists.
pub fn close_memory() -> Result<(), CloseMemoryError> {
    setrlimit(Resource::Core, Rlimit { current: Some(0), maximum: Some(0) })
        .map_err(|source| CloseMemoryError { step: "forbid core dumps", source })?;
    set_dumpable_behavior(DumpableBehavior::NotDumpable)
        .map_err(|source| CloseMemoryError { step: "make the process not dumpable", source })
}

#[cfg(test)]
mod tests {
    use rustix::process::{dumpable_behavior, getrlimit};

    use super::*;

    #[test]
    fn a_closed_process_is_not_dumpable_and_leaves_no_core() {
        close_memory().unwrap();
        assert_eq!(dumpable_behavior().unwrap(), DumpableBehavior::NotDumpable);
        assert_eq!(getrlimit(Resource::Core), Rlimit { current: Some(0), maximum: Some(0) });
    }
}
