//! One pass over a message in chunks of any size, finding its MIME tree (RFC 2045, 2046, 5322) and envelope.
//! In: the octets; out: `Structure` or `Digest`. Keeps one bounded header section and the tree, no body.
//! Line breaks may be CRLF or LF. Nothing is refused: what is broken becomes a coarser tree.

use memchr::{memchr, memchr_iter};

use super::digest::Digest;
use super::structure::Structure;
use super::tree::{Expect, Place, Tree};
use crate::limits::mime::{BOUNDARY_BYTES_MAX, HEADER_SECTION_BYTES_MAX};

/// A line longer than this cannot be a boundary or a blank line: the dashes, the boundary, its line break and
/// some white space that was added on the way.
const CANDIDATE_BYTES_MAX: usize = 2 * BOUNDARY_BYTES_MAX;

/// The streaming scanner: `push` every chunk in order, then `finish` once. Any chunking gives the same result.
#[derive(Debug)]
pub struct Scanner {
    tree: Tree,
    expect: Expect,
    /// Octets and line feeds taken so far.
    here: Place,
    /// Octets of the line break before the current line: 0 at the start of the message, else 1 or 2.
    break_before_line: u64,
    last_octet: u8,
    /// In the middle of a line that is neither a boundary nor blank.
    is_inside_line: bool,
    /// The beginning of a line that may be a boundary or blank and goes on in the next chunk.
    pending: Vec<u8>,
    /// The header section being read, up to its bound.
    header: Vec<u8>,
}

impl Default for Scanner {
    fn default() -> Self {
        Self::new()
    }
}

impl Scanner {
    /// A scanner at the start of a message.
    pub fn new() -> Self {
        Self {
            tree: Tree::new(),
            expect: Expect::Header,
            here: Place::default(),
            break_before_line: 0,
            last_octet: 0,
            is_inside_line: false,
            pending: Vec::new(),
            header: Vec::new(),
        }
    }

    /// Takes the next octets of the message.
    pub fn push(&mut self, chunk: &[u8]) {
        let mut rest = chunk;
        while let Some(&first) = rest.first() {
            let used = if self.is_inside_line {
                self.pass_over(rest)
            } else if !self.pending.is_empty() || self.is_candidate(first) {
                self.gather_line(rest)
            } else {
                self.is_inside_line = true;
                0
            };
            rest = &rest[used..];
        }
    }

    /// The tree of the message.
    pub fn finish(self) -> Structure {
        self.finish_digest().structure
    }

    /// All views that are kept about the message.
    pub fn finish_digest(mut self) -> Digest {
        let pending = std::mem::take(&mut self.pending);
        if !pending.is_empty() {
            self.take_line(&pending);
        }
        while self.expect == Expect::Header {
            self.end_header(self.here);
        }
        let size = self.here.offset;
        let (structure, envelope, sent_date) = self.tree.finish(self.here);
        Digest { version: Digest::VERSION, size, sent_date, envelope, structure }
    }

    /// Whether a line that begins with this octet has to be seen whole.
    fn is_candidate(&self, first: u8) -> bool {
        match self.expect {
            Expect::Header => true,
            Expect::Body => first == b'-' && self.tree.has_boundaries(),
        }
    }

    /// Takes what belongs to lines that are of no interest; returns the octets used.
    fn pass_over(&mut self, chunk: &[u8]) -> usize {
        match self.expect {
            Expect::Header => {
                let end = memchr(b'\n', chunk).map_or(chunk.len(), |position| position + 1);
                let piece = &chunk[..end];
                self.keep_header(piece);
                self.advance(piece);
                end
            }
            Expect::Body if self.tree.has_boundaries() => self.pass_over_to_dash(chunk),
            Expect::Body => {
                self.here.line_feeds += memchr_iter(b'\n', chunk).count() as u64;
                self.here.offset += chunk.len() as u64;
                chunk.len()
            }
        }
    }

