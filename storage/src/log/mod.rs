//! The raft logs of all groups: opaque records in, one shared sync for many of them, completions out.
//!
//! An appended record is readable at once through the tail in memory; `done` is called only when it and the bodies it
//! names are durable (C1), in order within a group (C2). What the records mean is not known here.

mod metrics;
mod record;
mod tail;
mod writer;

pub(crate) use metrics::add;
pub use metrics::{Metrics, MetricsView};
pub(crate) use writer::LogWriter;
pub use writer::Pace;

use crate::Done;
use crate::key::{self, Meta};
use crate::lane::Job;
use crate::rows::{Batch, Column, Rows, Sync};
use bytes::Bytes;
use model::{BodyHash, GroupId};
use parking_lot::Mutex;
use std::collections::VecDeque;
use std::io;
use std::ops::{ControlFlow, Range};
use std::sync::Arc;
use tail::Tail;
use writer::{Request, Work};

/// One record to append.
#[derive(Clone, Debug)]
pub struct LogRecord {
    /// One more than the record before it.
    pub index: u64,
    /// Opaque.
    pub bytes: Bytes,
    /// Staged bodies the record names: durable before the record is.
    pub bodies: Vec<BodyHash>,
}

/// What a group's log holds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Bounds {
    /// The opaque position given to the last purge.
    pub purged: Option<Bytes>,
    /// The last record.
    pub last: Option<(u64, Bytes)>,
}

/// How much a group's log holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LogSize {
    /// Records.
    pub entries: u64,
    /// Their bytes.
    pub bytes: u64,
}

/// One group's log. Cheap to clone; all clones are the same log.
#[derive(Clone)]
pub struct GroupLog {
    shared: Arc<Shared>,
}

struct Shared {
    group: GroupId,
    rows: Arc<dyn Rows>,
    writer: Arc<LogWriter>,
    state: Mutex<LogState>,
}

#[derive(Default)]
struct LogState {
    purged: Option<u64>,
    /// The last record with all bytes appended up to and with it.
    last: Option<(u64, u64)>,
    /// Bytes appended up to and with the last purged record.
    purged_total: u64,
    tail: Tail,
    durable: Option<u64>,
    /// Counts truncations: an append from before one must not claim durability for what replaced it.
    epoch: u64,
    waiting: VecDeque<(u64, Job)>,
    /// A write failed: nothing behind it will ever be durable, so nothing may wait for it and nothing more is written.
    failed: bool,
    /// Appends from before this epoch came behind a record that was not written: they would leave a hole.
    refused_before: u64,
    purge_limit: Option<u64>,
    deferred_purge: Option<(u64, Bytes)>,
}

impl LogState {
    fn forget_upto(&mut self, upto: u64, total: u64) {
        self.purged = self.purged.max(Some(upto));
        self.purged_total = total;
        self.durable = self.durable.max(Some(upto));
        if self.last.is_some_and(|(last, _)| last <= upto) {
            self.last = None;
        }
        self.tail.purge(upto);
    }
}

impl GroupLog {
    pub(crate) fn open(group: GroupId, rows: Arc<dyn Rows>, writer: Arc<LogWriter>) -> io::Result<Self> {
        let mut state = LogState::default();
        if let Some(value) = rows.get(Column::RaftMeta, &key::meta(group, Meta::Purged))? {
            let (index, total, _) = record::decode_purged(&value)?;
            state.purged = Some(index);
            state.purged_total = total;
        }
        let range = key::record(group, 0)..key::record(group, u64::MAX);
        if let Some((name, value)) = rows.last(Column::RaftLog, range.start.as_slice()..range.end.as_slice())? {
            let index = key::record_index(&name).ok_or_else(record::broken)?;
            state.last = Some((index, record::decode(&value)?.total));
            state.durable = Some(index);
            state.tail.restart(index + 1);
        }
        state.durable = state.durable.max(state.purged);
        Ok(GroupLog { shared: Arc::new(Shared { group, rows, writer, state: Mutex::new(state) }) })
    }

    /// What the log holds.
    pub fn bounds(&self) -> io::Result<Bounds> {
        let purged = match self.shared.rows.get(Column::RaftMeta, &self.meta(Meta::Purged))? {
            Some(value) => Some(record::decode_purged(&value)?.2),
            None => None,
        };
        let last = self.shared.state.lock().last;
        let last = match last {
            Some((index, _)) => self.read(index..index + 1, usize::MAX)?.pop(),
            None => None,
        };
        Ok(Bounds { purged, last })
    }

