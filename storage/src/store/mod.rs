//! The store of one node: opens and closes everything, hands out its parts.

mod directory;
mod erase;
mod memory;
mod rest;
mod rewrite;
mod space;

pub use directory::OpenError;
pub use rewrite::RewriteStatus;
pub use space::SpaceStatus;

use crate::bodies::Bodies;
use crate::disk::{Disk, RealDisk};
use crate::key;
use crate::lane::Lane;
use crate::limits;
use crate::log::{GroupLog, LogWriter, Metrics, MetricsView, Pace};
use crate::rows::{Column, RocksRows, Rows, RowsFigures, WalKind};
use crate::state::{Core, GroupState, Keeper};
use bytes::Bytes;
use directory::Lock;
use model::{BodyHash, GroupId};
use parking_lot::{Mutex, RwLock};
pub(crate) use rest::Rest;
use rewrite::Rewrite;
pub(crate) use space::SpaceWatch;
use std::collections::{BTreeMap, HashSet};
use std::io;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::channel;
use std::thread::JoinHandle;

/// Reads the entry in a log record; `None` when it holds none (a membership, say). Asked only after a crash.
pub type Decode = Arc<dyn Fn(&[u8]) -> io::Result<Option<model::Entry>> + Send + Sync>;

/// Told how a slow start goes: groups ready, groups in all.
pub type Progress = Box<dyn Fn(usize, usize) + Send>;

/// What [`Store::open`] needs.
pub struct Options {
    /// The data directory; made when it does not exist.
    pub data: PathBuf,
    /// Reads log records.
    pub decode: Decode,
    /// Told of progress.
    pub progress: Progress,
    /// Memory for the rows' block cache in bytes; `None` takes a part of the machine's.
    pub block_cache_bytes: Option<usize>,
}

/// An open store. Cheap to clone; [`Store::close`] ends it for all clones.
#[derive(Clone)]
pub struct Store {
    inner: Arc<Inner>,
}

struct Inner {
    core: Arc<Core>,
    writer: Arc<LogWriter>,
    lanes: Mutex<Vec<Arc<Lane>>>,
    groups: Mutex<BTreeMap<GroupId, (GroupLog, GroupState)>>,
    threads: Mutex<Vec<JoinHandle<()>>>,
    space: SpaceWatch,
    rewrite: Option<Arc<Rewrite>>,
    data: PathBuf,
    _lock: Option<Lock>,
}

impl Store {
    /// Opens the data directory: takes its lock, checks its format, brings files in line with rows after a crash.
    /// Blocks, after a crash for as long as it takes to repeat what the last second did.
    pub fn open(options: Options) -> Result<Store, OpenError> {
        Store::open_with_wal(options, WalKind::Growing)
    }

    /// As [`Self::open`] with a chosen write-ahead log, for measuring.
    pub fn open_with_wal(options: Options, wal: WalKind) -> Result<Store, OpenError> {
        let disk: Arc<dyn Disk> = Arc::new(RealDisk::open(&options.data).map_err(OpenError::Io)?);
        let lock = Lock::take(&options.data)?;
        directory::check_version(&*disk)?;
        let cache_bytes = options.block_cache_bytes.unwrap_or_else(memory::block_cache_bytes);
        let rows = RocksRows::open(&options.data.join("rows"), wal, cache_bytes).map_err(OpenError::Rows)?;
        let rewrite = Some(Arc::new(Rewrite::find(&*disk, rows.clone()).map_err(OpenError::Io)?));
        let (rows, way) = (Arc::new(rows), Way::Threads);
        let parts = Parts { disk, rows, rewrite, decode: options.decode, data: options.data, lock: Some(lock), way };
        Store::assemble(parts, &options.progress).map_err(OpenError::Io)
    }

    /// Opens simulated parts; everything then happens on the calling thread, and [`Self::tick`] stands for the time.
    pub fn open_simulated(disk: Arc<dyn Disk>, rows: Arc<dyn Rows>, decode: Decode) -> io::Result<Store> {
        Store::open_inline(disk, rows, decode, Way::Inline)
    }

    /// As [`Self::open_simulated`], with syncs of the log that take the time `pace` gives them.
    pub fn open_paced(
        disk: Arc<dyn Disk>,
        rows: Arc<dyn Rows>,
        decode: Decode,
        pace: Arc<dyn Pace>,
    ) -> io::Result<Store> {
        Store::open_inline(disk, rows, decode, Way::Paced(pace))
    }

    fn open_inline(disk: Arc<dyn Disk>, rows: Arc<dyn Rows>, decode: Decode, way: Way) -> io::Result<Store> {
        let parts = Parts { disk, rows, rewrite: None, decode, data: PathBuf::new(), lock: None, way };
        Store::assemble(parts, &(Box::new(|_, _| ()) as Progress))
    }