    /// Passes over lines until one begins with a dash.
    fn pass_over_to_dash(&mut self, chunk: &[u8]) -> usize {
        let mut used = 0;
        for newline in memchr_iter(b'\n', chunk) {
            let next = newline + 1;
            if matches!(chunk.get(next), Some(b'-') | None) {
                self.advance(&chunk[used..next]);
                return next;
            }
            self.here.line_feeds += 1;
            self.here.offset += (next - used) as u64;
            self.last_octet = b'\n';
            used = next;
        }
        self.advance(&chunk[used..]);
        chunk.len()
    }

    /// Takes octets up to and including at most one line feed, which is the last of them.
    fn advance(&mut self, piece: &[u8]) {
        self.here.offset += piece.len() as u64;
        let (before, last) = match piece {
            [] => return,
            [only] => (self.last_octet, *only),
            [.., before, last] => (*before, *last),
        };
        self.last_octet = last;
        self.is_inside_line = last != b'\n';
        if last == b'\n' {
            self.here.line_feeds += 1;
            self.break_before_line = if before == b'\r' { 2 } else { 1 };
        }
    }

    /// Takes more of a line that may be of interest and decides about it when it is whole.
    /// While a line is pending, `here` stays at its start.
    fn gather_line(&mut self, chunk: &[u8]) -> usize {
        let newline = memchr(b'\n', chunk);
        let end = newline.map_or(chunk.len(), |position| position + 1);
        let piece = &chunk[..end];
        if self.pending.len() + piece.len() > CANDIDATE_BYTES_MAX {
            self.give_up_pending();
            return 0;
        }
        if newline.is_some() && self.pending.is_empty() {
            self.take_line(piece);
            return end;
        }
        self.pending.extend_from_slice(piece);
        if newline.is_some() {
            let mut line = std::mem::take(&mut self.pending);
            self.take_line(&line);
            line.clear();
            self.pending = line;
        }
        end
    }

    /// The pending line is too long to be of interest: it is passed over with its rest.
    fn give_up_pending(&mut self) {
        let pending = std::mem::take(&mut self.pending);
        if self.expect == Expect::Header {
            self.keep_header(&pending);
        }
        self.advance(&pending);
        self.is_inside_line = true;
    }

    /// A whole line of interest that begins `here`. Without a line break it is the last of the message.
    fn take_line(&mut self, line: &[u8]) {
        if let Some(boundary) = self.tree.boundary_line(line) {
            let end = self.before_line_break();
            while self.expect == Expect::Header {
                self.end_header(end);
            }
            self.advance(line);
            self.expect = self.tree.boundary(boundary, end, self.here);
            return;
        }
        self.advance(line);
        if self.expect == Expect::Header {
            self.keep_header(line);
            if matches!(line, b"\n" | b"\r\n") {
                self.end_header(self.here);
            }
        }
    }

    /// RFC 2046 section 5.1.1: the line break before a boundary belongs to the boundary.
    fn before_line_break(&self) -> Place {
        Place {
            offset: self.here.offset - self.break_before_line,
            line_feeds: self.here.line_feeds - self.break_before_line.min(1),
        }
    }

    fn keep_header(&mut self, piece: &[u8]) {
        let room = HEADER_SECTION_BYTES_MAX - self.header.len();
        self.header.extend_from_slice(&piece[..piece.len().min(room)]);
    }

