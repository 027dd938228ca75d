//! Letting go: a replica here that the directory does not list any more is erased once the leader of its group, or another
//! node on its behalf, says that the group has let go of it. Until then it counts, and may be all that keeps an acknowledged message.

use crate::handle::Cluster;
use crate::limits::{SWEEP_ANSWER_TIMEOUT, SWEEP_INTERVAL};
use crate::members::survey::{Is, Told, survey};
use crate::runtime::Instant;
use crate::transport::Service;
use bytes::Bytes;
use futures::future::join_all;
use model::directory::row::NodeState;
use model::{GroupId, NodeId, codec};
use std::collections::{BTreeMap, BTreeSet};

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

/// Replicas here that should perhaps not be: the directory says so, this node leaves, or no leader speaks to them. Whoever
/// was away while it left has a directory that never says so, as that was taken from it as well. To ask does no harm.
async fn doubtful(cluster: &Cluster) -> Replicas {
    let inner = cluster.inner();
    let held: Replicas = inner.holdings.held().await.into_iter().collect();
    let Some(rows) = inner.directory.rows().await else { return held };
    let leaves = matches!(rows.state(inner.node), Some(NodeState::Leaving | NodeState::Removed));
    let dropped = |(group, replica): &(GroupId, u64)| {
        leaves || rows.has_dropped(*group, *replica) || inner.holdings.hears_nobody(*group)
    };
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
        let deadline = Instant::now() + SWEEP_ANSWER_TIMEOUT;
        inner.transport.call(peer.node, Service::Configure, request.clone(), deadline)
    }));
    let answers = asked.await.into_iter().filter_map(|answer| codec::decode::<Replicas>(&answer.ok()?).ok());
    for (group, replica) in answers.flatten().collect::<Replicas>().intersection(doubtful) {
        if let Err(error) = inner.holdings.erase(*group, *replica).await {
            tracing::error!(%group, replica, %error, "a replica could not be removed from here; trying again");
        }
    }
}

/// Which replicas of other nodes may go, as far as this node can find out. It asks everybody, because whoever asks it may
/// have been away for so long that it does not know who leads its groups now.
pub async fn answer(cluster: &Cluster, request: &[u8]) -> Result<Bytes, String> {
    let asked: Replicas = codec::decode(request).map_err(|error| error.to_string())?;
    let rows = cluster.inner().directory.rows().await.ok_or("the directory cannot be read")?;
    let mut may_go = asked;
    may_go.retain(|(group, replica)| rows.has_dropped(*group, *replica));
    if !may_go.is_empty() {
        let told = survey(cluster).await.into_iter().map(|(node, (told, _))| (node, told)).collect();
        may_go.retain(|(group, replica)| has_let_go(&told, *group, *replica));
    }
    Ok(codec::encode(&may_go).into())
}

/// Whether a group goes on without a replica: its leader does not list it and has no change under way. That a majority of
/// its voters is in its term says that nobody has led since, who may have counted on the replica.
fn has_let_go(told: &BTreeMap<NodeId, Told>, group: GroupId, replica: u64) -> bool {
    let leaders = told.values().filter_map(|told| told.led.get(&group));
    let is_in_term = |is: &Is, voter: &u64| {
        let at = is.places.get(voter).and_then(|node| told.get(node));
        let mut groups = at.into_iter().flat_map(|told| &told.status.groups);
        groups.any(|at| at.group == group && at.replica == *voter && at.term == is.term)
    };
    leaders.into_iter().any(|is| {
        let in_term = is.voters.iter().filter(|voter| is_in_term(is, voter)).count();
        is.settled && !is.places.contains_key(&replica) && 2 * in_term > is.voters.len()
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::status::{ClusterStatus, GroupStatus, Role};

    const GROUP: GroupId = GroupId(1);

    /// What node `id` says, which holds replica `id`, at `term`.
    fn tells(id: u64, term: u64, led: Option<Is>) -> (NodeId, Told) {
        let group = GroupStatus {
            group: GROUP,
            replica: id,
            role: if led.is_some() { Role::Leader } else { Role::Follower },
            leader: None,
            term,
            last_log: None,
            applied: None,
            purged: None,
            snapshot: None,
            log_entries: 0,
            log_bytes: 0,
            replicas: Vec::new(),
        };
        let (node_name, ca_fingerprint) = (id.to_string(), String::new());
        let status = ClusterStatus { node: NodeId(id), node_name, ca_fingerprint, groups: vec![group] };
        (NodeId(id), Told { status, led: led.into_iter().map(|is| (GROUP, is)).collect(), clock: 0 })
    }

    fn is(ids: &[u64], term: u64, settled: bool) -> Is {
        let places = ids.iter().map(|id| (*id, NodeId(*id))).collect();
        Is { places, voters: ids.iter().copied().collect(), settled, term }
    }

    fn lets_go_of_nine(told: impl IntoIterator<Item = (NodeId, Told)>) -> bool {
        has_let_go(&told.into_iter().collect(), GROUP, 9)
    }

    #[test]
    fn a_replica_may_go_once_its_group_goes_on_without_it() {
        let followers = || [tells(2, 5, None), tells(3, 5, None)];
        let leads = |is| followers().into_iter().chain([tells(1, 5, Some(is))]);
        assert!(lets_go_of_nine(leads(is(&[1, 2, 3], 5, true))));
        assert!(!lets_go_of_nine(leads(is(&[1, 2, 3], 5, false))), "a change is under way");
        assert!(!lets_go_of_nine(leads(is(&[1, 2, 3, 9], 5, true))), "it is listed");
        assert!(!lets_go_of_nine(followers()), "nobody leads");
    }

    #[test]
    fn a_leader_that_others_have_left_is_not_believed() {
        let stale = || tells(1, 5, Some(is(&[1, 2, 3], 5, true)));
        assert!(!lets_go_of_nine([stale(), tells(2, 6, None), tells(3, 6, None)]));
        assert!(!lets_go_of_nine([stale()]), "nobody is heard of");
        assert!(lets_go_of_nine([stale(), tells(2, 5, None), tells(3, 6, None)]));
    }
}
