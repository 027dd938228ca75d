//! Tests of the planner: whatever nodes do, it converges, spreads evenly and never takes too much away at once.

use super::planner::*;
use model::directory::row::{GroupRow, NodeFacts, NodeRow, NodeState, ReplicaPlace};
use model::{GroupId, NodeId};
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};

/// A cluster whose groups are at once as their rows say.
struct World {
    nodes: BTreeMap<NodeId, NodeRow>,
    groups: BTreeMap<GroupId, GroupRow>,
    unreachable: BTreeSet<NodeId>,
    next_replica: u64,
}

impl World {
    fn one() -> Self {
        let mut world =
            World { nodes: BTreeMap::new(), groups: BTreeMap::new(), unreachable: BTreeSet::new(), next_replica: 1 };
        world.join();
        for group in std::iter::once(GroupId::DIRECTORY).chain(GroupId::shards()) {
            let place = ReplicaPlace { replica: world.draw(), node: NodeId(1) };
            world.groups.insert(group, GroupRow { revision: 1, replicas: vec![place] });
        }
        world
    }

    fn draw(&mut self) -> u64 {
        self.next_replica += 1;
        self.next_replica
    }

    fn join(&mut self) -> NodeId {
        let node = NodeId(self.nodes.len() as u64 + 1);
        self.nodes.insert(node, NodeRow { facts: NodeFacts::default(), state: NodeState::Active });
        node
    }

    fn set(&mut self, node: NodeId, state: NodeState) {
        self.nodes.get_mut(&node).unwrap().state = state;
    }

    fn with_state(&self, state: NodeState) -> Vec<NodeId> {
        self.nodes.iter().filter(|(_, row)| row.state == state).map(|(node, _)| *node).collect()
    }

    fn plan(&self, room: usize) -> Vec<Step> {
        self.plan_while(|_| true, room)
    }

    fn plan_while(&self, is_settled: impl Fn(GroupId) -> bool, room: usize) -> Vec<Step> {
        let settled = self.groups.keys().copied().filter(|group| is_settled(*group)).collect();
        let members = self.nodes.iter().filter(|(_, row)| row.is_member()).map(|(node, _)| *node);
        let reachable = members.filter(|node| !self.unreachable.contains(node)).collect();
        let holding = self.groups.values().flat_map(GroupRow::nodes).collect();
        let (nodes, groups) = (&self.nodes, &self.groups);
        plan(Picture { nodes, groups, settled: &settled, reachable: &reachable, holding: &holding }, room)
    }

    fn carry_out(&mut self, step: Step) {
        match step {
            Step::Retire(node) => {
                assert_eq!(self.nodes[&node].state, NodeState::Leaving);
                assert!(self.groups.values().all(|row| row.replica_on(node).is_none()), "retired while it is needed");
                self.set(node, NodeState::Removed);
            }
            Step::Place { group, revision, add, remove } => {
                let replica = self.draw();
                let row = self.groups.get_mut(&group).unwrap();
                assert_eq!(row.revision, revision);
                let before: BTreeSet<NodeId> = row.nodes().collect();
                if let Some(node) = remove {
                    assert!(before.contains(&node));
                    row.replicas.retain(|place| place.node != node);
                }
                if let Some(node) = add {
                    assert!(!before.contains(&node), "two replicas on one node");
                    row.replicas.push(ReplicaPlace { replica, node });
                }
                row.revision += 1;
                let kept = row.nodes().filter(|node| before.contains(node)).count();
                assert!(row.nodes().count() > 0 && kept + 1 >= before.len(), "more than one at a time");
            }
        }
    }

    /// Until nothing is left to do.
    fn settle(&mut self) {
        for _ in 0..2_000 {
            let steps = self.plan(4);
            if steps.is_empty() {
                return;
            }
            let changed = steps.iter().filter_map(|step| match step {
                Step::Place { group, .. } => Some(*group),
                Step::Retire(_) => None,
            });
            let changed = changed.collect::<Vec<_>>();
            assert!(changed.len() <= 4 && changed.iter().collect::<BTreeSet<_>>().len() == changed.len());
            steps.into_iter().for_each(|step| self.carry_out(step));
        }
        panic!("it never ends");
    }

    fn replicas_of(&self, group: GroupId) -> Vec<NodeId> {
        self.groups[&group].nodes().collect()
    }

    fn check_even(&self) {
        let active = self.with_state(NodeState::Active);
        let staying = active.len() + self.with_state(NodeState::Draining).len();
        for group in GroupId::shards() {
            assert_eq!(self.replicas_of(group).len(), SHARD_REPLICAS.min(staying), "{group}");
        }
        let holds = |node: &NodeId| GroupId::shards().filter(|group| self.replicas_of(*group).contains(node)).count();
        let counts: Vec<usize> = active.iter().map(holds).collect();
        assert!(counts.iter().max().unwrap() - counts.iter().min().unwrap() <= 1, "{counts:?}");
        assert_eq!(self.replicas_of(GroupId::DIRECTORY).len(), staying);
    }

    fn voters(&self, group: GroupId) -> usize {
        voters(group, &self.groups[&group], &self.nodes).len()
    }
}

