//! Asking every node how it stands.

use crate::handle::Cluster;
use crate::limits::STATUS_TIMEOUT;
use crate::members::rows::Shall;
use crate::runtime::Instant;
use crate::status::{ClusterStatus, NodeReport};
use crate::transport::Service;
use bytes::Bytes;
use futures::future::join_all;
use model::{GroupId, NodeId, UnixMillis, codec};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// What a node says of itself.
#[derive(Debug, Serialize, Deserialize)]
pub struct Told {
    /// Its view.
    pub status: ClusterStatus,
    /// Who holds the groups that it leads.
    pub led: BTreeMap<GroupId, Is>,
    /// Its clock.
    pub clock: UnixMillis,
}

/// Who holds a group, as its leader sees it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Is {
    /// Each replica and its node.
    pub places: BTreeMap<u64, NodeId>,
    /// Those that vote.
    pub voters: BTreeSet<u64>,
    /// No change is under way.
    pub settled: bool,
    /// The leader's term: the higher is the truth.
    pub term: u64,
}

impl Is {
    /// Whether nothing is left to do that does not wait for a node which does not answer. A newcomer that never came
    /// back must not keep others from coming.
    pub fn is_as_far_as(&self, shall: &Shall, reachable: &BTreeSet<NodeId>) -> bool {
        let there = |id: &u64| shall.places.get(id).is_some_and(|node| reachable.contains(node));
        let placed = shall.places.iter().all(|(id, node)| self.places.get(id) == Some(node) || !there(id));
        let voting = shall.voters.iter().all(|id| self.voters.contains(id) || !there(id));
        let nobody_else = self.places.keys().all(|id| shall.places.contains_key(id));
        self.settled && placed && voting && nobody_else && self.voters.is_subset(&shall.voters)
    }
}

/// What this node says of itself.
pub fn tell(cluster: &Cluster) -> Told {
    let mut led = BTreeMap::new();
    for group in cluster.inner().holdings.groups() {
        let Some(replica) = group.replica() else { continue };
        let (leadership, members) = (replica.leadership(), replica.members());
        if leadership.here {
            let (places, voters, settled) = (members.nodes, members.voters, members.settled);
            led.insert(group.parts().group, Is { places, voters, settled, term: leadership.term });
        }
    }
    Told { status: cluster.status(), led, clock: cluster.inner().clock.now() }
}

/// What every member that answers in time says, with the difference of its clock to ours in milliseconds.
pub async fn survey(cluster: &Cluster) -> BTreeMap<NodeId, (Told, i64)> {
    let here = cluster.node();
    let rows = cluster.inner().directory.rows().await.unwrap_or_default();
    let others = rows.members().map(|(node, _)| node).filter(|node| *node != here);
    let asked = join_all(others.map(|node| async move { Some((node, ask(cluster, node).await?)) })).await;
    let mut all: BTreeMap<_, _> = asked.into_iter().flatten().collect();
    all.insert(here, (tell(cluster), 0));
    all
}

async fn ask(cluster: &Cluster, node: NodeId) -> Option<(Told, i64)> {
    let inner = cluster.inner();
    let asked_at = inner.clock.now();
    let called = inner.transport.call(node, Service::Status, Bytes::new(), Instant::now() + STATUS_TIMEOUT).await;
    let told: Told = codec::decode(&called.ok()?).ok()?;
    // Half the way there and half the way back.
    let ours = asked_at.midpoint(inner.clock.now());
    let offset = i64::try_from(told.clock).ok()?.checked_sub(i64::try_from(ours).ok()?)?;
    Some((told, offset))
}

impl Cluster {
    /// How every node that answers stands, this one included.
    pub async fn overview(&self) -> BTreeMap<NodeId, NodeReport> {
        let all = survey(self).await.into_iter();
        all.map(|(node, (told, offset))| (node, NodeReport { status: told.status, clock_offset_ms: offset })).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_who_does_not_answer_may_be_missing_and_nobody_may_be_left_over() {
        let places = |ids: &[u64]| ids.iter().map(|id| (*id, NodeId(*id))).collect::<BTreeMap<_, _>>();
        let voters = |ids: &[u64]| ids.iter().copied().collect::<BTreeSet<_>>();
        let is =
            |ids: &[u64], voting: &[u64], settled| Is { places: places(ids), voters: voters(voting), settled, term: 1 };
        let shall = Shall { places: places(&[1, 2]), voters: voters(&[1, 2]) };
        let (all, without_two) = ([1, 2].map(NodeId).into(), [1].map(NodeId).into());
        assert!(is(&[1, 2], &[1, 2], true).is_as_far_as(&shall, &all));
        assert!(!is(&[1, 2], &[1, 2], false).is_as_far_as(&shall, &all));
        for missing in [is(&[1], &[1], true), is(&[1, 2], &[1], true)] {
            assert!(!missing.is_as_far_as(&shall, &all));
            assert!(missing.is_as_far_as(&shall, &without_two));
        }
        assert!(!is(&[1, 2, 3], &[1, 2], true).is_as_far_as(&shall, &all));
    }
}