    fn assemble(parts: Parts, progress: &Progress) -> io::Result<Store> {
        directory::make_all(&*parts.disk)?;
        let bodies = Arc::new(Bodies::new(parts.disk.clone()));
        let metrics = Arc::new(Metrics::default());
        let mut threads = Vec::new();
        let has_threads = matches!(parts.way, Way::Threads);
        let writer = match parts.way {
            Way::Threads => {
                let (writer, thread) = LogWriter::start(parts.rows.clone(), bodies.clone(), metrics.clone())?;
                threads.push(thread);
                writer
            }
            Way::Inline => LogWriter::inline(parts.rows.clone(), bodies.clone(), metrics.clone()),
            Way::Paced(pace) => LogWriter::paced(parts.rows.clone(), bodies.clone(), metrics.clone(), pace),
        };
        let mut lanes = Vec::new();
        for at in 0..limits::APPLY_THREADS {
            lanes.push(Arc::new(if has_threads {
                let (lane, thread) = Lane::start(&format!("apply-{at}"))?;
                threads.push(thread);
                lane
            } else {
                Lane::Inline
            }));
        }
        let core = Arc::new(Core {
            disk: parts.disk.clone(),
            rows: parts.rows,
            bodies,
            metrics,
            decode: parts.decode,
            files: RwLock::new(()),
            keeper: Keeper::default(),
        });
        let space = SpaceWatch::new(parts.disk);
        let inner = Inner {
            core,
            writer: Arc::new(writer),
            lanes: Mutex::new(lanes),
            groups: Mutex::default(),
            threads: Mutex::new(threads),
            space,
            rewrite: parts.rewrite,
            data: parts.data,
            _lock: parts.lock,
        };
        let store = Store { inner: Arc::new(inner) };
        store.recover(progress)?;
        if has_threads {
            store.inner.space.reserve()?;
            store.inner.space.measure();
            store.start_keeper()?;
            store.start_rewrite()?;
        }
        Ok(store)
    }

    fn recover(&self, progress: &Progress) -> io::Result<()> {
        let groups = self.stored_groups()?;
        let mut named = HashSet::new();
        let mut logs = Vec::new();
        for group in &groups {
            let log = GroupLog::open(*group, self.inner.core.rows.clone(), self.inner.writer.clone())?;
            let first = crate::state::files_synced_at_start(&self.inner.core, *group)?.map_or(0, |synced| synced + 1);
            log.bodies_named(first..u64::MAX, &mut |_, hash| named.extend([hash]))?;
            logs.push(log);
        }
        let orphans = self.inner.core.bodies.take_over_staging(&named)?;
        if orphans > 0 {
            tracing::info!(orphans, "bodies of unfinished messages were removed");
        }
        for (at, (group, log)) in groups.iter().zip(logs).enumerate() {
            progress(at, groups.len());
            let opened = self.open_group(*group, log)?;
            self.inner.groups.lock().insert(*group, opened);
        }
        progress(groups.len(), groups.len());
        self.inner.core.bodies.drop_unnamed_staging()
    }

    fn stored_groups(&self) -> io::Result<Vec<GroupId>> {
        let mut found = Vec::new();
        for column in [Column::RaftMeta, Column::RaftLog] {
            let mut next = Some(GroupId(0));
            while let Some(group) = next {
                let mut seen = None;
                self.inner.core.rows.scan(column, &group.0.to_be_bytes()..&[0xff; 13], &mut |key, _| {
                    seen = key::group_of(key);
                    ControlFlow::Break(())
                })?;
                found.extend(seen);
                next = seen.and_then(|seen| seen.0.checked_add(1)).map(GroupId);
            }
        }
        found.sort();
        found.dedup();
        Ok(found)
    }

    fn open_group(&self, group: GroupId, log: GroupLog) -> io::Result<(GroupLog, GroupState)> {
        let lane = {
            let lanes = self.inner.lanes.lock();
            let lane = lanes.get(group.0 as usize % lanes.len().max(1)).cloned();
            lane.ok_or_else(|| io::Error::other("the store is closed"))?
        };
        let state = GroupState::open(group, self.inner.core.clone(), log.clone(), lane)?;
        self.inner.core.keeper.add(state.shared());
        Ok((log, state))
    }

    fn start_keeper(&self) -> io::Result<()> {
        let core = self.inner.core.clone();
        let space = self.inner.space.clone();
        let thread = std::thread::Builder::new().name("keeper".into()).spawn(move || core.keeper.run(&core, &space))?;
        self.inner.threads.lock().push(thread);
        Ok(())
    }

    fn start_rewrite(&self) -> io::Result<()> {
        let Some(rewrite) = self.inner.rewrite.clone() else { return Ok(()) };
        let thread = std::thread::Builder::new().name("rewrite".into()).spawn(move || rewrite.run())?;
        self.inner.threads.lock().push(thread);
        Ok(())
    }

    /// A group's log and state, made empty on first use.
    pub fn group(&self, group: GroupId) -> io::Result<(GroupLog, GroupState)> {
        // Held over the opening: two logs of one group would each believe to be the only one.
        let mut groups = self.inner.groups.lock();
        if let Some(there) = groups.get(&group) {
            return Ok(there.clone());
        }
        let log = GroupLog::open(group, self.inner.core.rows.clone(), self.inner.writer.clone())?;
        let opened = self.open_group(group, log)?;
        groups.insert(group, opened.clone());
        Ok(opened)
    }

