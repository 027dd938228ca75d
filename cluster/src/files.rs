//! The small files of `<data>/cluster/`: keys and certificates. All writes replace a whole file durably; the disk
//! makes files that only their owner may read.

use crate::error::StartError;
use std::io;
use std::sync::Arc;
use storage::disk::{Disk, ensure_directory, ensure_unlinked, read_small};

const DIRECTORY: &str = "cluster";
/// Far above any of these files.
const FILE_BYTES_MAX: usize = 64 * 1024;

/// The cluster directory of one data directory.
#[derive(Clone)]
pub struct Files {
    disk: Arc<dyn Disk>,
}

impl Files {
    /// Makes the directory when it does not exist.
    pub fn open(disk: Arc<dyn Disk>) -> Result<Self, StartError> {
        let made = ensure_directory(&*disk, DIRECTORY).and_then(|()| disk.sync_directory(""));
        made.map_err(|error| StartError::File { path: DIRECTORY.into(), error })?;
        Ok(Files { disk })
    }

    /// A whole file; `None` when it does not exist.
    pub fn read(&self, name: &str) -> Result<Option<Vec<u8>>, StartError> {
        read_small(&*self.disk, &path(name), FILE_BYTES_MAX).map_err(|error| failed(name, error))
    }

    /// Replaces a file: after a crash either the old or the new bytes are there.
    pub fn write(&self, name: &str, bytes: &[u8]) -> Result<(), StartError> {
        self.replace(&path(name), bytes).map_err(|error| failed(name, error))
    }

    fn replace(&self, path: &str, bytes: &[u8]) -> io::Result<()> {
        let temporary = format!("{path}.new");
        ensure_unlinked(&*self.disk, &temporary)?;
        self.disk.create(&temporary)?.write_at(0, bytes)?;
        self.disk.sync_file(&temporary)?;
        self.disk.rename(&temporary, path)?;
        self.disk.sync_directory(DIRECTORY)
    }
}

/// Where a file is, relative to the data directory.
pub fn path(name: &str) -> String {
    format!("{DIRECTORY}/{name}")
}

fn failed(name: &str, error: io::Error) -> StartError {
    StartError::File { path: path(name), error }
}
