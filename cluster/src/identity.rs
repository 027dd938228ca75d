//! Who this node is and which replicas it holds: one small record, written before a replica is made.
//!
//! A replica's id is drawn from a counter of the directory and never used twice (C10). The record tells a replica that
//! has data from one that was never given any, so that a replica that lost its log is never started as if it were new.

use crate::error::StartError;
use bytes::Bytes;
use model::{GroupId, NodeId, codec};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use storage::Store;

const FILE: &str = "identity";
const FORMAT: u8 = 2;
/// What the first release wrote.
const FORMAT_OF_ONE_NODE: u8 = 1;
/// What stands here while a recovery is under way; see [`crate::recover`].
pub const FORMAT_OF_RECOVERY: u8 = 3;

/// The identity record.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Identity {
    /// This machine in the cluster; never reused.
    pub node: NodeId,
    /// The replica this node holds of each group.
    pub replicas: BTreeMap<GroupId, Held>,
    /// The highest replica id this node ever held of each group: no replica is made under an id that is not higher.
    pub highest: BTreeMap<GroupId, u64>,
}

/// A replica this node holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Held {
    /// Its id.
    pub replica: u64,
    /// What must be on disk.
    pub stage: Stage,
}

/// How far a replica has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Stage {
    /// It makes its group, alone. Nothing need be on disk.
    Founding,
    /// It waits for a leader to give it the group. Nothing need be on disk.
    Waiting,
    /// It has data: finding none is a loss.
    Formed,
    /// It is being taken off this node; what is left on disk is to be erased.
    Erasing,
}

#[derive(Deserialize)]
#[cfg_attr(test, derive(Serialize))]
struct IdentityOfOneNode {
    node: NodeId,
    replicas: BTreeMap<GroupId, u64>,
    _next_replica: u64,
    formed: bool,
}

impl Identity {
    /// The first node of a new cluster: a replica of every group; so many of them are shards.
    pub fn first(shards: u32) -> Self {
        let groups = std::iter::once(GroupId::DIRECTORY).chain((1..=shards).map(GroupId));
        Self::holding(NodeId(1), groups.zip(1..).collect(), Stage::Founding)
    }

    /// A node that was admitted and holds nothing yet.
    pub fn admitted(node: NodeId) -> Self {
        Self::holding(node, BTreeMap::new(), Stage::Waiting)
    }

    fn holding(node: NodeId, replicas: BTreeMap<GroupId, u64>, stage: Stage) -> Self {
        let held = replicas.iter().map(|(group, replica)| (*group, Held { replica: *replica, stage })).collect();
        Identity { node, replicas: held, highest: replicas }
    }

    /// Notes a replica about to be made. `false`, and nothing noted, when its id was passed already.
    pub fn take(&mut self, group: GroupId, replica: u64) -> bool {
        let passed =
            self.replicas.contains_key(&group) || self.highest.get(&group).is_some_and(|high| *high >= replica);
        if !passed {
            self.highest.insert(group, replica);
            self.replicas.insert(group, Held { replica, stage: Stage::Waiting });
        }
        !passed
    }

    /// Notes how far a replica has come.
    pub fn set_stage(&mut self, group: GroupId, stage: Stage) {
        if let Some(held) = self.replicas.get_mut(&group) {
            held.stage = stage;
        }
    }

    /// Reads the record; `None` in a new data directory. Blocks.
    pub fn load(store: &Store) -> Result<Option<Self>, StartError> {
        let Some(bytes) = read(store)? else { return Ok(None) };
        if bytes.first() == Some(&FORMAT_OF_RECOVERY) {
            return Err(StartError::Recovering { data: store.data().display().to_string() });
        }
        Self::decode(&bytes).map(Some).map_err(damaged)
    }

    fn decode(bytes: &[u8]) -> Result<Self, model::ReadError> {
        if bytes.first() != Some(&FORMAT_OF_ONE_NODE) {
            return codec::decode_as(FORMAT, bytes);
        }
        let old: IdentityOfOneNode = codec::decode_as(FORMAT_OF_ONE_NODE, bytes)?;
        let stage = if old.formed { Stage::Formed } else { Stage::Founding };
        Ok(Self::holding(old.node, old.replicas, stage))
    }

    /// Writes the record durably. Blocks.
    pub fn save(&self, store: &Store) -> Result<(), StartError> {
        write(store, &codec::encode_as(FORMAT, self))
    }
}

/// The record's bytes, whatever they say. Blocks.
pub fn read(store: &Store) -> Result<Option<Bytes>, StartError> {
    store.identity().map_err(|error| StartError::File { path: FILE.into(), error })
}

/// Replaces the record durably. Blocks.
pub fn write(store: &Store, bytes: &[u8]) -> Result<(), StartError> {
    store.set_identity(bytes).map_err(|error| StartError::File { path: FILE.into(), error })
}

/// The record does not say what it should.
pub fn damaged(error: model::ReadError) -> StartError {
    StartError::Damaged { path: FILE.into(), reason: error.to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replica_ids_of_a_new_cluster_are_distinct() {
        let identity = Identity::first(model::limits::SHARDS);
        let mut ids: Vec<_> = identity.replicas.values().map(|held| held.replica).collect();
        assert_eq!(ids.len() as u32, model::limits::SHARDS + 1);
        ids.sort_unstable();
        ids.dedup();
        assert_eq!(ids.len(), identity.replicas.len());
    }

    #[test]
    fn the_record_of_the_first_release_is_read() {
        let replicas = BTreeMap::from([(GroupId(0), 1), (GroupId(1), 2)]);
        for (formed, stage) in [(true, Stage::Formed), (false, Stage::Founding)] {
            let old = IdentityOfOneNode { node: NodeId(1), replicas: replicas.clone(), _next_replica: 3, formed };
            let read = Identity::decode(&codec::encode(&old)).unwrap();
            assert_eq!(read, Identity::holding(NodeId(1), replicas.clone(), stage));
            assert_eq!(Identity::decode(&codec::encode_as(FORMAT, &read)).unwrap(), read);
        }
        assert!(Identity::decode(&[9]).is_err());
    }

    #[test]
    fn a_replica_id_that_was_passed_is_never_taken() {
        let (mut identity, group) = (Identity::admitted(NodeId(2)), GroupId(4));
        assert!(identity.take(group, 40));
        assert!(!identity.take(group, 41), "one replica of a group at a time");
        identity.replicas.remove(&group);
        assert!(!identity.take(group, 40));
        assert!(!identity.take(group, 39));
        assert!(identity.take(group, 41));
    }
}