    fn end_header(&mut self, body: Place) {
        self.expect = self.tree.end_header(&self.header, body);
        self.header.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{NESTED, PLAIN, digest_of, leaves, outline, structure_of};
    use super::*;
    use crate::limits::mime::{DEPTH_MAX, PARTS_MAX};

    #[test]
    fn a_plain_message_is_one_part() {
        assert_eq!(outline(&structure_of(PLAIN)), ["text/plain 0-41-51 2 []"]);
        let digest = digest_of(PLAIN);
        assert_eq!(digest.size, PLAIN.len() as u64);
        assert_eq!(digest.envelope.subject.unwrap(), "plain");
        assert_eq!(digest.version, Digest::VERSION);
    }

    #[test]
    fn nested_parts_are_found() {
        let structure = structure_of(NESTED);
        let kinds: Vec<String> =
            structure.parts.iter().map(|part| format!("{} {:?}", part.subtype, part.children)).collect();
        assert_eq!(
            kinds,
            ["mixed [1, 2, 6]", "plain []", "rfc822 [3]", "alternative [4, 5]", "plain []", "html []", "png []",]
        );
        assert_eq!(
            leaves(NESTED),
            [
                "text/plain \"first\\r\\ntext\"",
                "text/plain \"plain\"",
                "text/html \"<p>rich</p>\"",
                "image/png \"AAAA\"",
            ]
        );
        assert_eq!(structure.parts[1].lines, 1);
        assert_eq!(structure.parts[2].envelope.as_ref().unwrap().subject.as_ref().unwrap(), &"inner");
        let embedded = &structure.parts[2].body;
        assert!(NESTED[embedded.start as usize..embedded.end as usize].ends_with("inner epilogue"));
        assert!(structure.has_attachment());
        assert_eq!(digest_of(NESTED).sent_date.unwrap().utc_seconds, 880_127_706);
    }

    #[test]
    fn bare_line_feeds_give_the_same_tree() {
        let unix = NESTED.replace("\r\n", "\n");
        let types =
            |message: &str| outline(&structure_of(message)).iter().map(|line| line[..8].to_owned()).collect::<Vec<_>>();
        assert_eq!(types(&unix), types(NESTED));
        assert_eq!(leaves(&unix)[0], "text/plain \"first\\ntext\"");
    }

    #[test]
    fn odd_messages_have_a_tree_too() {
        assert_eq!(outline(&structure_of("")), ["text/plain 0-0-0 0 []"]);
        assert_eq!(outline(&structure_of("\r\n")), ["text/plain 0-2-2 0 []"]);
        assert_eq!(outline(&structure_of("\n\n")), ["text/plain 0-1-2 1 []"]);
        assert_eq!(outline(&structure_of("Subject: x")), ["text/plain 0-10-10 0 []"]);
        assert_eq!(outline(&structure_of("Subject: x\r\n")), ["text/plain 0-12-12 0 []"]);
        assert_eq!(outline(&structure_of(b"\0\0\xff\n\nbody")), ["text/plain 0-5-9 0 []"]);
        assert_eq!(outline(&structure_of("\nbody without end")), ["text/plain 0-1-17 0 []"]);
        assert_eq!(
            outline(&structure_of("Content-Type: message/rfc822\n")),
            ["message/rfc822 0-29-29 0 [1]", "text/plain 29-29-29 0 []"]
        );
    }

    #[test]
    fn a_missing_final_boundary_ends_with_the_outer_one() {
        let message = "Content-Type: multipart/mixed; boundary=a\n\n--a\nContent-Type: multipart/mixed; boundary=b\n\n\
                       --b\n\ninner\n--a\n\nnext";
        assert_eq!(leaves(message), ["text/plain \"inner\"", "text/plain \"next\""]);
    }

    #[test]
    fn a_boundary_may_be_the_beginning_of_another() {
        let message = "Content-Type: multipart/mixed; boundary=a\n\n--ab\n--a\nContent-Type: multipart/mixed; boundary=ab\n\n\
                       --ab\n\none\n--ab--\n--abc\n--a \t\r\n\ntwo\n--ab\n--a--\n--a\nlate";
        assert_eq!(leaves(message), ["text/plain \"one\"", "text/plain \"two\\n--ab\""]);
    }

    #[test]
    fn a_boundary_may_stand_anywhere() {
        let head = "Content-Type: multipart/mixed; boundary=a\n";
        assert_eq!(leaves(&format!("{head}\n--a\n--a\n\n--a--")), ["text/plain \"\"", "text/plain \"\""]);
        assert_eq!(leaves(&format!("{head}\n--a\nContent-Type: text/html\n--a--\n")), ["text/html \"\""]);
        assert_eq!(
            outline(&structure_of(format!("{head}\n--a\nContent-Type: message/rfc822\n--a--"))),
            ["multipart/mixed 0-43-81 2 [1]", "message/rfc822 47-75-75 0 [2]", "text/plain 75-75-75 0 []"]
        );
    }

    #[test]
    fn a_boundary_does_not_end_the_header_that_declares_it() {
        let message = "Content-Type: multipart/mixed; boundary=a\n--a\n\nx\n--a--\n";
        assert_eq!(leaves(message), ["text/plain \"x\\n--a--\\n\""]);
    }

    #[test]
    fn a_multipart_without_parts_is_plain_text() {
        let message = "Content-Type: multipart/mixed; boundary=a\n\nno boundary here\n--a--\n";
        assert_eq!(leaves(message), ["text/plain \"no boundary here\\n--a--\\n\""]);
    }

    #[test]
    fn digests_hold_messages() {
        let message = "Content-Type: multipart/digest; boundary=a\n\n--a\n\nSubject: one\n\ntext\n--a--\n";
        assert_eq!(structure_of(message).parts[1].envelope.as_ref().unwrap().subject.as_ref().unwrap(), &"one");
    }

    #[test]
    fn the_last_part_allowed_takes_the_rest() {
        let count = PARTS_MAX * 2;
        let message = format!("Content-Type: multipart/mixed; boundary=a\n\n{}--a--\n", "--a\n\nx\n".repeat(count));
        let structure = structure_of(&message);
        assert_eq!(structure.parts.len(), PARTS_MAX);
        assert_eq!(structure.parts[PARTS_MAX - 1].body.end, message.len() as u64);
        assert!(structure.parts[PARTS_MAX - 1].lines as usize > PARTS_MAX);
    }

    #[test]
    fn what_is_too_deep_is_opaque() {
        let structure = structure_of("Content-Type: message/rfc822\n\n".repeat(DEPTH_MAX * 2));
        assert_eq!(structure.parts.len(), DEPTH_MAX);
        assert_eq!(&*structure.parts[DEPTH_MAX - 1].subtype, "octet-stream");
        let multiparts: String = (0..DEPTH_MAX * 2)
            .map(|depth| format!("Content-Type: multipart/mixed; boundary=b{depth}.\n\n--b{depth}.\n"))
            .collect();
        assert_eq!(structure_of(multiparts).parts.len(), DEPTH_MAX);
    }

    #[test]
    fn fields_beyond_the_bound_are_not_seen_but_counted() {
        let filler = format!("X-Filler: {}\r\n", "x".repeat(HEADER_SECTION_BYTES_MAX));
        let message = format!("Subject: seen\r\n{filler}From: a@x\r\n\r\nbody");
        let digest = digest_of(&message);
        assert_eq!(digest.envelope.subject.unwrap(), "seen");
        assert!(digest.envelope.from.is_empty());
        assert_eq!(digest.structure.parts[0].body, message.len() as u64 - 4..message.len() as u64);
    }

    #[test]
    fn descriptions_are_bounded_over_all_parts() {
        let part = format!("--a\nContent-Type: text/html; name={}\n\nx\n", "n".repeat(10_000));
        let message = format!("Content-Type: multipart/mixed; boundary=a\n\n{}--a--\n", part.repeat(100));
        let structure = structure_of(message);
        let kept: usize = structure.parts.iter().flat_map(|part| &part.parameters).map(|kept| kept.value.len()).sum();
        assert!(kept <= crate::limits::mime::STRUCTURE_BYTES_MAX);
        assert_eq!(&*structure.parts[100].subtype, "html");
    }
}
