//! Liveness: soon after the last fault every node takes writes for every group, and every replica has caught up.

use crate::sim::world::{World, groups};
use cluster::runtime::{Instant, sleep, timeout};
use cluster::{ClusterStatus, GroupStatus, Role};
use model::directory::DirectoryCommand;
use model::{Command, GroupId, OperationId};
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

/// How long healing may take: connections that are silent are given up, leaders elected, replicas caught up.
const PATIENCE: Duration = Duration::from_secs(30);

/// How long it may take until machines have come and gone, and groups are as they shall be: replicas move one at a time.
const CHANGES_PATIENCE: Duration = Duration::from_secs(120);

/// Waits until every machine's node runs and proposes something on each for each group.
pub async fn check(world: &Arc<World>) {
    let since = Instant::now();
    let all = world.machines();
    for machine in &all {
        if !world.until(PATIENCE, || world.cluster(*machine).is_some()).await {
            world.violation(format!("liveness: the node of machine {machine} does not start"));
            return;
        }
    }
    for machine in &all {
        for group in groups() {
            let mut number = 0u64;
            loop {
                number += 1;
                let mut name = [0xff; 10];
                name[..8].copy_from_slice(&number.to_be_bytes());
                name[8] = *machine;
                let operation = OperationId::new(1_800_000_000_001, name);
                // What a group refuses has gone through its log as well.
                let value = Some(machine.to_string());
                let command = Command::Directory(DirectoryCommand::SetSetting { name: "alive".into(), value });
                let asked =
                    world.ask(*machine, move |cluster| async move { cluster.propose(group, operation, command).await });
                match timeout(PATIENCE, asked).await {
                    Ok(Some(Ok(_))) => break,
                    _ if since.elapsed() > PATIENCE => {
                        world.violation(format!("liveness: {group} takes nothing on machine {machine}"));
                        return;
                    }
                    _ => sleep(Duration::from_millis(50)).await,
                }
            }
        }
    }
    let settled = world.until(PATIENCE, || {
        groups().all(|group| {
            let states = all.iter().filter_map(|machine| world.life(*machine)).map(|life| life.store);
            let held = states.filter(|store| store.groups().contains(&group));
            let applied: BTreeSet<Option<u64>> =
                held.filter_map(|store| Some(store.state(group).ok()?.applied().map(|(index, _)| index))).collect();
            applied.len() == 1
        })
    });
    if !settled.await {
        world.violation("liveness: replicas do not catch up".into());
    }
}

/// Waits until machines have come and gone that were to.
pub async fn changes_end(world: &Arc<World>, under_way: impl Fn() -> Vec<String>) {
    if !world.until(CHANGES_PATIENCE, || under_way().is_empty()).await {
        world.violation(format!("liveness: {} does not end; {}", under_way().join(", "), replicas(world)));
    }
}

/// Waits until every group is as it shall be.
pub async fn members(world: &Arc<World>) {
    if !world.until(CHANGES_PATIENCE, || is_whole(world)).await {
        world.violation(format!("liveness: some group has too few voters or too many replicas; {}", replicas(world)));
    }
}

/// Whether every group has as many voters as it shall have, on machines that are there, and no other replicas.
pub fn is_whole(world: &World) -> bool {
    let clusters: Vec<_> = world.machines().into_iter().filter_map(|machine| world.cluster(machine)).collect();
    let nodes: BTreeSet<_> = clusters.iter().map(|cluster| cluster.node()).collect();
    let voters = nodes.len().min(3);
    let is_as_it_shall_be = |group: &GroupStatus| {
        group.role == Role::Leader
            && group.replicas.iter().filter(|replica| replica.voter && nodes.contains(&replica.node)).count() == voters
            && group.replicas.iter().all(|replica| nodes.contains(&replica.node))
    };
    let led = clusters.iter().flat_map(|cluster| cluster.status().groups).filter(is_as_it_shall_be);
    let whole: BTreeSet<_> = led.map(|group| group.group).collect();
    groups().all(|group| whole.contains(&group))
}

/// What each replica says of itself, in short.
fn replicas(world: &World) -> String {
    let mut all = Vec::new();
    for machine in world.machines() {
        let Some(cluster) = world.cluster(machine) else {
            all.push(format!("machine {machine} does not run"));
            continue;
        };
        let (node, status) = (cluster.node().0, cluster.status());
        let groups = status.groups.iter().map(|group| {
            let GroupStatus { group, replica, role, term, last_log, applied, purged, .. } = group;
            let members: Vec<String> = group_members(&status, *group);
            format!(
                "{group}: replica {replica} {role:?} term {term} last {last_log:?} applied {applied:?} purged {purged:?} of {}",
                members.join(" ")
            )
        });
        all.push(format!("machine {machine} node {node} [{}]", groups.collect::<Vec<_>>().join("; ")));
    }
    all.join(", ")
}

fn group_members(status: &ClusterStatus, group: GroupId) -> Vec<String> {
    let found = status.groups.iter().find(|status| status.group == group);
    let members = found.into_iter().flat_map(|status| &status.replicas);
    members.map(|one| format!("{}{}@{}", if one.voter { "" } else { "~" }, one.replica, one.node.0)).collect()
}

/// Waits until clients have done what they had begun.
pub async fn clients_end(world: &Arc<World>, running: impl Fn() -> usize) {
    if !world.until(2 * PATIENCE, || running() == 0).await {
        world.violation(format!("liveness: {} clients wait without end", running()));
    }
}
