//! Work behind the acknowledgements, on one thread: flags into file names, files to disk, unreferenced bodies away,
//! free space and memory watched. Nothing waits for it but snapshots and purging.

use super::local::{LocalRows, Redo, encode_redo};
use super::project::Projection;
use super::view::io_error;
use super::{Core, Shared, trash};
use crate::key::{self, Local, Meta};
use crate::lane::Lane;
use crate::log::add;
use crate::rows::{Batch, Column, Sync};
use crate::store::{Rest, SpaceWatch};
use crate::{Done, limits};
use model::mailbox::maildir;
use parking_lot::{Condvar, Mutex};
use std::io;
use std::ops::ControlFlow;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

/// Knows the groups and who waits for a sync of files.
#[derive(Default)]
pub(crate) struct Keeper {
    state: Mutex<KeeperState>,
    wake: Condvar,
}

#[derive(Default)]
struct KeeperState {
    groups: Vec<Weak<Shared>>,
    barriers: Vec<Done<()>>,
    stopping: bool,
    threaded: bool,
}

impl Keeper {
    /// Adds a group to look after.
    pub fn add(&self, group: &Arc<Shared>) {
        self.state.lock().groups.push(Arc::downgrade(group));
    }

    /// Runs rounds on the calling thread until [`Self::stop`].
    pub fn run(&self, core: &Core, space: &SpaceWatch) {
        self.state.lock().threaded = true;
        let mut rest = Rest::new(Instant::now());
        loop {
            {
                let mut state = self.state.lock();
                if !state.stopping && state.barriers.is_empty() {
                    self.wake.wait_for(&mut state, Duration::from_millis(limits::FILE_SYNC_EVERY_MS));
                }
                if state.stopping {
                    return;
                }
            }
            space.measure();
            match catch_unwind(AssertUnwindSafe(|| self.round(core))) {
                Ok(Ok(())) => {}
                Ok(Err(error)) => tracing::error!(%error, "work behind the acknowledgements failed; it is tried again"),
                Err(_) => tracing::error!("work behind the acknowledgements panicked; it is tried again"),
            }
            match rest.look(&*core.rows, Instant::now()) {
                Ok(true) => tracing::debug!("memory was given back while little is written"),
                Ok(false) => {}
                Err(error) => tracing::warn!(%error, "buffers could not be written to free their memory"),
            }
        }
    }

    /// Ends [`Self::run`].
    pub fn stop(&self) {
        self.state.lock().stopping = true;
        self.wake.notify_all();
    }

    /// Calls `done` once every file that apply has written by now is durable.
    pub fn barrier(&self, core: &Core, done: Done<()>) {
        let threaded = {
            let mut state = self.state.lock();
            state.barriers.push(done);
            state.threaded
        };
        self.wake.notify_all();
        if !threaded {
            // The barrier was told of the error.
            let _ = self.round(core);
        }
    }

    /// Once the apply threads have ended: puts the flags that are left into file names, then one round of everything.
    pub fn finish(&self, core: &Core) -> io::Result<()> {
        let groups: Vec<Arc<Shared>> = self.state.lock().groups.iter().filter_map(Weak::upgrade).collect();
        for group in groups {
            while rename_round(&group)? {}
        }
        self.round(core)
    }

    /// One round of everything.
    pub fn round(&self, core: &Core) -> io::Result<()> {
        let (groups, barriers) = {
            let mut state = self.state.lock();
            state.groups.retain(|group| group.strong_count() > 0);
            let groups: Vec<Arc<Shared>> = state.groups.iter().filter_map(Weak::upgrade).collect();
            (groups, std::mem::take(&mut state.barriers))
        };
        for group in groups.iter().filter(|group| group.meta.lock().renames) {
            start_renames(group, limits::RENAME_ROUNDS_AT_ONCE);
        }
        let synced = sync_files(core, &groups, !barriers.is_empty());
        for done in barriers {
            done(synced.as_ref().copied().map_err(|error| io::Error::new(error.kind(), error.to_string())));
        }
        synced?;
        for group in &groups {
            let mut from = None;
            while trash::sweep(group, &mut from)? {}
        }
        Ok(())
    }
}

