//! RocksDB's settings, each with its reason: the database as a whole, and each column by how it is used.

use super::Column;
use super::rocks::WalKind;
use crate::limits;
use rocksdb::{
    BlockBasedIndexType, BlockBasedOptions, Cache, DBCompressionType, DBRecoveryMode, LruCacheOptions, Options,
    statistics::StatsLevel,
};

/// The block cache, with shards of at least [`limits::BLOCK_CACHE_SHARD_BYTES`]: a shard must hold many blocks of every
/// kind, or the cache evicts what is read most.
pub fn block_cache(bytes: usize) -> Cache {
    let shards = (bytes / limits::BLOCK_CACHE_SHARD_BYTES).clamp(1, limits::BLOCK_CACHE_SHARDS_MAX);
    let mut options = LruCacheOptions::default();
    options.set_capacity(bytes);
    options.set_num_shard_bits(shards.ilog2().try_into().unwrap_or(0));
    Cache::new_lru_cache_opts(&options)
}

/// Settings of the whole database.
pub fn database(wal: WalKind) -> Options {
    let mut options = Options::default();
    options.create_if_missing(true);
    options.create_missing_column_families(true);
    options.set_max_total_wal_size(limits::WAL_BYTES_MAX);
    // All columns together: each column's own bound alone would let the sum grow to half a gigabyte.
    options.set_db_write_buffer_size(limits::WRITE_BUFFERS_BYTES);
    // One flush and one compaction: two processors have mail to serve meanwhile.
    options.set_max_background_jobs(2);
    // Table files are synced while they are written. A sync of the log would otherwise wait for a whole file.
    options.set_bytes_per_sync(limits::TABLE_SYNC_BYTES);
    options.set_max_open_files(limits::TABLE_FILES_OPEN_MAX);
    options.set_keep_log_file_num(4);
    options.set_max_log_file_size(4 * 1024 * 1024);
    options.set_track_and_verify_wals_in_manifest(true);
    // An unsynced write waits in memory for the next sync of the log instead of costing a system call: a kill may then
    // lose it as a power cut may, and nothing that uses `Sync::No` counts on more.
    options.set_manual_wal_flush(true);
    // Counters only (no timers, no histograms): the cache's hit rate is shown in the metrics.
    options.enable_statistics();
    options.set_statistics_level(StatsLevel::ExceptHistogramOrTimers);
    match wal {
        // Mid-log corruption must stop the start: a silent rewind would forget acknowledged entries.
        WalKind::Growing => options.set_wal_recovery_mode(DBRecoveryMode::TolerateCorruptedTailRecords),
        WalKind::Recycled => {
            options.set_recycle_log_file_num(4);
            options.set_wal_recovery_mode(DBRecoveryMode::PointInTime);
        }
    }
    options
}

/// Settings of one column.
pub fn column(column: Column, cache: &Cache) -> Options {
    let mut table = BlockBasedOptions::default();
    let mut options = Options::default();
    table.set_block_cache(cache);
    // Releases before this one read it as well: going back stays possible.
    table.set_format_version(5);
    partition(&mut table);
    match column {
        Column::RaftLog => {
            // Message bytes hardly compress and are purged before they are read twice.
            options.set_compression_type(DBCompressionType::None);
            options.set_write_buffer_size(limits::LOG_BUFFER_BYTES);
            // Records are read in order, many at a time, and never looked up one by one: large blocks, no filter.
            table.set_block_size(limits::LOG_BLOCK_BYTES);
        }
        Column::RaftMeta => {
            // A few hundred rows, read at the start: no filter is worth its memory.
            options.set_compression_type(DBCompressionType::Lz4);
            options.set_write_buffer_size(limits::ROW_BUFFER_BYTES);
        }
        Column::Index | Column::Local | Column::Cache => {
            // Rows are small and alike. LZ4 halves them and costs less time than the reading it saves.
            options.set_compression_type(DBCompressionType::Lz4);
            options.set_write_buffer_size(limits::ROW_BUFFER_BYTES);
            table.set_block_size(limits::ROW_BLOCK_BYTES);
            // Apply asks for rows that are new (operations, messages, files). Whole keys only: scans are bounded by a
            // prefix whose length differs from table to table.
            table.set_bloom_filter(limits::FILTER_BITS_PER_ROW, false);
            // The same question to the write buffer, without a walk through it.
            options.set_memtable_prefix_bloom_ratio(limits::ROW_BUFFER_FILTER_RATIO);
            options.set_memtable_whole_key_filtering(true);
            // Queues among the rows (renames, trash, operations, schedules) are read from the front, where the removed
            // rows lie: a file that is mostly removals is compacted early, so that no scan walks over them again and again.
            options.add_compact_on_deletion_collector_factory(
                limits::REMOVALS_WINDOW_ROWS,
                limits::REMOVALS_WINDOW_ROWS / 2,
                0.5,
            );
        }
    }
    options.set_block_based_table_factory(&table);
    options
}

/// Index and filters in small partitions below a top level that stays in memory. Whole, the filter of a million rows is
/// larger than a shard of the cache, so that each lookup reads and checksums it again.
fn partition(table: &mut BlockBasedOptions) {
    table.set_index_type(BlockBasedIndexType::TwoLevelIndexSearch);
    table.set_partition_filters(true);
    table.set_metadata_block_size(limits::TABLE_PARTITION_BYTES);
    // Counted in the cache, so that its bound is that of all memory for reading.
    table.set_cache_index_and_filter_blocks(true);
    table.set_pin_top_level_index_and_filter(true);
    table.set_pin_l0_filter_and_index_blocks_in_cache(true);
}
