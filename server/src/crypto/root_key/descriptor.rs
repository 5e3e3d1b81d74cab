//! A root key that whoever started the server left in an open file descriptor.

#![expect(unsafe_code, reason = "there is no safe way to take over a descriptor that was inherited")]

use std::fs::File;
use std::os::fd::{FromRawFd, OwnedFd, RawFd};
use std::os::unix::fs::FileTypeExt;

use super::{RootKeyError, file};
use crate::crypto::envelope::Key;

/// Reads the descriptor to its end and closes it. Has to be called before the process opens files of its own.
pub(super) fn read(fd: RawFd) -> Result<Key, RootKeyError> {
    let failed = |error| RootKeyError::Descriptor(fd, error);
    // What the process opens for itself before it gets here are sockets and the like, never a pipe or a file.
    let kind = std::fs::metadata(format!("/proc/self/fd/{fd}")).map_err(failed)?.file_type();
    if fd <= 2 || !(kind.is_fifo() || kind.is_file()) {
        return Err(RootKeyError::DescriptorKind(fd));
    }
    // SAFETY: it is open, as was just seen. It is a pipe or a file, and at this point the process has opened none of
    // these, so it was inherited, and nothing else in here knows of it or closes it.
    let descriptor = unsafe { OwnedFd::from_raw_fd(fd) };
    let content = file::content(File::from(descriptor)).map_err(failed)?;
    file::parse(&content).ok_or_else(|| RootKeyError::Content(format!("file descriptor {fd}")))
}
