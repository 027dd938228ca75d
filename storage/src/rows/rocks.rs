//! The real rows: one RocksDB for the whole node, so that one sync of its write-ahead log covers every column.

use super::{Batch, Change, Column, Rows, RowsFigures, RowsRead, Sync, Visit, tuning};
use rocksdb::{
    Cache, ColumnFamily, ColumnFamilyDescriptor, DB, DBRawIterator, FlushOptions, Options, ReadOptions, Snapshot,
    WriteBatch, WriteOptions, properties, statistics::Ticker,
};
use std::io;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

/// How RocksDB keeps its write-ahead log. The decision and its figures: `docs/decisions/2026-11-22-log-storage.md`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WalKind {
    /// Every log file is new and grows; corruption before its end stops the start with an error.
    Growing,
    /// Old log files are written over: no block is allocated on the way, but the first bad record ends the replay.
    Recycled,
}

/// Rows in RocksDB.
#[derive(Clone)]
pub struct RocksRows {
    db: Arc<DB>,
    cache: Cache,
    cache_bytes: usize,
    /// Those the database was opened with: they hold its counters.
    options: Arc<Options>,
}

impl RocksRows {
    /// Opens or makes the database in `path` with a block cache of `cache_bytes`. Corruption anywhere but at the torn end
    /// of the log is an error.
    pub fn open(path: &Path, wal: WalKind, cache_bytes: usize) -> io::Result<Self> {
        let cache = tuning::block_cache(cache_bytes);
        let columns =
            Column::ALL.map(|column| ColumnFamilyDescriptor::new(column.name(), tuning::column(column, &cache)));
        let options = tuning::database(wal);
        let db = DB::open_cf_descriptors(&options, path, columns).map_err(broken)?;
        Ok(RocksRows { db: Arc::new(db), cache, cache_bytes, options: Arc::new(options) })
    }

    pub(super) fn database(&self) -> &DB {
        &self.db
    }

    fn property(&self, name: &properties::PropName) -> u64 {
        let of = |column| self.db.property_int_value_cf(self.column(column).ok()?, name).ok()?;
        Column::ALL.into_iter().filter_map(of).sum()
    }

    pub(super) fn column(&self, column: Column) -> io::Result<&ColumnFamily> {
        column_of(&self.db, column)
    }
}

fn column_of(db: &DB, column: Column) -> io::Result<&ColumnFamily> {
    db.cf_handle(column.name()).ok_or_else(|| io::Error::other(format!("column {} is not open", column.name())))
}

pub(super) fn broken(error: rocksdb::Error) -> io::Error {
    io::Error::other(format!("rows: {error}"))
}

impl RowsRead for RocksRows {
    fn get(&self, column: Column, key: &[u8]) -> io::Result<Option<Vec<u8>>> {
        self.db.get_cf(self.column(column)?, key).map_err(broken)
    }

    fn scan(&self, column: Column, range: Range<&[u8]>, visit: &mut Visit<'_>) -> io::Result<()> {
        let iterator = self.db.raw_iterator_cf_opt(self.column(column)?, bounded(&range));
        walk(iterator, range.start, visit)
    }

    fn last(&self, column: Column, range: Range<&[u8]>) -> io::Result<Option<(Vec<u8>, Vec<u8>)>> {
        last_of(self.db.raw_iterator_cf_opt(self.column(column)?, bounded(&range)))
    }
}

impl Rows for RocksRows {
    fn write(&self, batch: Batch, sync: Sync) -> io::Result<()> {
        let mut write = WriteBatch::with_capacity_bytes(batch.size());
        for change in batch.changes {
            match change {
                Change::Put(column, key, value) => write.put_cf(self.column(column)?, key, value),
                Change::Delete(column, key) => write.delete_cf(self.column(column)?, key),
                Change::DeleteRange(column, range) => {
                    write.delete_range_cf(self.column(column)?, range.start, range.end)
                }
            }
        }
        // Not a synced write: that would hold up every other writer while the disk works. Syncing behind the write lets
        // apply threads write on, and what they add meanwhile shares the next sync.
        let written = self.db.write_opt(write, &WriteOptions::default());
        let result = match sync {
            Sync::Yes => written.and_then(|()| self.db.flush_wal(true)).map_err(broken),
            Sync::No => written.map_err(broken),
        };
        if let (Err(error), Sync::Yes) = (&result, sync) {
            // As with files: what the kernel dropped after a failed sync cannot be had back by trying again.
            tracing::error!(%error, "the log cannot be synced; stopping so that nothing unsaved is acknowledged");
            std::process::abort();
        }
        result
    }

    fn written(&self) -> u64 {
        self.db.latest_sequence_number()
    }

    fn memory(&self) -> u64 {
        self.property(properties::CUR_SIZE_ALL_MEM_TABLES) + self.cache.get_usage() as u64
    }

