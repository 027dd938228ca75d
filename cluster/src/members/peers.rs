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

/// The peers that were last saved; none in a new data directory. Blocks.
pub fn load(files: &Files) -> Result<BTreeMap<NodeId, Peer>, StartError> {
    let Some(bytes) = files.read(FILE)? else { return Ok(BTreeMap::new()) };
    codec::decode(&bytes).map_err(|error| StartError::Damaged { path: path(FILE), reason: error.to_string() })
}

/// Keeps the peers for the next start. Blocks.
pub fn save(files: &Files, peers: &BTreeMap<NodeId, Peer>) -> Result<(), StartError> {
    files.write(FILE, &codec::encode(peers))
}
