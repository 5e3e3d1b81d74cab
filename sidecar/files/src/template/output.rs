//! Content within a limit.

use std::io::{self, Write};

use crate::Content;
use crate::buffer;

/// The longest content. The volume is 4 MiB unless its owner wants more.
pub(super) const MAX_CONTENT: usize = 1 << 20;

pub(super) struct Buffer {
    content: buffer::Buffer,
    length: usize,
    full: bool,
}

impl Buffer {
    pub(super) fn new(expected: usize) -> Self {
        Self { content: buffer::Buffer::with_capacity(expected.min(MAX_CONTENT)), length: 0, full: false }
    }

    /// Whether more was written than there is room for.
    pub(super) fn is_full(&self) -> bool {
        self.full
    }

    pub(super) fn into_content(self) -> Content {
        self.content.into_content()
    }
}

impl Write for Buffer {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.length = self.length.saturating_add(bytes.len());
        if self.length > MAX_CONTENT {
            self.full = true;
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        self.content.push(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
