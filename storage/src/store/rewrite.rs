//! Once after an upgrade: rewrites the tables of an earlier form in the background, for a part of the time. The file
//! `TABLES` in the data directory says up to which number tables are old; a restart continues where it stopped.

use crate::disk::{Disk, read_small, replace_durably};
use crate::limits;
use crate::rows::{OldTables, RocksRows};
use parking_lot::{Condvar, Mutex};
use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

const FILE: &str = "TABLES";
/// What this release writes into it before the number.
const FORM: &str = "partitioned; older up to ";
const FILE_BYTES_MAX: usize = 1024;

/// How far the rewriting is, in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RewriteStatus {
    /// Tables of an earlier form that are left; 0 when all is done.
    pub left_bytes: u64,
    /// What there was when the node started.
    pub total_bytes: u64,
}

/// The work and how far it is.
pub struct Rewrite {
    tables: OldTables,
    total_bytes: u64,
    left_bytes: AtomicU64,
    stopping: Mutex<bool>,
    wake: Condvar,
}

impl Rewrite {
    /// Finds out which tables are old. A data directory without the file was written by a release before this one.
    pub fn find(disk: &dyn Disk, rows: RocksRows) -> io::Result<Rewrite> {
        let upto = match read_small(disk, FILE, FILE_BYTES_MAX)?.as_deref().and_then(number_in) {
            Some(upto) => upto,
            None => {
                let upto = OldTables::newest(&rows)?;
                replace_durably(disk, FILE, format!("{FORM}{upto}\n").as_bytes())?;
                upto
            }
        };
        let tables = OldTables::new(rows, upto);
        let total_bytes = tables.bytes()?;
        let left_bytes = AtomicU64::new(total_bytes);
        Ok(Rewrite { tables, total_bytes, left_bytes, stopping: Mutex::default(), wake: Condvar::new() })
    }

    /// How far it is.
    pub fn status(&self) -> RewriteStatus {
        RewriteStatus { left_bytes: self.left_bytes.load(Ordering::Relaxed), total_bytes: self.total_bytes }
    }

    /// Rewrites on the calling thread until nothing is left or [`Self::stop`].
    pub fn run(&self) {
        if self.total_bytes == 0 {
            return;
        }
        tracing::info!(bytes = self.total_bytes, "tables of an earlier release are rewritten in the background");
        loop {
            let began = Instant::now();
            let pause = match self.step() {
                Ok(true) => began.elapsed() * (limits::REWRITE_TIME_PART - 1),
                Ok(false) => return tracing::info!("tables of an earlier release are all rewritten"),
                Err(error) => {
                    tracing::warn!(%error, "a table of an earlier release could not be rewritten, will retry");
                    Duration::from_millis(limits::REWRITE_AGAIN_MS)
                }
            };
            let mut stopping = self.stopping.lock();
            if !*stopping {
                self.wake.wait_for(&mut stopping, pause);
            }
            if *stopping {
                return;
            }
        }
    }

    fn step(&self) -> io::Result<bool> {
        let more = self.tables.rewrite_one()?;
        self.left_bytes.store(self.tables.bytes()?, Ordering::Relaxed);
        Ok(more)
    }

    /// Ends [`Self::run`] after the table it is at.
    pub fn stop(&self) {
        *self.stopping.lock() = true;
        self.wake.notify_all();
    }
}

fn number_in(file: &[u8]) -> Option<u64> {
    std::str::from_utf8(file).ok()?.strip_prefix(FORM)?.trim_end().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::disk::RealDisk;
    use crate::rows::{Batch, Column, Rows, Sync, WalKind};

    fn open(data: &std::path::Path) -> (RealDisk, RocksRows) {
        let rows = RocksRows::open(&data.join("rows"), WalKind::Growing, 1 << 20).unwrap();
        (RealDisk::open(data).unwrap(), rows)
    }

    fn write_table(rows: &RocksRows, row: &[u8]) {
        let mut batch = Batch::default();
        batch.put(Column::Index, row.to_vec(), b"value".to_vec());
        rows.write(batch, Sync::Yes).unwrap();
        rows.release_memory().unwrap();
    }

    #[test]
    fn only_what_was_there_at_the_upgrade_is_rewritten_and_only_once() {
        let data = tempfile::tempdir().unwrap();
        let (disk, rows) = open(data.path());
        write_table(&rows, b"old");
        let before = OldTables::newest(&rows).unwrap();
        let rewrite = Rewrite::find(&disk, rows.clone()).unwrap();
        write_table(&rows, b"new");
        // A restart in between finds the same work.
        let again = Rewrite::find(&disk, rows.clone()).unwrap();
        assert_eq!(rewrite.status(), again.status());
        assert!(again.status().left_bytes > 0);
        again.run();
        assert_eq!(again.status().left_bytes, 0);
        assert!(OldTables::new(rows.clone(), before).bytes().unwrap() == 0);
        assert_eq!(Rewrite::find(&disk, rows).unwrap().status(), RewriteStatus::default());
    }

    #[test]
    fn a_new_directory_has_nothing_to_rewrite() {
        let data = tempfile::tempdir().unwrap();
        let (disk, rows) = open(data.path());
        let rewrite = Rewrite::find(&disk, rows).unwrap();
        rewrite.run();
        assert_eq!(rewrite.status(), RewriteStatus::default());
    }
}
