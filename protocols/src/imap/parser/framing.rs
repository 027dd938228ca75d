//! Cuts the byte stream into commands: lines, with the literals that belong to them. Bounded; the same result for any
//! chunking of the input. Knows nothing of what commands mean.

use bytes::{Buf, BytesMut};

/// The head of a literal at the end of a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LiteralHead {
    /// Octets announced.
    pub size_bytes: u64,
    /// The client waits for a continuation request (RFC 7888: without `+`).
    pub synchronising: bool,
    /// `~{n}` (RFC 3516).
    pub binary: bool,
    /// Where in the command the head (`{` or `~`) begins.
    pub start: usize,
}

/// What the framer found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Frame {
    /// More input is needed.
    More,
    /// [`Framer::command`] is complete, without its CRLF.
    Command,
    /// [`Framer::command`] ends in the head of a literal: say what becomes of it with [`Framer::accept_literal`] or
    /// [`Framer::clear`].
    Literal(LiteralHead),
    /// The line was over the bound and has been skipped. `lost`: it announced a literal without waiting, so it is not
    /// known where the next command begins.
    TooLong {
        /// The stream can no longer be understood.
        lost: bool,
    },
}

/// How many bytes at the end of an overlong line are kept to see a literal's head.
const TAIL_BYTES: usize = 32;

/// The command being read.
#[derive(Debug, Default)]
pub struct Framer {
    command: Vec<u8>,
    line_start: usize,
    literal_left: usize,
    skipping: Option<Vec<u8>>,
}

impl Framer {
    /// The command as read so far.
    pub fn command(&self) -> &[u8] {
        &self.command
    }

    /// Whether a command has begun.
    pub fn in_command(&self) -> bool {
        !self.command.is_empty() || self.skipping.is_some()
    }

    /// Memory held, bytes.
    pub fn held_bytes(&self) -> usize {
        self.command.capacity()
    }

    /// Forgets the command and frees its memory.
    pub fn clear(&mut self) {
        *self = Self::default();
    }

    /// Takes the command out; the next one begins.
    pub fn take_command(&mut self) -> Vec<u8> {
        std::mem::take(self).command
    }

    /// The literal announced by the last [`Frame::Literal`] belongs to the command.
    pub fn accept_literal(&mut self, size_bytes: usize) {
        self.literal_left = size_bytes;
    }

    /// Takes input until there is something to report; `bytes_max` bounds the command.
    pub fn take(&mut self, input: &mut BytesMut, bytes_max: usize) -> Frame {
        if self.literal_left > 0 {
            let count = self.literal_left.min(input.len());
            self.command.extend_from_slice(&input.split_to(count));
            self.literal_left -= count;
            self.line_start = self.command.len();
            if self.literal_left > 0 {
                return Frame::More;
            }
        }
        let Some(newline) = memchr::memchr(b'\n', input) else {
            self.hold(input, bytes_max);
            input.clear();
            return Frame::More;
        };
        let line = input.split_to(newline);
        self.hold(&line, bytes_max);
        input.advance(1);
        self.end_of_line()
    }

    /// Keeps `piece` of a line, or of an overlong one only what is needed to go on after it.
    fn hold(&mut self, piece: &[u8], bytes_max: usize) {
        if self.skipping.is_none() && self.command.len() + piece.len() > bytes_max {
            let line = self.command.get(self.line_start..).unwrap_or_default();
            self.skipping = Some(last_bytes(line).to_vec());
            // What is kept does not depend on how the line was chunked.
            let room = bytes_max.saturating_sub(self.command.len());
            self.command.extend_from_slice(piece.get(..room).unwrap_or_default());
        }
        match &mut self.skipping {
            Some(tail) => {
                tail.extend_from_slice(last_bytes(piece));
                let surplus = tail.len().saturating_sub(TAIL_BYTES);
                tail.drain(..surplus);
            }
            None => self.command.extend_from_slice(piece),
        }
    }

