//! Where replicas shall be, for the nodes there are. Pure: nodes, rows and what is known of the groups go in, steps come
//! out. Each step gives a group at most one replica and takes at most one away, so majorities always overlap.

use model::directory::row::{GroupRow, NodeRow, NodeState};
use model::{GroupId, NodeId};
use std::collections::{BTreeMap, BTreeSet};

/// Replicas of a shard, when there are that many nodes.
pub const SHARD_REPLICAS: usize = 3;
/// Voters of the directory at most; the other nodes' replicas learn.
pub const DIRECTORY_VOTERS: usize = 5;

/// What is known.
#[derive(Clone, Copy)]
pub struct Picture<'a> {
    /// Every node that ever was.
    pub nodes: &'a BTreeMap<NodeId, NodeRow>,
    /// Where replicas shall be now.
    pub groups: &'a BTreeMap<GroupId, GroupRow>,
    /// Groups whose leader says that they are as their row says.
    pub settled: &'a BTreeSet<GroupId>,
    /// Nodes that answer.
    pub reachable: &'a BTreeSet<NodeId>,
    /// Nodes that still hold a replica, as far as they say so.
    pub holding: &'a BTreeSet<NodeId>,
}

/// One thing to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// A group's row shall change.
    Place {
        /// Which.
        group: GroupId,
        /// The row this was decided on.
        revision: u64,
        /// Who shall hold a replica.
        add: Option<NodeId>,
        /// Who shall hold none.
        remove: Option<NodeId>,
    },
    /// A leaving node holds nothing any more.
    Retire(NodeId),
}

/// What to do next, at most `room` groups at a time. Nothing when everything is as it shall be.
pub fn plan(picture: Picture<'_>, room: usize) -> Vec<Step> {
    let mut planner = Planner::new(picture);
    let mut steps = Vec::new();
    for (group, row) in picture.groups {
        if steps.len() < room && picture.settled.contains(group) {
            let step = if group.is_directory() { planner.directory(row) } else { planner.shard(row) };
            steps.extend(step.map(|step| planner.step(*group, row, step)));
        }
    }
    // Where replicas are still missing none is moved: without room for more steps that cannot be told.
    if steps.is_empty() && room > 0 {
        steps.extend(planner.even_out());
    }
    if steps.is_empty() {
        steps.extend(planner.retired().map(Step::Retire));
    }
    steps
}

/// The voters among the replicas of a group's row.
pub fn voters(group: GroupId, row: &GroupRow, nodes: &BTreeMap<NodeId, NodeRow>) -> BTreeSet<u64> {
    if !group.is_directory() {
        return row.replicas.iter().map(|place| place.replica).collect();
    }
    let staying = row.replicas.iter().filter(|place| nodes.get(&place.node).is_some_and(stays));
    let staying: Vec<u64> = staying.map(|place| place.replica).collect();
    let count = match staying.len() {
        // Two voters lose nothing that was acknowledged when one of them is lost.
        0..=2 => staying.len(),
        many => (many - 1 + many % 2).min(DIRECTORY_VOTERS),
    };
    let chosen: BTreeSet<u64> = staying.into_iter().take(count).collect();
    if chosen.is_empty() { row.replicas.iter().map(|place| place.replica).collect() } else { chosen }
}

fn stays(row: &NodeRow) -> bool {
    matches!(row.state, NodeState::Active | NodeState::Draining)
}

/// Who joins and who leaves a group.
type Change = (Option<NodeId>, Option<NodeId>);

struct Planner<'a> {
    picture: Picture<'a>,
    /// Shard replicas of each node that stays, the steps planned so far included.
    loads: BTreeMap<NodeId, usize>,
}

impl<'a> Planner<'a> {
    fn new(picture: Picture<'a>) -> Self {
        let staying = picture.nodes.iter().filter(|(_, row)| stays(row)).map(|(node, _)| (*node, 0));
        let mut loads: BTreeMap<NodeId, usize> = staying.collect();
        for (_, row) in picture.groups.iter().filter(|(group, _)| !group.is_directory()) {
            for node in row.nodes() {
                loads.entry(node).and_modify(|load| *load += 1);
            }
        }
        Planner { picture, loads }
    }

