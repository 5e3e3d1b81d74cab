//! Content that grows, within a limit and without leaving itself behind.

use std::io;

use zeroize::Zeroizing;

use crate::Content;

/// The longest content. The volume is 4 MiB unless its owner wants more.
pub(super) const MAX_CONTENT: usize = 1 << 20;

pub(super) struct Buffer {
    content: Content,
    full: bool,
}

impl Buffer {
    pub(super) fn new(expected: usize) -> Self {
        Self { content: Zeroizing::new(Vec::with_capacity(expected.min(MAX_CONTENT))), full: false }
    }

    /// Whether more was written than there is room for.
    pub(super) fn is_full(&self) -> bool {
        self.full
    }

    pub(super) fn into_content(self) -> Content {
        self.content
    }
}

impl io::Write for Buffer {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let needed = self.content.len().saturating_add(bytes.len());
        if needed > MAX_CONTENT {
            self.full = true;
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        if needed > self.content.capacity() {
            // A vector that grows by itself leaves its old self behind unwiped.
            let mut grown = Zeroizing::new(Vec::with_capacity(needed.saturating_mul(2).min(MAX_CONTENT)));
            grown.extend_from_slice(&self.content);
            self.content = grown;
        }
        self.content.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
