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
            self.expect = self.tree.boundary(boundary, end, self.here.offset);
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
