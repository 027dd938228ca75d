//! What the committed entries of a group made: replicated rows, files in line with them, and how far both have come.
//!
//! Apply runs on a few threads, a group always on the same one. It never outruns the group's durable log (C4), brings
//! files in line before it writes rows (C5, I2) and never syncs: the keeper does that behind it.

mod apply;
mod cache;
mod keeper;
mod local;
mod overlay;
mod project;
mod recover;
mod repair;
mod trash;
mod view;

pub use cache::VisitCache;
pub(crate) use keeper::Keeper;
pub(crate) use local::{LocalRows, MessageOnDisk, Redo, encode_redo};
pub(crate) use project::{Projection, Touches};
pub(crate) use recover::files_synced_at_start;
pub use view::ReadView;
pub(crate) use view::{encode_applied, get_under, io_error, scan_under};

use crate::bodies::Bodies;
use crate::disk::Disk;
use crate::key::Generation;
use crate::lane::Lane;
use crate::log::{GroupLog, Metrics};
use crate::rows::Rows;
use crate::snapshot::Snapshot;
use crate::{Decode, Done};
use bytes::Bytes;
use model::{BodyHash, GroupId, Outcome};
use parking_lot::{Mutex, RwLock};
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::sync::Arc;

/// One committed log entry.
#[derive(Clone, Debug)]
pub struct ApplyItem {
    /// Its index.
    pub index: u64,
    /// Its opaque position, given back by [`GroupState::applied`].
    pub position: Bytes,
    /// What to carry out; `None` when it only moves the position.
    pub entry: Option<Arc<model::Entry>>,
    /// The opaque membership it sets.
    pub membership: Option<Bytes>,
}

/// What all groups of a node share.
pub(crate) struct Core {
    pub disk: Arc<dyn Disk>,
    pub rows: Arc<dyn Rows>,
    pub bodies: Arc<Bodies>,
    pub metrics: Arc<Metrics>,
    pub decode: Decode,
    /// Read while files are brought in line, written while an unreferenced body is removed.
    pub files: RwLock<()>,
    pub keeper: Keeper,
}

/// One group's state. Cheap to clone; all clones are the same state.
#[derive(Clone)]
pub struct GroupState {
    shared: Arc<Shared>,
}

pub(crate) struct Shared {
    pub group: GroupId,
    pub core: Arc<Core>,
    pub log: GroupLog,
    pub lane: Arc<Lane>,
    pub meta: Mutex<GroupMeta>,
}

/// How far a group has come.
#[derive(Default)]
pub(crate) struct GroupMeta {
    pub generation: Generation,
    pub applied: Option<(u64, Bytes)>,
    pub membership: Option<Bytes>,
    /// The last entry whose files are durable.
    pub files_synced: Option<u64>,
    /// Redo rows from `redo_first` to before `redo_next` exist.
    pub redo_first: u64,
    pub redo_next: u64,
    /// Entries up to this one may have touched files before a crash or an error: they are repeated one by one.
    pub repeat_until: Option<u64>,
    /// Files whose names do not show their flags yet exist.
    pub renames: bool,
    /// A round of renames is queued.
    pub renaming: bool,
    /// Where the next round of renames begins to look; the rows before it were removed by earlier rounds, and walking over
    /// what is left of them in each round would take the square of their number.
    pub renames_from: Option<Vec<u8>>,
    /// Trash rows whose bodies are removed, to be forgotten with the next sync of files.
    pub removed: BTreeSet<Vec<u8>>,
    /// Snapshots in use, by serial number, with the entry each holds.
    pub pins: BTreeMap<u64, u64>,
    pub next_pin: u64,
}

impl GroupState {
    /// Reads how far the group has come and brings its files in line after a crash. See `docs/states.md`.
    pub(crate) fn open(group: GroupId, core: Arc<Core>, log: GroupLog, lane: Arc<Lane>) -> io::Result<Self> {
        let meta = recover::read_meta(&core, group, &log)?;
        let state = GroupState { shared: Arc::new(Shared { group, core, log, lane, meta: Mutex::new(meta) }) };
        recover::recover(&state.shared)?;
        state.shared.move_purge_limit();
        Ok(state)
    }

