//! Removes bodies that lost their last name, once the entry that took it is purged here and no snapshot needs it (C7).

use super::Shared;
use crate::bodies::Removal;
use crate::key;
use crate::rows::{Batch, Column, Sync};
use model::BodyHash;
use std::io;
use std::ops::ControlFlow;

/// Bodies looked at in one round.
const PER_ROUND: usize = 256;

/// One round over the rows after `from`, which it moves; whether there may be more to do. Removed rows leave marks that a
/// scan from the first row on would walk over in every round.
pub fn sweep(shared: &Shared, from: &mut Option<Vec<u8>>) -> io::Result<bool> {
    let Some(purged) = shared.log.purged_index() else { return Ok(false) };
    let pinned = shared.meta.lock().pins.values().min().copied();
    let upto = pinned.map_or(purged, |pinned| purged.min(pinned));
    let first = from.take().unwrap_or_else(|| key::trash(shared.group, 0, &BodyHash([0; 32])));
    let end = key::trash(shared.group, upto.saturating_add(1), &BodyHash([0; 32]));
    let mut due = Vec::new();
    if first >= end {
        return Ok(false);
    }
    shared.core.rows.scan(Column::Local, &first..&end, &mut |key, _| {
        if !shared.meta.lock().removed.contains(key) {
            due.push(key.to_vec());
        }
        if due.len() < PER_ROUND { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
    })?;
    let full = due.len() == PER_ROUND;
    *from = due.last().map(|last| [last.as_slice(), &[0]].concat());
    let mut batch = Batch::default();
    for row in due {
        let hash = row.get(key::LOCAL_BYTES + 8..).and_then(|hash| hash.try_into().ok()).map(BodyHash);
        let removal = match hash {
            Some(hash) => {
                // No apply is between finding a body there and giving it a name.
                let _files = shared.core.files.write();
                shared.core.bodies.remove_unreferenced(&hash)?
            }
            None => Removal::Unneeded,
        };
        match removal {
            Removal::Wanted => {}
            Removal::Unneeded => batch.delete(Column::Local, row),
            // The row goes only when the removal is durable: a crash may bring the file back.
            Removal::Removed => {
                shared.meta.lock().removed.insert(row);
            }
        }
    }
    if !batch.changes.is_empty() {
        shared.core.rows.write(batch, Sync::No)?;
    }
    Ok(full)
}
