//! Gives a body that was missing, and has come from a peer, its place and its names.

use super::Shared;
use super::local::{LocalRows, MessageOnDisk, encode_redo};
use super::project::{Projection, Touches};
use crate::bodies::Placed;
use crate::key::{self, Local};
use crate::rows::{Batch, Column, Sync};
use model::{BodyHash, OperationId, Touch, codec};
use std::io;
use std::ops::ControlFlow;

/// Links a staged body wherever the group's rows name it. `NotFound` when it is still not on this node.
pub fn repair(shared: &Shared, hash: &BodyHash) -> io::Result<()> {
    let core = &shared.core;
    let _files = core.files.read();
    // No record of the log will mend it: what is in its place after a crash must be whole.
    let absent = !core.bodies.make_durable(&[*hash])?.is_empty();
    if absent || core.bodies.place(hash, None, true)? == Placed::Missing {
        return Err(io::Error::new(io::ErrorKind::NotFound, "the body is still missing"));
    }
    let touches = names_of(shared, hash)?;
    let view = super::ReadView::new(shared.group, core.rows.snapshot())?;
    let index = view.applied()?.map_or(0, |(index, _)| index);
    let local = LocalRows::new(&*core.rows, shared.group, shared.generation());
    let mut projection = Projection::new(shared, &view, local, true, index);
    projection.run(&touches)?;
    projection.local.set_missing(hash, false);
    let mut batch: Batch = std::mem::take(&mut projection.local.batch);
    let mut meta = shared.meta.lock();
    batch.put(Column::Local, key::redo(shared.group, meta.redo_next), encode_redo(&projection.redo));
    core.rows.write(batch, Sync::No)?;
    meta.redo_next += 1;
    Ok(())
}

/// Where the group's rows name a body.
pub fn names_of(shared: &Shared, hash: &BodyHash) -> io::Result<Touches> {
    let mut touches = Touches::new();
    let range = key::under(key::local(shared.group, Local::Message));
    shared.core.rows.scan(Column::Local, &range.start..&range.end, &mut |key, value| {
        let file: Option<MessageOnDisk> = codec::decode(value).ok();
        if let (Some((account, folder, uid)), Some(file)) = (key::message_of(key), file)
            && file.hash == *hash
        {
            touches.insert(Touch::Message(account, folder, uid), Vec::new());
        }
        ControlFlow::Continue(())
    })?;
    let range = key::under(key::local(shared.group, Local::Queue));
    shared.core.rows.scan(Column::Local, &range.start..&range.end, &mut |key, value| {
        let message = key.get(key::LOCAL_BYTES..).and_then(|message| message.try_into().ok());
        if let (Some(message), true) = (message, value == hash.0) {
            touches.insert(Touch::Queue(OperationId(message)), Vec::new());
        }
        ControlFlow::Continue(())
    })?;
    Ok(touches)
}