    /// Applies committed entries in order. Waits by itself until the last of them is durable here (C4). `done` gets one
    /// outcome per item once the rows are visible.
    ///
    /// After an error nothing of these items is visible; the same items may be given again.
    pub fn apply(&self, items: Vec<ApplyItem>, done: Done<Vec<Outcome>>) {
        let Some(last) = items.last().map(|item| item.index) else { return done(Ok(Vec::new())) };
        let shared = self.shared.clone();
        let lane = self.shared.lane.clone();
        let job = Box::new(move || lane.run(Box::new(move || done(apply::apply(&shared, items)))));
        self.shared.log.when_durable(last, job);
    }

    /// The index and position of the last applied entry.
    pub fn applied(&self) -> Option<(u64, Bytes)> {
        self.shared.meta.lock().applied.clone()
    }

    /// The last applied membership.
    pub fn membership(&self) -> Option<Bytes> {
        self.shared.meta.lock().membership.clone()
    }

    /// The last entry whose files are durable.
    pub fn files_synced(&self) -> Option<u64> {
        self.shared.meta.lock().files_synced
    }

    /// The group's rows as they are now, unchanged by later entries. Costs microseconds; holds old rows while it lives.
    pub fn read(&self) -> io::Result<ReadView> {
        ReadView::new(self.shared.group, self.shared.core.rows.snapshot())
    }

    /// Makes a snapshot of what is applied now; `done` once its files are durable, so that the log up to it may go.
    pub fn snapshot(&self, done: Done<Snapshot>) {
        let shared = self.shared.clone();
        self.shared.lane.run(Box::new(move || crate::snapshot::build(&shared, done)));
    }

    /// Gives a body that was missing and is staged now its place and names, on the group's apply thread.
    pub(crate) fn repair(&self, hash: BodyHash, done: Done<()>) {
        let shared = self.shared.clone();
        self.shared.lane.run(Box::new(move || done(repair::repair(&shared, &hash))));
    }

    /// Whether rows name a body.
    pub(crate) fn names_body(&self, hash: &BodyHash) -> io::Result<bool> {
        Ok(!repair::names_of(&self.shared, hash)?.is_empty())
    }

    /// Begins to take over a snapshot of another replica. The group goes on with its old rows until it is finished.
    pub fn install(&self) -> io::Result<crate::snapshot::Install> {
        crate::snapshot::Install::begin(&self.shared)
    }

    pub(crate) fn shared(&self) -> &Arc<Shared> {
        &self.shared
    }
}

impl Shared {
    /// A replicated or local prefix of the generation that is read now.
    pub fn generation(&self) -> Generation {
        self.meta.lock().generation
    }

    /// Keeps the log from losing what a snapshot in use or unsynced files need (C6).
    pub fn move_purge_limit(&self) {
        let limit = {
            let meta = self.meta.lock();
            let pinned = meta.pins.values().min().copied();
            match (meta.files_synced, pinned) {
                (Some(synced), Some(pinned)) => Some(synced.min(pinned)),
                (synced, _) => synced,
            }
        };
        self.log.set_purge_limit(limit);
    }

    /// Holds log and bodies for a snapshot at `index` until [`Self::unpin`].
    pub fn pin(&self, index: u64) -> u64 {
        let serial = {
            let mut meta = self.meta.lock();
            let serial = meta.next_pin;
            meta.next_pin += 1;
            meta.pins.insert(serial, index);
            serial
        };
        self.move_purge_limit();
        serial
    }

    /// Ends a hold.
    pub fn unpin(&self, serial: u64) {
        self.meta.lock().pins.remove(&serial);
        self.move_purge_limit();
    }
}