#[test]
fn nothing_is_moved_for_evenness_while_replicas_wait_for_room() {
    let mut world = World::one();
    world.join();
    assert_eq!(world.plan(0), []);
    assert!(matches!(world.plan(8)[..], [Step::Place { add: Some(NodeId(2)), remove: None, .. }, ..]));
}

#[test]
fn one_to_four_and_back_converges_and_leaves_nothing_behind() {
    let mut world = World::one();
    assert_eq!(world.plan(4), []);
    let mut directory_voters = vec![world.voters(GroupId::DIRECTORY)];
    for _ in 2..=4 {
        world.join();
        world.settle();
        world.check_even();
        directory_voters.push(world.voters(GroupId::DIRECTORY));
    }
    assert_eq!(directory_voters, [1, 2, 3, 3]);
    for left in [4, 2, 1] {
        world.set(NodeId(left), NodeState::Leaving);
        world.settle();
        world.check_even();
        assert_eq!(world.nodes[&NodeId(left)].state, NodeState::Removed);
    }
    assert!(world.groups.values().all(|row| row.nodes().eq([NodeId(3)])));
}

#[test]
fn the_directory_has_an_odd_number_of_voters_up_to_five() {
    let mut world = World::one();
    for nodes in 2..=8 {
        world.join();
        world.settle();
        let expected = [0, 1, 2, 3, 3, 5, 5, 5, 5][nodes];
        assert_eq!(world.voters(GroupId::DIRECTORY), expected, "{nodes} nodes");
        assert_eq!(world.voters(GroupId(1)), SHARD_REPLICAS.min(nodes));
    }
}

#[test]
fn a_dead_node_keeps_its_replicas_until_it_is_removed() {
    let mut world = World::one();
    (0..3).for_each(|_| _ = world.join());
    world.settle();
    world.unreachable.insert(NodeId(2));
    assert_eq!(world.plan(4), [], "it may come back any moment");
    world.set(NodeId(2), NodeState::Leaving);
    world.settle();
    world.check_even();
    assert_eq!(world.nodes[&NodeId(2)].state, NodeState::Removed);
}

#[test]
fn nothing_is_given_to_who_does_not_answer_and_nothing_is_planned_for_a_group_in_change() {
    let mut world = World::one();
    let two = world.join();
    world.unreachable.insert(two);
    assert_eq!(world.plan(4), []);
    world.unreachable.clear();
    let (settled, reachable) = (BTreeSet::from([GroupId(5)]), BTreeSet::from([NodeId(1), two]));
    let (nodes, groups, holding) = (&world.nodes, &world.groups, &BTreeSet::new());
    let steps = plan(Picture { nodes, groups, settled: &settled, reachable: &reachable, holding }, 4);
    assert_eq!(steps, [Step::Place { group: GroupId(5), revision: 1, add: Some(two), remove: None }]);
}

#[test]
fn a_leaving_node_gives_up_the_directory_last_and_is_retired_once_it_is_empty() {
    let mut world = World::one();
    let two = world.join();
    world.settle();
    world.set(two, NodeState::Leaving);
    let mut order = Vec::new();
    loop {
        let steps = world.plan(1);
        let Some(step) = steps.into_iter().next() else { break };
        if let Step::Place { group, remove: Some(_), .. } = &step {
            order.push(*group);
        }
        world.carry_out(step);
    }
    assert_eq!((order.len() as u32, order.last()), (model::limits::SHARDS + 1, Some(&GroupId::DIRECTORY)));
    assert_eq!(world.nodes[&two].state, NodeState::Removed);
}

#[test]
fn a_leaving_node_keeps_the_directory_while_a_shard_may_still_count_it() {
    let mut world = World::one();
    let two = world.join();
    world.settle();
    world.set(two, NodeState::Leaving);
    while world.groups.iter().any(|(group, row)| !group.is_directory() && row.replica_on(two).is_some()) {
        world.plan(4).into_iter().for_each(|step| world.carry_out(step));
    }
    assert_eq!(
        world.plan_while(|group| group != GroupId(1), 4),
        [],
        "it may lead shard 1 and has to hear of its leave"
    );
    let revision = world.groups[&GroupId::DIRECTORY].revision;
    let last = Step::Place { group: GroupId::DIRECTORY, revision, add: None, remove: Some(two) };
    assert_eq!(world.plan(4), [last]);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn whatever_comes_and_goes_it_converges_evenly(moves in proptest::collection::vec((0..4u8, 0..8usize), 1..12)) {
        let mut world = World::one();
        for (kind, which) in moves {
            let staying: Vec<_> =
                world.nodes.iter().filter(|(_, row)| row.state == NodeState::Active).map(|(node, _)| *node).collect();
            match kind {
                0 | 1 => drop(world.join()),
                2 if staying.len() > 1 => world.set(staying[which % staying.len()], NodeState::Leaving),
                _ => {
                    // Some steps, and then something else happens.
                    for step in world.plan(which + 1) {
                        world.carry_out(step);
                    }
                }
            }
        }
        world.settle();
        world.check_even();
        prop_assert!(world.with_state(NodeState::Leaving).is_empty());
    }
}
