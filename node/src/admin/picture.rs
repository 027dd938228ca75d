//! Puts together what an operator sees of nodes and groups: the directory says what shall be, each node that answers
//! says what is. Pure.

use super::roster::{NodeItem, NodeStanding, ReplicaItem, ShardItem};
use cluster::{GroupStatus, NodeReport, Role};
use model::directory::row::{GroupRow, NodeRow, NodeState};
use model::{GroupId, NodeId};
use std::collections::{BTreeMap, BTreeSet};

/// The pieces.
pub(super) struct Picture<'a> {
    /// The node that puts it together.
    pub here: NodeId,
    /// Every node that ever was.
    pub nodes: &'a BTreeMap<NodeId, NodeRow>,
    /// Where replicas shall be.
    pub groups: &'a BTreeMap<GroupId, GroupRow>,
    /// What the nodes that answer said.
    pub reports: &'a BTreeMap<NodeId, NodeReport>,
}

impl Picture<'_> {
    /// The nodes of the cluster, by name.
    pub fn nodes(&self) -> Vec<NodeItem> {
        let members = self.nodes.iter().filter(|(_, row)| row.is_member());
        let mut items: Vec<NodeItem> = members.map(|(node, row)| self.node(*node, row)).collect();
        items.sort_by(|left, right| left.name.cmp(&right.name));
        items
    }

    /// Every group, the directory first.
    pub fn shards(&self) -> Vec<ShardItem> {
        let told = self.reports.values().flat_map(|report| report.status.groups.iter().map(|group| group.group));
        let all: BTreeSet<GroupId> = self.groups.keys().copied().chain(told).collect();
        all.into_iter().map(|group| self.shard(group)).collect()
    }

    fn node(&self, node: NodeId, row: &NodeRow) -> NodeItem {
        let report = self.reports.get(&node);
        let groups = report.map_or(&[][..], |report| &report.status.groups);
        let lags = groups.iter().map(|group| self.lag(group.group, node));
        NodeItem {
            id: node.0,
            name: row.facts.name.clone(),
            hostname: row.facts.hostname.clone(),
            address: row.facts.address.clone(),
            version: row.facts.version.clone(),
            standing: match row.state {
                NodeState::Active => NodeStanding::Active,
                NodeState::Draining => NodeStanding::Draining,
                NodeState::Leaving | NodeState::Removed => NodeStanding::Leaving,
            },
            here: node == self.here,
            reachable: report.is_some(),
            leads: groups.iter().filter(|group| group.role == Role::Leader).count() as u64,
            replicas: groups.len() as u64,
            lag: report.map(|_| lags.flatten().sum()),
            clock_offset_ms: report.map(|report| report.clock_offset_ms),
        }
    }

    fn shard(&self, group: GroupId) -> ShardItem {
        let shall = self.groups.get(&group);
        let is = self.newest(group).map(|(_, status)| status);
        let replica = |node: NodeId, voter| ReplicaItem {
            node: self.name(node),
            voter,
            reachable: self.reports.contains_key(&node),
            lag: self.lag(group, node),
        };
        let mut replicas: Vec<ReplicaItem> = match is {
            Some(status) => status.replicas.iter().map(|at| replica(at.node, at.voter)).collect(),
            // Nobody who answers holds one: what shall be is all there is to tell.
            None => shall.into_iter().flat_map(GroupRow::nodes).map(|node| replica(node, true)).collect(),
        };
        replicas.sort_by(|left, right| left.node.cmp(&right.node));
        let leader = is.and_then(|status| status.leader).filter(|leader| self.reports.contains_key(leader));
        ShardItem { shard: group.0, leader: leader.map(|leader| self.name(leader)), replicas }
    }

    /// The report of a group by its leader, else by the node that knows the newest term.
    fn newest(&self, group: GroupId) -> Option<(NodeId, &GroupStatus)> {
        let all = self.reports.iter().filter_map(|(node, report)| {
            let status = report.status.groups.iter().find(|status| status.group == group)?;
            Some((*node, status))
        });
        all.max_by_key(|(_, status)| (status.term, status.role == Role::Leader, status.leader.is_some()))
    }

    /// Entries that a node's replica has not received yet.
    fn lag(&self, group: GroupId, node: NodeId) -> Option<u64> {
        let (_, leader) = self.newest(group).filter(|(_, status)| status.role == Role::Leader)?;
        let mine = self.reports.get(&node)?.status.groups.iter().find(|status| status.group == group)?;
        Some(leader.last_log.unwrap_or(0).saturating_sub(mine.last_log.unwrap_or(0)))
    }

    fn name(&self, node: NodeId) -> String {
        self.nodes.get(&node).map_or_else(|| format!("node {}", node.0), |row| row.facts.name.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use cluster::{ClusterStatus, ReplicaStatus};
    use model::directory::row::{NodeFacts, ReplicaPlace};

    const GROUP: GroupId = GroupId(7);

    fn rows() -> (BTreeMap<NodeId, NodeRow>, BTreeMap<GroupId, GroupRow>) {
        let row = |name: &str, state| NodeRow { facts: NodeFacts { name: name.into(), ..NodeFacts::default() }, state };
        let nodes = BTreeMap::from([
            (NodeId(1), row("c", NodeState::Active)),
            (NodeId(2), row("b", NodeState::Draining)),
            (NodeId(3), row("a", NodeState::Active)),
            (NodeId(4), row("gone", NodeState::Removed)),
        ]);
        let places = (1..=3).map(|node| ReplicaPlace { replica: 10 + node, node: NodeId(node) }).collect();
        (nodes, BTreeMap::from([(GROUP, GroupRow { revision: 1, replicas: places })]))
    }

    fn report(node: u64, role: Role, term: u64, leader: Option<u64>, last_log: u64) -> (NodeId, NodeReport) {
        let replicas =
            (1..=3).map(|node| ReplicaStatus { replica: 10 + node, node: NodeId(node), voter: node != 3 }).collect();
        let group = GroupStatus {
            group: GROUP,
            replica: 10 + node,
            role,
            leader: leader.map(NodeId),
            term,
            last_log: Some(last_log),
            applied: None,
            purged: None,
            snapshot: None,
            log_entries: 0,
            log_bytes: 0,
            replicas,
        };
        let status = ClusterStatus {
            node: NodeId(node),
            node_name: String::new(),
            ca_fingerprint: String::new(),
            groups: vec![group],
        };
        (NodeId(node), NodeReport { status, clock_offset_ms: 0 })
    }

    fn picture(reports: &BTreeMap<NodeId, NodeReport>) -> (Vec<NodeItem>, Vec<ShardItem>) {
        let (nodes, groups) = rows();
        let picture = Picture { here: NodeId(1), nodes: &nodes, groups: &groups, reports };
        (picture.nodes(), picture.shards())
    }

    #[test]
    fn the_leader_is_believed_and_the_rest_measured_by_it() {
        let reports = BTreeMap::from([
            report(1, Role::Leader, 5, Some(1), 100),
            report(2, Role::Follower, 5, Some(1), 97),
            // Was away: still believes in the leader of an older term.
            report(3, Role::Learner, 4, Some(2), 40),
        ]);
        let (nodes, shards) = picture(&reports);
        let names: Vec<_> = nodes.iter().map(|node| (node.name.as_str(), node.lag, node.leads)).collect();
        assert_eq!(names, [("a", Some(60), 0), ("b", Some(3), 0), ("c", Some(0), 1)]);
        assert_eq!((nodes[1].standing, nodes[2].here), (NodeStanding::Draining, true));
        assert_eq!(shards[0].leader.as_deref(), Some("c"));
        let replicas: Vec<_> = shards[0].replicas.iter().map(|at| (at.node.as_str(), at.voter, at.lag)).collect();
        assert_eq!(replicas, [("a", false, Some(60)), ("b", true, Some(3)), ("c", true, Some(0))]);
    }

    #[test]
    fn a_leader_that_does_not_answer_leads_no_more_and_silence_leaves_what_shall_be() {
        let (nodes, shards) = picture(&BTreeMap::from([report(2, Role::Follower, 5, Some(1), 97)]));
        assert_eq!((shards[0].leader.as_deref(), shards[0].replicas[0].lag), (None, None));
        assert_eq!(nodes.iter().map(|node| node.reachable).collect::<Vec<_>>(), [false, true, false]);
        let (_, shards) = picture(&BTreeMap::new());
        assert_eq!(shards[0].replicas.iter().filter(|at| at.voter && !at.reachable).count(), 3);
    }
}
