//! What replicas say to each other, as bytes, and the way it takes: everything goes over one transport per node.
//!
//! Frames are `model::codec` values, whose first byte is their format. Log entries travel as the log keeps them.

use crate::exchange::{Pushes, Rate};
use crate::limits::{SNAPSHOTS_RECEIVED_MAX, SNAPSHOTS_SENT_MAX};
use crate::raft::beats::Beats;
use crate::raft::codec::{self, DecodeError};
use crate::raft::pulse::Pulse;
use crate::raft::types::{LogId, SnapshotMeta, TypeConfig, Vote};
use crate::transport::{CallError, Transport};
use bytes::Bytes;
use model::{BodyHash, GroupId};
use openraft::raft::{
    AppendEntriesRequest, StreamAppendResult, TransferLeaderRequest, TransferLeaderResponse, VoteRequest, VoteResponse,
};
use parking_lot::RwLock;
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use tokio::sync::Semaphore;

/// A replica a message is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Address {
    /// Its group.
    pub group: GroupId,
    /// Its id within all time (C10).
    pub replica: u64,
}

/// A request for a vote or a promise of one.
#[derive(Debug, Serialize, Deserialize)]
pub struct Ballot {
    /// Who is asked.
    pub to: Address,
    /// What for.
    pub request: VoteRequest<TypeConfig>,
}

/// The answer to a [`Ballot`].
pub type Voted = VoteResponse<TypeConfig>;

/// A leader hands over.
#[derive(Debug, Serialize, Deserialize)]
pub struct Transfer {
    /// Who is told.
    pub to: Address,
    /// To whom, and from which entry on.
    pub request: TransferLeaderRequest<TypeConfig>,
}

/// The answer to a [`Transfer`].
pub type Transferred = TransferLeaderResponse<TypeConfig>;

/// Entries to append; one frame of an append stream, whose head is the [`Address`].
#[derive(Debug, Serialize, Deserialize)]
pub struct Append {
    vote: Vote,
    previous: Option<LogId>,
    commit: Option<LogId>,
    entries: Vec<Bytes>,
}

/// The answer to an [`Append`] or a beat.
pub type Appended = StreamAppendResult<TypeConfig>;

/// A heartbeat: an append of nothing.
#[derive(Debug, Serialize, Deserialize)]
pub struct Beat {
    /// Who is told.
    pub to: Address,
    /// The leader's vote.
    pub vote: Vote,
    /// The last entry known to be there.
    pub previous: Option<LogId>,
    /// The last committed entry.
    pub commit: Option<LogId>,
}

/// The answer to each beat of a frame, in order; `None` when there was none in time.
pub type Beaten = Vec<Option<Appended>>;

/// The head of a stream that carries a snapshot.
#[derive(Debug, Serialize, Deserialize)]
pub struct SnapshotHead {
    /// Who is to install it.
    pub to: Address,
    /// The leader's vote.
    pub vote: Vote,
    /// What it covers.
    pub meta: SnapshotMeta,
}

/// What the sender of a snapshot says, in this order; bodies follow as frames of [`crate::exchange`] when asked for.
#[derive(Debug, Serialize, Deserialize)]
pub enum SnapshotPart {
    /// Rows.
    Rows(Bytes),
    /// Bodies the rows name.
    Bodies(Vec<BodyHash>),
    /// All rows and names of bodies are sent.
    End,
}

/// What the receiver of a snapshot says.
#[derive(Debug, Serialize, Deserialize)]
pub enum SnapshotAnswer {
    /// These bodies are not here.
    Missing(Vec<BodyHash>),
    /// It is in force, or a higher vote was seen.
    Installed(Vote),
}

impl Append {
    /// The bytes of a request.
    pub fn encode(request: &AppendEntriesRequest<TypeConfig>) -> Bytes {
        codec::encode(&Append {
            vote: request.vote,
            previous: request.prev_log_id,
            commit: request.leader_commit,
            entries: request.entries.iter().map(codec::encode_entry).collect(),
        })
    }

    /// The request in what [`Self::encode`] gave.
    pub fn decode(frame: &[u8]) -> Result<AppendEntriesRequest<TypeConfig>, DecodeError> {
        let Append { vote, previous, commit, entries } = codec::decode(frame)?;
        let entries = entries.iter().map(codec::decode_entry).collect::<Result<_, _>>()?;
        Ok(AppendEntriesRequest { vote, prev_log_id: previous, entries, leader_commit: commit })
    }
}

impl Beat {
    /// The request it stands for.
    pub fn request(&self) -> AppendEntriesRequest<TypeConfig> {
        AppendEntriesRequest {
            vote: self.vote,
            prev_log_id: self.previous,
            entries: Vec::new(),
            leader_commit: self.commit,
        }
    }
}

/// A node's way to others, shared by all its groups. Without a transport everybody is unreachable.
pub struct Wire {
    transport: RwLock<Option<Transport>>,
    /// Heartbeats on their way.
    pub beats: Beats,
    /// Makes leaders send heartbeats at the same moment.
    pub pulse: Pulse,
    /// Bodies on their way to replicas elsewhere.
    pub pushes: Pushes,
    /// How fast old state goes out: snapshots, and bodies that are asked for.
    pub catch_up: Rate,
    /// One permit for each snapshot this node sends at a time.
    pub sending: Semaphore,
    /// One permit for each snapshot this node receives at a time.
    pub receiving: Arc<Semaphore>,
}

impl Default for Wire {
    fn default() -> Self {
        Wire {
            transport: RwLock::default(),
            beats: Beats::default(),
            pulse: Pulse::default(),
            pushes: Pushes::default(),
            catch_up: Rate::default(),
            sending: Semaphore::new(SNAPSHOTS_SENT_MAX),
            receiving: Arc::new(Semaphore::new(SNAPSHOTS_RECEIVED_MAX)),
        }
    }
}

impl Wire {
    /// From now on others are reached over `transport`.
    pub fn connect(&self, transport: Transport) {
        *self.transport.write() = Some(transport);
        self.pulse.start();
    }

    /// From now on nobody is reachable. A transport holds its handler, which holds this: without it neither would go.
    pub fn disconnect(&self) {
        self.transport.write().take();
    }

    /// The transport.
    pub fn transport(&self) -> Result<Transport, CallError> {
        self.transport.read().clone().ok_or_else(|| CallError::Unreachable("this node is alone".into()))
    }
}
