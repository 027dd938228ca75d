//! Making a snapshot: a view of the rows, a sync of the files behind them, and a hold on log and bodies while it is used.

use super::{Piece, Position, hash_in, push_piece};
use crate::Done;
use crate::key::{self, Local};
use crate::limits;
use crate::rows::Column;
use crate::state::{ReadView, Shared};
use bytes::Bytes;
use model::{BodyHash, codec};
use std::collections::BTreeSet;
use std::io;
use std::ops::ControlFlow;
use std::sync::Arc;

/// The distinct bodies a snapshot names, ascending.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Manifest {
    /// Their hashes.
    pub bodies: Vec<BodyHash>,
}

/// How far a snapshot has been read.
#[derive(Clone, Debug, Default)]
pub struct Cursor {
    section: usize,
    next: Option<Vec<u8>>,
}

/// A group's state at one applied entry. While it lives, the log behind it and the bodies it names stay.
pub struct Snapshot {
    position: Position,
    view: ReadView,
    shared: Arc<Shared>,
    pin: u64,
}

/// Makes a snapshot on the group's apply thread; completes once its files are durable.
pub(crate) fn build(shared: &Arc<Shared>, done: Done<Snapshot>) {
    match capture(shared) {
        Err(error) => done(Err(error)),
        Ok(snapshot) => {
            let core = shared.core.clone();
            core.keeper.barrier(&core, Box::new(move |synced| done(synced.map(|()| snapshot))));
        }
    }
}

fn capture(shared: &Arc<Shared>) -> io::Result<Snapshot> {
    let view = ReadView::new(shared.group, shared.core.rows.snapshot())?;
    let (index, position) = view.applied()?.ok_or_else(|| io::Error::other("nothing is applied yet"))?;
    let position = Position { index, position, membership: view.membership()? };
    let pin = shared.pin(index);
    Ok(Snapshot { position, view, shared: shared.clone(), pin })
}

impl Snapshot {
    /// Where it stands.
    pub fn position(&self) -> &Position {
        &self.position
    }

    /// The bodies it names.
    pub fn manifest(&self) -> io::Result<Manifest> {
        let mut bodies = BTreeSet::new();
        self.local(Local::Message, &mut |value| {
            let file: Result<crate::state::MessageOnDisk, _> = codec::decode(value);
            bodies.extend(file.ok().map(|file| file.hash));
        })?;
        self.local(Local::Queue, &mut |value| bodies.extend(hash_in(value)))?;
        Ok(Manifest { bodies: bodies.into_iter().collect() })
    }

    fn local(&self, kind: Local, visit: &mut dyn FnMut(&[u8])) -> io::Result<()> {
        let range = key::under(key::local(self.shared.group, kind));
        self.view.rows().scan(Column::Local, &range.start..&range.end, &mut |_, value| {
            visit(value);
            ControlFlow::Continue(())
        })
    }

    /// The next piece of the stream, about [`limits::SNAPSHOT_CHUNK_BYTES_MAX`] long; `None` at its end. Blocks on the disk.
    pub fn read(&self, cursor: &mut Cursor) -> io::Result<Option<Bytes>> {
        const ON_DISK: [Local; 4] = [Local::Account, Local::Folder, Local::Message, Local::Queue];
        let mut chunk = Vec::new();
        while chunk.len() < limits::SNAPSHOT_CHUNK_BYTES_MAX {
            let (column, prefix, cut) = match cursor.section.checked_sub(1).map(|at| ON_DISK.get(at)) {
                None => (Column::Index, self.view.prefix().to_vec(), self.view.prefix().len()),
                Some(Some(kind)) => (Column::Local, key::local(self.shared.group, *kind), 4),
                Some(None) => break,
            };
            cursor.next = self.read_section(column, prefix, cut, cursor.next.take(), &mut chunk)?;
            if cursor.next.is_none() {
                cursor.section += 1;
            }
        }
        Ok((!chunk.is_empty()).then(|| Bytes::from(chunk)))
    }

    /// Adds rows until the chunk is full; returns the first key that did not fit.
    fn read_section(
        &self,
        column: Column,
        prefix: Vec<u8>,
        cut: usize,
        from: Option<Vec<u8>>,
        chunk: &mut Vec<u8>,
    ) -> io::Result<Option<Vec<u8>>> {
        let range = key::under(prefix);
        let start = from.unwrap_or(range.start);
        let mut next = None;
        self.view.rows().scan(column, &start..&range.end, &mut |name, value| {
            if chunk.len() >= limits::SNAPSHOT_CHUNK_BYTES_MAX {
                next = Some(name.to_vec());
                return ControlFlow::Break(());
            }
            let name = name.get(cut..).unwrap_or_default();
            let piece = if column == Column::Index { Piece::Row(name, value) } else { Piece::OnDisk(name) };
            push_piece(chunk, &piece);
            ControlFlow::Continue(())
        })?;
        Ok(next)
    }
}

impl Drop for Snapshot {
    fn drop(&mut self) {
        self.shared.unpin(self.pin);
    }
}
