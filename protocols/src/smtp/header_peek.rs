//! Watches the header section of a message stream past: finds its end, counts Received fields, notes Message-ID and
//! Date. It keeps a bounded piece of one line and never changes a byte; understanding a message is not its duty.

use crate::limits::smtp::MESSAGE_ID_BYTES_MAX;
use memchr::memchr;

/// Bytes of a line that are kept: a field name and a Message-ID.
const LINE_BYTES_MAX: usize = MESSAGE_ID_BYTES_MAX + 16;

/// What the header section says about itself.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct HeaderFacts {
    /// Bytes up to, and without, the empty line.
    pub bytes: u64,
    /// How many Received fields there are.
    pub received: u32,
    /// The first Message-ID as written, with its angle brackets, cut at its bound; may be empty.
    pub message_id: Option<String>,
    /// Whether there is a Date field.
    pub has_date: bool,
    /// Whether there is a From field.
    pub has_from: bool,
    /// False when the message ended before an empty line.
    pub ended_by_empty_line: bool,
    /// True when the message ended in the middle of a header line, as one sent by BDAT can.
    pub line_open: bool,
}

/// The watcher.
#[derive(Debug, Default)]
pub struct HeaderPeek {
    facts: HeaderFacts,
    line: Vec<u8>,
    line_begun: bool,
    in_message_id: bool,
}

impl HeaderPeek {
    /// Begins at the first byte of a message.
    pub fn new() -> HeaderPeek {
        HeaderPeek::default()
    }

    /// What is known so far.
    pub fn facts(&self) -> &HeaderFacts {
        &self.facts
    }

    /// Takes the next bytes. Returns the offset of the empty line in `bytes` when the header section ends here; must not
    /// be called again after that.
    pub fn feed(&mut self, bytes: &[u8]) -> Option<usize> {
        let mut position = 0;
        while let Some(rest @ [first, ..]) = bytes.get(position..) {
            // A field cannot begin with CR or LF, so the first such byte is the empty line.
            if !self.line_begun && matches!(first, b'\r' | b'\n') {
                self.facts.bytes += position as u64;
                self.facts.ended_by_empty_line = true;
                return Some(position);
            }
            self.line_begun = true;
            let found = memchr(b'\n', rest);
            let length = found.map_or(rest.len(), |end| end + 1);
            let room = LINE_BYTES_MAX - self.line.len();
            self.line.extend_from_slice(rest.get(..length.min(room)).unwrap_or_default());
            if found.is_some() {
                self.end_line();
            }
            position += length;
        }
        self.facts.bytes += bytes.len() as u64;
        None
    }

    /// The end of a message without empty line.
    pub fn finish(&mut self) -> &HeaderFacts {
        self.facts.line_open = self.line_begun;
        self.end_line();
        &self.facts
    }

    /// ```abnf
    /// field = field-name *WSP ":" unstructured CRLF                  ; RFC 5322 sections 3.6.8 and 4.5.8
    /// ```
    fn end_line(&mut self) {
        let line = String::from_utf8_lossy(&self.line);
        if line.starts_with([' ', '\t']) {
            if let (true, Some(id)) = (self.in_message_id, &mut self.facts.message_id) {
                append_bounded(id, line.trim());
            }
        } else if let Some((name, value)) = line.split_once(':') {
            let name = name.trim_end().to_ascii_lowercase();
            self.in_message_id = name == "message-id" && self.facts.message_id.is_none();
            match name.as_str() {
                "received" => self.facts.received = self.facts.received.saturating_add(1),
                "date" => self.facts.has_date = true,
                "from" => self.facts.has_from = true,
                "message-id" if self.in_message_id => {
                    let mut id = String::new();
                    append_bounded(&mut id, value.trim());
                    self.facts.message_id = Some(id);
                }
                _ => {}
            }
        } else {
            self.in_message_id = false;
        }
        self.line.clear();
        self.line_begun = false;
    }
}

fn append_bounded(id: &mut String, text: &str) {
    for character in text.chars() {
        if id.len() + character.len_utf8() > MESSAGE_ID_BYTES_MAX {
            return;
        }
        id.push(character);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn peek(message: &[u8], size: usize) -> (HeaderFacts, Option<usize>) {
        let mut peek = HeaderPeek::new();
        let mut before = 0;
        for piece in message.chunks(size) {
            if let Some(offset) = peek.feed(piece) {
                return (peek.facts().clone(), Some(before + offset));
            }
            before += piece.len();
        }
        (peek.finish().clone(), None)
    }

    #[test]
    fn fields_are_found_up_to_the_empty_line() {
        let message = b"Received: a\r\n\tb\r\nRECEIVED : c\r\nMessage-Id:\r\n <1@x>\r\n\r\nDate: not here\r\n";
        let (facts, end) = peek(message, 1000);
        assert_eq!(facts.received, 2);
        assert_eq!(facts.message_id.as_deref(), Some("<1@x>"));
        assert!(!facts.has_date && facts.ended_by_empty_line);
        assert_eq!(end.map(|end| &message[end..end + 6]), Some(&b"\r\nDate"[..]));
        assert_eq!(facts.bytes as usize, end.unwrap());
    }

    #[test]
    fn a_message_may_have_no_body_or_no_header() {
        let (facts, end) = peek(b"Date: x", 100);
        assert!(facts.has_date && !facts.ended_by_empty_line && end.is_none());
        assert_eq!(peek(b"\r\nbody", 100).1, Some(0));
    }

    #[test]
    fn what_is_kept_is_bounded() {
        let long = [b"Message-ID: <", "x".repeat(100_000).as_bytes(), b">\r\n ", &[b'y'; 9000], b"\r\n"].concat();
        let (facts, _) = peek(&long, 777);
        assert_eq!(facts.message_id.map(|id| id.len()), Some(MESSAGE_ID_BYTES_MAX));
    }

    proptest! {
        #[test]
        fn pieces_of_any_size_give_the_same(
            lines in prop::collection::vec("(Received|Message-ID|Date|X|| )?(:)?[ a<>]{0,6}(\r\n|\n|\r)", 0..12),
            size in 1..9_usize,
        ) {
            let message = lines.concat();
            prop_assert_eq!(peek(message.as_bytes(), size), peek(message.as_bytes(), usize::MAX));
        }
    }
}
