//! Liveness: soon after the last fault every node takes writes for every group, and every replica has caught up.

use crate::sim::world::{World, groups};
use cluster::runtime::{Instant, sleep, timeout};
use model::directory::DirectoryCommand;
use model::{Command, OperationId};
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

/// How long healing may take: connections that are silent are given up, leaders elected, replicas caught up.
const PATIENCE: Duration = Duration::from_secs(30);

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

/// Waits until clients have done what they had begun.
pub async fn clients_end(world: &Arc<World>, running: impl Fn() -> usize) {
    if !world.until(2 * PATIENCE, || running() == 0).await {
        world.violation(format!("liveness: {} clients wait without end", running()));
    }
}
