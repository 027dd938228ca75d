//! A group's log and vote for openraft, over `storage::GroupLog`.
//!
//! Entries are readable as soon as they are handed to the log writer and complete only when the writer says they are
//! synced, bodies included (C1). Votes go through the same queue (C2). Nothing here blocks the task that calls it.
//!
//! What is committed is not saved: the applied position is, with every batch of rows, and a committed position beside it
//! would be no more durable and would cost a write per commit. A restarted replica learns what is committed from its leader.

use crate::limits::{READ_BYTES_MAX, TAIL_BYTES_MAX};
use crate::raft::codec;
use crate::raft::completion::{completed, completed_blocking};
use crate::raft::size::Bell;
use crate::raft::tail::Tail;
use crate::raft::types::{LogEntry, LogId, TypeConfig, Vote};
use futures::Stream;
use openraft::storage::{IOFlushed, RaftLogReader, RaftLogStorage};
use openraft::{LogState, OptionalSend};
use parking_lot::Mutex;
use std::fmt::Debug;
use std::io;
use std::ops::{Bound, Range, RangeBounds};
use std::sync::Arc;
use storage::{GroupLog, LogRecord};

/// The log of one group. Clones share it.
#[derive(Clone)]
pub struct Log {
    shared: Arc<Shared>,
}

struct Shared {
    log: GroupLog,
    bell: Arc<Bell>,
    state: Mutex<State>,
}

struct State {
    vote: Option<Vote>,
    purged: Option<LogId>,
    /// Index of the first entry that can be here.
    first: u64,
    last: Option<LogId>,
    tail: Tail,
}

impl Log {
    /// Opens the log as the disk has it, whatever a replica before this one could not write; `bell` is rung when it grows
    /// past its bound.
    pub async fn open(log: GroupLog, bell: Arc<Bell>) -> io::Result<Self> {
        let failed = log.clone();
        completed_blocking(move |done| failed.recover(done)).await?;
        let (log, state) = crate::runtime::blocking(move || State::load(&log).map(|state| (log, state))).await??;
        bell.grown(log.size());
        Ok(Log { shared: Arc::new(Shared { log, bell, state: Mutex::new(state) }) })
    }

    /// The last entry.
    pub fn last(&self) -> Option<LogId> {
        self.shared.state.lock().last
    }

    /// Whether this replica has voted, and last for another.
    pub fn voted_for_another(&self, replica: u64) -> bool {
        self.shared.state.lock().vote.is_some_and(|vote| vote.leader_id.node_id != replica)
    }

    async fn read(&self, range: Range<u64>, bytes_max: usize) -> io::Result<Vec<LogEntry>> {
        let here = self.shared.state.lock().tail.read(range.clone(), bytes_max);
        if !here.is_empty() || range.is_empty() {
            return Ok(here);
        }
        let log = self.shared.log.clone();
        let records = crate::runtime::blocking(move || log.read(range, bytes_max)).await??;
        records.iter().map(|(_, record)| codec::decode_entry(record).map_err(io::Error::from)).collect()
    }

    /// What of `range` the log holds.
    fn clamp(&self, range: &impl RangeBounds<u64>) -> Range<u64> {
        let start = match range.start_bound() {
            Bound::Included(index) => *index,
            Bound::Excluded(index) => index + 1,
            Bound::Unbounded => 0,
        };
        let end = match range.end_bound() {
            Bound::Included(index) => index + 1,
            Bound::Excluded(index) => *index,
            Bound::Unbounded => u64::MAX,
        };
        let state = self.shared.state.lock();
        let start = start.max(state.first);
        let end = end.min(state.last.map_or(0, |last| last.index + 1));
        start..end.max(start)
    }
}

impl State {
    fn load(log: &GroupLog) -> io::Result<Self> {
        let bounds = log.bounds()?;
        let purged: Option<LogId> = bounds.purged.as_deref().map(codec::decode).transpose()?;
        let last = bounds.last.map(|(_, record)| codec::decode_log_id(&record)).transpose()?;
        let vote = log.read_vote()?.as_deref().map(codec::decode).transpose()?;
        let first = purged.map_or(0, |purged| purged.index + 1);
        Ok(State { vote, purged, first, last: last.or(purged), tail: Tail::new(TAIL_BYTES_MAX) })
    }
}

