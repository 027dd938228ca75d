//! Who this node is and which replicas it holds: one small record, written before the first replica is made.
//!
//! A replica's id comes from a counter that only rises (C10). `formed` tells a data directory whose groups exist from one
//! whose first start was cut short, so that a replica that lost its log is never started as if it were new.

use crate::error::StartError;
use model::{GroupId, NodeId};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use storage::Store;

const FILE: &str = "identity";

/// The identity record.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Identity {
    /// This machine in the cluster; never reused.
    pub node: NodeId,
    /// The replica this node holds of each group.
    pub replicas: BTreeMap<GroupId, u64>,
    /// The next replica id that was never given.
    pub next_replica: u64,
    /// Whether every group of `replicas` was made.
    pub formed: bool,
}

impl Identity {
    /// The first node of a new cluster: a replica of every group.
    pub fn first() -> Self {
        let groups = std::iter::once(GroupId::DIRECTORY).chain(GroupId::shards());
        let replicas: BTreeMap<_, _> = groups.zip(1..).collect();
        let next_replica = replicas.len() as u64 + 1;
        Identity { node: NodeId(1), replicas, next_replica, formed: false }
    }

    /// Reads the record; `None` in a new data directory. Blocks.
    pub fn load(store: &Store) -> Result<Option<Self>, StartError> {
        let read = store.identity().map_err(|error| StartError::File { path: FILE.into(), error })?;
        let damaged = |error: model::ReadError| StartError::Damaged { path: FILE.into(), reason: error.to_string() };
        read.map(|bytes| model::codec::decode(&bytes).map_err(damaged)).transpose()
    }

    /// Writes the record durably. Blocks.
    pub fn save(&self, store: &Store) -> Result<(), StartError> {
        store.set_identity(&model::codec::encode(self)).map_err(|error| StartError::File { path: FILE.into(), error })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replica_ids_are_distinct_and_below_the_counter() {
        let identity = Identity::first();
        let mut ids: Vec<_> = identity.replicas.values().copied().collect();
        assert_eq!(ids.len() as u32, model::limits::SHARDS + 1);
        assert!(ids.iter().all(|id| *id < identity.next_replica));
        ids.sort_unstable();
        ids.dedup();
        assert_eq!(ids.len(), identity.replicas.len());
    }
}
