//! Every bound of the agreement layer (I9), each with its reason.

use std::time::Duration;

/// The largest encoded entry. A delivery of an inline body to the most recipients a message may have
/// stays well below; larger bodies are staged beside the log, not in it.
pub const ENTRY_BYTES_MAX: usize = 2 * 1024 * 1024;
/// Encoded entries of this node that wait for their outcome, over all groups. Beyond it proposers wait
/// for their turn until their deadline, so memory stays bounded when the disk is slow.
pub const PROPOSED_BYTES_MAX: usize = 64 * 1024 * 1024;
/// How long a proposer waits when it names no deadline: longer than an election, shorter than the patience of an SMTP client.
pub const PROPOSE_TIMEOUT: Duration = Duration::from_secs(5);
/// How long a read waits for its barrier before it counts as unavailable.
pub const READ_TIMEOUT: Duration = Duration::from_secs(3);
/// Bytes of entries handed out by one read of a log, for replication and for apply; one entry is always handed out.
pub const READ_BYTES_MAX: usize = 1024 * 1024;
/// Entries applied in one go: they share one write of rows, and their proposers wait for the whole of it.
pub const APPLY_ENTRIES_MAX: usize = 256;
/// Decoded entries kept per group so that apply and replication do not read the disk for what was just written.
pub const TAIL_BYTES_MAX: usize = 512 * 1024;
/// Entries of a group's log after which a snapshot is taken and the log before it purged.
pub const LOG_ENTRIES_MAX: u64 = 4_000;
/// Bytes of a group's log after which the same happens. The logs of 33 groups together stay below the write buffer
/// storage gives them (128 MiB): entries purged before it is full are never written a second time.
pub const LOG_BYTES_MAX: u64 = 3 * 1024 * 1024;
/// Entries kept behind a snapshot, so that a replica that was away for a moment catches up without a snapshot.
pub const LOG_ENTRIES_KEPT: u64 = 500;
/// Changes a watcher may fall behind before it is told to read again instead.
pub const CHANGES_QUEUED_MAX: usize = 1024;
/// Groups opened at the same time when a node starts: enough to keep two cores and a disk busy.
pub const STARTING_GROUPS_MAX: usize = 8;
/// Placements of accounts remembered before the memory is emptied.
pub const PLACEMENTS_REMEMBERED_MAX: usize = 10_000;
/// Messages queued for one group's consensus task; proposers wait when it is full.
pub const GROUP_MESSAGES_QUEUED_MAX: u64 = 4_096;
/// The wait before a failed group is rebuilt the first time; doubled with every failure in a row.
pub const REBUILD_WAIT_MIN: Duration = Duration::from_millis(250);
/// The longest wait before a failed group is rebuilt.
pub const REBUILD_WAIT_MAX: Duration = Duration::from_secs(30);
/// How long a group is given to elect itself and apply what was committed when it starts alone.
pub const RECOVERY_TIMEOUT: Duration = Duration::from_secs(600);
/// How long shutdown waits for proposals on their way before it stops the groups.
pub const DRAIN_TIMEOUT: Duration = Duration::from_secs(10);
