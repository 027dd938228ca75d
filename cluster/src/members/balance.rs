//! Spreading leadership: each leader of a group that another node should lead hands it over, a few at a time.

use super::leaders::preferred;
use crate::handle::Cluster;
use crate::limits::{
    ABDICATION_TIMEOUT, BALANCE_INTERVAL, BALANCE_REST, BALANCE_SETTLED_AFTER, CATCH_UP_LAG_MAX, CHANGE_TIMEOUT,
    TRANSFERS_PER_ROUND,
};
use crate::members::rows::Rows;
use crate::raft::Replica;
use crate::runtime::{Instant, sleep};
use futures::future::join_all;
use model::directory::row::NodeState;
use model::{GroupId, NodeId};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// Runs until it is dropped.
pub async fn run(cluster: Cluster) {
    // Who answered when it was last calm: a node that is away for a moment must not make all leaders move.
    let mut answering = BTreeSet::new();
    let mut seen = (BTreeSet::new(), Instant::now());
    let mut handed = BTreeMap::new();
    loop {
        sleep(BALANCE_INTERVAL).await;
        let Some(rows) = cluster.inner().directory.rows().await else { continue };
        let connected = connected(&cluster);
        if connected != seen.0 {
            seen = (connected.clone(), Instant::now());
        }
        if seen.1.elapsed() >= BALANCE_SETTLED_AFTER {
            answering = connected.clone();
        }
        // A node that is drained hands everything over at once, to whoever is there.
        if rows.state(cluster.node()).is_some_and(|state| state != NodeState::Active) {
            hand_over(&cluster, &rows, &connected, usize::MAX, &mut BTreeMap::new()).await;
        } else if answering == connected {
            hand_over(&cluster, &rows, &connected, TRANSFERS_PER_ROUND, &mut handed).await;
        }
    }
}

fn connected(cluster: &Cluster) -> BTreeSet<NodeId> {
    let peers = cluster.inner().transport.peers().into_iter();
    peers.filter(|peer| peer.connected).map(|peer| peer.node).chain([cluster.node()]).collect()
}

/// Hands over at most `room` groups. One that was handed over a moment ago is here again because somebody who sees other
/// nodes wants it here: `handed`, by group, keeps two such from throwing it to and fro.
async fn hand_over(
    cluster: &Cluster,
    rows: &Arc<Rows>,
    connected: &BTreeSet<NodeId>,
    room: usize,
    handed: &mut BTreeMap<GroupId, Instant>,
) {
    let chosen = preferred(&rows.nodes, &rows.groups, connected);
    handed.retain(|_, at| at.elapsed() < BALANCE_REST);
    let mut moved = 0;
    for group in cluster.inner().holdings.groups() {
        let id = group.parts().group;
        let Some(node) = chosen.get(&id).filter(|node| **node != cluster.node()) else { continue };
        let Some(replica) = group.replica().filter(|replica| replica.leadership().here) else { continue };
        let Some(heir) = heir(&replica, *node).filter(|_| !handed.contains_key(&id)) else { continue };
        match replica.transfer(heir, Instant::now() + CHANGE_TIMEOUT).await {
            Ok(()) => {
                handed.insert(id, Instant::now());
                tracing::debug!(group = %id, node = node.0, "handed over");
            }
            Err(error) => tracing::info!(group = %id, node = node.0, %error, "not handed over; trying again"),
        }
        moved += 1;
        if moved >= room {
            return;
        }
    }
}

/// Hands over what this node leads to whoever can take it, before it stops: nobody has to wait for an election then.
pub async fn abdicate(cluster: &Cluster) {
    let connected = connected(cluster);
    let led = cluster.inner().holdings.groups().into_iter().filter_map(|group| {
        let replica = group.replica().filter(|replica| replica.leadership().here)?;
        let heir = connected.iter().filter(|node| **node != cluster.node()).find_map(|node| heir(&replica, *node))?;
        Some((replica, heir))
    });
    let deadline = Instant::now() + ABDICATION_TIMEOUT;
    join_all(led.map(|(replica, heir)| async move {
        if let Err(error) = replica.transfer(heir, deadline).await {
            tracing::debug!(group = %replica.parts().group, %error, "not handed over before stopping");
        }
    }))
    .await;
}

/// The voter on a node, when it has what this leader has and no change is under way.
fn heir(replica: &Replica, node: NodeId) -> Option<u64> {
    let members = replica.members();
    let (heir, _) = members.nodes.iter().find(|(id, at)| **at == node && members.voters.contains(id))?;
    let matched = replica.matched()?.get(heir).copied().flatten()?;
    (members.settled && matched + CATCH_UP_LAG_MAX >= replica.last_log().unwrap_or(0)).then_some(*heir)
}
