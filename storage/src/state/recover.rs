//! The start of a group: how far it came, and its files brought in line with its rows after a crash.
//!
//! Files may be behind the rows (what apply did since the last sync of files) and ahead of them (rows that were not
//! synced). The first is mended here from the redo rows, the second by repeating the lost entries one by one.

use super::local::{LocalRows, Redo, decode_redo};
use super::project::{Projection, Touches};
use super::repair::names_of;
use super::view::{decode_applied, decode_generation, decode_index, io_error};
use super::{Core, GroupMeta, Shared};
use crate::key::{self, Local, Meta};
use crate::log::GroupLog;
use crate::rows::{Batch, Column, Sync};
use bytes::Bytes;
use model::mailbox::maildir;
use model::{BodyHash, BodyRef, Entry, GroupId, Touch};
use std::collections::HashSet;
use std::io;
use std::ops::ControlFlow;

/// Log bytes read at once to find the bodies in them.
const READ_BYTES: usize = 4 * 1024 * 1024;

/// Reads how far a group has come.
pub fn read_meta(core: &Core, group: GroupId, log: &GroupLog) -> io::Result<GroupMeta> {
    let row = |kind| core.rows.get(Column::RaftMeta, &key::meta(group, kind));
    let applied = decode_applied(row(Meta::Applied)?)?;
    let applied_index = applied.as_ref().map(|(index, _)| *index);
    let last = log.last_index();
    if let (Some(applied), Some(last)) = (applied_index, last.or(log.purged_index()))
        && last < applied
    {
        // Rows follow the log in one write-ahead log: a log that ends before them was damaged or rewound.
        let what =
            format!("{group}: the log ends at {last} but entry {applied} was applied: the disk lost acknowledged data");
        return Err(io::Error::new(io::ErrorKind::InvalidData, what));
    }
    Ok(GroupMeta {
        generation: decode_generation(row(Meta::Generation)?)?,
        applied,
        membership: row(Meta::Membership)?.map(Bytes::from),
        files_synced: decode_index(row(Meta::FilesSynced)?)?,
        repeat_until: last.filter(|last| Some(*last) > applied_index),
        // The node may have been killed between the change of a flag and that of the name.
        renames: true,
        ..GroupMeta::default()
    })
}

/// The last entry whose files were durable when the node stopped.
pub fn files_synced_at_start(core: &Core, group: GroupId) -> io::Result<Option<u64>> {
    decode_index(core.rows.get(Column::RaftMeta, &key::meta(group, Meta::FilesSynced))?)
}

/// Brings files in line with rows and syncs them.
pub fn recover(shared: &Shared) -> io::Result<()> {
    let (generation, applied, synced) = {
        let meta = shared.meta.lock();
        (meta.generation, meta.applied.as_ref().map(|(index, _)| *index), meta.files_synced)
    };
    drop_other_generations(shared, generation)?;
    take_over_unapplied(shared, applied)?;
    take_over_missing(shared)?;
    let Unsure { touches, bodies, redo_rows } = unsure(shared)?;
    if synced >= applied && redo_rows.is_empty() && touches.is_empty() {
        return Ok(());
    }
    let mut batch = Batch::default();
    if !touches.is_empty() || !bodies.is_empty() {
        let _files = shared.core.files.read();
        mend_bodies(shared, &touches, &bodies, synced, applied)?;
        batch = mend_names(shared, generation, &touches, applied)?;
        // Only then may the rows that ask for this be forgotten.
        shared.core.disk.sync_all()?;
    }
    redo_rows.into_iter().for_each(|row| batch.delete(Column::Local, row));
    if let Some(applied) = applied {
        batch.put(Column::RaftMeta, key::meta(shared.group, Meta::FilesSynced), applied.to_le_bytes().to_vec());
    }
    shared.core.rows.write(batch, Sync::No)?;
    shared.meta.lock().files_synced = applied;
    Ok(())
}

