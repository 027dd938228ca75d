//! Snapshots of a group: built by storage, carried from replica to replica, installed in one step.
//!
//! Building is cheap and is the barrier behind which the log may be purged: storage pins the rows and waits until every
//! file that apply wrote before is on disk (C6). Nothing stays pinned afterwards: openraft keeps what a snapshot covers,
//! and whoever sends one has storage pin a fresh, later one.

use crate::raft::codec;
use crate::raft::types::{LogId, SnapshotMeta, StoredMembership, TypeConfig};
use openraft::alias::SnapshotOf;
use openraft::storage::{RaftSnapshotBuilder, Snapshot};
use parking_lot::Mutex;
use std::io;
use std::sync::Arc;
use storage::{Bodies, GroupState};

/// A snapshot on its way.
pub enum SnapshotData {
    /// Pinned on this machine, to be read by whoever sends it.
    Pinned(storage::Snapshot),
    /// Received from elsewhere: rows and bodies are here, but not yet in force.
    Received(storage::Install),
}

/// The snapshots of one group. Clones share what was built last.
#[derive(Clone)]
pub struct Snapshots {
    state: GroupState,
    bodies: Bodies,
    built: Arc<Mutex<bool>>,
}

impl Snapshots {
    /// Snapshots of `state`; `bodies` takes what an installed snapshot names and is not here yet.
    pub fn new(state: GroupState, bodies: Bodies) -> Self {
        Snapshots { state, bodies, built: Arc::default() }
    }

    /// Pins the state as it is now and waits until the files that belong to it are on disk.
    pub async fn build(&self) -> io::Result<SnapshotOf<TypeConfig, SnapshotData>> {
        let state = self.state.clone();
        let pinned = tokio::task::spawn_blocking(move || state.snapshot()).await??;
        let meta = meta_of(pinned.position(), pinned.membership())?;
        *self.built.lock() = true;
        Ok(Snapshot { meta, snapshot: SnapshotData::Pinned(pinned) })
    }

    /// A snapshot to send, when one was built or installed since the start; it covers at least that one.
    pub async fn current(&self) -> io::Result<Option<SnapshotOf<TypeConfig, SnapshotData>>> {
        let built = *self.built.lock();
        if built { self.build().await.map(Some) } else { Ok(None) }
    }

    /// Puts a snapshot in force: rows, applied position and membership change in one synced step.
    pub async fn install(&self, meta: &SnapshotMeta, data: SnapshotData) -> io::Result<()> {
        let (state, bodies) = (self.state.clone(), self.bodies.clone());
        let position = meta.last_log_id.as_ref().map(codec::encode);
        let membership = codec::encode(&meta.last_membership);
        tokio::task::spawn_blocking(move || {
            let install = match data {
                SnapshotData::Received(install) => install,
                SnapshotData::Pinned(pinned) => copy(&pinned, &state, &bodies)?,
            };
            install.commit(position, membership)
        })
        .await??;
        *self.built.lock() = true;
        Ok(())
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
fn copy(_p: &storage::Snapshot, _s: &GroupState, _b: &Bodies) -> io::Result<storage::Install> { todo!() }
