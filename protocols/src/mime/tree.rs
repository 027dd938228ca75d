//! Building the MIME tree while the scanner walks the lines: which parts are open, which boundaries count, what a
//! finished header section means. In: offsets and header sections; out: the parts. Sees no body octets.

use super::date::SentDate;
use super::envelope::Envelope;
use super::header::fields;
use super::part_header::{DefaultType, describe, make_opaque, make_plain_text};
use super::structure::{Part, Structure};
use crate::limits::mime::{DEPTH_MAX, PARTS_MAX, STRUCTURE_BYTES_MAX};

/// A place between two lines: the octets and the line feeds before it.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Place {
    pub(super) offset: u64,
    pub(super) line_feeds: u64,
}

impl Place {
    /// This place, or `bound` if that is further on. The line break before a boundary belongs to the boundary, but
    /// it may also end a header or a boundary just before, and then nothing is left of it to cut off.
    fn not_before(self, bound: Place) -> Place {
        if self.offset < bound.offset { bound } else { self }
    }
}

/// A line that is a boundary of an open multipart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct BoundaryLine {
    /// Position of the multipart among the open parts.
    frame: usize,
    /// `--boundary--`
    is_closing: bool,
}

/// What the scanner reads next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Expect {
    Header,
    Body,
}

/// An open part.
#[derive(Debug)]
struct Frame {
    index: u32,
    default_type: DefaultType,
    /// Whether this is a message (the whole one or an embedded one) and not just a part.
    is_message_root: bool,
    /// The start of the header while it is read, then of the body.
    start: Place,
    /// Set while the boundary of a multipart counts.
    boundary: Option<Box<[u8]>>,
}

/// The tree under construction.
#[derive(Debug)]
pub(super) struct Tree {
    parts: Vec<Part>,
    frames: Vec<Frame>,
    described_bytes: usize,
    envelope: Envelope,
    sent_date: Option<SentDate>,
}

impl Tree {
    /// A tree whose root is open and whose header begins at 0.
    pub(super) fn new() -> Self {
        let mut tree = Self {
            parts: Vec::new(),
            frames: Vec::new(),
            described_bytes: 0,
            envelope: Envelope::default(),
            sent_date: None,
        };
        tree.open(Place::default(), DefaultType::TextPlain, true);
        tree
    }

    /// Whether any boundary counts now; if not, lines need not be looked at.
    pub(super) fn has_boundaries(&self) -> bool {
        self.frames.iter().any(|frame| frame.boundary.is_some())
    }

    /// Whether a line (with or without its line break) is a boundary of an open multipart, the innermost first.
    ///
    /// RFC 2046 section 5.1.1 lets a line that only begins with the boundary count, and asks generators never to
    /// make one boundary the beginning of another, which they do. So nothing but `--` and white space may follow.
    pub(super) fn boundary_line(&self, line: &[u8]) -> Option<BoundaryLine> {
        let text = line.strip_prefix(b"--")?.trim_ascii_end();
        self.frames.iter().enumerate().rev().find_map(|(frame, open)| {
            match text.strip_prefix(open.boundary.as_deref()?)? {
                b"" => Some(BoundaryLine { frame, is_closing: false }),
                b"--" => Some(BoundaryLine { frame, is_closing: true }),
                _ => None,
            }
        })
    }

    /// A boundary line was seen. `end` is the place before the line break that belongs to it, `next` the place
    /// behind the line.
    pub(super) fn boundary(&mut self, line: BoundaryLine, end: Place, next: Place) -> Expect {
        self.close_down_to(line.frame + 1, end);
        let Some(multipart) = self.frames.last_mut() else {
            return Expect::Body;
        };
        if line.is_closing {
            multipart.boundary = None;
            return Expect::Body;
        }
        let index = multipart.index as usize;
        let is_digest = self.parts.get(index).is_some_and(|part| &*part.subtype == "digest");
        let default_type = if is_digest { DefaultType::MessageRfc822 } else { DefaultType::TextPlain };
        self.open(next, default_type, false);
        Expect::Header
    }

