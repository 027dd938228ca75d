//! The start of a group: how far it came, and its files brought in line with its rows after a crash.
//!
//! Files may be behind the rows (what apply did since the last sync of files) and ahead of them (rows that were not
//! synced). The first is mended here from the redo rows, the second by repeating the lost entries one by one.

use super::local::{LocalRows, decode_redo};
use super::project::{Projection, Touches};
use super::view::{decode_applied, decode_generation, decode_index, io_error};
use super::{Core, GroupMeta, Shared};
use crate::key::{self, Local, Meta};
use crate::log::GroupLog;
use crate::rows::{Batch, Column, Sync};
use bytes::Bytes;
use model::mailbox::maildir;
use model::{BodyHash, GroupId, Touch};
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
    let last = shared.log.last_index();
    if let Some(last) = last {
        let mut named = Vec::new();
        let unapplied = applied.map_or(0, |applied| applied + 1)..last.saturating_add(1);
        shared.log.bodies_named(unapplied, &mut |index, hash| named.push((index, hash)))?;
        named.iter().for_each(|(index, hash)| shared.core.bodies.name(shared.group, *index, &[*hash]));
    }
    let (touches, redo_rows) = unsure(shared)?;
    let (Some(applied), true) = (applied, synced < applied || !touches.is_empty()) else { return Ok(()) };
    let mut batch = Batch::default();
    if !touches.is_empty() {
        let _files = shared.core.files.read();
        batch = mend(shared, generation, &touches, synced, applied)?;
        // Only then may the rows that ask for this be forgotten.
        shared.core.disk.sync_all()?;
    }
    redo_rows.into_iter().for_each(|row| batch.delete(Column::Local, row));
    batch.put(Column::RaftMeta, key::meta(shared.group, Meta::FilesSynced), applied.to_le_bytes().to_vec());
    shared.core.rows.write(batch, Sync::No)?;
    shared.meta.lock().files_synced = Some(applied);
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

/// Everything whose files may not agree with its row, and the redo rows that say so.
fn unsure(shared: &Shared) -> io::Result<(Touches, Vec<Vec<u8>>)> {
    let rows = &shared.core.rows;
    let mut touches = Touches::new();
    let (mut redo_rows, mut problem) = (Vec::new(), None);
    let range = key::under(key::local(shared.group, Local::Redo));
    rows.scan(Column::Local, &range.start..&range.end, &mut |key, value| {
        match decode_redo(value) {
            Ok(redo) => {
                redo.iter().for_each(|redo| touches.entry(redo.touch()).or_default().extend_from_slice(redo.names()))
            }
            Err(error) => problem = Some(error),
        }
        redo_rows.push(key.to_vec());
        ControlFlow::Continue(())
    })?;
    let range = key::under(key::local(shared.group, Local::Rename));
    rows.scan(Column::Local, &range.start..&range.end, &mut |key, _| {
        if let Some((account, folder, uid)) = key::message_of(key) {
            touches.entry(Touch::Message(account, folder, uid)).or_default();
        }
        ControlFlow::Continue(())
    })?;
    problem.map_or(Ok((touches, redo_rows)), Err)
}

/// Mends files; returns what the local rows must say once they are synced.
fn mend(
    shared: &Shared,
    generation: key::Generation,
    touches: &Touches,
    synced: Option<u64>,
    applied: u64,
) -> io::Result<Batch> {
    let view = super::ReadView::new(shared.group, shared.core.rows.snapshot())?;
    let needed = needed_bodies(&view, touches)?;
    place_from_log(shared, &needed, synced, applied)?;
    let local = LocalRows::new(&*shared.core.rows, shared.group, generation);
    let mut projection = Projection::new(shared, &view, local, true, applied);
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

/// Writes again what a crash took of the bodies that came inside the log.
fn place_from_log(shared: &Shared, needed: &HashSet<BodyHash>, synced: Option<u64>, applied: u64) -> io::Result<()> {
    let mut next = synced.map_or(0, |synced| synced + 1);
    while !needed.is_empty() && next <= applied {
        let records = shared.log.read(next..applied + 1, READ_BYTES)?;
        let Some((first, _)) = records.first() else { return Ok(()) };
        next = (*first).max(next);
        for (index, bytes) in records {
            next = index + 1;
            let Some(entry) = (shared.core.decode)(&bytes)? else { continue };
            for body in entry.command.bodies().into_iter().filter(|body| needed.contains(&body.hash)) {
                shared.core.bodies.place(&body.hash, body.inline.as_deref(), true)?;
            }
        }
    }
    Ok(())
}