    fn figures(&self) -> RowsFigures {
        RowsFigures {
            cache_hits: self.options.get_ticker_count(Ticker::BlockCacheHit),
            cache_misses: self.options.get_ticker_count(Ticker::BlockCacheMiss),
            cache_bytes: self.cache.get_usage() as u64,
            cache_bytes_max: self.cache_bytes as u64,
            buffer_bytes: self.property(properties::CUR_SIZE_ALL_MEM_TABLES),
            table_bytes: self.property(properties::LIVE_SST_FILES_SIZE),
        }
    }

    fn release_memory(&self) -> io::Result<()> {
        let columns = Column::ALL.into_iter().map(|column| self.column(column)).collect::<io::Result<Vec<_>>>()?;
        self.db.flush_cfs_opt(&columns, &FlushOptions::default()).map_err(broken)?;
        let mut cache = self.cache.clone();
        cache.set_capacity(0);
        cache.set_capacity(self.cache_bytes);
        Ok(())
    }

    fn snapshot(&self) -> Box<dyn RowsRead> {
        Box::new(RocksView(OwnedSnapshot::new(self.db.clone(), |db| db.snapshot())))
    }

    fn size(&self, column: Column, range: Range<&[u8]>) -> u64 {
        match self.column(column) {
            Ok(handle) => {
                let range = rocksdb::Range::new(range.start, range.end);
                self.db.get_approximate_sizes_cf(handle, &[range]).first().copied().unwrap_or(0)
            }
            Err(_) => 0,
        }
    }
}

self_cell::self_cell!(
    /// A snapshot that keeps its database open.
    struct OwnedSnapshot {
        owner: Arc<DB>,
        #[covariant]
        dependent: Snapshot,
    }
);

struct RocksView(OwnedSnapshot);

impl RowsRead for RocksView {
    fn get(&self, column: Column, key: &[u8]) -> io::Result<Option<Vec<u8>>> {
        let handle = column_of(self.0.borrow_owner(), column)?;
        self.0.borrow_dependent().get_cf(handle, key).map_err(broken)
    }

    fn scan(&self, column: Column, range: Range<&[u8]>, visit: &mut Visit<'_>) -> io::Result<()> {
        let handle = column_of(self.0.borrow_owner(), column)?;
        walk(self.0.borrow_dependent().raw_iterator_cf_opt(handle, bounded(&range)), range.start, visit)
    }

    fn last(&self, column: Column, range: Range<&[u8]>) -> io::Result<Option<(Vec<u8>, Vec<u8>)>> {
        let handle = column_of(self.0.borrow_owner(), column)?;
        last_of(self.0.borrow_dependent().raw_iterator_cf_opt(handle, bounded(&range)))
    }
}

fn bounded(range: &Range<&[u8]>) -> ReadOptions {
    let mut options = ReadOptions::default();
    options.set_iterate_lower_bound(range.start);
    options.set_iterate_upper_bound(range.end);
    options
}

fn walk(mut iterator: DBRawIterator<'_>, start: &[u8], visit: &mut Visit<'_>) -> io::Result<()> {
    iterator.seek(start);
    while let Some((key, value)) = iterator.item() {
        if visit(key, value).is_break() {
            return Ok(());
        }
        iterator.next();
    }
    iterator.status().map_err(broken)
}

fn last_of(mut iterator: DBRawIterator<'_>) -> io::Result<Option<(Vec<u8>, Vec<u8>)>> {
    iterator.seek_to_last();
    if let Some((key, value)) = iterator.item() {
        return Ok(Some((key.to_vec(), value.to_vec())));
    }
    iterator.status().map_err(broken)?;
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whether the write-ahead log in `path` holds `bytes`, as a killed process would leave it.
    fn logged(path: &Path, bytes: &[u8]) -> bool {
        let files = std::fs::read_dir(path).unwrap().map(|entry| entry.unwrap().path());
        let mut logs = files.filter(|path| path.extension().is_some_and(|kind| kind == "log"));
        logs.any(|log| std::fs::read(log).unwrap().windows(bytes.len()).any(|part| part == bytes))
    }

    #[test]
    fn unsynced_rows_wait_in_memory_and_go_to_disk_with_the_next_sync() {
        let directory = tempfile::tempdir().unwrap();
        let rows = RocksRows::open(directory.path(), WalKind::Growing, 1 << 20).unwrap();
        let write = |value: &[u8], sync| {
            let mut batch = Batch::default();
            batch.put(Column::Index, value.to_vec(), value.to_vec());
            rows.write(batch, sync).unwrap();
        };
        write(b"first row", Sync::No);
        assert!(rows.get(Column::Index, b"first row").unwrap().is_some());
        assert!(!logged(directory.path(), b"first row"));
        write(b"second row", Sync::Yes);
        assert!(logged(directory.path(), b"first row") && logged(directory.path(), b"second row"));
    }
}
