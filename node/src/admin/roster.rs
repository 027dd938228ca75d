//! What the admin socket tells of nodes and shards. Plain data; a field is only ever added with a default.

use serde::{Deserialize, Serialize};

/// An invitation for one node.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TokenItem {
    /// The token: secret until it is used.
    pub token: String,
    /// Where the new node finds this one, `host:port`.
    pub address: String,
    /// Seconds until it is refused.
    pub valid_seconds: u64,
}

/// Keeps the secret out of logs.
impl std::fmt::Debug for TokenItem {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(out, "TokenItem({})", self.address)
    }
}

/// What the cluster does with a node.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum NodeStanding {
    /// It serves, leads and is given replicas.
    #[default]
    Active,
    /// It keeps its replicas and leads nothing that another can lead.
    Draining,
    /// Its replicas go elsewhere; then it is removed.
    Leaving,
}

impl NodeStanding {
    /// The word for it.
    pub fn word(self) -> &'static str {
        match self {
            NodeStanding::Active => "active",
            NodeStanding::Draining => "draining",
            NodeStanding::Leaving => "leaving",
        }
    }
}

/// A node that belongs to the cluster.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeItem {
    /// Its number; never used again.
    pub id: u64,
    /// Its name.
    pub name: String,
    /// The name it says in greetings.
    pub hostname: String,
    /// Where the others reach it, `host:port` (UDP).
    pub address: String,
    /// Its release.
    pub version: String,
    /// What the cluster does with it.
    pub standing: NodeStanding,
    /// Whether it is the node that was asked.
    pub here: bool,
    /// Whether it answers.
    pub reachable: bool,
    /// Groups it leads, the directory included.
    pub leads: u64,
    /// Groups it holds a replica of.
    pub replicas: u64,
    /// Entries that its replicas have not received yet, over all groups.
    pub lag: Option<u64>,
    /// Its clock less the asked node's, milliseconds.
    pub clock_offset_ms: Option<i64>,
}

/// A group and its replicas.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ShardItem {
    /// Its number; 0 is the directory.
    pub shard: u32,
    /// The name of the node that leads it.
    pub leader: Option<String>,
    /// Who holds it, by node.
    pub replicas: Vec<ReplicaItem>,
}

/// A replica of a group.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReplicaItem {
    /// The node's name.
    pub node: String,
    /// Whether it votes; else it is still catching up, or only listens.
    pub voter: bool,
    /// Whether its node answers.
    pub reachable: bool,
    /// Entries it has not received yet, when known.
    pub lag: Option<u64>,
}

/// A replica that goes from one node to another.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MoveItem {
    /// The shard.
    pub shard: u32,
    /// The node that loses it; `None` when a replica is added.
    pub from: Option<String>,
    /// The node that gets it; `None` when a replica is taken away.
    pub to: Option<String>,
}

/// `directory`, or `shard 7`.
pub fn group_name(shard: u32) -> String {
    if shard == 0 { "directory".to_owned() } else { format!("shard {shard}") }
}
