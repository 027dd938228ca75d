//! openraft's own storage suite on the real store.
//!
//! The suite applies entries that were never appended, and with gaps; storage refuses both (C4). So the machine under
//! test has a group of its own, whose log is fed before every apply; nothing in the machine or the log is bent for it.

use crate::raft::codec;
use crate::raft::completion::completed;
use crate::raft::log::Log;
use crate::raft::machine::Machine;
use crate::raft::parts::{Parts, Shared};
use crate::raft::snapshot::{SnapshotData, Snapshots};
use crate::raft::types::{LogEntry, LogId, SnapshotMeta, StoredMembership, TypeConfig};
use crate::testing;
use futures::{Stream, StreamExt};
use model::{GroupId, NodeId};
use openraft::alias::SnapshotOf;
use openraft::entry::RaftEntry;
use openraft::storage::{EntryResponder, RaftStateMachine};
use openraft::testing::log::{StoreBuilder, Suite};
use openraft::{OptionalSend, StorageError};
use std::io;
use storage::{GroupLog, LogRecord, Store};

struct Fed {
    machine: Machine,
    log: GroupLog,
    next: Option<u64>,
}

impl RaftStateMachine<TypeConfig> for Fed {
    type SnapshotData = SnapshotData;
    type SnapshotBuilder = Snapshots;

    async fn applied_state(&mut self) -> io::Result<(Option<LogId>, StoredMembership)> {
        self.machine.applied_state().await
    }

    async fn apply<Strm>(&mut self, entries: Strm) -> io::Result<()>
    where
        Strm: Stream<Item = io::Result<EntryResponder<TypeConfig>>> + Unpin + OptionalSend,
    {
        let given = entries.collect::<Vec<_>>().await.into_iter().collect::<io::Result<Vec<_>>>()?;
        let mut filled = Vec::new();
        for (entry, responder) in given {
            let (leader, index) = (entry.log_id.leader_id, entry.log_id.index);
            let gap = self.next.unwrap_or(index)..index;
            filled.extend(gap.map(|index| (LogEntry::new_blank(LogId::new(leader, index)), None)));
            filled.push((entry, responder));
            self.next = Some(index + 1);
        }
        let record = |entry: &LogEntry| LogRecord {
            index: entry.log_id.index,
            bytes: codec::encode_entry(entry),
            bodies: Vec::new(),
        };
        let records = filled.iter().map(|(entry, _)| record(entry)).collect();
        completed(|done| self.log.append(records, done)).await?;
        self.machine.apply(futures::stream::iter(filled.into_iter().map(Ok))).await
    }

    async fn try_create_snapshot_builder(&mut self, force: bool) -> Option<Snapshots> {
        self.machine.try_create_snapshot_builder(force).await
    }

    async fn get_snapshot_builder(&mut self) -> Snapshots {
        self.machine.get_snapshot_builder().await
    }

    async fn install_snapshot(&mut self, meta: &SnapshotMeta, data: SnapshotData) -> io::Result<()> {
        self.machine.install_snapshot(meta, data).await
    }

    async fn get_current_snapshot(&mut self) -> io::Result<Option<SnapshotOf<TypeConfig, SnapshotData>>> {
        self.machine.get_current_snapshot().await
    }
}

struct Builder;

impl StoreBuilder<TypeConfig, Log, Fed, (Store, tempfile::TempDir)> for Builder {
    async fn build(&self) -> Result<((Store, tempfile::TempDir), Log, Fed), StorageError<TypeConfig>> {
        let directory = tempfile::tempdir().unwrap();
        let store = testing::open_store(directory.path());
        let parts = |group| Parts::open(&store, NodeId(1), GroupId(group), 1, &Shared::default()).unwrap();
        let (under_test, fed) = (parts(1), parts(2));
        let log = Log::open(under_test.log.clone(), under_test.bell.clone()).await.unwrap();
        let machine = Fed { machine: Machine::new(&fed), log: fed.log.clone(), next: None };
        Ok(((store, directory), log, machine))
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn openrafts_storage_suite_passes() {
    Suite::test_all(Builder).await.unwrap();
}
