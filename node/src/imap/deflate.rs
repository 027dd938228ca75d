//! COMPRESS=DEFLATE (RFC 4978): raw DEFLATE in both directions, with bounded memory. A small input that unpacks to a
//! huge one is unpacked only as far as there is room; the rest waits packed.

use bytes::BytesMut;
use flate2::{Compress, Compression, Decompress, FlushCompress, FlushDecompress, Status};
use std::io;

/// Both directions of one session.
pub struct Deflate {
    packer: Compress,
    unpacker: Decompress,
    /// Bytes from the client not unpacked yet: at most one read.
    packed: Vec<u8>,
    packed_from: usize,
    /// The unpacker may hold more output although all its input is taken.
    more: bool,
}

impl Deflate {
    /// Starts. `packed` is what the client sent behind the command that started it.
    pub fn new(packed: Vec<u8>) -> Self {
        Deflate {
            // Mail is text and the link is usually faster than the processor: the fastest level.
            packer: Compress::new(Compression::fast(), false),
            unpacker: Decompress::new(false),
            more: !packed.is_empty(),
            packed,
            packed_from: 0,
        }
    }

    /// Takes bytes from the client; to be called only when [`Self::unpack`] gave nothing.
    pub fn take(&mut self, bytes: &[u8]) {
        self.packed.clear();
        self.packed.extend_from_slice(bytes);
        self.packed_from = 0;
        self.more = true;
    }

    /// Unpacks up to `room` bytes onto `into`; says how many. 0: more input is needed.
    ///
    /// # Errors
    /// When the bytes are not DEFLATE.
    pub fn unpack(&mut self, into: &mut BytesMut, room: usize) -> io::Result<usize> {
        let before = into.len();
        while self.more && into.len() - before < room {
            let start = into.len();
            into.resize(before + room, 0);
            let (was_in, was_out) = (self.unpacker.total_in(), self.unpacker.total_out());
            let packed = self.packed.get(self.packed_from..).unwrap_or_default();
            let target = into.get_mut(start..).unwrap_or_default();
            let status = self.unpacker.decompress(packed, target, FlushDecompress::Sync);
            let count = |now: u64, was: u64| usize::try_from(now - was).unwrap_or_default();
            let unpacked = count(self.unpacker.total_out(), was_out);
            self.packed_from += count(self.unpacker.total_in(), was_in);
            into.truncate(start + unpacked);
            match status {
                Ok(Status::StreamEnd) => return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "deflate ended")),
                // With room left, no output means that no input is left either.
                Ok(_) => self.more = unpacked > 0,
                Err(error) => return Err(io::Error::new(io::ErrorKind::InvalidData, error)),
            }
        }
        if !self.more {
            self.packed = Vec::new();
            self.packed_from = 0;
        }
        Ok(into.len() - before)
    }

    /// Packs bytes so that the client can unpack all of them at once.
    ///
    /// # Errors
    /// When the packer fails, which is a defect.
    pub fn pack(&mut self, bytes: &[u8]) -> io::Result<Vec<u8>> {
        let mut packed = Vec::with_capacity(bytes.len() / 2 + 64);
        let start = self.packer.total_in();
        loop {
            let taken = usize::try_from(self.packer.total_in() - start).unwrap_or_default();
            let rest = bytes.get(taken..).unwrap_or_default();
            packed.reserve(rest.len() / 2 + 64);
            self.packer.compress_vec(rest, &mut packed, FlushCompress::Sync).map_err(io::Error::other)?;
            let all_taken = self.packer.total_in() - start == bytes.len() as u64;
            if all_taken && packed.len() < packed.capacity() {
                return Ok(packed);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_packed_unpacks_in_small_rooms_and_any_chunks() {
        let text: Vec<u8> = (0..40_000_u32).flat_map(|n| (n % 97).to_be_bytes()).collect();
        let mut packer = Deflate::new(Vec::new());
        let mut unpacker = Deflate::new(Vec::new());
        let mut unpacked = BytesMut::new();
        for piece in [&text[..5], &text[5..70_000], &text[70_000..]] {
            for chunk in packer.pack(piece).unwrap().chunks(777) {
                unpacker.take(chunk);
                while unpacker.unpack(&mut unpacked, 100).unwrap() > 0 {}
            }
        }
        assert!(unpacked == text.as_slice());
    }

    #[test]
    fn a_bomb_is_unpacked_only_as_far_as_there_is_room() {
        let packed = Deflate::new(Vec::new()).pack(&vec![0; 10_000_000]).unwrap();
        assert!(packed.len() < 100_000);
        let mut unpacker = Deflate::new(packed);
        let mut into = BytesMut::new();
        assert_eq!(unpacker.unpack(&mut into, 1_000).unwrap(), 1_000);
        assert_eq!(into.len(), 1_000);
    }

    #[test]
    fn bytes_that_are_not_deflate_are_an_error() {
        let mut unpacker = Deflate::new(vec![0xff; 50]);
        assert!(unpacker.unpack(&mut BytesMut::new(), 100).is_err());
    }
}
