//! Which replicas to move so that every active node holds as many as the others, give or take one. Pure.

use model::directory::row::GroupRow;
use model::{GroupId, NodeId};
use std::collections::{BTreeMap, BTreeSet};

/// A replica that should go from one node to another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Move {
    pub shard: GroupId,
    pub from: NodeId,
    pub to: NodeId,
}

/// The fewest moves from the fullest to the emptiest nodes, each of another shard. The directory is on every node anyway.
pub(super) fn moves(groups: &BTreeMap<GroupId, GroupRow>, active: &BTreeSet<NodeId>) -> Vec<Move> {
    let mut held: BTreeMap<NodeId, BTreeSet<GroupId>> = active.iter().map(|node| (*node, BTreeSet::new())).collect();
    let shards = groups.iter().filter(|(group, _)| !group.is_directory());
    for (shard, row) in shards {
        for node in row.nodes() {
            held.entry(node).or_default().insert(*shard);
        }
    }
    let mut moved = BTreeSet::new();
    let mut all = Vec::new();
    while let Some(next) = next(&held, active, &moved) {
        moved.insert(next.shard);
        if let Some(shards) = held.get_mut(&next.from) {
            shards.remove(&next.shard);
        }
        held.entry(next.to).or_default().insert(next.shard);
        all.push(next);
    }
    all
}

fn next(
    held: &BTreeMap<NodeId, BTreeSet<GroupId>>,
    active: &BTreeSet<NodeId>,
    moved: &BTreeSet<GroupId>,
) -> Option<Move> {
    let of = |node: NodeId| held.get(&node).map_or(0, BTreeSet::len);
    let mut by_count: Vec<NodeId> = active.iter().copied().collect();
    by_count.sort_by_key(|node| of(*node));
    for from in by_count.iter().rev().copied() {
        for to in by_count.iter().copied().take_while(|to| of(*to) + 1 < of(from)) {
            let theirs = held.get(&to)?;
            let can_go = |shard: &&GroupId| !theirs.contains(shard) && !moved.contains(shard);
            if let Some(shard) = held.get(&from)?.iter().find(can_go) {
                return Some(Move { shard: *shard, from, to });
            }
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use model::directory::row::ReplicaPlace;

    fn groups(held: &[&[u64]]) -> BTreeMap<GroupId, GroupRow> {
        let row = |nodes: &&[u64]| GroupRow {
            revision: 1,
            replicas: nodes.iter().map(|node| ReplicaPlace { replica: *node, node: NodeId(*node) }).collect(),
        };
        held.iter().enumerate().map(|(number, nodes)| (GroupId(number as u32), row(nodes))).collect()
    }

    fn nodes(numbers: &[u64]) -> BTreeSet<NodeId> {
        numbers.iter().copied().map(NodeId).collect()
    }

    #[test]
    fn a_fourth_node_gets_its_part_and_no_shard_moves_twice() {
        let all: &[u64] = &[1, 2, 3];
        let groups = groups(&[all; 33]);
        let moves = moves(&groups, &nodes(&[1, 2, 3, 4]));
        assert_eq!(moves.len(), 24, "32 shards times 3 replicas over 4 nodes");
        assert!(moves.iter().all(|one| one.to == NodeId(4) && !one.shard.is_directory()));
        let shards: BTreeSet<GroupId> = moves.iter().map(|one| one.shard).collect();
        assert_eq!(shards.len(), moves.len());
        for node in [1, 2, 3] {
            assert_eq!(moves.iter().filter(|one| one.from == NodeId(node)).count(), 8);
        }
    }

    #[test]
    fn an_even_spread_and_a_spread_that_cannot_be_better_stay() {
        let all: &[u64] = &[1, 2, 3];
        assert_eq!(moves(&groups(&[all; 33]), &nodes(&[1, 2, 3])), []);
        assert_eq!(moves(&groups(&[&[1], &[1, 2], &[1]]), &nodes(&[1, 2])), []);
    }

    #[test]
    fn a_node_that_is_not_active_gets_nothing() {
        let moves = moves(&groups(&[&[1], &[1], &[1], &[1], &[1]]), &nodes(&[1, 3]));
        assert_eq!(moves.len(), 2);
        assert!(moves.iter().all(|one| one.to == NodeId(3)));
    }
}
