//! The types openraft is instantiated with. A replica's id is not its machine's: it is drawn from a counter and
//! never used twice, because a replica that came back empty under its old id could elect itself (C10).

use crate::raft::codec;
use crate::raft::runtime::Runtime;
use bytes::Bytes;
use model::{Entry, NodeId, Reply};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use std::fmt;
use std::sync::Arc;

openraft::declare_raft_types!(
    /// What mailnode replicates.
    pub TypeConfig:
        D = Proposal,
        R = Answer,
        NodeId = u64,
        Node = Member,
        AsyncRuntime = Runtime,
);

/// A log entry.
pub type LogEntry = openraft::alias::EntryOf<TypeConfig>;
/// A log entry's content.
pub type LogPayload = openraft::alias::PayloadOf<TypeConfig>;
/// Where an entry stands.
pub type LogId = openraft::alias::LogIdOf<TypeConfig>;
/// A vote.
pub type Vote = openraft::alias::VoteOf<TypeConfig>;
/// Who holds replicas, and since which entry.
pub type StoredMembership = openraft::alias::StoredMembershipOf<TypeConfig>;
/// What a snapshot covers.
pub type SnapshotMeta = openraft::alias::SnapshotMetaOf<TypeConfig>;

/// The machine a replica lives on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Member {
    /// The machine.
    pub node: NodeId,
    /// Where its cluster port listens, `host:port`; empty while it is alone.
    pub address: String,
}

impl Default for Member {
    fn default() -> Self {
        Member { node: NodeId(0), address: String::new() }
    }
}

/// An entry and its encoding. Both are shared, so that clones cost nothing and bytes are made once, by the proposer.
#[derive(Clone)]
pub struct Proposal {
    entry: Arc<Entry>,
    encoded: Bytes,
}

impl Proposal {
    /// Encodes `entry`.
    pub fn new(entry: Entry) -> Self {
        let encoded = Bytes::from(model::codec::encode(&entry));
        Proposal { entry: Arc::new(entry), encoded }
    }

    /// Decodes what [`Self::encoded`] gave.
    pub fn decode(encoded: Bytes) -> Result<Self, codec::DecodeError> {
        let entry = model::codec::decode(&encoded).map_err(codec::DecodeError::value)?;
        Ok(Proposal { entry: Arc::new(entry), encoded })
    }

    /// The entry.
    pub fn entry(&self) -> &Arc<Entry> {
        &self.entry
    }

    /// The entry's bytes as the log keeps them.
    pub fn encoded(&self) -> &Bytes {
        &self.encoded
    }
}

impl fmt::Debug for Proposal {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.entry, out)
    }
}

impl fmt::Display for Proposal {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.entry, out)
    }
}

impl PartialEq for Proposal {
    fn eq(&self, other: &Self) -> bool {
        self.encoded == other.encoded
    }
}

impl Serialize for Proposal {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.encoded.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Proposal {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Proposal::decode(Bytes::deserialize(deserializer)?).map_err(de::Error::custom)
    }
}

/// What applying an entry answered: nothing for the entries consensus makes for itself.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Answer(pub Option<Reply>);
