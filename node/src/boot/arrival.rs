//! Tells how far a node is with receiving what it shall hold: after joining, and after it was given more.

use crate::context::Services;
use crate::limits::ARRIVAL_LOOK_INTERVAL;
use cluster::{ClusterStatus, Role};
use model::directory::row::GroupRow;
use model::directory::view;
use model::{GroupId, NodeId};
use std::collections::BTreeMap;
use std::fmt::Write as _;

/// Steps of the bar.
const BAR_STEPS: usize = 24;

/// Logs a bar whenever it grows. Never ends: a node may be given more at any time.
pub async fn tell(services: Services) {
    let mut told = None;
    loop {
        let rows = services.directory.with_rows(view::groups).unwrap_or_default();
        let (here, of) = count(&rows, services.cluster.node(), &services.cluster.status());
        if here < of && told != Some(here) {
            tracing::info!("receiving mail: {} {here} of {of} groups", bar(here, of));
            told = Some(here);
        }
        if here >= of && told.take().is_some() {
            tracing::info!("everything is here: {} {of} groups", bar(here, of));
        }
        tokio::time::sleep(ARRIVAL_LOOK_INTERVAL).await;
    }
}

/// Replicas that are level enough to vote, and how many there shall be here.
fn count(rows: &BTreeMap<GroupId, GroupRow>, node: NodeId, status: &ClusterStatus) -> (usize, usize) {
    let shall = rows.iter().filter(|(_, row)| row.replica_on(node).is_some()).map(|(group, _)| *group);
    let is = |group: &GroupId| {
        let mut here = status.groups.iter().filter(|status| status.group == *group);
        // In a large cluster most nodes only listen to the directory.
        here.any(|status| match status.role {
            Role::Leader | Role::Follower => true,
            Role::Learner => group.is_directory() && status.applied.is_some(),
            _ => false,
        })
    };
    let shall: Vec<GroupId> = shall.collect();
    (shall.iter().filter(|group| is(group)).count(), shall.len())
}

fn bar(here: usize, of: usize) -> String {
    let full = BAR_STEPS * here / of.max(1);
    let mut bar = String::new();
    let _ = write!(bar, "[{:<BAR_STEPS$}]", "#".repeat(full));
    bar
}

#[cfg(test)]
mod tests {
    use super::*;
    use cluster::GroupStatus;
    use model::directory::row::ReplicaPlace;

    #[test]
    fn the_bar_grows_with_the_groups_that_vote_here() {
        let row = |node| GroupRow { revision: 1, replicas: vec![ReplicaPlace { replica: 1, node: NodeId(node) }] };
        let rows =
            BTreeMap::from([(GroupId(0), row(2)), (GroupId(1), row(2)), (GroupId(2), row(2)), (GroupId(3), row(1))]);
        let group = |group, role| GroupStatus {
            group: GroupId(group),
            replica: 1,
            role,
            leader: None,
            term: 1,
            last_log: None,
            applied: Some(1),
            purged: None,
            snapshot: None,
            log_entries: 0,
            log_bytes: 0,
            replicas: Vec::new(),
        };
        let status = ClusterStatus {
            node: NodeId(2),
            node_name: String::new(),
            ca_fingerprint: String::new(),
            groups: vec![group(0, Role::Learner), group(1, Role::Learner), group(2, Role::Follower)],
        };
        assert_eq!(count(&rows, NodeId(2), &status), (2, 3));
        assert_eq!(count(&rows, NodeId(1), &status), (0, 1));
        assert_eq!(bar(1, 2), format!("[{}{}]", "#".repeat(12), " ".repeat(12)));
        assert_eq!(bar(0, 0), format!("[{}]", " ".repeat(24)));
    }
}
