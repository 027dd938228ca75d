//! Table files that an earlier release wrote in another form (index and filter in one piece): found by their numbers and
//! rewritten by compaction in small steps. Rows and readers do not notice.

use super::Column;
use super::rocks::{RocksRows, broken};
use parking_lot::Mutex;
use rocksdb::{BottommostLevelCompaction, CompactOptions, LiveFile};
use std::collections::HashSet;
use std::io;

/// The tables up to a file number. A file keeps its number until it is rewritten.
pub struct OldTables {
    rows: RocksRows,
    upto: u64,
    /// Files that a rewrite left as they are: they are not tried again in this run.
    kept: Mutex<HashSet<u64>>,
}

impl OldTables {
    /// The tables numbered `upto` and below.
    pub fn new(rows: RocksRows, upto: u64) -> Self {
        OldTables { rows, upto, kept: Mutex::default() }
    }

    /// The highest number of a table that exists now; 0 without any.
    pub fn newest(rows: &RocksRows) -> io::Result<u64> {
        Ok(tables(rows)?.into_iter().map(|(number, _)| number).max().unwrap_or(0))
    }

    /// Bytes of the tables that are left.
    pub fn bytes(&self) -> io::Result<u64> {
        Ok(self.left()?.iter().map(|(_, table)| table.size as u64).sum())
    }

    /// Rewrites one table, and those above it in its range; whether there was one. Blocks for the time of rewriting some
    /// hundred megabytes at most.
    pub fn rewrite_one(&self) -> io::Result<bool> {
        // The deepest level first: it holds nine tenths of all rows, each table a narrow range of them.
        let Some((number, table)) = self.left()?.into_iter().max_by_key(|(_, table)| table.level) else {
            return Ok(false);
        };
        let column = Column::ALL.into_iter().find(|column| column.name() == table.column_family_name);
        let column = column.ok_or_else(|| io::Error::other(format!("a table of {}", table.column_family_name)))?;
        let first = table.start_key.clone();
        // Level 0 is compacted as a whole, whatever the range: the range bounds what follows on the levels below.
        let last = if table.level == 0 { first.clone() } else { table.end_key.clone() };
        let mut options = CompactOptions::default();
        options.set_exclusive_manual_compaction(false);
        options.set_bottommost_level_compaction(BottommostLevelCompaction::Force);
        self.rows.database().compact_range_cf_opt(self.rows.column(column)?, first, last, &options);
        if self.left()?.iter().any(|(left, same)| *left == number && same.level == table.level) {
            tracing::warn!(table = table.name, "a table of an earlier form was not rewritten");
            self.kept.lock().insert(number);
        }
        Ok(true)
    }

    fn left(&self) -> io::Result<Vec<(u64, LiveFile)>> {
        let kept = self.kept.lock();
        let mut tables = tables(&self.rows)?;
        tables.retain(|(number, _)| *number <= self.upto && !kept.contains(number));
        Ok(tables)
    }
}

fn tables(rows: &RocksRows) -> io::Result<Vec<(u64, LiveFile)>> {
    let files = rows.database().live_files().map_err(broken)?;
    let number = |file: &LiveFile| file.name.trim_start_matches('/').split('.').next()?.parse().ok();
    Ok(files.into_iter().filter_map(|file| Some((number(&file)?, file))).collect())
}

#[cfg(test)]
mod tests {
    use super::super::{Batch, Rows, RowsRead, Sync, WalKind};
    use super::*;
    use rocksdb::{BlockBasedOptions, ColumnFamilyDescriptor, DB, Options};
    use std::path::Path;

    const ROWS: u32 = 20_000;

    /// A database as the release before wrote it: tables on two levels, none partitioned.
    fn write_old_form(path: &Path) {
        let mut options = Options::default();
        options.create_if_missing(true);
        options.create_missing_column_families(true);
        let column = |column: Column| {
            let mut table = BlockBasedOptions::default();
            table.set_format_version(5);
            table.set_bloom_filter(10.0, false);
            let mut options = Options::default();
            options.set_block_based_table_factory(&table);
            ColumnFamilyDescriptor::new(column.name(), options)
        };
        let db = DB::open_cf_descriptors(&options, path, Column::ALL.map(column)).unwrap();
        for round in 0..2 {
            for column in [Column::Index, Column::Local] {
                let handle = db.cf_handle(column.name()).unwrap();
                (0..ROWS).filter(|row| row % 2 == round).for_each(|row| {
                    db.put_cf(handle, row.to_be_bytes(), blake3::hash(&row.to_be_bytes()).as_bytes()).unwrap();
                });
                db.flush_cf(handle).unwrap();
                if round == 0 {
                    db.compact_range_cf(handle, None::<&[u8]>, None::<&[u8]>);
                }
            }
        }
    }

    /// Index partitions of all tables of a column, as RocksDB counts them.
    fn partitions(rows: &RocksRows, column: Column) -> u64 {
        let handle = rows.column(column).unwrap();
        let text = rows.database().property_value_cf(handle, "rocksdb.aggregated-table-properties").unwrap().unwrap();
        let value = text.split(';').find_map(|part| part.trim().strip_prefix("# index partitions="));
        value.map_or(0, |value| value.parse().unwrap())
    }

    #[test]
    fn tables_of_the_release_before_are_rewritten_with_every_row() {
        let directory = tempfile::tempdir().unwrap();
        write_old_form(directory.path());
        let rows = RocksRows::open(directory.path(), WalKind::Growing, 1 << 20).unwrap();
        let old = OldTables::new(rows.clone(), OldTables::newest(&rows).unwrap());
        assert!(old.bytes().unwrap() > 0);
        assert_eq!(partitions(&rows, Column::Index), 0, "the old form has none");
        while old.rewrite_one().unwrap() {}
        assert_eq!((old.bytes().unwrap(), old.kept.lock().len()), (0, 0));
        for column in [Column::Index, Column::Local] {
            assert!(partitions(&rows, column) > 0);
            let mut seen = 0;
            rows.scan(column, &[]..&[0xff; 5], &mut |key, value| {
                assert_eq!((key, value), (&u32::to_be_bytes(seen)[..], &blake3::hash(key).as_bytes()[..]));
                seen += 1;
                std::ops::ControlFlow::Continue(())
            })
            .unwrap();
            assert_eq!(seen, ROWS);
        }
    }

    #[test]
    fn tables_written_later_are_not_old() {
        let directory = tempfile::tempdir().unwrap();
        let rows = RocksRows::open(directory.path(), WalKind::Growing, 1 << 20).unwrap();
        let old = OldTables::new(rows.clone(), OldTables::newest(&rows).unwrap());
        let mut batch = Batch::default();
        batch.put(Column::Index, b"row".to_vec(), b"value".to_vec());
        rows.write(batch, Sync::Yes).unwrap();
        rows.release_memory().unwrap();
        assert!(OldTables::newest(&rows).unwrap() > 0);
        assert!(!old.rewrite_one().unwrap());
    }
}
