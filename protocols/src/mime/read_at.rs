//! Reading a message by ranges: the one thing the views ask of whoever holds the file.
//! No file is opened here; the caller implements [`ReadAt`].

use std::io;
use std::ops::Range;

use crate::limits::mime::READ_CHUNK_BYTES;

/// A message that can be read at any offset.
pub trait ReadAt {
    /// Reads up to `buffer.len()` octets at `offset` (octets from the start of the message).
    /// Fewer may be read; 0 means the end. Errors are the reader's own.
    fn read_at(&mut self, offset: u64, buffer: &mut [u8]) -> io::Result<usize>;
}

impl ReadAt for &[u8] {
    fn read_at(&mut self, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        let rest = usize::try_from(offset).ok().and_then(|start| self.get(start..)).unwrap_or_default();
        let length = rest.len().min(buffer.len());
        buffer[..length].copy_from_slice(&rest[..length]);
        Ok(length)
    }
}

/// Walks one range of a message in chunks of at most `READ_CHUNK_BYTES`.
pub struct RangeReader<'a> {
    source: &'a mut dyn ReadAt,
    range: Range<u64>,
    buffer: Vec<u8>,
}

impl<'a> RangeReader<'a> {
    /// A reader of `range` (octets from the start of the message).
    pub fn new(source: &'a mut dyn ReadAt, range: Range<u64>) -> Self {
        let wanted = range.end.saturating_sub(range.start).min(READ_CHUNK_BYTES as u64);
        Self { source, range, buffer: vec![0; wanted as usize] }
    }

    /// The next chunk, never empty; `None` at the end of the range.
    /// A file shorter than the range is `UnexpectedEof`.
    pub fn next_chunk(&mut self) -> io::Result<Option<&[u8]>> {
        let left = self.range.end.saturating_sub(self.range.start);
        if left == 0 {
            return Ok(None);
        }
        let wanted = left.min(self.buffer.len() as u64) as usize;
        let length = self.source.read_at(self.range.start, &mut self.buffer[..wanted])?.min(wanted);
        if length == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.range.start += length as u64;
        Ok(Some(&self.buffer[..length]))
    }
}

/// Reads a range whole, but no more than `bytes_max` octets of it. For header sections.
pub fn read_range(source: &mut dyn ReadAt, range: Range<u64>, bytes_max: usize) -> io::Result<Vec<u8>> {
    let end = range.end.min(range.start.saturating_add(bytes_max as u64));
    let mut octets = Vec::with_capacity(end.saturating_sub(range.start) as usize);
    let mut reader = RangeReader::new(source, range.start..end);
    while let Some(chunk) = reader.next_chunk()? {
        octets.extend_from_slice(chunk);
    }
    Ok(octets)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_is_read_whole_and_bounded() {
        let mut message: &[u8] = b"0123456789";
        assert_eq!(read_range(&mut message, 2..6, 100).unwrap(), b"2345");
        assert_eq!(read_range(&mut message, 2..6, 3).unwrap(), b"234");
        assert_eq!(read_range(&mut message, 6..6, 3).unwrap(), b"");
    }

    #[test]
    fn a_short_file_is_an_error_and_not_silence() {
        let mut message: &[u8] = b"0123";
        let error = read_range(&mut message, 2..8, 100).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof);
    }
}
