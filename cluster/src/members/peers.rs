//! Whom this node talks to: the members in the directory, kept in a file as well, so that a node finds its cluster
//! before its directory is here or up to date.

use crate::error::StartError;
use crate::files::{Files, path};
use crate::members::rows::Rows;
use crate::transport::Peer;
use model::{NodeId, codec};
use std::collections::BTreeMap;

const FILE: &str = "peers";

/// The members in the directory that can be talked to.
pub fn of(rows: &Rows) -> BTreeMap<NodeId, Peer> {
    let known = rows.members().filter(|(_, row)| row.facts.key != [0; 32] && !row.facts.address.is_empty());
    known.map(|(node, row)| (node, Peer { address: row.facts.address.clone(), key: row.facts.key })).collect()
}

/// The same, with those of `before` that the rows do not know: no row of a node is ever taken away, so such rows are old.
/// A newcomer reads the directory's past first, and must not turn away the node that tells it the rest.
pub fn after(rows: &Rows, before: &BTreeMap<NodeId, Peer>) -> BTreeMap<NodeId, Peer> {
    let unknown = before.iter().filter(|(node, _)| !rows.nodes.contains_key(node));
    unknown.map(|(node, peer)| (*node, peer.clone())).chain(of(rows)).collect()
}

/// The peers that were last saved; none in a new data directory. Blocks.
pub fn load(files: &Files) -> Result<BTreeMap<NodeId, Peer>, StartError> {
    let Some(bytes) = files.read(FILE)? else { return Ok(BTreeMap::new()) };
    codec::decode(&bytes).map_err(|error| StartError::Damaged { path: path(FILE), reason: error.to_string() })
}

/// Keeps the peers for the next start. Blocks.
pub fn save(files: &Files, peers: &BTreeMap<NodeId, Peer>) -> Result<(), StartError> {
    files.write(FILE, &codec::encode(peers))
}

#[cfg(test)]
mod tests {
    use super::*;
    use model::directory::row::{NodeFacts, NodeRow, NodeState};

    fn row(key: u8, state: NodeState) -> NodeRow {
        let facts = NodeFacts { address: format!("h{key}:7025"), key: [key; 32], ..NodeFacts::default() };
        NodeRow { facts, state }
    }

    #[test]
    fn rows_of_the_past_drop_nobody_whom_they_do_not_know_yet() {
        let peer = |key: u8| Peer { address: format!("h{key}:7025"), key: [key; 32] };
        let before = BTreeMap::from([(NodeId(1), peer(1)), (NodeId(3), peer(3))]);
        let mut rows = Rows::default();
        rows.nodes.insert(NodeId(1), row(1, NodeState::Active));
        rows.nodes.insert(NodeId(2), row(2, NodeState::Active));
        let known: Vec<NodeId> = after(&rows, &before).into_keys().collect();
        assert_eq!(known, [NodeId(1), NodeId(2), NodeId(3)]);
        rows.nodes.insert(NodeId(3), row(3, NodeState::Removed));
        let known: Vec<NodeId> = after(&rows, &before).into_keys().collect();
        assert_eq!(known, [NodeId(1), NodeId(2)], "one that was removed is dropped");
    }
}