/// Brings files to disk when there is anything to bring, and moves every group's mark.
fn sync_files(core: &Core, groups: &[Arc<Shared>], asked: bool) -> io::Result<()> {
    let mut marks = Vec::new();
    let mut dirty = asked;
    // A change of files is either wholly before the marks or wholly behind them.
    let quiet = core.files.write();
    for group in groups {
        let mut meta = group.meta.lock();
        let applied = meta.applied.as_ref().map(|(index, _)| *index);
        let removed = std::mem::take(&mut meta.removed);
        let changed = meta.redo_first < meta.redo_next || !removed.is_empty();
        dirty |= changed;
        if changed || applied > meta.files_synced {
            marks.push((group, applied, meta.redo_first..meta.redo_next, removed));
        }
    }
    let placed = core.bodies.placed_staged();
    drop(quiet);
    if dirty || !placed.is_empty() {
        #[cfg(test)]
        let skip = crate::sim::mutants::NO_FILE_SYNC.get();
        #[cfg(not(test))]
        let skip = false;
        if !skip {
            core.disk.sync_all()?;
            add(&core.metrics.file_syncs, 1);
        }
    }
    core.bodies.sweep_staging(&placed)?;
    for (group, applied, redo, removed) in marks {
        let mut batch = Batch::default();
        removed.into_iter().for_each(|row| batch.delete(Column::Local, row));
        redo.clone().for_each(|serial| batch.delete(Column::Local, key::redo(group.group, serial)));
        if let Some(applied) = applied {
            batch.put(Column::RaftMeta, key::meta(group.group, Meta::FilesSynced), applied.to_le_bytes().to_vec());
        }
        core.rows.write(batch, Sync::No)?;
        {
            let mut meta = group.meta.lock();
            meta.redo_first = redo.end;
            meta.files_synced = meta.files_synced.max(applied);
        }
        group.move_purge_limit();
    }
    Ok(())
}

/// Renames in small rounds on the group's own apply thread, so that no other change of its files runs beside. What these
/// rounds leave waits for the keeper's next turn.
fn start_renames(shared: &Arc<Shared>, rounds: usize) {
    if rounds == 0 || shared.meta.lock().renaming {
        return;
    }
    shared.meta.lock().renaming = true;
    let again = shared.clone();
    shared.lane.run(Box::new(move || {
        again.meta.lock().renaming = false;
        match rename_round(&again) {
            Ok(true) if !matches!(*again.lane, Lane::Inline) => start_renames(&again, rounds - 1),
            Ok(_) => {}
            Err(error) => tracing::error!(group = %again.group, %error, "flags could not be put into file names"),
        }
    }));
}

/// Whether there may be more to rename.
fn rename_round(shared: &Shared) -> io::Result<bool> {
    let core = &shared.core;
    let range = key::under(key::local(shared.group, Local::Rename));
    let from = shared.meta.lock().renames_from.take();
    let start = from.as_ref().unwrap_or(&range.start);
    let (mut spots, mut last) = (Vec::new(), None);
    core.rows.scan(Column::Local, start..&range.end, &mut |key, _| {
        spots.extend(key::message_of(key));
        last = Some(key.to_vec());
        if spots.len() < limits::RENAMES_PER_ROUND { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
    })?;
    let full = spots.len() == limits::RENAMES_PER_ROUND;
    shared.meta.lock().renames_from = last.filter(|_| full);
    // Only a look from the first row on knows that nothing is left.
    let more = full || from.is_some();
    if spots.is_empty() && !more {
        shared.meta.lock().renames = false;
        return Ok(false);
    }
    let _files = core.files.read();
    let view = super::ReadView::new(shared.group, core.rows.snapshot())?;
    let mut local = LocalRows::new(&*core.rows, shared.group, shared.generation());
    let mut intent = Vec::new();
    for spot in &spots {
        let want = maildir::message_file(&view, spot.0, spot.1, spot.2).map_err(io_error)?;
        let have = local.message(*spot)?.map(|have| have.name);
        let want = want.map(|want| format!("{}:2,{}", want.base, want.flags));
        if have != want {
            intent.push(Redo::Message(spot.0, spot.1, spot.2, have.into_iter().chain(want).collect()));
        }
    }
    if !intent.is_empty() {
        // Written before the first rename: rows that survive a crash then know every name the rename may have left.
        let mut meta = shared.meta.lock();
        let mut batch = Batch::default();
        batch.put(Column::Local, key::redo(shared.group, meta.redo_next), encode_redo(&intent));
        core.rows.write(batch, Sync::No)?;
        meta.redo_next += 1;
    }
    spots.iter().for_each(|spot| local.set_rename(*spot, false));
    let index = shared.meta.lock().applied.as_ref().map_or(0, |(index, _)| *index);
    let mut projection = Projection::new(shared, &view, local, false, index);
    let touches = intent.iter().filter_map(|redo| Some((redo.touch()?, Vec::new()))).collect();
    projection.run(&touches)?;
    let batch = std::mem::take(&mut projection.local.batch);
    core.rows.write(batch, Sync::No)?;
    if !more {
        shared.meta.lock().renames = false;
    }
    Ok(more)
}