impl RaftLogReader<TypeConfig> for Log {
    async fn try_get_log_entries<RB: RangeBounds<u64> + Clone + Debug + OptionalSend>(
        &mut self,
        range: RB,
    ) -> io::Result<Vec<LogEntry>> {
        let range = self.clamp(&range);
        let mut entries = Vec::new();
        let mut next = range.start;
        while next < range.end {
            let more = self.read(next..range.end, READ_BYTES_MAX).await?;
            next = following(next, &more)?;
            entries.extend(more);
        }
        Ok(entries)
    }

    async fn entries_stream<RB>(&mut self, range: RB) -> impl Stream<Item = io::Result<LogEntry>> + OptionalSend
    where
        RB: RangeBounds<u64> + Clone + Debug + OptionalSend,
    {
        let range = self.clamp(&range);
        let log = self.clone();
        // A piece at a time, so that replaying a long log needs no more memory than one piece.
        let pieces = futures::stream::try_unfold(range.start, move |next| {
            let (log, end) = (log.clone(), range.end);
            async move {
                if next >= end {
                    return Ok::<_, io::Error>(None);
                }
                let entries = log.read(next..end, READ_BYTES_MAX).await?;
                let next = following(next, &entries)?;
                Ok(Some((futures::stream::iter(entries.into_iter().map(Ok)), next)))
            }
        });
        futures::TryStreamExt::try_flatten(pieces)
    }

    async fn limited_get_log_entries(&mut self, start: u64, end: u64) -> io::Result<Vec<LogEntry>> {
        self.read(self.clamp(&(start..end)), READ_BYTES_MAX).await
    }

    async fn read_vote(&mut self) -> io::Result<Option<Vote>> {
        Ok(self.shared.state.lock().vote)
    }
}

/// The index behind `entries`, which must start at `next` and have no hole.
fn following(next: u64, entries: &[LogEntry]) -> io::Result<u64> {
    let consecutive = entries.iter().zip(next..).all(|(entry, index)| entry.log_id.index == index);
    if entries.is_empty() || !consecutive {
        return Err(io::Error::new(io::ErrorKind::InvalidData, format!("the log has a hole at entry {next}")));
    }
    Ok(next + entries.len() as u64)
}

impl RaftLogStorage<TypeConfig> for Log {
    type LogReader = Self;

    async fn get_log_state(&mut self) -> io::Result<LogState<TypeConfig>> {
        let state = self.shared.state.lock();
        Ok(LogState { last_purged_log_id: state.purged, last_log_id: state.last })
    }

    async fn get_log_reader(&mut self) -> Self {
        self.clone()
    }

    async fn save_vote(&mut self, vote: &Vote) -> io::Result<()> {
        completed(|done| self.shared.log.save_vote(codec::encode(vote), done)).await?;
        self.shared.state.lock().vote = Some(*vote);
        Ok(())
    }

    async fn append<I>(&mut self, entries: I, callback: IOFlushed<TypeConfig>) -> io::Result<()>
    where
        I: IntoIterator<Item = LogEntry> + OptionalSend,
        I::IntoIter: OptionalSend,
    {
        let mut records = Vec::new();
        {
            let mut state = self.shared.state.lock();
            for entry in entries {
                let (index, bytes) = (entry.log_id.index, codec::encode_entry(&entry));
                records.push(LogRecord { index, bytes, bodies: codec::staged_bodies(&entry) });
                if state.last.is_none() {
                    state.first = index;
                }
                state.last = Some(entry.log_id);
                state.tail.push(entry);
            }
        }
        self.shared.log.append(records, Box::new(move |result| callback.io_completed(result)));
        self.shared.bell.grown(self.shared.log.size());
        Ok(())
    }

    async fn truncate_after(&mut self, last: Option<LogId>) -> io::Result<()> {
        let index = last.map(|last| last.index);
        {
            let mut state = self.shared.state.lock();
            state.tail.truncate_after(index);
            if state.last > last {
                state.last = last.max(state.purged);
            }
        }
        let log = self.shared.log.clone();
        completed_blocking(move |done| log.truncate_after(index, done)).await
    }

    async fn purge(&mut self, upto: LogId) -> io::Result<()> {
        {
            let mut state = self.shared.state.lock();
            state.tail.purge(upto.index);
            state.purged = state.purged.max(Some(upto));
            state.first = state.first.max(upto.index + 1);
            state.last = state.last.max(Some(upto));
        }
        let log = self.shared.log.clone();
        completed_blocking(move |done| log.purge(upto.index, codec::encode(&upto), done)).await
    }
}

