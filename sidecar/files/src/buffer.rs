//! The one way in which content grows.

use std::{fmt, io, mem};

use zeroize::Zeroizing;

use crate::Content;

/// Bytes that may be secret. A vector that grows leaves its old self behind in memory; this one wipes it.
#[derive(Default)]
pub(crate) struct Buffer(Content);

impl Buffer {
    /// An empty one with room for `size` bytes.
    pub(crate) fn with_capacity(size: usize) -> Self {
        Self(Zeroizing::new(Vec::with_capacity(size)))
    }

    pub(crate) fn push(&mut self, bytes: &[u8]) {
        let size = self.0.len().saturating_add(bytes.len());
        if size > self.0.capacity() {
            let room = size.max(self.0.capacity().saturating_mul(2));
            let old = mem::replace(&mut self.0, Zeroizing::new(Vec::with_capacity(room)));
            self.0.extend_from_slice(&old);
        }
        self.0.extend_from_slice(bytes);
    }

    pub(crate) fn push_str(&mut self, text: &str) {
        self.push(text.as_bytes());
    }

    pub(crate) fn push_char(&mut self, c: char) {
        self.push(c.encode_utf8(&mut [0; 4]).as_bytes());
    }

    pub(crate) fn into_content(self) -> Content {
        self.0
    }
}

impl fmt::Write for Buffer {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.push_str(text);
        Ok(())
    }
}

impl io::Write for Buffer {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.push(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_pushed_is_there_however_often_it_grew() {
        let mut buffer = Buffer::with_capacity(3);
        for _ in 0..100 {
            buffer.push_str("ab");
            buffer.push_char('é');
        }
        assert_eq!(*buffer.into_content(), "abé".repeat(100).into_bytes());
    }

    #[test]
    fn it_grows_by_moving_not_in_place() {
        let mut buffer = Buffer::with_capacity(4);
        buffer.push(b"1234");
        let before = buffer.0.as_ptr();
        buffer.push(b"5");
        assert_ne!(buffer.0.as_ptr(), before, "the old bytes were in reach to be wiped");
        assert!(buffer.0.capacity() >= 8);
    }
}
