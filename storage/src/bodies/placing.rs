//! Bodies in their place: put there from staging or from the bytes at hand, mended after a crash, given further names,
//! removed with their last name. Who needs a body is not decided here.

use super::staging::staged_path;
use super::{Bodies, BodyReader, place};
use crate::disk;
use model::BodyHash;
use std::io;

/// What became of a body's file in its place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Placed {
    /// It is there.
    Yes,
    /// Its bytes are nowhere on this node.
    Missing,
}

/// What became of a body that lost a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Removal {
    /// A record that is not applied yet names it: look again later.
    Wanted,
    /// It has other names, or is gone.
    Unneeded,
    /// Its last name is removed, once the disk is synced.
    Removed,
}

impl Bodies {
    /// Puts a body's file in its place, from the bytes at hand or from staging. With `verify` a file that is there is
    /// read and one that a crash tore is written again.
    pub(crate) fn place(&self, hash: &BodyHash, inline: Option<&[u8]>, verify: bool) -> io::Result<Placed> {
        let _alone = self.lock(hash);
        let path = place(hash);
        let there = match (verify, inline) {
            (false, Some(bytes)) => return self.create(&path, bytes),
            (false, None) => self.disk.stat(&path)?.is_some(),
            (true, _) => self.is_whole(&path, hash)?,
        };
        if there {
            self.mark_placed(hash);
            return Ok(Placed::Yes);
        }
        if let Some(bytes) = inline {
            return self.rewrite(&path, bytes);
        }
        if !(if verify {
            self.is_whole(&staged_path(hash), hash)?
        } else {
            self.disk.stat(&staged_path(hash))?.is_some()
        }) {
            return Ok(Placed::Missing);
        }
        disk::ensure_unlinked(&*self.disk, &path)?;
        self.disk.link(&staged_path(hash), &path)?;
        self.mark_placed(hash);
        Ok(Placed::Yes)
    }

    /// After a crash: makes sure that a body that may be torn is whole or not there. A body nothing needs is not made.
    pub(crate) fn mend(&self, hash: &BodyHash, inline: Option<&[u8]>) -> io::Result<()> {
        let path = place(hash);
        if self.disk.stat(&path)?.is_none() || self.is_whole(&path, hash)? {
            return Ok(());
        }
        match inline {
            Some(bytes) => self.rewrite(&path, bytes).map(drop),
            None if self.place(hash, None, true)? == Placed::Missing => disk::ensure_unlinked(&*self.disk, &path),
            None => Ok(()),
        }
    }

    fn mark_placed(&self, hash: &BodyHash) {
        if let Some(staged) = self.waiting.lock().staged.get_mut(hash) {
            staged.settle();
        }
    }

    fn create(&self, path: &str, bytes: &[u8]) -> io::Result<Placed> {
        match self.disk.create(path) {
            Ok(file) => match file.write_at(0, bytes) {
                Ok(()) => Ok(Placed::Yes),
                Err(error) => {
                    // A part of a body must never pass for it; the next try starts over.
                    let _ = self.disk.unlink(path);
                    Err(error)
                }
            },
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                // Almost always the same body again. Comparing costs less than trusting what a crash may have left.
                if self.holds(path, bytes)? { Ok(Placed::Yes) } else { self.rewrite(path, bytes) }
            }
            Err(error) => Err(error),
        }
    }

    fn holds(&self, path: &str, bytes: &[u8]) -> io::Result<bool> {
        Ok(disk::read_small(&*self.disk, path, bytes.len() + 1)?.is_some_and(|found| found == bytes))
    }

    /// Writes over a torn file without changing its inode: its other names are mended with it.
    fn rewrite(&self, path: &str, bytes: &[u8]) -> io::Result<Placed> {
        match self.disk.open_write(path) {
            Ok(file) => {
                file.set_len(0)?;
                file.write_at(0, bytes)?;
                Ok(Placed::Yes)
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => self.create(path, bytes),
            Err(error) => Err(error),
        }
    }

    fn is_whole(&self, path: &str, hash: &BodyHash) -> io::Result<bool> {
        let reader = match self.disk.open(path) {
            Ok(file) => BodyReader::new(file)?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
            Err(error) => return Err(error),
        };
        Ok(reader.hash()? == *hash)
    }

    /// Gives a body another name. An existing name of another file is replaced; `NotFound` when a directory is missing.
    pub(crate) fn link(&self, hash: &BodyHash, to: &str) -> io::Result<()> {
        let from = place(hash);
        match self.disk.link(&from, to) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                let same = self.disk.stat(&from)?.map(|stat| stat.inode) == self.disk.stat(to)?.map(|stat| stat.inode);
                if same {
                    return Ok(());
                }
                disk::ensure_unlinked(&*self.disk, to)?;
                self.disk.link(&from, to)
            }
            other => other,
        }
    }

    /// Removes a body that has no other name and that nothing waits for. The caller sees to it that no apply runs.
    pub(crate) fn remove_unreferenced(&self, hash: &BodyHash) -> io::Result<Removal> {
        // Before anything is looked at: see `hold`.
        let _alone = self.lock(hash);
        {
            let waiting = self.waiting.lock();
            if waiting.names.contains_key(hash) || waiting.staged.contains_key(hash) {
                return Ok(Removal::Wanted);
            }
        }
        match self.disk.stat(&place(hash))? {
            Some(stat) if stat.links <= 1 => {
                disk::ensure_unlinked(&*self.disk, &place(hash))?;
                Ok(Removal::Removed)
            }
            _ => Ok(Removal::Unneeded),
        }
    }
}
