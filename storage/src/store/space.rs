//! Watches free space: below the bound new mail is refused while there is still room to work.

use crate::disk::{Disk, Space};
use crate::limits;
use parking_lot::Mutex;
use std::io;
use std::sync::Arc;

const BALLAST: &str = "ballast";

/// How full the disk is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SpaceStatus {
    /// What was measured; `None` before the first measure or when it failed.
    pub space: Option<Space>,
    /// Whether new mail must be refused.
    pub full: bool,
}

/// Measures when told to.
#[derive(Clone)]
pub struct SpaceWatch {
    disk: Arc<dyn Disk>,
    status: Arc<Mutex<SpaceStatus>>,
}

impl SpaceWatch {
    /// Nothing measured yet.
    pub fn new(disk: Arc<dyn Disk>) -> Self {
        SpaceWatch { disk, status: Arc::new(Mutex::new(SpaceStatus { space: None, full: false })) }
    }

    /// As last measured.
    pub fn status(&self) -> SpaceStatus {
        *self.status.lock()
    }

    /// Measures; logs when the answer changes.
    pub fn measure(&self) {
        let space = match self.disk.space() {
            Ok(space) => space,
            Err(error) => return tracing::warn!(%error, "free space cannot be measured"),
        };
        let full = is_full(space);
        let before = std::mem::replace(&mut *self.status.lock(), SpaceStatus { space: Some(space), full });
        if full && !before.full {
            let Space { total, free, files, files_free } = space;
            tracing::error!(free, total, files_free, files, "the disk is nearly full: new mail is refused");
        } else if before.full && !full {
            tracing::info!(free = space.free, files_free = space.files_free, "there is space again: mail is taken");
        }
    }

    /// Makes the ballast file where there is room; an operator may remove it from a full disk to start the node.
    pub fn reserve(&self) -> io::Result<()> {
        let Ok(space) = self.disk.space() else { return Ok(()) };
        if is_full(space) || space.free < 4 * limits::BALLAST_BYTES || self.disk.stat(BALLAST)?.is_some() {
            return Ok(());
        }
        let file = self.disk.create(BALLAST)?;
        let zeros = vec![0; 1024 * 1024];
        (0..limits::BALLAST_BYTES).step_by(zeros.len()).try_for_each(|offset| file.write_at(offset, &zeros))
    }
}

/// Short of bytes or of files.
fn is_full(space: Space) -> bool {
    let short = |free: u64, total: u64| free < total / 100 * limits::FREE_PERCENT_MIN;
    short(space.free, space.total) || short(space.files_free, space.files)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn full_begins_under_five_percent() {
        let space = |free, files_free| Space { total: 1000, free, files: 1000, files_free };
        assert!(!is_full(space(50, 50)));
        assert!(is_full(space(49, 1000)) && is_full(space(1000, 49)));
        assert!(!is_full(Space { files: 0, files_free: 0, ..space(50, 0) }), "a filesystem that counts no files");
    }
}
