//! Every bound of this crate (I9), each with its reason.

/// Bytes one shared sync may carry: keeps the wait of the first append in a batch short (about 10 ms of writing on a slow disk).
pub const SYNC_BATCH_BYTES_MAX: usize = 4 * 1024 * 1024;
/// Requests taken into one shared sync.
pub const SYNC_BATCH_REQUESTS_MAX: usize = 1024;
/// How long the log writer gathers behind a batch of several requests before it writes the next, in microseconds: about one
/// sync of a fast disk. Sessions that wait together then share a sync and a wake; one that waits alone is not held up.
pub const SYNC_GATHER_US: u64 = 200;
/// Log bytes a group keeps in memory behind its durable end: what is being written when a reader comes. `cluster` keeps what
/// replication and apply read.
pub const TAIL_BYTES_MAX: usize = 64 * 1024;
/// Apply threads: rules and directory entries take less than one core at full speed; two hide each other's waits.
pub const APPLY_THREADS: usize = 2;
/// How often what apply wrote to files is brought to disk, in milliseconds. It bounds the work of recovery, nothing waits for it.
pub const FILE_SYNC_EVERY_MS: u64 = 1000;
/// Flag renames done in one go on an apply thread: about a millisecond.
pub const RENAMES_PER_ROUND: usize = 64;
/// Rounds of renames per group and [`FILE_SYNC_EVERY_MS`]: 4,096 names. More in one commit of the file system's journal
/// would hold up the next sync of the log, and with it everyone's mail.
pub const RENAME_ROUNDS_AT_ONCE: usize = 64;
/// A staged body that nothing named for this long is an orphan of a lost session, in seconds.
pub const STAGED_ORPHAN_AGE_S: u64 = 3600;
/// Free space, in percent, below which new mail is refused.
pub const FREE_PERCENT_MIN: u64 = 5;
/// Space kept by the ballast file, in bytes: room for an operator to start the node on a full disk.
pub const BALLAST_BYTES: u64 = 64 * 1024 * 1024;
/// Rows of a snapshot sent in one piece, in bytes.
pub const SNAPSHOT_CHUNK_BYTES_MAX: usize = 1024 * 1024;
/// Bodies that one log record may name: as many as an entry can deliver.
pub const BODIES_PER_RECORD_MAX: usize = u16::MAX as usize;
/// Memory for RocksDB's block cache when nothing is set: this part of the machine's memory, within the two bounds below. 24 GiB
/// of memory give 128 MiB. Index and filter partitions of ten million messages fit; the kernel caches the rest of the files.
pub const BLOCK_CACHE_MEMORY_PART: u64 = 192;
/// The least, in bytes: a machine of 1 GiB has other uses for its memory.
pub const BLOCK_CACHE_BYTES_MIN: usize = 32 * 1024 * 1024;
/// The most without a setting, in bytes: beyond it the kernel's cache of the compressed files serves as well.
pub const BLOCK_CACHE_BYTES_MAX: usize = 1024 * 1024 * 1024;
/// A shard of the block cache in bytes, at least: a thousand blocks. Each shard has one lock.
pub const BLOCK_CACHE_SHARD_BYTES: usize = 4 * 1024 * 1024;
/// Shards of the block cache: more locks than threads that read at a time.
pub const BLOCK_CACHE_SHARDS_MAX: usize = 64;
/// A block of rows in bytes: single rows of 100 bytes are read, and a hit decompresses a whole block.
pub const ROW_BLOCK_BYTES: usize = 4 * 1024;
/// A block of log records in bytes.
pub const LOG_BLOCK_BYTES: usize = 32 * 1024;
/// A partition of a table's index or filter in bytes: it is read, checked and evicted as one.
pub const TABLE_PARTITION_BYTES: usize = 4 * 1024;
/// Filter bits per row: one in a hundred lookups of an absent row reads a block.
pub const FILTER_BITS_PER_ROW: f64 = 10.0;
/// A table with as many removals in this many rows in a row, by half, is compacted soon.
pub const REMOVALS_WINDOW_ROWS: usize = 8 * 1024;
/// Table files open at a time: 32 GiB of rows without opening one twice, half of the usual limit of open files.
pub const TABLE_FILES_OPEN_MAX: i32 = 512;
/// Bytes of a table file written between syncs of it.
pub const TABLE_SYNC_BYTES: u64 = 1024 * 1024;
/// Write buffers of all columns together, in bytes; the oldest is written to a file when they pass it.
pub const WRITE_BUFFERS_BYTES: usize = 256 * 1024 * 1024;
/// Tables of an earlier form are rewritten for this part of the time, so that mail has the processors and the disk.
pub const REWRITE_TIME_PART: u32 = 4;
/// The pause after a rewrite that failed, in milliseconds.
pub const REWRITE_AGAIN_MS: u64 = 60_000;
/// Memory of the raft log's write buffer, in bytes: entries purged before it is full are never written a second time.
pub const LOG_BUFFER_BYTES: usize = 128 * 1024 * 1024;
/// Memory of each other column's write buffer, in bytes.
pub const ROW_BUFFER_BYTES: usize = 32 * 1024 * 1024;
/// Part of a row buffer spent on a filter of its keys: 16 bits for each of the 300,000 rows or so that fill it.
pub const ROW_BUFFER_FILTER_RATIO: f64 = 0.02;
/// How long little must be written before a node gives back memory that only a busy one needs, in seconds.
pub const REST_AFTER_S: u64 = 15;
/// Changes of rows in that time that are little.
pub const REST_CHANGES_MAX: u64 = 1_000;
/// Memory that an idle node may keep for speed, in bytes.
pub const REST_MEMORY_BYTES: u64 = 16 * 1024 * 1024;
/// Write-ahead log kept by RocksDB, in bytes: bounds the replay of a start.
pub const WAL_BYTES_MAX: u64 = 512 * 1024 * 1024;
/// Locks that order the first link and the last unlink of a body; a power of two.
pub const BODY_LOCKS: usize = 64;
