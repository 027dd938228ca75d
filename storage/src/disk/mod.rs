//! Files under one data directory, as this crate needs them. Paths are relative, with `/` between names.
//!
//! The only module that syncs files. [`RealDisk`] is the machine's; [`SimDisk`] loses what was not synced.

mod real;
mod sim;

pub use real::RealDisk;
pub use sim::SimDisk;

use std::io;

/// What is known of a name without opening it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stat {
    /// Which file the name leads to: two names with one inode are hard links of one file.
    pub inode: u64,
    /// Length in bytes.
    pub size: u64,
    /// Names of the file.
    pub links: u64,
    /// Whether it is a directory.
    pub directory: bool,
}

/// Room on the filesystem the data directory lies on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Space {
    /// All bytes.
    pub total: u64,
    /// Bytes this process may still use.
    pub free: u64,
    /// Files it can hold (inodes), for every body is one; 0 on a filesystem that does not count them.
    pub files: u64,
    /// Files this process may still make.
    pub files_free: u64,
}

/// An open file.
pub trait DiskFile: Send + Sync {
    /// Writes all of `bytes` at `offset`.
    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()>;
    /// Reads up to `into.len()` bytes at `offset`; 0 at the end of the file.
    fn read_at(&self, offset: u64, into: &mut [u8]) -> io::Result<usize>;
    /// Sets the length in bytes.
    fn set_len(&self, size: u64) -> io::Result<()>;
    /// Length in bytes.
    fn size(&self) -> io::Result<u64>;
}

/// A tree of files and directories. Nothing is durable before a sync says so.
pub trait Disk: Send + Sync {
    /// Makes a new file and opens it; an existing name is the error `AlreadyExists`.
    fn create(&self, path: &str) -> io::Result<Box<dyn DiskFile>>;
    /// Opens an existing file for reading.
    fn open(&self, path: &str) -> io::Result<Box<dyn DiskFile>>;
    /// Opens an existing file for writing as well.
    fn open_write(&self, path: &str) -> io::Result<Box<dyn DiskFile>>;
    /// Looks at a name; `None` when it does not exist.
    fn stat(&self, path: &str) -> io::Result<Option<Stat>>;
    /// Gives a file a second name.
    fn link(&self, from: &str, to: &str) -> io::Result<()>;
    /// Moves a name; an existing file under `to` is replaced.
    fn rename(&self, from: &str, to: &str) -> io::Result<()>;
    /// Removes a file's name.
    fn unlink(&self, path: &str) -> io::Result<()>;
    /// Makes a directory.
    fn mkdir(&self, path: &str) -> io::Result<()>;
    /// Removes an empty directory.
    fn rmdir(&self, path: &str) -> io::Result<()>;
    /// The names in a directory, unsorted.
    fn list(&self, path: &str) -> io::Result<Vec<String>>;
    /// Makes a file's bytes durable. Blocks; a failure ends the process (CONSENSUS section 2: a failed sync is never retried).
    fn sync_file(&self, path: &str) -> io::Result<()>;
    /// Makes the names in a directory durable. Blocks; a failure ends the process.
    fn sync_directory(&self, path: &str) -> io::Result<()>;
    /// Makes everything on the filesystem durable. Blocks; a failure ends the process.
    fn sync_all(&self) -> io::Result<()>;
    /// How full the filesystem is.
    fn space(&self) -> io::Result<Space>;
}

/// Makes a directory and those above it; existing ones are fine.
pub fn ensure_directory(disk: &dyn Disk, path: &str) -> io::Result<()> {
    match disk.mkdir(path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let Some((above, _)) = path.rsplit_once('/') else { return Err(error) };
            ensure_directory(disk, above)?;
            ensure_directory(disk, path)
        }
        other => other,
    }
}

/// Removes a file; an absent one is fine.
pub fn ensure_unlinked(disk: &dyn Disk, path: &str) -> io::Result<()> {
    absent_is_fine(disk.unlink(path))
}

/// Removes a directory and what is in it; an absent one is fine.
pub fn ensure_tree_removed(disk: &dyn Disk, path: &str) -> io::Result<()> {
    match disk.stat(path)? {
        None => return Ok(()),
        Some(stat) if !stat.directory => return ensure_unlinked(disk, path),
        Some(_) => {}
    }
    let mut names = disk.list(path)?;
    names.sort();
    for name in names {
        ensure_tree_removed(disk, &format!("{path}/{name}"))?;
    }
    absent_is_fine(disk.rmdir(path))
}

fn absent_is_fine(result: io::Result<()>) -> io::Result<()> {
    match result {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

/// Replaces a small file so that after a crash either the old or the new bytes are there, then makes it durable.
pub fn replace_durably(disk: &dyn Disk, path: &str, bytes: &[u8]) -> io::Result<()> {
    let temporary = format!("{path}.new");
    ensure_unlinked(disk, &temporary)?;
    disk.create(&temporary)?.write_at(0, bytes)?;
    disk.sync_file(&temporary)?;
    disk.rename(&temporary, path)?;
    disk.sync_directory("")
}

/// Reads a whole small file, at most `bytes_max`; `None` when it does not exist.
pub fn read_small(disk: &dyn Disk, path: &str, bytes_max: usize) -> io::Result<Option<Vec<u8>>> {
    let file = match disk.open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        other => other?,
    };
    let mut bytes = vec![0; bytes_max];
    let mut filled = 0;
    while let Some(rest) = bytes.get_mut(filled..).filter(|rest| !rest.is_empty()) {
        match file.read_at(filled as u64, rest)? {
            0 => break,
            read => filled += read,
        }
    }
    bytes.truncate(filled);
    Ok(Some(bytes))
}
