//! Reading a body piece by piece, from any thread.

use crate::disk::DiskFile;
use model::BodyHash;
use std::io;

/// An open body: stays readable even when its last name is removed meanwhile.
pub struct BodyReader {
    file: Box<dyn DiskFile>,
    size: u64,
}

impl BodyReader {
    pub(super) fn new(file: Box<dyn DiskFile>) -> io::Result<Self> {
        let size = file.size()?;
        Ok(BodyReader { file, size })
    }

    /// Length in bytes.
    pub fn len(&self) -> u64 {
        self.size
    }

    /// Whether it has no bytes.
    pub fn is_empty(&self) -> bool {
        self.size == 0
    }

    /// Reads up to `into.len()` bytes at `offset`; 0 at the end.
    pub fn read_at(&self, offset: u64, into: &mut [u8]) -> io::Result<usize> {
        self.file.read_at(offset, into)
    }

    /// Reads all of it and returns what its name should be.
    pub fn hash(&self) -> io::Result<BodyHash> {
        let mut hasher = blake3::Hasher::new();
        let mut piece = vec![0; 64 * 1024];
        let mut offset = 0;
        loop {
            let read = self.read_at(offset, &mut piece)?;
            if read == 0 {
                return Ok(BodyHash(*hasher.finalize().as_bytes()));
            }
            hasher.update(piece.get(..read).unwrap_or_default());
            offset += read as u64;
        }
    }
}