/// Appends entries that nothing has applied, as a crash leaves them.
#[cfg(test)]
pub async fn waiting_entries(log: &GroupLog, count: u64) {
    use openraft::entry::RaftEntry;
    let (last, record) = log.bounds().unwrap().last.unwrap();
    let leader = codec::decode_log_id(&record).unwrap().leader_id;
    let records = (0..count).map(|number| {
        let index = last + 1 + number;
        let command =
            model::directory::DirectoryCommand::SetSetting { name: format!("n{number}"), value: Some("v".into()) };
        let operation = model::OperationId::new(index, [0; 10]);
        let entry = model::Entry { operation, proposed_at: 1, command: model::Command::Directory(command) };
        let entry = LogEntry::new_normal(LogId::new(leader, index), crate::raft::types::Proposal::new(entry));
        LogRecord { index, bytes: codec::encode_entry(&entry), bodies: Vec::new() }
    });
    completed(|done| log.append(records.collect(), done)).await.unwrap();
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::raft::types::Proposal;
    use crate::testing;
    use futures::TryStreamExt;
    use model::directory::DirectoryCommand;
    use model::{Command, Entry, GroupId, OperationId};
    use openraft::entry::RaftEntry;
    use openraft::storage::RaftLogStorageExt;
    use openraft::vote::RaftLeaderId;
    use tokio::sync::Notify;

    const ENTRY_BYTES: usize = 300_000;
    const COUNT: u64 = 10;

    fn entry(index: u64) -> LogEntry {
        let command = DirectoryCommand::SetSetting { name: "n".into(), value: Some("x".repeat(ENTRY_BYTES)) };
        let operation = OperationId::new(index, [0; 10]);
        let proposal = Proposal::new(Entry { operation, proposed_at: 1, command: Command::Directory(command) });
        let leader = openraft::alias::LeaderIdOf::<TypeConfig>::new(1, 1);
        LogEntry::new_normal(LogId::new(leader, index), proposal)
    }

    async fn open(store: &storage::Store) -> Log {
        let bell = Arc::new(Bell::new(Arc::new(Notify::new()), crate::raft::LogBounds::default()));
        Log::open(store.log(GroupId(1)).unwrap(), bell).await.unwrap()
    }

    /// Ten entries, of which the tail in memory holds only the last.
    async fn filled(store: &storage::Store) -> Log {
        let mut log = open(store).await;
        log.blocking_append((0..COUNT).map(entry)).await.unwrap();
        log
    }

    #[tokio::test]
    async fn a_bounded_read_gives_some_and_a_full_read_gives_all_from_disk_and_memory() {
        let directory = tempfile::tempdir().unwrap();
        let store = testing::open_store(directory.path());
        let mut log = filled(&store).await;
        let all: Vec<LogEntry> = (0..COUNT).map(entry).collect();
        let some = log.limited_get_log_entries(0, COUNT).await.unwrap();
        assert!(!some.is_empty() && some.len() * ENTRY_BYTES <= READ_BYTES_MAX);
        assert_eq!(some[..], all[..some.len()]);
        assert_eq!(log.limited_get_log_entries(COUNT - 1, COUNT).await.unwrap(), all[all.len() - 1..]);
        assert_eq!(log.try_get_log_entries(..).await.unwrap(), all);
        let streamed: Vec<LogEntry> = log.entries_stream(2..).await.try_collect().await.unwrap();
        assert_eq!(streamed, all[2..]);
    }

    #[tokio::test]
    async fn votes_purges_and_truncations_survive_a_reopen() {
        let directory = tempfile::tempdir().unwrap();
        let store = testing::open_store(directory.path());
        let mut log = filled(&store).await;
        log.save_vote(&Vote::new(7, 1)).await.unwrap();
        log.truncate_after(Some(entry(5).log_id)).await.unwrap();
        log.blocking_append([entry(6)]).await.unwrap();
        store.close().unwrap();
        drop((log, store));
        let store = testing::open_store(directory.path());
        let mut log = open(&store).await;
        assert_eq!(log.read_vote().await.unwrap(), Some(Vote::new(7, 1)));
        assert_eq!(log.last(), Some(entry(6).log_id));
        assert_eq!(log.try_get_log_entries(5..).await.unwrap(), [entry(5), entry(6)]);
    }
}
