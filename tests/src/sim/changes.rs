//! Machines that come and go for good while things go wrong: an operator invites a new one, takes an old one out, and tries
//! again until it is done, as an operator does. Ends with as many machines as there were.

use super::network::{Machine, address_of};
use super::random::Random;
use super::world::{LOOK, World};
use cluster::runtime::{sleep, spawn, timeout};
use cluster::{Cluster, Join};
use model::directory::DirectoryCommand;
use model::directory::members::MemberCommand;
use model::directory::row::NodeState;
use model::{Command, GroupId, NodeId, OperationId, Reply};
use parking_lot::Mutex;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

/// How long an operator waits for one answer.
const ANSWER: Duration = Duration::from_secs(8);

/// How long machines may take to run again before it is asked whom they know.
const STARTS: Duration = Duration::from_secs(30);

/// How long it may take to remove a machine that finds nobody.
const STRANDED_PATIENCE: Duration = Duration::from_secs(120);

/// What is under way.
#[derive(Clone, Default)]
pub struct Changes {
    under_way: Arc<Mutex<BTreeSet<String>>>,
}

impl Changes {
    /// What has not ended.
    pub fn under_way(&self) -> Vec<String> {
        self.under_way.lock().iter().cloned().collect()
    }

    fn begin(&self, what: String, change: impl Future<Output = ()> + Send + 'static) {
        self.under_way.lock().insert(what.clone());
        let under_way = self.under_way.clone();
        spawn(async move {
            change.await;
            under_way.lock().remove(&what);
        });
    }

    /// Exchanges machines, one after the other or at the same time: `first` is the number of the first new one.
    pub fn exchange(&self, world: &Arc<World>, mut random: Random, first: Machine, count: Machine) {
        for machine in first..first + count {
            let (changes, world, mut random) = (self.clone(), world.clone(), random.fork());
            let what = format!("the exchange for machine {machine}");
            self.begin(what, async move {
                sleep(Duration::from_millis(random.range(100, 9_000))).await;
                let leaving = random.pick(&world.staying()).copied();
                let (coming, going) = (world.clone(), world.clone());
                let join = async move { join(&coming, machine).await };
                let leave = async move {
                    if let Some(leaving) = leaving.filter(|leaving| going.begins_to_leave(*leaving)) {
                        remove(&going, leaving).await;
                    }
                };
                match random.below(3) {
                    0 => {
                        join.await;
                        leave.await;
                    }
                    1 => {
                        leave.await;
                        join.await;
                    }
                    _ => {
                        changes.begin(format!("the coming of machine {machine}"), join);
                        leave.await;
                    }
                }
            });
        }
    }
}

/// Takes out the machines that find nobody: while they were away every node they knew was removed. Nobody whom they do not
/// know may speak to them, so an operator has others in their place.
pub async fn remove_stranded(world: &Arc<World>) {
    let machines = world.machines();
    world.until(STARTS, || machines.iter().all(|machine| world.cluster(*machine).is_some())).await;
    let finds_nobody = |machine: &Machine| {
        let known = world.links.known_to(*machine);
        !known.is_empty() && !known.iter().any(|other| other != machine && machines.contains(other))
    };
    for machine in machines.iter().copied().filter(finds_nobody).collect::<Vec<_>>() {
        world.happened("removal of a stranded machine");
        world.begins_to_leave(machine);
        if timeout(STRANDED_PATIENCE, remove(world, machine)).await.is_err() {
            world.violation(format!("liveness: machine {machine}, which finds nobody, cannot be removed"));
        }
    }
}

/// Invites a new machine until its node runs.
async fn join(world: &Arc<World>, machine: Machine) {
    loop {
        let through = world.any_machine();
        let token =
            world.ask(through, |cluster| async move { cluster.create_token(Duration::from_secs(86_400)).await });
        if let Ok(Some(Ok(token))) = timeout(ANSWER, token).await {
            let join = Join { address: address_of(through).to_string(), token };
            if world.life(machine).is_some() {
                world.invite(machine, join)
            } else {
                world.add(machine, Some(join))
            }
            while !world.was_not_let_in(machine) {
                if world.cluster(machine).is_some() {
                    world.happened("join");
                    return;
                }
                sleep(LOOK).await;
            }
        }
        sleep(10 * LOOK).await;
    }
}

/// Has a machine's node leave, and switches the machine off once the directory says that it is removed.
async fn remove(world: &Arc<World>, machine: Machine) {
    let node = loop {
        match world.cluster(machine) {
            Some(cluster) => break cluster.node(),
            None => sleep(LOOK).await,
        }
    };
    let mut tries = 0;
    loop {
        tries += 1;
        let through = world.any_machine();
        let left = world.ask(through, move |cluster| leave(cluster, node, machine, tries));
        match timeout(ANSWER, left).await {
            Ok(Some(Some(true))) => break,
            Ok(Some(Some(false))) => return,
            _ => sleep(LOOK).await,
        }
    }
    loop {
        let through = world.any_machine();
        let state = world.ask(through, move |cluster| async move {
            cluster.nodes().await.ok().and_then(|nodes| nodes.get(&node).map(|row| row.state))
        });
        if matches!(timeout(ANSWER, state).await, Ok(Some(Some(NodeState::Removed)))) {
            break;
        }
        sleep(10 * LOOK).await;
    }
    world.retire(machine);
    world.happened("removal");
}

/// Says that a node leaves; `Some(false)` when that is refused.
async fn leave(cluster: Cluster, node: NodeId, machine: Machine, number: u64) -> Option<bool> {
    let mut name = [0xee; 10];
    name[..8].copy_from_slice(&number.to_be_bytes());
    name[8] = machine;
    let operation = OperationId::new(1_800_000_000_002, name);
    let command = MemberCommand::SetState { node, state: NodeState::Leaving };
    let command = Command::Directory(DirectoryCommand::Members(command));
    match cluster.propose(GroupId::DIRECTORY, operation, command).await {
        Ok(Reply::Done) => Some(true),
        // It may be so far already: an earlier try was carried out and its answer lost.
        Ok(_) => {
            let nodes = cluster.nodes().await.ok()?;
            Some(matches!(nodes.get(&node)?.state, NodeState::Leaving | NodeState::Removed))
        }
        Err(_) => None,
    }
}
