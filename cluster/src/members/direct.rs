//! What the leader of the directory does for all: it asks how everybody stands, plans, and writes the plan down. A plan
//! made on old rows is refused by the directory, so a leader that does not know yet that it is none does no harm.

use crate::handle::Cluster;
use crate::limits::{DIRECT_INTERVAL, DIRECT_INTERVAL_IDLE, PLACED_AT_A_TIME};
use crate::members::planner::{Picture, Step, plan};
use crate::members::rows::Rows;
use crate::members::survey::{Is, Told, survey};
use model::directory::members::MemberCommand;
use model::directory::row::{GroupRow, NodeRow, NodeState};
use model::{GroupId, NodeId, Reply};
use std::collections::{BTreeMap, BTreeSet};

/// Runs until it is dropped.
pub async fn run(cluster: Cluster) {
    let mut watch = cluster.inner().directory.watch();
    loop {
        let is_busy = cluster.leads(GroupId::DIRECTORY) && round(&cluster).await;
        watch.changed(if is_busy { DIRECT_INTERVAL } else { DIRECT_INTERVAL_IDLE }).await;
    }
}

/// Plans once; says whether something is under way.
async fn round(cluster: &Cluster) -> bool {
    let Some(rows) = cluster.inner().directory.rows().await else { return false };
    if rows.members().count() < 2 {
        return false;
    }
    let told = survey(cluster).await;
    let (steps, is_settled) = decide(&rows, told.iter().map(|(node, (told, _))| (*node, told)));
    for step in &steps {
        carry_out(cluster, step).await;
    }
    !steps.is_empty() || !is_settled
}

/// The next steps, and whether nothing is to be waited for: every group is as its row says but for nodes that do not answer,
/// and every node holds the directory.
fn decide<'a>(rows: &Rows, told: impl Iterator<Item = (NodeId, &'a Told)>) -> (Vec<Step>, bool) {
    let (mut reachable, mut holding, mut truth) = (BTreeSet::new(), BTreeSet::new(), BTreeMap::<GroupId, &Is>::new());
    for (node, told) in told {
        reachable.insert(node);
        if !told.status.groups.is_empty() {
            holding.insert(node);
        }
        for (group, is) in &told.led {
            if truth.get(group).is_none_or(|other| other.term < is.term) {
                truth.insert(*group, is);
            }
        }
    }
    let is_settled = |group: &GroupId| {
        let (is, shall) = (truth.get(group), rows.shall(*group));
        is.is_some_and(|is| shall.is_some_and(|shall| is.is_as_far_as(&shall, &reachable)))
    };
    let settled: BTreeSet<GroupId> = rows.groups.keys().copied().filter(is_settled).collect();
    // A group that waits for a node that does not answer must not hold up the others.
    let under_way = |(group, row): &(&GroupId, &GroupRow)| {
        !settled.contains(group) && row.nodes().all(|node| reachable.contains(&node))
    };
    let room = PLACED_AT_A_TIME.saturating_sub(rows.groups.iter().filter(under_way).count());
    let (nodes, groups) = (&rows.nodes, &rows.groups);
    let picture = Picture { nodes, groups, settled: &settled, reachable: &reachable, holding: &holding };
    // A newcomer has to be planned for as soon as it answers.
    let directory = rows.groups.get(&GroupId::DIRECTORY);
    let is_new = |node: &NodeId| directory.is_some_and(|row| row.replica_on(*node).is_none());
    let is_awaited = |(node, row): (&NodeId, &NodeRow)| row.state == NodeState::Active && is_new(node);
    (plan(picture, room), settled.len() == rows.groups.len() && !rows.nodes.iter().any(is_awaited))
}

async fn carry_out(cluster: &Cluster, step: &Step) {
    let command = match step {
        Step::Place { group, revision, add, remove } => {
            MemberCommand::Place { group: *group, revision: *revision, add: *add, remove: *remove }
        }
        Step::Retire(node) => MemberCommand::SetState { node: *node, state: NodeState::Removed },
    };
    match cluster.change_members(command).await {
        Ok(Reply::Done) => tracing::info!(?step, "planned"),
        other => tracing::info!(?step, ?other, "not planned; looking again"),
    }
}

impl Cluster {
    /// What would be moved next; with `dry_run` off it is begun at once. Nothing when all is as it shall be or under way.
    pub async fn rebalance(&self, dry_run: bool) -> Vec<Step> {
        let Some(rows) = self.inner().directory.rows().await else { return Vec::new() };
        let told = survey(self).await;
        let (steps, _) = decide(&rows, told.iter().map(|(node, (told, _))| (*node, told)));
        if !dry_run {
            for step in &steps {
                carry_out(self, step).await;
            }
        }
        steps
    }
}
