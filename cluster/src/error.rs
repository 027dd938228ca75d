//! What can go wrong, in words that say what a caller may do next.

use crate::transport::TransportError;
use model::{GroupId, NodeId};
use std::io;

/// Why a proposal has no reply.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProposeError {
    /// Nothing was proposed: another node leads this group.
    #[error("this node does not lead the group")]
    NotLeader {
        /// Who leads it, when that is known.
        hint: Option<NodeId>,
    },
    /// Nothing was proposed: the group has no leader or no quorum, is being rebuilt, or is overloaded.
    #[error("the group cannot take proposals now")]
    Unavailable,
    /// It may or may not be carried out (I8): propose again under the same operation id to learn what became of it.
    #[error("the outcome is unknown")]
    Unknown,
    /// Nothing was proposed: the entry is larger than [`crate::limits::ENTRY_BYTES_MAX`].
    #[error("the entry has {bytes} bytes, more than the bound")]
    TooLarge {
        /// Its encoded length.
        bytes: usize,
    },
    /// Nothing was proposed: this node is shutting down.
    #[error("the node is shutting down")]
    Stopped,
}

/// Why a read was not served.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReadError {
    /// Another node leads this group.
    #[error("this node does not lead the group")]
    NotLeader {
        /// Who leads it, when that is known.
        hint: Option<NodeId>,
    },
    /// The barrier could not be passed: no leader, no quorum, or the group is being rebuilt.
    #[error("the group cannot be read now")]
    Unavailable,
    /// This node is shutting down.
    #[error("the node is shutting down")]
    Stopped,
    /// The rows could not be read: a broken disk.
    #[error("{0}")]
    Broken(String),
}

/// Why a node did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// A file of the cluster directory cannot be read or written.
    #[error("{path}: {error}")]
    File {
        /// Which.
        path: String,
        /// Why.
        error: io::Error,
    },
    /// A file of the cluster directory does not hold what it should.
    #[error("{path} is damaged: {reason}")]
    Damaged {
        /// Which.
        path: String,
        /// How.
        reason: String,
    },
    /// The log or the rows of a group cannot be read.
    #[error("{group}: {reason}")]
    Group {
        /// Which.
        group: GroupId,
        /// Why.
        reason: String,
    },
    /// A replica that has existed has nothing on disk. Starting it empty could lose acknowledged mail (C10).
    #[error("{group}: replica {replica} was here before but its log and rows are gone; restore the data directory")]
    ReplicaLost {
        /// Which.
        group: GroupId,
        /// Its replica's id.
        replica: u64,
    },
    /// A group did not elect itself and apply its log in time.
    #[error("{group}: recovery took too long")]
    Slow {
        /// Which.
        group: GroupId,
    },
    /// The other nodes use what this release does not know.
    #[error(
        "the cluster uses format {active}, this release speaks only up to {spoken}: install the release of the other nodes"
    )]
    Outdated {
        /// The format in use.
        active: u32,
        /// The highest that this release speaks.
        spoken: u32,
    },
    /// A recovery was begun here and must be finished first; half of it is neither the old cluster nor the new.
    #[error(
        "a recovery of this data directory was begun and not finished; repeat it: mailnode cluster recover --data {data}"
    )]
    Recovering {
        /// The data directory.
        data: String,
    },
    /// The work was cut short: the process is ending.
    #[error("interrupted: {0}")]
    Interrupted(String),
    /// The cluster does not take this node, or cannot be reached.
    #[error("cannot join: {0}")]
    Join(String),
    /// The cluster port cannot be opened.
    #[error(transparent)]
    Transport(#[from] TransportError),
    /// A key or certificate could not be made.
    #[error("cluster certificate: {0}")]
    Certificate(String),
}
