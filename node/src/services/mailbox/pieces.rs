//! What FETCH renders, in bounded slices. A blocking thread renders one slice and is free again: however slowly the
//! client reads, no thread waits for it and nothing is held whole. Long ranges of a body travel as a range, not as bytes.

use super::source::MessageSource;
use super::{blocking_io, source};
use crate::limits::{BODY_PIECE_BYTES, FETCH_SLICE_BYTES, FETCH_SLICE_BYTES_MAX};
use cluster::BodyReader;
use protocols::imap::fetch::Sink;
use std::io;
use std::ops::Range;
use std::sync::Arc;

/// Something for the client.
pub enum Piece {
    /// These bytes.
    Bytes(Vec<u8>),
    /// A range of a body.
    Body(BodyRange),
}

/// A range of an open body; it stays readable even when the message is expunged meanwhile.
pub struct BodyRange {
    reader: Arc<BodyReader>,
    range: Range<u64>,
}

impl BodyRange {
    /// The next bytes and what is left then; `None` at the end.
    ///
    /// # Errors
    /// When the body cannot be read.
    pub async fn next(self) -> io::Result<Option<(Vec<u8>, BodyRange)>> {
        if self.range.is_empty() {
            return Ok(None);
        }
        blocking_io(move || {
            let BodyRange { reader, range } = self;
            let length = usize::try_from(range.end - range.start).unwrap_or(usize::MAX).min(BODY_PIECE_BYTES);
            let mut bytes = vec![0; length];
            source::read_exact(&reader, range.start, &mut bytes)?;
            Ok(Some((bytes, BodyRange { reader, range: range.start + length as u64..range.end })))
        })
        .await
    }
}

/// A slice being rendered.
#[derive(Default)]
pub struct Slice {
    pieces: Vec<Piece>,
    gathered: Vec<u8>,
    /// Bytes in it; ranges of bodies count as nothing.
    bytes: usize,
}

impl Slice {
    /// Whether the next message should go into another slice.
    pub fn is_full(&self) -> bool {
        self.bytes >= FETCH_SLICE_BYTES || self.pieces.len() >= FETCH_SLICE_BYTES / BODY_PIECE_BYTES
    }

    /// Everything in it, in order.
    pub fn into_pieces(mut self) -> Vec<Piece> {
        self.close_bytes();
        self.pieces
    }

    fn close_bytes(&mut self) {
        if !self.gathered.is_empty() {
            self.pieces.push(Piece::Bytes(std::mem::take(&mut self.gathered)));
        }
    }
}

/// Renders one message into a slice, from `sent` bytes on.
pub struct MessageSink<'s, 'b> {
    slice: &'s mut Slice,
    body: &'s MessageSource<'b>,
    /// Bytes of the response that went out with earlier slices. Rendering is a pure function, so they come again.
    sent: u64,
    at: u64,
}

impl<'s, 'b> MessageSink<'s, 'b> {
    /// The first `sent` bytes of the response are passed over.
    pub fn new(slice: &'s mut Slice, body: &'s MessageSource<'b>, sent: u64) -> Self {
        MessageSink { slice, body, sent, at: 0 }
    }

    /// Where the next slice has to go on when this one was too small.
    pub fn reached(&self) -> u64 {
        self.at.max(self.sent)
    }

    fn take(&mut self, bytes: &[u8]) -> io::Result<()> {
        let end = self.at + bytes.len() as u64;
        let passed_over = usize::try_from(self.sent.saturating_sub(self.at)).unwrap_or(usize::MAX);
        let fresh = bytes.get(passed_over..).unwrap_or_default();
        if self.slice.bytes > 0 && self.slice.bytes + fresh.len() > FETCH_SLICE_BYTES_MAX {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        self.slice.gathered.extend_from_slice(fresh);
        self.slice.bytes += fresh.len();
        self.at = end;
        Ok(())
    }
}

impl Sink for MessageSink<'_, '_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.take(bytes)
    }

    fn body_range(&mut self, range: Range<u64>) -> io::Result<()> {
        let body = self.body;
        let Some(reader) = body.reader_of_large()? else {
            return body.pieces(range, &mut |piece| self.take(piece));
        };
        let length = range.end.saturating_sub(range.start);
        let start = range.start + self.sent.saturating_sub(self.at).min(length);
        if start < range.end {
            self.slice.close_bytes();
            self.slice.pieces.push(Piece::Body(BodyRange { reader, range: start..range.end }));
        }
        self.at += length;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Renders numbered chunks as FETCH would, slice by slice.
    fn render(chunk: &[u8], chunks: usize, sent: u64) -> (Vec<u8>, Option<u64>) {
        let body = MessageSource::absent();
        let mut slice = Slice::default();
        let mut sink = MessageSink::new(&mut slice, &body, sent);
        let full = (0..chunks).find_map(|_| sink.write(chunk).err());
        let reached = full.map(|error| {
            assert_eq!(error.kind(), io::ErrorKind::WouldBlock);
            sink.reached()
        });
        let mut bytes = Vec::new();
        for piece in slice.into_pieces() {
            let Piece::Bytes(piece) = piece else { panic!("no body was rendered") };
            bytes.extend(piece);
        }
        (bytes, reached)
    }

    #[test]
    fn a_response_larger_than_a_slice_goes_on_where_it_stopped() {
        let chunk: Vec<u8> = (0..70_000_u32).map(|number| number as u8).collect();
        let (mut all, mut next, mut slices) = (Vec::new(), Some(0), 0);
        while let Some(sent) = next {
            let (bytes, reached) = render(&chunk, 200, sent);
            assert!(bytes.len() <= FETCH_SLICE_BYTES_MAX);
            all.extend(bytes);
            next = reached;
            slices += 1;
        }
        assert!(slices > 2 && all == chunk.repeat(200));
    }
}
