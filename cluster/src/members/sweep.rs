//! Letting go: a replica here that the directory does not list any more is erased once the leader of its group says that
//! the group has let go of it. Until then it counts, and may be all that keeps an acknowledged message.

use crate::handle::Cluster;
use crate::limits::{STATUS_TIMEOUT, SWEEP_INTERVAL};
use crate::runtime::Instant;
use crate::transport::Service;
use bytes::Bytes;
use futures::future::join_all;
use model::directory::row::NodeState;
use model::{GroupId, codec};
use std::collections::BTreeSet;

/// Replicas by group, sorted: a question in one direction, those that may go in the other.
type Replicas = BTreeSet<(GroupId, u64)>;

/// Runs until it is dropped.
pub async fn run(cluster: Cluster) {
    let mut watch = cluster.inner().directory.watch();
    loop {
        let doubtful = doubtful(&cluster).await;
        if !doubtful.is_empty() {
            let_go(&cluster, &doubtful).await;
        }
        watch.changed(SWEEP_INTERVAL).await;
    }
}

/// Replicas here that should perhaps not be. A node that leaves may have lost its directory too early to hear of it.
async fn doubtful(cluster: &Cluster) -> Replicas {
    let inner = cluster.inner();
    let held: Replicas = inner.holdings.held().await.into_iter().collect();
    let Some(rows) = inner.directory.rows().await else { return held };
    let leaves = matches!(rows.state(inner.node), Some(NodeState::Leaving | NodeState::Removed));
    let dropped = |(group, replica): &(GroupId, u64)| leaves || rows.has_dropped(*group, *replica);
    let mut doubtful: Replicas = held.iter().copied().filter(dropped).collect();
    if held.iter().any(|(group, _)| !group.is_directory()) {
        // The directory goes last: it is how this node hears of the others.
        doubtful.retain(|(group, _)| !group.is_directory());
    }
    doubtful
}

async fn let_go(cluster: &Cluster, doubtful: &Replicas) {
    let inner = cluster.inner();
    let request = Bytes::from(codec::encode(doubtful));
    let peers = inner.transport.peers();
    let asked = join_all(peers.iter().map(|peer| {
        let deadline = Instant::now() + STATUS_TIMEOUT;
        inner.transport.call(peer.node, Service::Configure, request.clone(), deadline)
    }));
    let answers = asked.await.into_iter().filter_map(|answer| codec::decode::<Replicas>(&answer.ok()?).ok());
    for (group, replica) in answers.flatten().collect::<Replicas>().intersection(doubtful) {
        if let Err(error) = inner.holdings.erase(*group, *replica).await {
            tracing::error!(%group, replica, %error, "a replica could not be removed from here; trying again");
        }
    }
}

/// Which replicas of other nodes may go, as far as this node can tell: it leads their group, which is as it shall be
/// without them.
pub async fn answer(cluster: &Cluster, request: &[u8]) -> Result<Bytes, String> {
    let asked: Replicas = codec::decode(request).map_err(|error| error.to_string())?;
    let inner = cluster.inner();
    let rows = inner.directory.rows().await.ok_or("the directory cannot be read")?;
    let may_go = |(group, replica): &(GroupId, u64)| {
        let here = inner.holdings.group(*group).and_then(|group| group.replica());
        let is_out = here.filter(|here| here.leadership().here).map(|here| here.members());
        let is_out = is_out.is_some_and(|is| is.settled && !is.nodes.contains_key(replica));
        is_out && rows.has_dropped(*group, *replica)
    };
    let may_go: Replicas = asked.into_iter().filter(may_go).collect();
    Ok(codec::encode(&may_go).into())
}