    /// A group's log.
    pub fn log(&self, group: GroupId) -> io::Result<GroupLog> {
        Ok(self.group(group)?.0)
    }

    /// A group's state.
    pub fn state(&self, group: GroupId) -> io::Result<GroupState> {
        Ok(self.group(group)?.1)
    }

    /// The groups that exist on this node, ascending.
    pub fn groups(&self) -> Vec<GroupId> {
        self.inner.groups.lock().keys().copied().collect()
    }

    /// The bodies on this node.
    pub fn bodies(&self) -> Arc<Bodies> {
        self.inner.core.bodies.clone()
    }

    /// After a body of [`Bodies::missing`] was staged with [`crate::StagedBody::finish_as_file`]: gives it its names in
    /// every group. Blocks. `NotFound` when it is not staged.
    pub fn repair_body(&self, hash: BodyHash) -> io::Result<()> {
        let states: Vec<GroupState> = self.inner.groups.lock().values().map(|(_, state)| state.clone()).collect();
        for state in states {
            let (sender, receiver) = channel();
            state.repair(hash, Box::new(move |result| drop(sender.send(result))));
            receiver.recv().map_err(io::Error::other)??;
        }
        self.inner.core.bodies.found(&hash);
        Ok(())
    }

    /// Whether a body of [`Bodies::missing`] is still named by rows; one that is not is no longer missing. Reads all names.
    /// Blocks.
    pub fn is_missed(&self, hash: &BodyHash) -> io::Result<bool> {
        // Before the rows are looked at: what is found missing meanwhile stays so.
        self.inner.core.bodies.found(hash);
        let states: Vec<GroupState> = self.inner.groups.lock().values().map(|(_, state)| state.clone()).collect();
        let named = states.iter().map(|state| state.names_body(hash)).find(|named| !matches!(named, Ok(false)));
        if named.is_some() {
            self.inner.core.bodies.add_missing(*hash);
        }
        named.unwrap_or(Ok(false))
    }

    /// Counters.
    pub fn metrics(&self) -> MetricsView {
        self.inner.core.metrics.view()
    }

    /// Counters of the rows' store.
    pub fn rows_figures(&self) -> RowsFigures {
        self.inner.core.rows.figures()
    }

    /// How far the rewriting of tables of an earlier release is.
    pub fn rewrite_status(&self) -> RewriteStatus {
        self.inner.rewrite.as_ref().map_or_else(RewriteStatus::default, |rewrite| rewrite.status())
    }

    /// How full the disk is, as of about a second ago.
    pub fn space(&self) -> SpaceStatus {
        self.inner.space.status()
    }

    /// The disk, for the small files of other parts of the node.
    pub fn disk(&self) -> Arc<dyn Disk> {
        self.inner.core.disk.clone()
    }

    /// The data directory.
    pub fn data(&self) -> &Path {
        &self.inner.data
    }

    /// The opaque identity of this node, as last set.
    pub fn identity(&self) -> io::Result<Option<Bytes>> {
        directory::identity(&*self.inner.core.disk)
    }

    /// Sets the node's identity; durable when this returns.
    pub fn set_identity(&self, identity: &[u8]) -> io::Result<()> {
        directory::set_identity(&*self.inner.core.disk, identity)
    }

    /// Does now what is done about every second behind the acknowledgements.
    pub fn tick(&self) -> io::Result<()> {
        self.inner.core.keeper.round(&self.inner.core)
    }

    /// Ends the threads as a killed process would end them, as far as a test can.
    #[cfg(test)]
    pub(crate) fn abandon(&self) {
        self.end_threads().unwrap();
        self.inner.groups.lock().clear();
    }

    /// Finishes what was asked, syncs it and ends the threads. Later requests fail. Blocks.
    pub fn close(&self) -> io::Result<()> {
        self.end_threads()?;
        self.inner.core.keeper.finish(&self.inner.core)?;
        self.inner.groups.lock().clear();
        self.inner.core.rows.write(crate::rows::Batch::default(), crate::rows::Sync::Yes)
    }

    fn end_threads(&self) -> io::Result<()> {
        self.inner.core.keeper.stop();
        if let Some(rewrite) = &self.inner.rewrite {
            rewrite.stop();
        }
        self.inner.writer.close();
        for lane in self.inner.lanes.lock().drain(..) {
            lane.close();
        }
        let threads = std::mem::take(&mut *self.inner.threads.lock());
        for thread in threads {
            if thread.join().is_err() {
                return Err(io::Error::other("a storage thread had panicked"));
            }
        }
        Ok(())
    }
}

struct Parts {
    disk: Arc<dyn Disk>,
    rows: Arc<dyn Rows>,
    rewrite: Option<Arc<Rewrite>>,
    decode: Decode,
    data: PathBuf,
    lock: Option<Lock>,
    way: Way,
}

/// Where the work of a store is done.
enum Way {
    /// On threads of its own.
    Threads,
    /// On the calling thread.
    Inline,
    /// On the calling thread, with syncs that take simulated time.
    Paced(Arc<dyn Pace>),
}
