//! The data directory's own files: who holds it, which format it has, which node it belongs to.

use crate::bodies::Bodies;
use crate::disk::{Disk, ensure_directory, read_small, replace_durably};
use bytes::Bytes;
use rustix::fs::{FlockOperation, flock};
use std::fs::File;
use std::io;
use std::path::Path;

/// The format this release writes.
const VERSION: &str = "mailnode data 1\n";
/// More than any identity or version file holds, in bytes.
const SMALL_FILE_BYTES_MAX: usize = 64 * 1024;
const IDENTITY: &str = "identity";

/// Why a store does not open.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Another process holds the directory.
    #[error("{0} is in use by another mailnode process")]
    Locked(String),
    /// The directory was written by a release with another format.
    #[error("the data directory has the format {found:?}; this release knows {VERSION:?}")]
    Version {
        /// What the file says.
        found: String,
    },
    /// The database does not open: damage or a missing file. Nothing was changed.
    #[error("the rows cannot be opened: {0}. Restore this node from its peers rather than removing files")]
    Rows(#[source] io::Error),
    /// Anything else.
    #[error(transparent)]
    Io(io::Error),
}

/// The directory's lock, held until dropped or the process ends.
pub struct Lock {
    _file: File,
}

impl Lock {
    /// Takes the lock at once or fails.
    pub fn take(data: &Path) -> Result<Lock, OpenError> {
        let path = data.join("lock");
        let file = File::options().create(true).truncate(false).write(true).open(&path).map_err(OpenError::Io)?;
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => Ok(Lock { _file: file }),
            Err(rustix::io::Errno::WOULDBLOCK) => Err(OpenError::Locked(data.display().to_string())),
            Err(error) => Err(OpenError::Io(error.into())),
        }
    }
}

/// Refuses a format of another release; writes the file on first use.
pub fn check_version(disk: &dyn Disk) -> Result<(), OpenError> {
    match read_small(disk, "VERSION", SMALL_FILE_BYTES_MAX).map_err(OpenError::Io)? {
        None => replace_durably(disk, "VERSION", VERSION.as_bytes()).map_err(OpenError::Io),
        Some(found) if found == VERSION.as_bytes() => Ok(()),
        Some(found) => Err(OpenError::Version { found: String::from_utf8_lossy(&found).into_owned() }),
    }
}

/// Makes the directories that files of later syncs lie in; durable, so that syncing such a file's own directory is enough.
pub fn make_all(disk: &dyn Disk) -> io::Result<()> {
    for directory in ["mail", "queue"].map(String::from).into_iter().chain(Bodies::directories()) {
        ensure_directory(disk, &directory)?;
    }
    disk.sync_all()
}

/// The identity last set.
pub fn identity(disk: &dyn Disk) -> io::Result<Option<Bytes>> {
    Ok(read_small(disk, IDENTITY, SMALL_FILE_BYTES_MAX)?.map(Bytes::from))
}

/// Sets the identity durably.
pub fn set_identity(disk: &dyn Disk, identity: &[u8]) -> io::Result<()> {
    if identity.len() > SMALL_FILE_BYTES_MAX {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "the node's identity is too long"));
    }
    replace_durably(disk, IDENTITY, identity)
}
