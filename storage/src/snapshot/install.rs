//! Taking over a snapshot: rows go under a new generation, files are brought in line with them, and one synced batch
//! makes the new generation the one that is read. A crash before that batch leaves the old state, mended at the start.

use super::{Manifest, Piece, Position, take_piece, touch_of};
use crate::key::{self, Generation, Local, Meta};
use crate::rows::{Batch, Column, Sync};
use crate::state::{LocalRows, Projection, Redo, Shared, Touches, encode_applied, encode_redo, io_error};
use crate::{Done, limits};
use model::mailbox::maildir;
use model::{BodyHash, Read, ReadError, Touch};
use parking_lot::Mutex;
use std::io;
use std::ops::{ControlFlow, Range};
use std::sync::Arc;

/// Things brought in line before the apply thread's hold on files is released for a moment.
const PER_STEP: usize = 500;

/// A snapshot that is arriving. Dropped unfinished it leaves rows that the next installation or start removes.
pub struct Install {
    shared: Arc<Shared>,
    generation: Generation,
    pending: Mutex<Batch>,
}

impl Install {
    pub(crate) fn begin(shared: &Arc<Shared>) -> io::Result<Self> {
        let generation = shared.generation() + 1;
        let mut batch = Batch::default();
        for column in [Column::Index, Column::Cache] {
            batch.delete_range(column, key::under(key::generation(shared.group, generation)));
        }
        batch.delete_range(Column::Local, key::under(key::local(shared.group, Local::Incoming)));
        shared.core.rows.write(batch, Sync::No)?;
        Ok(Install { shared: shared.clone(), generation, pending: Mutex::default() })
    }

    /// Takes the next piece of the stream, as [`super::Snapshot::read`] gave it. `InvalidData` when it is not one.
    pub fn write(&self, chunk: &[u8]) -> io::Result<()> {
        let prefix = key::generation(self.shared.group, self.generation);
        let incoming = key::local(self.shared.group, Local::Incoming);
        let mut rest = chunk;
        let mut batch = self.pending.lock();
        while !rest.is_empty() {
            match take_piece(&mut rest)? {
                Piece::Row(key, value) => batch.put(Column::Index, [prefix.as_slice(), key].concat(), value.to_vec()),
                Piece::OnDisk(key) => batch.put(Column::Local, [incoming.as_slice(), key].concat(), Vec::new()),
            }
        }
        self.shared.core.rows.write(std::mem::take(&mut *batch), Sync::No)
    }

    /// Which of a snapshot's bodies this node lacks: stage each with [`crate::StagedBody::finish_as_file`] before finishing.
    pub fn missing(&self, manifest: &Manifest) -> io::Result<Vec<BodyHash>> {
        let bodies = &self.shared.core.bodies;
        let mut missing = Vec::new();
        for hash in &manifest.bodies {
            if !bodies.contains(hash)? {
                missing.push(*hash);
            }
        }
        Ok(missing)
    }

    /// Makes the snapshot the group's state, on its apply thread. The log up to it is purged with it; its position is
    /// what [`crate::GroupLog::bounds`] says is purged.
    pub fn finish(self, position: Position, done: Done<()>) {
        let lane = self.shared.lane.clone();
        lane.run(Box::new(move || done(self.finish_now(&position))));
    }

    fn finish_now(&self, position: &Position) -> io::Result<()> {
        let incoming = NewRows { shared: &self.shared, prefix: key::generation(self.shared.group, self.generation) };
        let (places, things) = self.touches()?;
        self.step(&incoming, places, true, position.index)?;
        for step in things.chunks(PER_STEP) {
            let touches = step.iter().map(|touch| (touch.clone(), Vec::new())).collect();
            self.step(&incoming, touches, false, position.index)?;
        }
        self.shared.core.disk.sync_all()?;
        self.flip(position)
    }

    /// Everything on disk before or after: accounts and folders, then messages and queue messages.
    fn touches(&self) -> io::Result<(Touches, Vec<Touch>)> {
        let (mut places, mut things) = (Touches::new(), std::collections::BTreeSet::new());
        let mut take = |key: &[u8]| match touch_of(key) {
            Some(touch @ (Touch::Account(_) | Touch::Folder(..))) => drop(places.insert(touch, Vec::new())),
            Some(touch) => drop(things.insert(touch)),
            None => {}
        };
        for kind in [Local::Account, Local::Folder, Local::Message, Local::Queue] {
            self.scan(key::local(self.shared.group, kind), 4, &mut take)?;
        }
        self.scan(key::local(self.shared.group, Local::Incoming), key::LOCAL_BYTES, &mut take)?;
        Ok((places, things.into_iter().collect()))
    }

    fn scan(&self, prefix: Vec<u8>, cut: usize, visit: &mut dyn FnMut(&[u8])) -> io::Result<()> {
        let range = key::under(prefix);
        self.shared.core.rows.scan(Column::Local, &range.start..&range.end, &mut |key, _| {
            visit(key.get(cut..).unwrap_or_default());
            ControlFlow::Continue(())
        })
    }