    /// The header section of the innermost open part is complete; its body begins at `body`.
    pub(super) fn end_header(&mut self, header: &[u8], body: Place) -> Expect {
        let may_hold_parts = self.frames.len() < DEPTH_MAX && self.parts.len() < PARTS_MAX;
        let Some(frame) = self.frames.last_mut() else {
            return Expect::Body;
        };
        let (mut part, boundary) = describe(header, frame.default_type);
        frame.start = body.not_before(frame.start);
        let body = frame.start;
        frame.boundary = boundary.filter(|_| may_hold_parts);
        let index = frame.index;
        let is_message_root = frame.is_message_root;
        if !may_hold_parts && (part.is_multipart() || part.is_message()) {
            make_opaque(&mut part);
        }
        if is_message_root {
            self.take_envelope(index, header);
        }
        let opens_message = part.is_message();
        self.place_part(index, part, body.offset);
        if !opens_message {
            return Expect::Body;
        }
        self.open(body, DefaultType::TextPlain, true);
        Expect::Header
    }

    /// Closes everything at the end of the message.
    pub(super) fn finish(mut self, end: Place) -> (Structure, Envelope, Option<SentDate>) {
        self.close_down_to(0, end);
        (Structure { parts: self.parts }, self.envelope, self.sent_date)
    }

    fn open(&mut self, start: Place, default_type: DefaultType, is_message_root: bool) {
        let index = self.parts.len() as u32;
        if let Some(parent) = self.frames.last().and_then(|frame| self.parts.get_mut(frame.index as usize)) {
            parent.children.push(index);
        }
        self.parts.push(Part { header: start.offset..start.offset, ..Part::default() });
        self.frames.push(Frame { index, default_type, is_message_root, start, boundary: None });
        if self.parts.len() >= PARTS_MAX {
            // The last part allowed takes the rest of the message: no boundary counts any more.
            self.frames.iter_mut().for_each(|frame| frame.boundary = None);
        }
    }

    /// Closes the innermost parts until `open` remain.
    fn close_down_to(&mut self, open: usize, mut end: Place) {
        while self.frames.len() > open {
            let Some(frame) = self.frames.pop() else { return };
            let Some(part) = self.parts.get_mut(frame.index as usize) else { return };
            end = end.not_before(frame.start);
            part.body.end = end.offset;
            let line_feeds = end.line_feeds - frame.start.line_feeds;
            part.lines = u32::try_from(line_feeds).unwrap_or(u32::MAX);
            if part.is_multipart() && part.children.is_empty() {
                make_plain_text(part);
            }
        }
    }

    /// Fills in a part whose header is complete.
    fn place_part(&mut self, index: u32, mut part: Part, body_start: u64) {
        self.described_bytes += cost_bytes(&part);
        if self.described_bytes > STRUCTURE_BYTES_MAX {
            part =
                Part { media_type: part.media_type, subtype: part.subtype, encoding: part.encoding, ..Part::default() };
        }
        let Some(slot) = self.parts.get_mut(index as usize) else { return };
        part.header = slot.header.start..body_start;
        part.body = body_start..body_start;
        *slot = part;
    }

    /// Puts the envelope of a message where it belongs: the digest, or the part that embeds the message.
    fn take_envelope(&mut self, index: u32, header: &[u8]) {
        let mut envelope = Envelope::parse(header);
        if index == 0 {
            let date = fields(header).find(|field| field.is("Date"));
            self.sent_date = date.and_then(|field| SentDate::parse(field.value));
            self.envelope = envelope;
            return;
        }
        self.described_bytes += envelope.cost_bytes();
        if self.described_bytes > STRUCTURE_BYTES_MAX {
            envelope = Envelope::default();
        }
        let parent = self.frames.len().checked_sub(2).and_then(|position| self.frames.get(position));
        if let Some(part) = parent.and_then(|frame| self.parts.get_mut(frame.index as usize)) {
            part.envelope = Some(Box::new(envelope));
        }
    }
}

/// Octets a description keeps in memory beyond the part's own size, roughly.
fn cost_bytes(part: &Part) -> usize {
    let disposition = part.disposition.as_ref().map_or(&[][..], |disposition| &disposition.parameters);
    let parameters = part.parameters.iter().chain(disposition);
    let texts = [&part.content_id, &part.description, &part.md5, &part.location].into_iter().flatten();
    parameters.map(|parameter| size_of_val(parameter) + parameter.name.len() + parameter.value.len()).sum::<usize>()
        + texts.chain(&part.language).map(|text| size_of_val(text) + text.len()).sum::<usize>()
        + part.media_type.len()
        + part.subtype.len()
        + part.encoding.as_ref().map_or(0, |encoding| encoding.len())
}
