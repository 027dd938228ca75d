//! Getting to know members from members. A node that was away may find the directory led by one whom it does not know, and
//! whom it must not let in: those it does know vouch for the others.

use crate::handle::Cluster;
use crate::limits::STATUS_TIMEOUT;
use crate::members::peers;
use crate::members::rows::Rows;
use crate::runtime::Instant;
use crate::transport::{Peer, Service};
use bytes::Bytes;
use futures::future::join_all;
use model::{GroupId, NodeId, codec};
use std::collections::BTreeMap;

type Peers = BTreeMap<NodeId, Peer>;

/// The members that this node knows, for one of them that asks.
pub async fn answer(cluster: &Cluster) -> Result<Bytes, String> {
    let rows = cluster.inner().directory.rows().await.ok_or("the directory is not here yet")?;
    Ok(codec::encode(&peers::of(&rows)).into())
}

/// `peers` and whom they know besides. Nobody is asked while the directory's leader is heard: it will say so itself.
pub async fn acquaint(cluster: &Cluster, rows: Option<&Rows>, peers: Peers) -> Peers {
    let inner = cluster.inner();
    if rows.is_some() && !inner.holdings.hears_nobody(GroupId::DIRECTORY) {
        return peers;
    }
    let others = peers.keys().filter(|node| **node != inner.node);
    let asked = join_all(
        others.map(|node| inner.transport.call(*node, Service::Members, Bytes::new(), Instant::now() + STATUS_TIMEOUT)),
    );
    let told = asked.await.into_iter().filter_map(|answer| codec::decode::<Peers>(&answer.ok()?).ok()).flatten();
    // No row of a node is ever taken away: whom the rows name is what they say, or is no member any more.
    let is_new = |node: &NodeId| *node != inner.node && rows.is_none_or(|rows| !rows.nodes.contains_key(node));
    let mut all: Peers = told.filter(|(node, _)| is_new(node)).collect();
    all.extend(peers);
    all
}
