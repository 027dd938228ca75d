//! Ordered rows in a few columns, written in atomic batches. The only folder that names RocksDB.
//!
//! [`RocksRows`] is the real store; [`SimRows`] keeps, over a crash, some prefix of the batches that were not synced.

mod old_tables;
mod rocks;
mod sim;
mod tuning;

pub use old_tables::OldTables;
pub use rocks::{RocksRows, WalKind};
pub use sim::SimRows;

use std::io;
use std::ops::{ControlFlow, Range};

/// A set of rows with a purpose and a life of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Column {
    /// Raft log records: `group | index`.
    RaftLog,
    /// Votes, positions, membership, generation: `group | kind`.
    RaftMeta,
    /// Replicated rows: `group | generation | key of the rules`.
    Index,
    /// What lies in files now and what must still be done to them: `group | kind | …`.
    Local,
    /// Derived records, safe to lose: `group | generation | account | folder | uid | …`.
    Cache,
}

impl Column {
    /// All of them.
    pub const ALL: [Column; 5] = [Column::RaftLog, Column::RaftMeta, Column::Index, Column::Local, Column::Cache];

    /// Its name on disk.
    pub fn name(self) -> &'static str {
        match self {
            Column::RaftLog => "raftlog",
            Column::RaftMeta => "raftmeta",
            Column::Index => "index",
            Column::Local => "local",
            Column::Cache => "cache",
        }
    }
}

/// Whether a batch must be durable before `write` returns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sync {
    /// Durable, and with it every batch written before.
    Yes,
    /// A crash may lose it, and with it every batch written after.
    No,
}

/// One change of a batch.
#[derive(Clone, Debug)]
pub enum Change {
    /// Sets a row.
    Put(Column, Vec<u8>, Vec<u8>),
    /// Removes a row.
    Delete(Column, Vec<u8>),
    /// Removes the rows of a range of keys.
    DeleteRange(Column, Range<Vec<u8>>),
}

/// What a store adds to a change: its kind, its column and two lengths.
const CHANGE_FRAME_BYTES: usize = 16;

/// Changes that take effect together and in order.
#[derive(Clone, Debug, Default)]
pub struct Batch {
    /// In the order they take effect.
    pub changes: Vec<Change>,
}

impl Batch {
    /// Sets a row.
    pub fn put(&mut self, column: Column, key: Vec<u8>, value: Vec<u8>) {
        self.changes.push(Change::Put(column, key, value));
    }

    /// Removes a row.
    pub fn delete(&mut self, column: Column, key: Vec<u8>) {
        self.changes.push(Change::Delete(column, key));
    }

    /// Bytes of all changes, with some room for how a store frames each.
    pub fn size(&self) -> usize {
        let size = |change: &Change| match change {
            Change::Put(_, key, value) => key.len() + value.len(),
            Change::Delete(_, key) => key.len(),
            Change::DeleteRange(_, range) => range.start.len() + range.end.len(),
        };
        self.changes.iter().map(|change| size(change) + CHANGE_FRAME_BYTES).sum()
    }

    /// Removes the rows of a range of keys.
    pub fn delete_range(&mut self, column: Column, range: Range<Vec<u8>>) {
        self.changes.push(Change::DeleteRange(column, range));
    }
}

/// Visits a row; `Break` ends the scan.
pub type Visit<'a> = dyn FnMut(&[u8], &[u8]) -> ControlFlow<()> + 'a;

/// Reading, either of the newest rows or of a moment.
pub trait RowsRead: Send + std::marker::Sync {
    /// The value of a row.
    fn get(&self, column: Column, key: &[u8]) -> io::Result<Option<Vec<u8>>>;
    /// Visits the rows with `start <= key < end`, ascending.
    fn scan(&self, column: Column, range: Range<&[u8]>, visit: &mut Visit<'_>) -> io::Result<()>;
    /// The last row with `start <= key < end`.
    fn last(&self, column: Column, range: Range<&[u8]>) -> io::Result<Option<(Vec<u8>, Vec<u8>)>>;
}

/// Counters of a store of rows, for the metrics.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RowsFigures {
    /// Blocks found in the cache since the start.
    pub cache_hits: u64,
    /// Blocks read from files since the start.
    pub cache_misses: u64,
    /// Bytes in the cache now.
    pub cache_bytes: u64,
    /// Bytes the cache may hold.
    pub cache_bytes_max: u64,
    /// Bytes in write buffers now.
    pub buffer_bytes: u64,
    /// Bytes of all table files.
    pub table_bytes: u64,
}

/// The rows of a node.
pub trait Rows: RowsRead {
    /// Writes a batch. Readers see all of it or nothing. A failed sync ends the process.
    fn write(&self, batch: Batch, sync: Sync) -> io::Result<()>;
    /// A view of this moment that later writes do not change.
    fn snapshot(&self) -> Box<dyn RowsRead>;
    /// Bytes the store takes on disk for a range of keys, roughly.
    fn size(&self, column: Column, range: Range<&[u8]>) -> u64;
    /// Changes ever written.
    fn written(&self) -> u64 {
        0
    }
    /// Memory that only makes reading and writing faster, in bytes.
    fn memory(&self) -> u64 {
        0
    }
    /// Counters.
    fn figures(&self) -> RowsFigures {
        RowsFigures::default()
    }
    /// Gives that memory back. Blocks while buffers are written to files.
    fn release_memory(&self) -> io::Result<()> {
        Ok(())
    }
}
