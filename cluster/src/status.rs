//! What an operator sees of the cluster.

use model::{GroupId, NodeId};
use serde::{Deserialize, Serialize};

/// The cluster as this node sees it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClusterStatus {
    /// This node.
    pub node: NodeId,
    /// Its name.
    pub node_name: String,
    /// Fingerprint of the cluster's authority, lower-case hexadecimal.
    pub ca_fingerprint: String,
    /// Every group this node holds a replica of, by id.
    pub groups: Vec<GroupStatus>,
}

/// One group as this node's replica sees it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct GroupStatus {
    /// Which.
    pub group: GroupId,
    /// This node's replica.
    pub replica: u64,
    /// What the replica does.
    pub role: Role,
    /// The node that leads, when known.
    pub leader: Option<NodeId>,
    /// The term of the last vote.
    pub term: u64,
    /// Index of the last entry in the log.
    pub last_log: Option<u64>,
    /// Index of the last applied entry.
    pub applied: Option<u64>,
    /// Index up to which the log was purged.
    pub purged: Option<u64>,
    /// Index the last snapshot covers.
    pub snapshot: Option<u64>,
    /// Entries in the log.
    pub log_entries: u64,
    /// Bytes in the log.
    pub log_bytes: u64,
    /// Who holds replicas, by replica id.
    pub replicas: Vec<ReplicaStatus>,
}

/// What a replica does.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Role {
    /// It leads.
    Leader,
    /// It follows.
    Follower,
    /// It receives the log but does not vote.
    Learner,
    /// It tries to become leader.
    Candidate,
    /// It failed and is being rebuilt.
    Rebuilding {
        /// Why it failed.
        reason: String,
        /// Failures in a row.
        attempt: u32,
    },
    /// The node is shutting down.
    Stopped,
}

/// One replica of a group.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReplicaStatus {
    /// Its id.
    pub replica: u64,
    /// Where it is.
    pub node: NodeId,
    /// Whether it votes.
    pub voter: bool,
}

/// What a node said of itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeReport {
    /// Its view.
    pub status: ClusterStatus,
    /// Its clock less ours, in milliseconds; as exact as half the way there and back.
    pub clock_offset_ms: i64,
}

impl ClusterStatus {
    /// Whether every group has a leader.
    pub fn is_available(&self) -> bool {
        self.groups.iter().all(|group| group.leader.is_some() && !matches!(group.role, Role::Rebuilding { .. }))
    }
}