    /// How much the log holds.
    pub fn size(&self) -> LogSize {
        let state = self.shared.state.lock();
        let Some((last, total)) = state.last else { return LogSize::default() };
        LogSize {
            entries: state.purged.map_or(last + 1, |purged| last.saturating_sub(purged)),
            bytes: total.saturating_sub(state.purged_total),
        }
    }

    /// Appends records; they are readable when this returns. `done` is called when they and their bodies are durable.
    ///
    /// An index that does not follow the last one is `InvalidInput`; a named body that is nowhere is `NotFound` (C3).
    pub fn append(&self, records: Vec<LogRecord>, done: Done<()>) {
        let mut encoded = Vec::with_capacity(records.len());
        let mut bodies = Vec::new();
        let epoch = {
            let mut state = self.shared.state.lock();
            for LogRecord { index, bytes, bodies: named } in records {
                let follows = state.last.map(|(last, _)| last).max(state.purged).is_none_or(|last| index == last + 1);
                if !follows {
                    drop(state);
                    let error = format!("{}: record {index} does not follow the last one", self.shared.group);
                    return done(Err(io::Error::new(io::ErrorKind::InvalidInput, error)));
                }
                let total = state.last.map_or(state.purged_total, |(_, total)| total) + bytes.len() as u64;
                encoded.push((index, record::encode(total, &named, &bytes)));
                state.last = Some((index, total));
                state.tail.push(index, bytes);
                self.shared.writer.bodies().name(self.shared.group, index, &named);
                bodies.extend(named);
            }
            state.epoch
        };
        self.send(Work::Append { records: encoded, bodies, epoch }, done);
    }

    /// Saves the vote; `done` when it is durable and everything sent before it is.
    pub fn save_vote(&self, bytes: Bytes, done: Done<()>) {
        self.send(Work::Vote(bytes), done);
    }

    /// The vote last saved.
    pub fn read_vote(&self) -> io::Result<Option<Bytes>> {
        self.read_meta(Meta::Vote)
    }

    /// Saves what is known to be committed. Not synced: losing it costs time, not entries.
    pub fn save_committed(&self, bytes: Option<Bytes>) -> io::Result<()> {
        let mut batch = Batch::default();
        match bytes {
            Some(bytes) => batch.put(Column::RaftMeta, self.meta(Meta::Committed), bytes.to_vec()),
            None => batch.delete(Column::RaftMeta, self.meta(Meta::Committed)),
        }
        self.shared.rows.write(batch, Sync::No)
    }

    /// What was last saved as committed.
    pub fn read_committed(&self) -> io::Result<Option<Bytes>> {
        self.read_meta(Meta::Committed)
    }

    /// Removes every record behind `index` (all of them for `None`); `done` when that is durable.
    pub fn truncate_after(&self, index: Option<u64>, done: Done<()>) {
        match self.forget_after(index) {
            Ok(()) => self.send(Work::Truncate { after: index }, done),
            Err(error) => done(Err(error)),
        }
    }

    fn forget_after(&self, index: Option<u64>) -> io::Result<()> {
        let kept_total = match index {
            Some(index) => self.total_at(index)?,
            None => None,
        };
        let mut state = self.shared.state.lock();
        if state.last.is_none_or(|(last, _)| Some(last) <= index) {
            return Ok(());
        }
        state.epoch += 1;
        state.last = index.filter(|index| state.purged.is_none_or(|purged| *index > purged)).zip(kept_total);
        state.durable = state.durable.min(index).max(state.purged);
        state.tail.truncate_after(index);
        drop(state);
        self.shared.writer.bodies().forget(self.shared.group, index.map_or(0, |index| index + 1), u64::MAX);
        Ok(())
    }

    /// Brings the log back to what is durable when a write has failed, so that nothing counts as kept that is not; `done`
    /// when no record behind that is on disk. Does nothing otherwise. Nobody may append meanwhile.
    pub fn recover(&self, done: Done<()>) {
        let durable = {
            let state = self.shared.state.lock();
            if !state.failed {
                drop(state);
                return done(Ok(()));
            }
            state.durable
        };
        if let Err(error) = self.forget_after(durable) {
            return done(Err(error));
        }
        {
            let mut state = self.shared.state.lock();
            state.failed = false;
            state.epoch += 1;
            state.refused_before = state.epoch;
        }
        self.send(Work::Truncate { after: durable }, done);
    }

