//! The bytes of one message as the MIME views and FETCH read them: small bodies are read once and kept, large ones by
//! ranges. Blocks on the disk: for blocking threads.

use crate::limits::{BODY_KEPT_BYTES_MAX, BODY_PIECE_BYTES};
use cluster::{Bodies, BodyReader};
use model::BodyHash;
use protocols::mime::ReadAt;
use std::cell::OnceCell;
use std::io;
use std::ops::Range;
use std::sync::Arc;

/// One message's body, opened when it is first read.
pub struct MessageSource<'a> {
    /// Where, hash and size; `None` when nobody said that the body is needed.
    body: Option<(&'a Bodies, BodyHash, u64)>,
    open: OnceCell<Open>,
}

enum Open {
    Kept(Vec<u8>),
    File(Arc<BodyReader>),
}

impl<'a> MessageSource<'a> {
    /// A body that may never be needed.
    pub fn new(bodies: &'a Bodies, hash: BodyHash, size: u64) -> Self {
        MessageSource { body: Some((bodies, hash, size)), open: OnceCell::new() }
    }

    /// No body: reading it is an error.
    pub fn absent() -> Self {
        MessageSource { body: None, open: OnceCell::new() }
    }

    /// Its length in bytes.
    pub fn size(&self) -> u64 {
        self.body.map_or(0, |(_, _, size)| size)
    }

    fn open(&self) -> io::Result<&Open> {
        match self.open.get() {
            Some(open) => Ok(open),
            None => {
                let open = self.read_in()?;
                Ok(self.open.get_or_init(|| open))
            }
        }
    }

    fn read_in(&self) -> io::Result<Open> {
        let (bodies, hash, size) =
            self.body.ok_or_else(|| io::Error::other("a body was read that was not looked up"))?;
        let reader = bodies.open_body(&hash)?;
        if size > BODY_KEPT_BYTES_MAX {
            return Ok(Open::File(Arc::new(reader)));
        }
        let mut bytes = vec![0; usize::try_from(size).unwrap_or_default()];
        read_exact(&reader, 0, &mut bytes)?;
        Ok(Open::Kept(bytes))
    }

    /// Opens the body now rather than when it is first read.
    ///
    /// # Errors
    /// `NotFound` when no node has it; others when it cannot be had now.
    pub fn prepare(&self) -> io::Result<()> {
        self.open().map(drop)
    }

    /// The open body when it is too large to be kept.
    pub fn reader_of_large(&self) -> io::Result<Option<Arc<BodyReader>>> {
        match self.open()? {
            Open::Kept(_) => Ok(None),
            Open::File(reader) => Ok(Some(Arc::clone(reader))),
        }
    }

    /// Gives a range piece by piece to `take`; a file shorter than the range is `UnexpectedEof`.
    pub fn pieces(&self, range: Range<u64>, take: &mut dyn FnMut(&[u8]) -> io::Result<()>) -> io::Result<()> {
        match self.open()? {
            Open::Kept(bytes) => take(slice(bytes, &range)?),
            Open::File(reader) => {
                let mut piece = vec![0; BODY_PIECE_BYTES];
                let mut at = range.start;
                while at < range.end {
                    let length = usize::try_from(range.end - at).unwrap_or(usize::MAX).min(piece.len());
                    let piece = piece.get_mut(..length).unwrap_or_default();
                    read_exact(reader, at, piece)?;
                    take(piece)?;
                    at += length as u64;
                }
                Ok(())
            }
        }
    }
}

impl ReadAt for &MessageSource<'_> {
    fn read_at(&mut self, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        match self.open()? {
            Open::Kept(bytes) => bytes.as_slice().read_at(offset, buffer),
            Open::File(reader) => reader.read_at(offset, buffer),
        }
    }
}

fn slice<'b>(bytes: &'b [u8], range: &Range<u64>) -> io::Result<&'b [u8]> {
    let ends = usize::try_from(range.start).ok().zip(usize::try_from(range.end).ok());
    ends.and_then(|(start, end)| bytes.get(start..end)).ok_or_else(|| io::ErrorKind::UnexpectedEof.into())
}

/// Fills `into` from `offset` on.
///
/// # Errors
/// `UnexpectedEof` when the body ends before.
pub fn read_exact(reader: &BodyReader, mut offset: u64, mut into: &mut [u8]) -> io::Result<()> {
    while !into.is_empty() {
        let read = reader.read_at(offset, into)?;
        if read == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        offset += read as u64;
        into = into.get_mut(read..).unwrap_or_default();
    }
    Ok(())
}