    /// Notes durably what will change, then changes it: after a crash the old rows find every name again.
    fn step(&self, rows: &NewRows<'_>, touches: Touches, thorough: bool, index: u64) -> io::Result<()> {
        if touches.is_empty() {
            return Ok(());
        }
        let shared = &self.shared;
        let _files = shared.core.files.read();
        let local = LocalRows::new(&*shared.core.rows, shared.group, self.generation);
        let mut intent = touches.keys().map(|touch| intent(rows, &local, touch)).collect::<io::Result<Vec<Redo>>>()?;
        for touch in touches.keys() {
            intent.extend(body_of(rows, touch)?.map(Redo::Body));
        }
        let mut batch = Batch::default();
        {
            let mut meta = shared.meta.lock();
            batch.put(Column::Local, key::redo(shared.group, meta.redo_next), encode_redo(&intent));
            shared.core.rows.write(batch, Sync::Yes)?;
            meta.redo_next += 1;
        }
        let mut projection = Projection::new(shared, rows, local, thorough, index);
        projection.run(&touches)?;
        for touch in touches.keys() {
            if let Touch::Message(account, folder, uid) = touch {
                projection.local.set_rename((*account, *folder, *uid), false);
            }
        }
        let batch = std::mem::take(&mut projection.local.batch);
        shared.core.rows.write(batch, Sync::No)
    }

    fn flip(&self, position: &Position) -> io::Result<()> {
        let group = self.shared.group;
        let mut batch = Batch::default();
        batch.put(Column::RaftMeta, key::meta(group, Meta::Generation), self.generation.to_le_bytes().to_vec());
        batch.put(
            Column::RaftMeta,
            key::meta(group, Meta::Applied),
            encode_applied(position.index, &position.position),
        );
        match &position.membership {
            Some(membership) => batch.put(Column::RaftMeta, key::meta(group, Meta::Membership), membership.to_vec()),
            None => batch.delete(Column::RaftMeta, key::meta(group, Meta::Membership)),
        }
        batch.put(Column::RaftMeta, key::meta(group, Meta::FilesSynced), position.index.to_le_bytes().to_vec());
        for column in [Column::Index, Column::Cache] {
            batch.delete_range(column, key::generation(group, 0)..key::generation(group, self.generation));
        }
        batch.delete_range(Column::Local, key::under(key::local(group, Local::Incoming)));
        batch.delete_range(Column::Local, key::under(key::local(group, Local::Redo)));
        self.shared.log.purge_into(position.index, &position.position, &mut batch)?;
        let mut meta = self.shared.meta.lock();
        self.shared.core.rows.write(batch, Sync::Yes)?;
        meta.generation = self.generation;
        meta.applied = Some((position.index, position.position.clone()));
        meta.membership = position.membership.clone();
        meta.files_synced = Some(position.index);
        meta.redo_first = meta.redo_next;
        meta.repeat_until = None;
        meta.renames = false;
        drop(meta);
        self.shared.core.bodies.forget(group, 0, position.index);
        self.shared.move_purge_limit();
        Ok(())
    }
}

/// The body a touched thing will be a name of.
fn body_of(rows: &NewRows<'_>, touch: &Touch) -> io::Result<Option<BodyHash>> {
    Ok(match touch {
        Touch::Message(account, folder, uid) | Touch::Flags(account, folder, uid) => {
            maildir::message_file(rows, *account, *folder, *uid).map_err(io_error)?.map(|file| file.hash)
        }
        Touch::Queue(message) => model::queue::body_of(rows, *message).map_err(io_error)?.map(|(hash, _)| hash),
        Touch::Account(_) | Touch::Folder(..) => None,
    })
}

/// The names a touched thing has and will have.
fn intent(rows: &NewRows<'_>, local: &LocalRows<'_>, touch: &Touch) -> io::Result<Redo> {
    Ok(match touch {
        Touch::Account(account) => {
            let want = maildir::account_directory(rows, *account).map_err(io_error)?;
            Redo::Account(*account, local.account(*account)?.into_iter().chain(want).collect())
        }
        Touch::Folder(account, folder) => {
            let want = maildir::folder_directory(rows, *account, *folder).map_err(io_error)?;
            Redo::Folder(*account, *folder, local.folder(*account, *folder)?.into_iter().chain(want).collect())
        }
        Touch::Message(account, folder, uid) | Touch::Flags(account, folder, uid) => {
            let want = maildir::message_file(rows, *account, *folder, *uid).map_err(io_error)?;
            let want = want.map(|file| format!("{}:2,{}", file.base, file.flags));
            let have = local.message((*account, *folder, *uid))?.map(|file| file.name);
            Redo::Message(*account, *folder, *uid, have.into_iter().chain(want).collect())
        }
        Touch::Queue(message) => Redo::Queue(*message),
    })
}

/// The rows that are arriving, as the rules read them.
struct NewRows<'a> {
    shared: &'a Shared,
    prefix: Vec<u8>,
}

impl Read for NewRows<'_> {
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, ReadError> {
        crate::state::get_under(&*self.shared.core.rows, &self.prefix, key)
    }

    fn scan(&self, range: Range<&[u8]>, visit: &mut model::txn::Visit<'_>) -> Result<(), ReadError> {
        crate::state::scan_under(&*self.shared.core.rows, &self.prefix, range, visit)
    }
}

/// The longest stream piece a peer may send: a chunk and one row that did not fit.
pub const PIECE_BYTES_MAX: usize = limits::SNAPSHOT_CHUNK_BYTES_MAX + model::limits::ENCODED_BYTES_MAX;