    /// Bytes appended up to and with the record at `index`.
    fn total_at(&self, index: u64) -> io::Result<Option<u64>> {
        {
            // What is not in the rows yet is summed back from the end.
            let state = self.shared.state.lock();
            if let (Some((last, total)), Some(behind)) = (state.last, state.tail.bytes_after(index)) {
                return Ok((index <= last).then(|| total - behind));
            }
        }
        let value = self.shared.rows.get(Column::RaftLog, &key::record(self.shared.group, index))?;
        value.map(|value| Ok(record::decode(&value)?.total)).transpose()
    }

    /// Removes the records up to and with `upto`. `position` is what [`Self::bounds`] says is purged from then on.
    ///
    /// Never past what files or a snapshot in use still need (C6, [`Self::purge_limit`]): such a purge is done later,
    /// when it is safe, or asked for again after a restart. `done` is called when it is written or put off.
    pub fn purge(&self, upto: u64, position: Bytes, done: Done<()>) {
        {
            let mut state = self.shared.state.lock();
            if state.purge_limit.is_none_or(|limit| upto > limit) {
                state.deferred_purge = Some((upto, position));
                drop(state);
                return done(Ok(()));
            }
        }
        self.purge_now(upto, position, done);
    }

    /// Purges whatever files still need: for measuring a log that has no state behind it.
    #[doc(hidden)]
    pub fn purge_unchecked(&self, upto: u64, position: Bytes) {
        self.purge_now(upto, position, Box::new(|_| ()));
    }

    fn purge_now(&self, upto: u64, position: Bytes, done: Done<()>) {
        let total = match self.total_at(upto) {
            Ok(total) => total,
            Err(error) => return done(Err(error)),
        };
        let total = {
            let mut state = self.shared.state.lock();
            if state.purged.is_some_and(|purged| purged >= upto) {
                drop(state);
                return done(Ok(()));
            }
            let total = total.or(state.last.map(|(_, total)| total)).unwrap_or(state.purged_total);
            state.forget_upto(upto, total);
            total
        };
        self.send(Work::Purge { upto, total, position }, done);
    }

    /// Adds a purge to a batch of the caller, who writes it at once: for a snapshot that replaces the log up to `upto`.
    pub(crate) fn purge_into(&self, upto: u64, position: &[u8], batch: &mut Batch) -> io::Result<()> {
        let total = self.total_at(upto)?;
        let mut state = self.shared.state.lock();
        let total = total.or(state.last.map(|(_, total)| total)).unwrap_or(state.purged_total);
        state.forget_upto(upto, total);
        batch.put(Column::RaftMeta, self.meta(Meta::Purged), record::encode_purged(upto, total, position));
        batch.delete_range(
            Column::RaftLog,
            key::record(self.shared.group, 0)..key::record(self.shared.group, upto.saturating_add(1)),
        );
        Ok(())
    }

    /// The last record that may be purged now.
    pub fn purge_limit(&self) -> Option<u64> {
        self.shared.state.lock().purge_limit
    }

    /// Moves the limit and does a purge that waited for it.
    pub(crate) fn set_purge_limit(&self, limit: Option<u64>) {
        let due = {
            let mut state = self.shared.state.lock();
            state.purge_limit = limit;
            state.deferred_purge.take_if(|(upto, _)| Some(*upto) <= limit)
        };
        if let Some((upto, position)) = due {
            self.purge_now(upto, position, Box::new(|_| ()));
        }
    }

    /// The last purged record.
    pub fn purged_index(&self) -> Option<u64> {
        self.shared.state.lock().purged
    }

    /// The last record that exists.
    pub fn last_index(&self) -> Option<u64> {
        self.shared.state.lock().last.map(|(last, _)| last)
    }

    /// Records of `range` that exist, in order and without gaps, up to `bytes_max` of them; at least one when the first exists.
    pub fn read(&self, range: Range<u64>, bytes_max: usize) -> io::Result<Vec<(u64, Bytes)>> {
        let mut found = Vec::new();
        let mut bytes = 0;
        let (range, in_rows) = {
            let state = self.shared.state.lock();
            let Some((last, _)) = state.last else { return Ok(found) };
            let range =
                range.start.max(state.purged.map_or(0, |purged| purged + 1))..range.end.min(last.saturating_add(1));
            let in_rows = range.start..range.end.min(state.tail.first());
            if in_rows.is_empty() {
                state.tail.read(range.clone(), bytes_max, &mut bytes, &mut found);
                return Ok(found);
            }
            (range, in_rows)
        };
        self.read_rows(in_rows.clone(), bytes_max, &mut bytes, &mut found)?;
        if found.last().is_some_and(|(index, _)| index + 1 == in_rows.end) && bytes < bytes_max {
            let state = self.shared.state.lock();
            if state.tail.first() <= in_rows.end {
                state.tail.read(in_rows.end..range.end, bytes_max, &mut bytes, &mut found);
            }
        }
        Ok(found)
    }

