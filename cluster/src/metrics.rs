//! Counters of the agreement layer.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// Live counters, shared by all groups.
#[derive(Default)]
pub(crate) struct Counters {
    pub(crate) proposals: AtomicU64,
    pub(crate) proposals_failed: AtomicU64,
    pub(crate) proposals_unknown: AtomicU64,
    pub(crate) proposed_bytes: AtomicU64,
    pub(crate) proposal_micros: AtomicU64,
    pub(crate) reads: AtomicU64,
    pub(crate) reads_by_message: AtomicU64,
    pub(crate) applied_entries: AtomicU64,
    pub(crate) applied_batches: AtomicU64,
    pub(crate) snapshots: AtomicU64,
    pub(crate) rebuilds: AtomicU64,
}

/// The counters at one moment; every one only rises.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct ClusterMetrics {
    /// Proposals that got a reply.
    pub proposals: u64,
    /// Proposals that were certainly not carried out.
    pub proposals_failed: u64,
    /// Proposals whose outcome is unknown.
    pub proposals_unknown: u64,
    /// Encoded bytes of all proposals.
    pub proposed_bytes: u64,
    /// Microseconds from proposal to reply, summed over `proposals`.
    pub proposal_micros: u64,
    /// Reads that passed their barrier.
    pub reads: u64,
    /// Of those, reads that had to ask the group's consensus task.
    pub reads_by_message: u64,
    /// Entries applied.
    pub applied_entries: u64,
    /// Groups of entries applied together.
    pub applied_batches: u64,
    /// Snapshots taken to shorten logs.
    pub snapshots: u64,
    /// Times a failed group was rebuilt.
    pub rebuilds: u64,
}

impl Counters {
    /// The counters now.
    pub fn read(&self) -> ClusterMetrics {
        ClusterMetrics {
            proposals: self.proposals.load(Relaxed),
            proposals_failed: self.proposals_failed.load(Relaxed),
            proposals_unknown: self.proposals_unknown.load(Relaxed),
            proposed_bytes: self.proposed_bytes.load(Relaxed),
            proposal_micros: self.proposal_micros.load(Relaxed),
            reads: self.reads.load(Relaxed),
            reads_by_message: self.reads_by_message.load(Relaxed),
            applied_entries: self.applied_entries.load(Relaxed),
            applied_batches: self.applied_batches.load(Relaxed),
            snapshots: self.snapshots.load(Relaxed),
            rebuilds: self.rebuilds.load(Relaxed),
        }
    }
}
