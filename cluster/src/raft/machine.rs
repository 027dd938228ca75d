//! A group's state for openraft, over `storage::GroupState`.
//!
//! Hands committed entries to storage, which applies them once they are synced here (C4), tells watchers, then answers proposers. Holds no state of
//! its own: what is applied is what storage says.

use crate::limits::{APPLY_ENTRIES_MAX, READ_BYTES_MAX};
use crate::metrics::Counters;
use crate::raft::codec;
use crate::raft::completion::completed;
use crate::raft::parts::{Parts, Replay};
use crate::raft::snapshot::{SnapshotData, Snapshots, meta_of};
use crate::raft::types::{Answer, LogEntry, LogId, SnapshotMeta, StoredMembership, TypeConfig};
use crate::watch::Changes;
use futures::{Stream, StreamExt};
use model::Outcome;
use openraft::alias::SnapshotOf;
use openraft::storage::{ApplyResponder, EntryResponder, RaftStateMachine};
use openraft::{EntryPayload, OptionalSend};
use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use storage::{ApplyItem, Done, GroupState};
use tokio::sync::Mutex;

/// The replicated state of one group.
pub struct Machine {
    state: GroupState,
    snapshots: Snapshots,
    changes: Changes,
    counters: Arc<Counters>,
    replay: Arc<Replay>,
    /// Held while storage applies, even when whoever asked for it is gone: a rebuilt machine waits for it,
    /// so that it never takes an older applied position for the truth.
    turn: Arc<Mutex<()>>,
}

/// Entries that are applied together.
#[derive(Default)]
struct Batch {
    items: Vec<ApplyItem>,
    /// Who waits for each item, and whether it is a proposal.
    responders: Vec<Option<(ApplyResponder<TypeConfig>, bool)>>,
    bytes: usize,
}

impl Machine {
    /// The machine over the rows of `parts`.
    pub fn new(parts: &Parts) -> Self {
        Machine {
            state: parts.state.clone(),
            snapshots: Snapshots::new(parts.state.clone(), parts.bodies.clone()),
            changes: parts.changes.clone(),
            counters: parts.counters.clone(),
            replay: parts.replay.clone(),
            turn: parts.turn.clone(),
        }
    }

    async fn apply_batch(&self, batch: Batch) -> io::Result<()> {
        let count = batch.items.len();
        if count == 0 {
            return Ok(());
        }
        let turn = self.turn.clone().lock_owned().await;
        let outcomes = completed(|done: Done<Vec<Outcome>>| {
            let finish = move |result| {
                drop(turn);
                done(result);
            };
            self.state.apply(batch.items, Box::new(finish));
        });
        let outcomes = outcomes.await?;
        if outcomes.len() != count {
            return Err(io::Error::other(format!("{count} entries gave {} outcomes", outcomes.len())));
        }
        self.counters.applied_batches.fetch_add(1, Relaxed);
        self.counters.applied_entries.fetch_add(count as u64, Relaxed);
        self.replay.applied(count as u64);
        for (outcome, responder) in outcomes.into_iter().zip(batch.responders) {
            self.changes.publish(outcome.changes);
            if let Some((responder, is_proposal)) = responder {
                responder.send(Answer(is_proposal.then_some(outcome.reply)));
            }
        }
        Ok(())
    }
}

impl Batch {
    fn push(&mut self, entry: LogEntry, responder: Option<ApplyResponder<TypeConfig>>) {
        let (index, position) = (entry.log_id.index, codec::encode(&entry.log_id));
        let mut item = ApplyItem { index, position, entry: None, membership: None };
        let mut is_proposal = false;
        match entry.payload {
            EntryPayload::Blank => {}
            EntryPayload::Normal(proposal) => {
                self.bytes += proposal.encoded().len();
                item.entry = Some(proposal.entry().clone());
                is_proposal = true;
            }
            EntryPayload::Membership(membership) => {
                let stored = StoredMembership::new(Some(entry.log_id), membership);
                item.membership = Some(codec::encode(&stored));
            }
        }
        self.items.push(item);
        self.responders.push(responder.map(|responder| (responder, is_proposal)));
    }

    fn is_full(&self) -> bool {
        self.items.len() >= APPLY_ENTRIES_MAX || self.bytes >= READ_BYTES_MAX
    }
}

impl RaftStateMachine<TypeConfig> for Machine {
    type SnapshotData = SnapshotData;
    type SnapshotBuilder = Snapshots;

    async fn applied_state(&mut self) -> io::Result<(Option<LogId>, StoredMembership)> {
        let _turn = self.turn.lock().await;
        let position = self.state.applied().map(|(_, position)| position);
        let meta = meta_of(position.as_deref(), self.state.membership().as_deref())?;
        Ok((meta.last_log_id, meta.last_membership))
    }

    async fn apply<Strm>(&mut self, mut entries: Strm) -> io::Result<()>
    where
        Strm: Stream<Item = io::Result<EntryResponder<TypeConfig>>> + Unpin + OptionalSend,
    {
        let mut batch = Batch::default();
        while let Some(item) = entries.next().await {
            let (entry, responder) = item?;
            batch.push(entry, responder);
            if batch.is_full() {
                self.apply_batch(std::mem::take(&mut batch)).await?;
            }
        }
        self.apply_batch(batch).await
    }

    async fn try_create_snapshot_builder(&mut self, _force: bool) -> Option<Snapshots> {
        Some(self.snapshots.clone())
    }

    async fn get_snapshot_builder(&mut self) -> Snapshots {
        self.snapshots.clone()
    }

    async fn install_snapshot(&mut self, meta: &SnapshotMeta, data: SnapshotData) -> io::Result<()> {
        let _turn = self.turn.lock().await;
        self.snapshots.install(meta, data).await?;
        self.changes.publish_all();
        Ok(())
    }

    async fn get_current_snapshot(&mut self) -> io::Result<Option<SnapshotOf<TypeConfig, SnapshotData>>> {
        self.snapshots.current().await
    }
}