/// Rows of a snapshot whose installation a crash ended.
fn drop_other_generations(shared: &Shared, generation: key::Generation) -> io::Result<()> {
    let mut batch = Batch::default();
    for column in [Column::Index, Column::Cache] {
        let range = key::generation(shared.group, generation.saturating_add(1))
            ..key::generation(shared.group, key::Generation::MAX);
        if shared.core.rows.last(column, &range.start..&range.end)?.is_some() {
            batch.delete_range(column, range);
        }
    }
    let incoming = key::under(key::local(shared.group, Local::Incoming));
    if shared.core.rows.last(Column::Local, &incoming.start..&incoming.end)?.is_some() {
        batch.delete_range(Column::Local, incoming);
    }
    if batch.changes.is_empty() { Ok(()) } else { shared.core.rows.write(batch, Sync::No) }
}

/// Keeps the bodies that unapplied entries name, and mends them where a file of them is: rows that the crash took may have
/// put it there, and another group may name it before they are repeated.
fn take_over_unapplied(shared: &Shared, applied: Option<u64>) -> io::Result<()> {
    let Some(last) = shared.log.last_index() else { return Ok(()) };
    let mut named = Vec::new();
    let unapplied = applied.map_or(0, |applied| applied + 1)..last.saturating_add(1);
    shared.log.bodies_named(unapplied, &mut |index, hash| named.push((index, hash)))?;
    named.iter().for_each(|(index, hash)| shared.core.bodies.name(shared.group, *index, &[*hash]));
    // Whoever applies a record that cannot be read says so.
    let readable = |bytes: &[u8]| Ok((shared.core.decode)(bytes).unwrap_or(None));
    let mend = &mut |body: &BodyRef| shared.core.bodies.mend(&body.hash, body.inline.as_deref());
    for_bodies_in_log(shared, (applied, Some(last)), &readable, mend)
}

/// Bodies that were missing when the node stopped are still to be fetched, while rows name them.
fn take_over_missing(shared: &Shared) -> io::Result<()> {
    let (mut found, mut batch) = (Vec::new(), Batch::default());
    let range = key::under(key::local(shared.group, Local::Missing));
    shared.core.rows.scan(Column::Local, &range.start..&range.end, &mut |key, _| {
        found.extend(key.get(key::LOCAL_BYTES..).and_then(|hash| hash.try_into().ok()).map(BodyHash));
        ControlFlow::Continue(())
    })?;
    for hash in found {
        if names_of(shared, &hash)?.is_empty() {
            batch.delete(Column::Local, key::missing(shared.group, &hash));
        } else {
            shared.core.bodies.add_missing(hash);
        }
    }
    if batch.changes.is_empty() { Ok(()) } else { shared.core.rows.write(batch, Sync::No) }
}

/// Everything whose files may not agree with its row.
#[derive(Default)]
struct Unsure {
    touches: Touches,
    /// Bodies whose files may be torn.
    bodies: HashSet<BodyHash>,
    /// Keys of the rows that say so.
    redo_rows: Vec<Vec<u8>>,
}

fn unsure(shared: &Shared) -> io::Result<Unsure> {
    let rows = &shared.core.rows;
    let (mut unsure, mut problem) = (Unsure::default(), None);
    let range = key::under(key::local(shared.group, Local::Redo));
    rows.scan(Column::Local, &range.start..&range.end, &mut |key, value| {
        match decode_redo(value) {
            Ok(redo) => redo.iter().for_each(|redo| unsure.add(redo)),
            Err(error) => problem = Some(error),
        }
        unsure.redo_rows.push(key.to_vec());
        ControlFlow::Continue(())
    })?;
    let range = key::under(key::local(shared.group, Local::Rename));
    rows.scan(Column::Local, &range.start..&range.end, &mut |key, _| {
        if let Some((account, folder, uid)) = key::message_of(key) {
            unsure.touches.entry(Touch::Message(account, folder, uid)).or_default();
        }
        ControlFlow::Continue(())
    })?;
    problem.map_or(Ok(unsure), Err)
}