    fn step(&mut self, group: GroupId, row: &GroupRow, (add, remove): Change) -> Step {
        if !group.is_directory() {
            self.count(add, |load| *load += 1);
            self.count(remove, |load| *load = load.saturating_sub(1));
        }
        Step::Place { group, revision: row.revision, add, remove }
    }

    fn count(&mut self, node: Option<NodeId>, change: impl FnOnce(&mut usize)) {
        if let Some(load) = node.and_then(|node| self.loads.get_mut(&node)) {
            change(load);
        }
    }

    /// Every node that stays holds the directory.
    fn directory(&self, row: &GroupRow) -> Option<Change> {
        let newcomer = self.loads.keys().find(|node| row.replica_on(**node).is_none() && self.is_reachable(**node));
        match newcomer {
            Some(node) => Some((Some(*node), None)),
            // A node that leaves needs the directory to see what it may let go of, and to hand over what it leads: it
            // gives it up last, when every shard has let go of it.
            None => row
                .nodes()
                .find(|node| self.leaves(*node) && !self.may_hold_shards(*node))
                .map(|node| (None, Some(node))),
        }
    }

    fn shard(&self, row: &GroupRow) -> Option<Change> {
        let leaving = row.nodes().find(|node| self.leaves(*node));
        let staying = row.nodes().filter(|node| !self.leaves(*node)).count();
        let wanted = SHARD_REPLICAS.min(self.loads.len());
        let newcomer = if staying < wanted { self.candidate(row) } else { None };
        match (newcomer, leaving) {
            // The last replica goes only where another comes.
            (None, Some(_)) if staying == 0 => None,
            (None, None) if staying > wanted => Some((None, self.heaviest(row))),
            (None, None) => None,
            change => Some(change),
        }
    }

    /// Moves one replica from the fullest node to the emptiest, when that makes them more alike.
    fn even_out(&mut self) -> Option<Step> {
        let picture = self.picture;
        for (group, row) in picture.groups.iter().filter(|(group, _)| !group.is_directory()) {
            let (Some(to), Some(from)) = (self.candidate(row), self.heaviest(row)) else { continue };
            let load = |node: &NodeId| self.loads.get(node).copied().unwrap_or(0);
            if picture.settled.contains(group) && load(&from) > load(&to) + 1 {
                return Some(self.step(*group, row, (Some(to), Some(from))));
            }
        }
        None
    }

    /// The emptiest node that may take a replica of this group.
    fn candidate(&self, row: &GroupRow) -> Option<NodeId> {
        let active = |node: &NodeId| self.picture.nodes.get(node).is_some_and(|row| row.state == NodeState::Active);
        let able = |node: &NodeId| row.replica_on(*node).is_none() && active(node) && self.is_reachable(*node);
        let able = self.loads.iter().filter(|(node, _)| able(node));
        able.min_by_key(|(node, load)| (**load, **node)).map(|(node, _)| *node)
    }

    /// The fullest node that holds a replica of this group and stays.
    fn heaviest(&self, row: &GroupRow) -> Option<NodeId> {
        let holders = row.nodes().filter_map(|node| Some((*self.loads.get(&node)?, node)));
        holders.max().map(|(_, node)| node)
    }

    /// A leaving node that no group lists or has any more.
    fn retired(&self) -> Option<NodeId> {
        let Picture { groups, settled, nodes, holding, .. } = self.picture;
        let all_settled = groups.keys().all(|group| settled.contains(group));
        let leaving = nodes.iter().filter(|(_, row)| row.state == NodeState::Leaving).map(|(node, _)| *node);
        let is_free =
            |node: &NodeId| !holding.contains(node) && groups.values().all(|row| row.replica_on(*node).is_none());
        leaving.filter(|_| all_settled).find(is_free)
    }

    fn leaves(&self, node: NodeId) -> bool {
        !self.loads.contains_key(&node)
    }

    fn is_reachable(&self, node: NodeId) -> bool {
        self.picture.reachable.contains(&node)
    }

    /// Whether a shard lists the node, or may count it still although its row does not.
    fn may_hold_shards(&self, node: NodeId) -> bool {
        let Picture { groups, settled, .. } = self.picture;
        let mut shards = groups.iter().filter(|(group, _)| !group.is_directory());
        shards.any(|(group, row)| row.replica_on(node).is_some() || !settled.contains(group))
    }
}