    fn read_rows(
        &self,
        range: Range<u64>,
        bytes_max: usize,
        bytes: &mut usize,
        found: &mut Vec<(u64, Bytes)>,
    ) -> io::Result<()> {
        let keys = key::record(self.shared.group, range.start)..key::record(self.shared.group, range.end);
        let mut problem = None;
        let mut next = None;
        self.shared.rows.scan(Column::RaftLog, keys.start.as_slice()..keys.end.as_slice(), &mut |name, value| {
            let (index, decoded) = match (key::record_index(name), record::decode(value)) {
                (Some(index), Ok(decoded)) if next.is_none_or(|next| index == next) => (index, decoded),
                (_, Err(error)) => {
                    problem = Some(error);
                    return ControlFlow::Break(());
                }
                _ => return ControlFlow::Break(()),
            };
            if !found.is_empty() && *bytes + decoded.bytes.len() > bytes_max {
                return ControlFlow::Break(());
            }
            *bytes += decoded.bytes.len();
            found.push((index, Bytes::copy_from_slice(decoded.bytes)));
            next = Some(index + 1);
            ControlFlow::Continue(())
        })?;
        problem.map_or(Ok(()), Err)
    }

    /// The last durable record (or the last purged one, if the log is empty).
    pub fn durable_index(&self) -> Option<u64> {
        self.shared.state.lock().durable
    }

    /// Runs `job` once the record at `index` is durable: at once, or from the log writer's thread. Dropped unrun when a
    /// write has failed.
    pub(crate) fn when_durable(&self, index: u64, job: Job) {
        {
            let mut state = self.shared.state.lock();
            if state.durable.is_none_or(|durable| durable < index) {
                if !state.failed {
                    state.waiting.push_back((index, job));
                }
                return;
            }
        }
        job();
    }

    /// Staged bodies named by the records in `range`.
    pub(crate) fn bodies_named(&self, range: Range<u64>, visit: &mut dyn FnMut(u64, BodyHash)) -> io::Result<()> {
        let keys = key::record(self.shared.group, range.start)..key::record(self.shared.group, range.end);
        let mut problem = None;
        self.shared.rows.scan(
            Column::RaftLog,
            keys.start.as_slice()..keys.end.as_slice(),
            &mut |name, value| match (key::record_index(name), record::decode(value)) {
                (Some(index), Ok(decoded)) => {
                    decoded.bodies.iter().for_each(|hash| visit(index, *hash));
                    ControlFlow::Continue(())
                }
                (_, decoded) => {
                    problem = Some(decoded.err().unwrap_or_else(record::broken));
                    ControlFlow::Break(())
                }
            },
        )?;
        problem.map_or(Ok(()), Err)
    }

    fn meta(&self, kind: Meta) -> Vec<u8> {
        key::meta(self.shared.group, kind)
    }

    fn read_meta(&self, kind: Meta) -> io::Result<Option<Bytes>> {
        Ok(self.shared.rows.get(Column::RaftMeta, &self.meta(kind))?.map(Bytes::from))
    }

    fn send(&self, work: Work, done: Done<()>) {
        self.shared.writer.send(Request { log: self.clone(), work, done });
    }

    /// A write failed: what waits for it is dropped.
    fn write_failed(&self) {
        let waiting = {
            let mut state = self.shared.state.lock();
            state.failed = true;
            std::mem::take(&mut state.waiting)
        };
        drop(waiting);
    }

    /// Whether an append of this epoch comes behind one that failed.
    fn refuses(&self, epoch: u64) -> bool {
        let state = self.shared.state.lock();
        state.failed || epoch < state.refused_before
    }

    /// Takes note of what the writer wrote, and returns what waited for it.
    fn written(&self, work: &Work) -> Vec<Job> {
        let Work::Append { records, epoch, .. } = work else { return Vec::new() };
        let Some((last, _)) = records.last() else { return Vec::new() };
        let mut state = self.shared.state.lock();
        if *epoch != state.epoch {
            return Vec::new();
        }
        state.durable = state.durable.max(Some(*last));
        state.tail.written(*last);
        let durable = state.durable;
        let mut ready = Vec::new();
        // Applies come in order of their index, so the front is the next one due.
        while state.waiting.front().is_some_and(|(index, _)| Some(*index) <= durable) {
            ready.extend(state.waiting.pop_front().map(|(_, job)| job));
        }
        ready
    }
}
