//! What the log writer did, counted.

use std::sync::atomic::{AtomicU64, Ordering};

/// Counters since the start; all only grow.
#[derive(Debug, Default)]
pub struct Metrics {
    pub(crate) syncs: AtomicU64,
    pub(crate) body_syncs: AtomicU64,
    pub(crate) file_syncs: AtomicU64,
    pub(crate) records: AtomicU64,
    pub(crate) record_bytes: AtomicU64,
    pub(crate) votes: AtomicU64,
    pub(crate) largest_batch: AtomicU64,
    pub(crate) applied: AtomicU64,
}

/// Counters at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MetricsView {
    /// Syncs of the log.
    pub syncs: u64,
    /// Syncs of staged bodies before a sync of the log.
    pub body_syncs: u64,
    /// Syncs of the files that apply wrote.
    pub file_syncs: u64,
    /// Records made durable.
    pub records: u64,
    /// Their bytes.
    pub record_bytes: u64,
    /// Votes made durable.
    pub votes: u64,
    /// Most requests that shared one sync.
    pub largest_batch: u64,
    /// Entries applied.
    pub applied: u64,
}

impl Metrics {
    /// All counters.
    pub fn view(&self) -> MetricsView {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        MetricsView {
            syncs: read(&self.syncs),
            body_syncs: read(&self.body_syncs),
            file_syncs: read(&self.file_syncs),
            records: read(&self.records),
            record_bytes: read(&self.record_bytes),
            votes: read(&self.votes),
            largest_batch: read(&self.largest_batch),
            applied: read(&self.applied),
        }
    }
}

/// Adds to a counter.
pub(crate) fn add(counter: &AtomicU64, count: u64) {
    counter.fetch_add(count, Ordering::Relaxed);
}
