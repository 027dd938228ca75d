//! Who should lead which group. Pure: every node that knows the same comes to the same, so leaders need not agree on it
//! first; who leads a group that another should lead hands it over.

use super::planner::voters;
use model::directory::row::{GroupRow, NodeRow, NodeState};
use model::{GroupId, NodeId};
use std::collections::{BTreeMap, BTreeSet};

/// The node that should lead each group: one that votes, is active and answers, and leads no more than the others.
/// A group without such a node is left to itself.
pub fn preferred(
    nodes: &BTreeMap<NodeId, NodeRow>,
    groups: &BTreeMap<GroupId, GroupRow>,
    answering: &BTreeSet<NodeId>,
) -> BTreeMap<GroupId, NodeId> {
    let able =
        |node: &NodeId| answering.contains(node) && nodes.get(node).is_some_and(|row| row.state == NodeState::Active);
    let mut led: BTreeMap<NodeId, usize> = nodes.keys().filter(|node| able(node)).map(|node| (*node, 0)).collect();
    let mut chosen = BTreeMap::new();
    for (group, row) in groups {
        let voting = voters(*group, row, nodes);
        let places = row.replicas.iter().filter(|place| voting.contains(&place.replica));
        let least = places.filter_map(|place| Some((*led.get(&place.node)?, place.node))).min();
        if let Some((_, node)) = least {
            chosen.insert(*group, node);
            led.entry(node).and_modify(|count| *count += 1);
        }
    }
    chosen
}

#[cfg(test)]
mod tests {
    use super::*;
    use model::directory::row::{NodeFacts, ReplicaPlace};

    fn three() -> (BTreeMap<NodeId, NodeRow>, BTreeMap<GroupId, GroupRow>) {
        let row = || NodeRow { facts: NodeFacts::default(), state: NodeState::Active };
        let nodes = (1..=3).map(|node| (NodeId(node), row())).collect();
        let places = |group: u64| {
            let place = |node| ReplicaPlace { replica: group * 3 + node, node: NodeId(node) };
            GroupRow { revision: 1, replicas: (1..=3).map(place).collect() }
        };
        (nodes, (0..33).map(|group| (GroupId(group), places(u64::from(group)))).collect())
    }

    fn counts(chosen: &BTreeMap<GroupId, NodeId>) -> BTreeMap<u64, usize> {
        chosen.values().fold(BTreeMap::new(), |mut counts, node| {
            *counts.entry(node.0).or_default() += 1;
            counts
        })
    }

    #[test]
    fn groups_are_led_evenly_by_those_that_answer_and_are_not_drained() {
        let (mut nodes, groups) = three();
        let all = (1..=3).map(NodeId).collect();
        assert_eq!(counts(&preferred(&nodes, &groups, &all)), BTreeMap::from([(1, 11), (2, 11), (3, 11)]));
        let without_two = BTreeSet::from([NodeId(1), NodeId(3)]);
        assert_eq!(counts(&preferred(&nodes, &groups, &without_two)), BTreeMap::from([(1, 17), (3, 16)]));
        nodes.get_mut(&NodeId(3)).unwrap().state = NodeState::Draining;
        assert_eq!(counts(&preferred(&nodes, &groups, &all)), BTreeMap::from([(1, 17), (2, 16)]));
    }

    #[test]
    fn a_group_that_nobody_should_lead_is_left_alone() {
        let (nodes, groups) = three();
        assert_eq!(preferred(&nodes, &groups, &BTreeSet::new()), BTreeMap::new());
    }
}
