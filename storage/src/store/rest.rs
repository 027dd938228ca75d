//! Gives memory back when little is written any more: what only makes a busy node faster need not be kept by an idle one.

use crate::limits;
use crate::rows::Rows;
use std::io;
use std::time::{Duration, Instant};

/// Looks, now and then, whether the node rests.
pub(crate) struct Rest {
    /// Changes ever written, and when that was looked at last while the node was busy.
    seen: u64,
    since: Instant,
    /// Something was written since memory was given back.
    due: bool,
}

impl Rest {
    /// A node that has just started.
    pub fn new(now: Instant) -> Self {
        Rest { seen: 0, since: now, due: false }
    }

    /// Gives memory back when this is the time; says whether it did. Blocks.
    pub fn look(&mut self, rows: &dyn Rows, now: Instant) -> io::Result<bool> {
        let written = rows.written();
        if written.saturating_sub(self.seen) > limits::REST_CHANGES_MAX {
            *self = Rest { seen: written, since: now, due: true };
            return Ok(false);
        }
        let rests = now.duration_since(self.since) >= Duration::from_secs(limits::REST_AFTER_S);
        if !rests || !self.due || rows.memory() < limits::REST_MEMORY_BYTES {
            return Ok(false);
        }
        self.due = false;
        rows.release_memory().map(|()| true)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rows::{Batch, Column, RocksRows, Sync, WalKind};

    fn write(rows: &RocksRows, changes: u64) {
        let mut batch = Batch::default();
        (0..changes).for_each(|number| batch.put(Column::RaftLog, number.to_be_bytes().to_vec(), vec![7; 1024]));
        rows.write(batch, Sync::No).unwrap();
    }

    #[test]
    fn memory_goes_back_when_a_busy_node_rests_and_the_rows_stay() {
        let data = tempfile::tempdir().unwrap();
        let rows = RocksRows::open(data.path(), WalKind::Growing, 1 << 20).unwrap();
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let mut rest = Rest::new(start);
        let many = limits::REST_MEMORY_BYTES / 1024 + 1;
        write(&rows, many);
        assert!(!rest.look(&rows, at(1)).unwrap(), "it is at work");
        write(&rows, limits::REST_CHANGES_MAX);
        assert!(!rest.look(&rows, at(limits::REST_AFTER_S)).unwrap(), "it has not rested long");
        assert!(rows.memory() > limits::REST_MEMORY_BYTES);
        assert!(rest.look(&rows, at(1 + limits::REST_AFTER_S)).unwrap(), "a trickle is rest");
        assert!(rows.memory() < limits::REST_MEMORY_BYTES / 4);
        assert!(!rest.look(&rows, at(2 + limits::REST_AFTER_S)).unwrap(), "once is enough");
        use crate::rows::RowsRead;
        assert_eq!(rows.get(Column::RaftLog, &(many - 1).to_be_bytes()).unwrap(), Some(vec![7; 1024]));
    }
}
