//! Where the root key comes from, on the command line.

use std::os::fd::RawFd;
use std::path::PathBuf;
use std::sync::Arc;

use crate::crypto::root_key::{RootKey, RootKeyError, Source};

/// Where the root key comes from. None of them: a file in the data directory.
#[derive(Clone, Debug, Default, clap::Args)]
#[group(multiple = false)]
pub struct RootKeyArguments {
    /// The root key: a file that holds 32 bytes, raw, in hex or in base64. A server whose file is not there yet waits
    /// for it, sealed. Without a root key from elsewhere one is made in the data directory, for a loopback listener only.
    #[arg(long, value_name = "FILE")]
    pub root_key_file: Option<PathBuf>,
    /// The root key: an open file descriptor to read the same from, once.
    #[arg(long, value_name = "N")]
    pub root_key_fd: Option<RawFd>,
    /// The root key stays elsewhere: a program and its arguments, split at white space and started without a shell. With
    /// `wrap` or `unwrap` as its last argument it takes base64 on standard input and answers base64 on standard output
    /// within 10 seconds.
    #[arg(long, value_name = "COMMAND")]
    pub root_key_command: Option<String>,
}

impl RootKeyArguments {
    /// Whether one was given.
    pub fn are_given(&self) -> bool {
        self.root_key_file.is_some() || self.root_key_fd.is_some() || self.root_key_command.is_some()
    }

    /// The source. Reads a descriptor, so it has to be called before the process opens files.
    pub fn into_source(self) -> Result<Source, RootKeyError> {
        Ok(match self {
            Self { root_key_fd: Some(fd), .. } => Source::Given(Arc::new(RootKey::from_descriptor(fd)?)),
            Self { root_key_command: Some(line), .. } => Source::Given(Arc::new(RootKey::command(&line)?)),
            Self { root_key_file: Some(path), .. } => Source::File(path),
            Self { .. } => Source::Beside,
        })
    }
}