impl Unsure {
    fn add(&mut self, redo: &Redo) {
        match (redo, redo.touch()) {
            (_, Some(touch)) => self.touches.entry(touch).or_default().extend_from_slice(redo.names()),
            (Redo::Body(hash), None) => self.bodies.extend([*hash]),
            (_, None) => {}
        }
    }
}

/// Makes the bodies that rows need whole, and those they do not need whole or gone.
fn mend_bodies(
    shared: &Shared,
    touches: &Touches,
    torn: &HashSet<BodyHash>,
    synced: Option<u64>,
    applied: Option<u64>,
) -> io::Result<()> {
    let view = super::ReadView::new(shared.group, shared.core.rows.snapshot())?;
    let needed = needed_bodies(&view, touches)?;
    let bodies = &shared.core.bodies;
    for_bodies_in_log(shared, (synced, applied), &*shared.core.decode, &mut |body| {
        if needed.contains(&body.hash) {
            bodies.place(&body.hash, body.inline.as_deref(), true).map(drop)
        } else if torn.contains(&body.hash) && body.inline.is_some() {
            bodies.mend(&body.hash, body.inline.as_deref())
        } else {
            Ok(())
        }
    })?;
    let mut rest: Vec<&BodyHash> = torn.difference(&needed).collect();
    rest.sort();
    rest.into_iter().try_for_each(|hash| bodies.mend(hash, None))
}

/// Mends names; returns what the local rows must say once they are synced.
fn mend_names(
    shared: &Shared,
    generation: key::Generation,
    touches: &Touches,
    applied: Option<u64>,
) -> io::Result<Batch> {
    let view = super::ReadView::new(shared.group, shared.core.rows.snapshot())?;
    let local = LocalRows::new(&*shared.core.rows, shared.group, generation);
    let mut projection = Projection::new(shared, &view, local, true, applied.unwrap_or(0));
    projection.run(touches)?;
    for touch in touches.keys() {
        if let Touch::Message(account, folder, uid) = touch {
            projection.local.set_rename((*account, *folder, *uid), false);
        }
    }
    Ok(std::mem::take(&mut projection.local.batch))
}

fn needed_bodies(view: &super::ReadView, touches: &Touches) -> io::Result<HashSet<BodyHash>> {
    let mut needed = HashSet::new();
    for touch in touches.keys() {
        let hash = match touch {
            Touch::Message(account, folder, uid) | Touch::Flags(account, folder, uid) => {
                maildir::message_file(view, *account, *folder, *uid).map_err(io_error)?.map(|file| file.hash)
            }
            Touch::Queue(message) => model::queue::body_of(view, *message).map_err(io_error)?.map(|(hash, _)| hash),
            Touch::Account(_) | Touch::Folder(..) => None,
        };
        needed.extend(hash);
    }
    Ok(needed)
}

/// Visits every body named by the entries behind `after`, up to `last`.
fn for_bodies_in_log(
    shared: &Shared,
    (after, last): (Option<u64>, Option<u64>),
    decode: &dyn Fn(&[u8]) -> io::Result<Option<Entry>>,
    visit: &mut dyn FnMut(&BodyRef) -> io::Result<()>,
) -> io::Result<()> {
    let mut next = after.map_or(0, |after| after + 1);
    while Some(next) <= last {
        let records = shared.log.read(next..last.map_or(0, |last| last + 1), READ_BYTES)?;
        let Some((read, _)) = records.last() else { return Ok(()) };
        next = read + 1;
        for (_, bytes) in &records {
            if let Some(entry) = decode(bytes)? {
                entry.command.bodies().into_iter().try_for_each(&mut *visit)?;
            }
        }
    }
    Ok(())
}