    fn end_of_line(&mut self) -> Frame {
        if let Some(tail) = self.skipping.take() {
            let head = literal_head(tail.strip_suffix(b"\r").unwrap_or(&tail));
            let lost = head.is_some_and(|head| !head.synchronising);
            return Frame::TooLong { lost };
        }
        // quirk_bare_lf: a line may end in LF alone; some scripts send it and Dovecot takes it.
        if self.command.len() > self.line_start && self.command.last() == Some(&b'\r') {
            self.command.pop();
        }
        let line = self.command.get(self.line_start..).unwrap_or_default();
        match literal_head(line) {
            Some(mut head) => {
                head.start += self.line_start;
                self.command.extend_from_slice(b"\r\n");
                self.line_start = self.command.len();
                Frame::Literal(head)
            }
            None => Frame::Command,
        }
    }
}

fn last_bytes(bytes: &[u8]) -> &[u8] {
    bytes.get(bytes.len().saturating_sub(TAIL_BYTES)..).unwrap_or_default()
}

/// ```text
/// literal  = "{" number64 ["+"] "}" CRLF *CHAR8
/// literal8 = "~{" number64 ["+"] "}" CRLF *OCTET
/// ```
fn literal_head(line: &[u8]) -> Option<LiteralHead> {
    let inside = line.strip_suffix(b"}")?;
    let (inside, synchronising) = match inside.strip_suffix(b"+") {
        Some(inside) => (inside, false),
        None => (inside, true),
    };
    let open = memchr::memrchr(b'{', inside)?;
    let digits = inside.get(open + 1..)?;
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    // More digits than a u64 has are a literal all the same: one that is too large for everything.
    let size_bytes = std::str::from_utf8(digits).ok()?.parse().unwrap_or(u64::MAX);
    let binary = open > 0 && inside.get(open - 1) == Some(&b'~');
    Some(LiteralHead { size_bytes, synchronising, binary, start: open - usize::from(binary) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn frames(framer: &mut Framer, chunks: &[&[u8]], bytes_max: usize) -> Vec<(Frame, Vec<u8>)> {
        let mut found = Vec::new();
        for chunk in chunks {
            let mut input = BytesMut::from(*chunk);
            loop {
                let frame = framer.take(&mut input, bytes_max);
                match frame {
                    Frame::More if input.is_empty() => break,
                    Frame::More => continue,
                    Frame::Literal(head) => {
                        found.push((frame, framer.command().to_vec()));
                        framer.accept_literal(head.size_bytes.min(50) as usize);
                    }
                    Frame::Command => found.push((frame, framer.take_command())),
                    Frame::TooLong { .. } => {
                        found.push((frame, Vec::new()));
                        framer.clear();
                    }
                }
            }
        }
        found
    }

    #[test]
    fn a_literal_is_part_of_its_command() {
        let found = frames(&mut Framer::default(), &[b"a LOGIN {3}\r\nx\r\n {1+}\r\ny\r\nb NOOP\n"], 100);
        assert_eq!(found.len(), 4);
        assert_eq!(found[2].1, b"a LOGIN {3}\r\nx\r\n {1+}\r\ny");
        assert_eq!(found[3], (Frame::Command, b"b NOOP".to_vec()));
    }

    #[test]
    fn an_overlong_line_is_skipped_up_to_its_end() {
        let found = frames(&mut Framer::default(), &[b"a 0123456789\r\nb NOOP\r\nc 0123456789 {5+}\r\n"], 10);
        let kinds: Vec<Frame> = found.iter().map(|(frame, _)| *frame).collect();
        assert_eq!(kinds, [Frame::TooLong { lost: false }, Frame::Command, Frame::TooLong { lost: true }]);
    }

    proptest! {
        #[test]
        fn chunking_changes_nothing(text in "([a-z ]{0,12}|\\{[0-9]{1,2}\\+?\\}|\r\n|\n|\r){0,20}", cuts in proptest::collection::vec(0usize..200, 0..6)) {
            let bytes = text.as_bytes();
            let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut.min(bytes.len())).collect();
            cuts.sort_unstable();
            let mut chunks = Vec::new();
            let mut start = 0;
            for cut in cuts {
                chunks.push(&bytes[start..cut]);
                start = cut;
            }
            chunks.push(&bytes[start..]);
            prop_assert_eq!(frames(&mut Framer::default(), &[bytes], 20), frames(&mut Framer::default(), &chunks, 20));
        }
    }
}
