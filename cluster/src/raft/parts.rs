//! What a replica is made of: the group's place in the store and what it shares with the other groups of the node.

use crate::error::StartError;
use crate::metrics::Counters;
use crate::raft::size::{Bell, LogBounds};
use crate::raft::types::Member;
use crate::raft::wire::Wire;
use crate::runtime::Instant;
use crate::watch::Changes;
use model::{GroupId, NodeId};
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use storage::{Bodies, GroupLog, GroupState, Store};
use tokio::sync::{Mutex, Notify};

/// How a replica came here; says what nothing on disk means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// It makes its group: empty, it becomes the only voter.
    Founder,
    /// It waits for a leader to tell it what it holds: empty, it stays so until then.
    Joiner,
    /// It was here before: empty, it has lost what it acknowledged and must not run (C10).
    Known,
}

/// What a replica is made of; stays the same when it is rebuilt.
#[derive(Clone)]
pub struct Parts {
    /// The group.
    pub group: GroupId,
    /// The replica's id; never reused (C10).
    pub replica: u64,
    /// This machine.
    pub member: Member,
    /// The group's log on this machine.
    pub log: GroupLog,
    /// The group's rows on this machine.
    pub state: GroupState,
    /// Bodies on this machine.
    pub bodies: Arc<Bodies>,
    /// Who is told what changed.
    pub changes: Changes,
    /// Rings when the log is too long.
    pub bell: Arc<Bell>,
    /// Counts what happens.
    pub(crate) counters: Arc<Counters>,
    /// Counts entries that are replayed while the node starts.
    pub replay: Arc<Replay>,
    /// Held while storage applies, over rebuilds as well; see `machine`.
    pub turn: Arc<Mutex<()>>,
    /// Held while a snapshot comes in: only one at a time can be the next state.
    pub installing: Arc<Mutex<()>>,
    /// The way to other nodes.
    pub wire: Arc<Wire>,
    /// When this process had them first.
    pub opened: Instant,
}

/// How far the replay of the logs has come.
#[derive(Default)]
pub struct Replay {
    done: AtomicU64,
}

impl Replay {
    /// Entries applied since the node began to start.
    pub fn done(&self) -> u64 {
        self.done.load(Relaxed)
    }

    /// Some entries were applied.
    pub fn applied(&self, entries: u64) {
        self.done.fetch_add(entries, Relaxed);
    }
}

/// What the groups of a node share.
#[derive(Clone, Default)]
pub struct Shared {
    /// Rung by a log that is too long.
    pub bell: Arc<Notify>,
    /// How long that is.
    pub log_bounds: LogBounds,
    /// Counts what happens.
    pub(crate) counters: Arc<Counters>,
    /// Counts what is replayed.
    pub replay: Arc<Replay>,
    /// The way to other nodes; nobody is reachable until it is connected.
    pub wire: Arc<Wire>,
}

impl Parts {
    /// The parts of the replica that node `node` holds of `group` in `store`. Blocks on the disk.
    pub fn open(
        store: &Store,
        node: NodeId,
        group: GroupId,
        replica: u64,
        shared: &Shared,
    ) -> Result<Self, StartError> {
        let broken = |error: io::Error| StartError::Group { group, reason: error.to_string() };
        Ok(Parts {
            group,
            replica,
            member: Member { node, address: String::new() },
            log: store.log(group).map_err(broken)?,
            state: store.state(group).map_err(broken)?,
            bodies: store.bodies(),
            changes: Changes::new(),
            bell: Arc::new(Bell::new(shared.bell.clone(), shared.log_bounds)),
            counters: shared.counters.clone(),
            replay: shared.replay.clone(),
            turn: Arc::default(),
            installing: Arc::default(),
            wire: shared.wire.clone(),
            opened: Instant::now(),
        })
    }

    /// Entries that are in the log but not applied. Blocks on the disk.
    pub fn pending(&self) -> io::Result<u64> {
        let next = |index: Option<u64>| index.map_or(0, |index| index + 1);
        let last = self.log.bounds()?.last.map(|(index, _)| index);
        Ok(next(last).saturating_sub(next(self.state.applied().map(|(index, _)| index))))
    }

    /// An error of this group's start.
    pub fn failed(&self, error: impl std::fmt::Display) -> StartError {
        StartError::Group { group: self.group, reason: error.to_string() }
    }
}
