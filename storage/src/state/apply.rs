//! Carries out committed entries: rules over an overlay, files in line with it, then all rows in one batch (C5).

use super::local::{LocalRows, encode_redo};
use super::overlay::Overlay;
use super::project::{Projection, Touches};
use super::view::{encode_applied, io_error};
use super::{ApplyItem, Shared};
use crate::key::{self, Meta};
use crate::log::add;
use crate::rows::{Batch, Column, Sync};
use bytes::Bytes;
use model::{BodyHash, Outcome, Touch};
use std::collections::HashMap;
use std::io;

/// Applies items that are durable in the log; on an error none of them from the failing batch on is visible.
pub fn apply(shared: &Shared, items: Vec<ApplyItem>) -> io::Result<Vec<Outcome>> {
    let mut outcomes = Vec::with_capacity(items.len());
    let mut rest = items.as_slice();
    while let Some(first) = rest.first() {
        let repeated = shared.meta.lock().repeat_until.is_some_and(|until| first.index <= until);
        // What a crash or an error left half done is repeated one by one: only the same steps in the same order are sure
        // to pass through every name that may be on disk.
        let (batch, behind) = if repeated { rest.split_at(1) } else { (rest, [].as_slice()) };
        let before = {
            // Stays so on an error or a panic: what was half done is then repeated thoroughly.
            let mut meta = shared.meta.lock();
            let last = batch.last().map(|item| item.index);
            let doubtful = meta.repeat_until.max(last);
            std::mem::replace(&mut meta.repeat_until, doubtful)
        };
        outcomes.extend(apply_batch(shared, batch, repeated)?);
        shared.meta.lock().repeat_until = before;
        rest = behind;
    }
    Ok(outcomes)
}

fn apply_batch(shared: &Shared, items: &[ApplyItem], thorough: bool) -> io::Result<Vec<Outcome>> {
    let last = check(shared, items)?;
    let core = &shared.core;
    let _files = core.files.read();
    let generation = shared.generation();
    let mut overlay = Overlay::new(&*core.rows, key::generation(shared.group, generation));
    let (outcomes, inline) = decide(shared, items, &mut overlay)?;
    #[cfg(test)]
    rows_before_files(shared, &overlay, last)?;
    let local = LocalRows::new(&*core.rows, shared.group, generation);
    let mut projection = Projection::new(shared, &overlay, local, thorough, last.index);
    projection.inline = inline;
    let touches = touches(&outcomes, thorough, &mut projection.local);
    projection.run(&touches)?;
    let (mut local, redo) = (projection.local, projection.redo);
    let flags = |outcome: &Outcome| outcome.touched.iter().any(|touch| matches!(touch, Touch::Flags(..)));
    let renames = !thorough && outcomes.iter().any(flags);
    let mut batch = std::mem::take(&mut local.batch);
    drop(local);
    overlay.write_to(&mut batch);
    let redo_row = (!redo.is_empty()).then(|| encode_redo(&redo));
    let membership = items.iter().rev().find_map(|item| item.membership.clone());
    finish(shared, batch, redo_row, last, membership, renames)?;
    // The records need their staged bodies no more; their staged names go after the next sync of files.
    core.bodies.forget(shared.group, items.first().map_or(0, |first| first.index), last.index);
    add(&core.metrics.applied, items.len() as u64);
    Ok(outcomes)
}

/// C4 and the order of the log; returns the last item.
fn check<'a>(shared: &Shared, items: &'a [ApplyItem]) -> io::Result<&'a ApplyItem> {
    let refuse = |why: String| io::Error::new(io::ErrorKind::InvalidInput, format!("{}: {why}", shared.group));
    let mut before = shared.meta.lock().applied.as_ref().map(|(index, _)| *index);
    for item in items {
        if before.is_some_and(|before| item.index != before + 1) {
            return Err(refuse(format!("entry {} does not follow the last applied one", item.index)));
        }
        before = Some(item.index);
    }
    let last = items.last().ok_or_else(|| refuse("nothing to apply".into()))?;
    if shared.log.durable_index() < Some(last.index) {
        return Err(refuse(format!("entry {} is not durable here", last.index)));
    }
    Ok(last)
}

type Inline = HashMap<BodyHash, Bytes>;

fn decide(shared: &Shared, items: &[ApplyItem], overlay: &mut Overlay<'_>) -> io::Result<(Vec<Outcome>, Inline)> {
    let mut outcomes = Vec::with_capacity(items.len());
    let mut inline = HashMap::new();
    for item in items {
        let Some(entry) = &item.entry else {
            outcomes.push(Outcome::default());
            continue;
        };
        outcomes.push(model::apply(overlay, shared.group, item.index, entry).map_err(io_error)?);
        for body in entry.command.bodies() {
            if let Some(bytes) = &body.inline {
                inline.insert(body.hash, bytes.clone());
            }
        }
    }
    Ok((outcomes, inline))
}

/// What must be in line before the rows are visible; flags are noted for later, unless all must be sure now.
fn touches(outcomes: &[Outcome], thorough: bool, local: &mut LocalRows<'_>) -> Touches {
    let mut touches = Touches::new();
    for touch in outcomes.iter().flat_map(|outcome| &outcome.touched) {
        match touch {
            Touch::Flags(account, folder, uid) if !thorough => local.set_rename((*account, *folder, *uid), true),
            touch => drop(touches.insert(touch.clone(), Vec::new())),
        }
    }
    touches
}

fn finish(
    shared: &Shared,
    mut batch: Batch,
    redo: Option<Vec<u8>>,
    last: &ApplyItem,
    membership: Option<Bytes>,
    renames: bool,
) -> io::Result<()> {
    let group = shared.group;
    batch.put(Column::RaftMeta, key::meta(group, Meta::Applied), encode_applied(last.index, &last.position));
    if let Some(membership) = &membership {
        batch.put(Column::RaftMeta, key::meta(group, Meta::Membership), membership.to_vec());
    }
    let mut meta = shared.meta.lock();
    if let Some(redo) = redo {
        batch.put(Column::Local, key::redo(group, meta.redo_next), redo);
        meta.redo_next += 1;
    }
    shared.core.rows.write(batch, Sync::No)?;
    meta.applied = Some((last.index, last.position.clone()));
    meta.renames |= renames;
    if membership.is_some() {
        meta.membership = membership;
    }
    Ok(())
}

/// The fault of writing rows before their files, for the test that must notice it.
#[cfg(test)]
fn rows_before_files(shared: &Shared, overlay: &Overlay<'_>, last: &ApplyItem) -> io::Result<()> {
    if !crate::sim::mutants::ROWS_BEFORE_FILES.get() {
        return Ok(());
    }
    let mut batch = Batch::default();
    overlay.clone_to(&mut batch);
    batch.put(Column::RaftMeta, key::meta(shared.group, Meta::Applied), encode_applied(last.index, &last.position));
    shared.core.rows.write(batch, Sync::Yes)
}
