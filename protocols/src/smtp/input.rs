//! The bounded buffer between the socket and the machine.

use crate::limits::smtp::INPUT_BYTES_MAX;
use memchr::memchr;

/// Bytes received and not yet understood, at most [`INPUT_BYTES_MAX`].
#[derive(Debug, Default)]
pub(in crate::smtp) struct Input {
    bytes: Vec<u8>,
    start: usize,
}

/// What is at the front of the buffer, in terms of command lines.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::smtp) enum Line {
    /// A line of this many bytes with its CRLF.
    Complete(usize),
    /// A line of this many bytes that ends with a bare LF.
    BareLineEnd(usize),
    /// More than the bound without a line end, or a longer line.
    TooLong,
    /// Not yet a whole line.
    Partial,
}

impl Input {
    /// Takes what fits and returns how much that was.
    pub(in crate::smtp) fn push(&mut self, bytes: &[u8]) -> usize {
        if self.start > 0 {
            self.bytes.drain(..self.start);
            self.start = 0;
        }
        let taken = bytes.len().min(INPUT_BYTES_MAX.saturating_sub(self.bytes.len()));
        self.bytes.extend_from_slice(bytes.get(..taken).unwrap_or_default());
        taken
    }

    pub(in crate::smtp) fn pending(&self) -> &[u8] {
        self.bytes.get(self.start..).unwrap_or_default()
    }

    pub(in crate::smtp) fn is_full(&self) -> bool {
        self.pending().len() >= INPUT_BYTES_MAX
    }

    /// Forgets the first `count` pending bytes; frees the memory of a big buffer that became empty.
    pub(in crate::smtp) fn consume(&mut self, count: usize) {
        self.start = self.bytes.len().min(self.start + count);
        if self.start == self.bytes.len() {
            self.bytes.clear();
            self.start = 0;
        }
    }

    /// Forgets everything and returns how much that was.
    pub(in crate::smtp) fn clear(&mut self) -> usize {
        let count = self.pending().len();
        self.consume(count);
        count
    }

    /// Gives the memory back while a session waits for its next command.
    pub(in crate::smtp) fn release(&mut self) {
        if self.pending().is_empty() {
            *self = Input::default();
        }
    }

    /// Looks for a command line of at most `bytes_max` bytes. The answer depends on the bytes, not on how they came.
    pub(in crate::smtp) fn line(&self, bytes_max: usize) -> Line {
        let pending = self.pending();
        match memchr(b'\n', pending.get(..bytes_max).unwrap_or(pending)) {
            Some(end) if end > 0 && pending.get(end - 1) == Some(&b'\r') => Line::Complete(end + 1),
            Some(end) => Line::BareLineEnd(end + 1),
            None if pending.len() >= bytes_max => Line::TooLong,
            None => Line::Partial,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_buffer_is_bounded() {
        let mut input = Input::default();
        assert_eq!(input.push(&vec![0; INPUT_BYTES_MAX + 5]), INPUT_BYTES_MAX);
        assert!(input.is_full());
        assert_eq!(input.push(b"x"), 0);
        input.consume(3);
        assert_eq!(input.push(b"abcde"), 3);
        assert_eq!(input.clear(), INPUT_BYTES_MAX);
    }

    #[test]
    fn lines_are_found_within_the_bound() {
        let mut input = Input::default();
        input.push(b"QUIT\r\nx\n");
        assert_eq!(input.line(6), Line::Complete(6));
        assert_eq!(input.line(5), Line::TooLong);
        input.consume(6);
        assert_eq!(input.line(6), Line::BareLineEnd(2));
        input.consume(2);
        assert_eq!(input.line(6), Line::Partial);
    }
}
