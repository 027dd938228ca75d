//! Snapshots of a group: built by storage, carried from replica to replica, installed in one step.
//!
//! Building is cheap and is the barrier behind which the log may be purged: storage pins the rows and waits until every
//! file that apply wrote before is on disk (C6). Nothing stays pinned afterwards: openraft keeps what a snapshot covers,
//! and whoever sends one has storage pin a fresh, later one.

use crate::raft::codec;
use crate::raft::completion::completed;
use crate::raft::types::{LogId, SnapshotMeta, StoredMembership, TypeConfig};
use model::BodyHash;
use openraft::alias::SnapshotOf;
use openraft::storage::{RaftSnapshotBuilder, Snapshot};
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use storage::snapshot::{Cursor, Position};
use storage::{Bodies, BodyHold, GroupState, Install};

/// How much of a body is held while it is copied.
const COPY_BUFFER_BYTES: usize = 64 * 1024;

/// What a snapshot holds.
pub enum SnapshotData {
    /// Nothing was applied yet.
    Nothing,
    /// A state pinned on this machine, to be read by whoever sends it.
    Pinned(Pinned),
    /// A state that has come from another machine, to be put in force.
    Received(Received),
}

/// A state that stays readable while this lives, and where the bodies it names are.
pub struct Pinned {
    snapshot: storage::Snapshot,
    bodies: Arc<Bodies>,
}

/// Rows that have come and whose bodies are all here.
pub struct Received {
    /// The rows.
    pub install: Install,
    /// Keeps the bodies until the rows name them.
    pub hold: BodyHold,
}

/// The snapshots of one group. Clones share what was built last.
#[derive(Clone)]
pub struct Snapshots {
    state: GroupState,
    bodies: Arc<Bodies>,
    built: Arc<AtomicBool>,
}

impl Snapshots {
    /// Snapshots of `state`; `bodies` takes what an installed snapshot names and is not here yet.
    pub fn new(state: GroupState, bodies: Arc<Bodies>) -> Self {
        Snapshots { state, bodies, built: Arc::default() }
    }

    /// Pins the state as it is now and waits until the files that belong to it are on disk.
    pub async fn build(&self) -> io::Result<SnapshotOf<TypeConfig, SnapshotData>> {
        self.built.store(true, Relaxed);
        if self.state.applied().is_none() {
            return Ok(Snapshot { meta: SnapshotMeta::default(), snapshot: SnapshotData::Nothing });
        }
        let snapshot = completed(|done| self.state.snapshot(done)).await?;
        let Position { position, membership, .. } = snapshot.position();
        let meta = meta_of(Some(position), membership.as_deref())?;
        let pinned = Pinned { snapshot, bodies: self.bodies.clone() };
        Ok(Snapshot { meta, snapshot: SnapshotData::Pinned(pinned) })
    }

    /// A snapshot to send, when one was built or installed since the start; it covers at least that one.
    pub async fn current(&self) -> io::Result<Option<SnapshotOf<TypeConfig, SnapshotData>>> {
        if self.built.load(Relaxed) { self.build().await.map(Some) } else { Ok(None) }
    }

    /// Puts a snapshot in force: rows, applied position and membership change in one synced step.
    pub async fn install(&self, meta: &SnapshotMeta, data: SnapshotData) -> io::Result<()> {
        let refused = || io::Error::new(io::ErrorKind::InvalidInput, "a snapshot of nothing");
        let last = meta.last_log_id.ok_or_else(refused)?;
        let membership = Some(codec::encode(&meta.last_membership));
        let position = Position { index: last.index, position: codec::encode(&last), membership };
        let (install, hold) = match data {
            SnapshotData::Nothing => return Err(refused()),
            SnapshotData::Received(Received { install, hold }) => (install, Some(hold)),
            SnapshotData::Pinned(pinned) => {
                let (state, bodies) = (self.state.clone(), self.bodies.clone());
                (crate::runtime::blocking(move || pinned.copy_into(&state, &bodies)).await??, None)
            }
        };
        completed(|done| install.finish(position, done)).await?;
        drop(hold);
        self.built.store(true, Relaxed);
        Ok(())
    }
}

impl Pinned {
    /// The state.
    pub fn snapshot(&self) -> &storage::Snapshot {
        &self.snapshot
    }

    /// Where the bodies it names are.
    pub fn bodies(&self) -> &Arc<Bodies> {
        &self.bodies
    }

    /// Brings rows and missing bodies to another store of this process.
    fn copy_into(&self, state: &GroupState, bodies: &Arc<Bodies>) -> io::Result<Install> {
        let install = state.install()?;
        let mut cursor = Cursor::default();
        while let Some(chunk) = self.snapshot.read(&mut cursor)? {
            install.write(&chunk)?;
        }
        for hash in install.missing(&self.snapshot.manifest()?)? {
            self.copy_body(hash, bodies)?;
        }
        Ok(install)
    }

    fn copy_body(&self, hash: BodyHash, bodies: &Arc<Bodies>) -> io::Result<()> {
        let (from, mut to) = (self.bodies.open_body(&hash)?, bodies.stage());
        let mut buffer = vec![0; COPY_BUFFER_BYTES];
        let mut offset = 0;
        loop {
            let read = from.read_at(offset, &mut buffer)?;
            let Some(bytes) = buffer.get(..read).filter(|bytes| !bytes.is_empty()) else {
                break;
            };
            to.write(bytes)?;
            offset += read as u64;
        }
        if to.finish_as_file()? == hash {
            Ok(())
        } else {
            Err(io::Error::new(io::ErrorKind::InvalidData, format!("body {hash:?} is rotten")))
        }
    }
}

/// What a pinned state covers.
pub fn meta_of(position: Option<&[u8]>, membership: Option<&[u8]>) -> io::Result<SnapshotMeta> {
    let last_log_id: Option<LogId> = position.map(codec::decode).transpose()?;
    let last_membership: Option<StoredMembership> = membership.map(codec::decode).transpose()?;
    Ok(SnapshotMeta { last_log_id, last_membership: last_membership.unwrap_or_default() })
}

impl RaftSnapshotBuilder<TypeConfig> for Snapshots {
    type SnapshotData = SnapshotData;

    async fn build_snapshot(&mut self) -> io::Result<SnapshotOf<TypeConfig, SnapshotData>> {
        self.build().await
    }
}
