//! A body that is arriving: hashed on the way, in memory while it is small, then in a file.

use super::Bodies;
use crate::disk::{self, DiskFile};
use bytes::Bytes;
use model::limits::INLINE_BODY_BYTES_MAX;
use model::{BodyHash, BodyRef};
use std::io;
use std::sync::Arc;

/// A body that is arriving. Dropped unfinished it leaves nothing. Blocks on the disk: not for an async worker.
pub struct StagedBody {
    bodies: Arc<Bodies>,
    hasher: blake3::Hasher,
    size: u64,
    memory: Vec<u8>,
    file: Option<(String, Box<dyn DiskFile>)>,
}

impl StagedBody {
    pub(super) fn new(bodies: Arc<Bodies>) -> Self {
        StagedBody { bodies, hasher: blake3::Hasher::new(), size: 0, memory: Vec::new(), file: None }
    }

    /// Adds bytes at the end.
    pub fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.hasher.update(bytes);
        if self.file.is_none() && self.memory.len() + bytes.len() <= INLINE_BODY_BYTES_MAX {
            self.memory.extend_from_slice(bytes);
        } else {
            let offset = self.size;
            self.file()?.write_at(offset, bytes)?;
        }
        self.size += bytes.len() as u64;
        Ok(())
    }

    /// All bytes so far while they are in memory; nothing once they are in a file.
    pub fn in_memory(&self) -> &[u8] {
        &self.memory
    }

    /// Bytes so far.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Ends the body. A small one is returned inline and leaves no file; a large one lies staged under its hash until a
    /// log record names it, or is swept as an orphan an hour later.
    pub fn finish(mut self) -> io::Result<BodyRef> {
        let hash = BodyHash(*self.hasher.finalize().as_bytes());
        let inline = self.file.is_none().then(|| Bytes::from(std::mem::take(&mut self.memory)));
        if inline.is_none() {
            self.name(hash)?;
        }
        Ok(BodyRef { hash, size: self.size, inline })
    }

    /// Ends the body as a file whatever its size: for a body that a snapshot needs.
    pub fn finish_as_file(mut self) -> io::Result<BodyHash> {
        let hash = BodyHash(*self.hasher.finalize().as_bytes());
        self.file()?;
        self.name(hash)?;
        Ok(hash)
    }

    /// Ends the body as a file when it is the one named `hash`; says whether it was. Nothing stays of another.
    pub fn finish_as(mut self, hash: BodyHash) -> io::Result<bool> {
        if BodyHash(*self.hasher.finalize().as_bytes()) != hash {
            return Ok(false);
        }
        self.file()?;
        self.name(hash)?;
        Ok(true)
    }

    /// The file, made and filled with what is in memory when there is none yet.
    fn file(&mut self) -> io::Result<&dyn DiskFile> {
        if self.file.is_none() {
            let path = self.bodies.temporary_path();
            let file = self.bodies.disk.create(&path)?;
            let memory = std::mem::take(&mut self.memory);
            let written = file.write_at(0, &memory);
            self.file = Some((path, file));
            written?;
        }
        match &self.file {
            Some((_, file)) => Ok(file.as_ref()),
            None => Err(io::Error::other("a staged body has no file")),
        }
    }

    fn name(&mut self, hash: BodyHash) -> io::Result<()> {
        if let Some((path, _)) = &self.file {
            self.bodies.staged(path, hash)?;
        }
        self.file = None;
        Ok(())
    }
}

impl Drop for StagedBody {
    fn drop(&mut self) {
        if let Some((path, _)) = self.file.take()
            && let Err(error) = disk::ensure_unlinked(&*self.bodies.disk, &path)
        {
            tracing::warn!(path, %error, "an unfinished body could not be removed; the next start does it");
        }
    }
}
