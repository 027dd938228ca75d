//! The simulated world: machines, the links between them, what clients were told, and what went wrong.

use super::book::Book;
use super::executor;
use super::host::{Host, Life, Started};
use super::network::{Links, Machine, Weather};
use super::queue::{self, Outside};
use super::random::Random;
use cluster::runtime::{Instant, sleep};
use cluster::{Cluster, Join, LogBounds};
use model::{AccountId, GroupId};
use parking_lot::Mutex;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Weak};
use std::time::Duration;
use storage::LogSize;
use tokio::sync::oneshot;

/// Shards of a simulated cluster: few, because each costs time.
pub const SHARDS: u32 = 2;
/// How often somebody who waits looks again.
pub const LOOK: Duration = Duration::from_millis(50);

/// See the module.
pub struct World {
    /// The links.
    pub links: Arc<Links>,
    /// The machines.
    pub hosts: Mutex<BTreeMap<Machine, Host>>,
    /// What clients know.
    pub book: Mutex<Book>,
    /// Everything beyond the cluster.
    pub outside: Mutex<Outside>,
    /// For whoever draws something.
    pub random: Mutex<Random>,
    /// When the last fault was over; no more come.
    pub healed: Mutex<Option<Instant>>,
    leaving: Mutex<BTreeSet<Machine>>,
    /// How long the logs of groups may become.
    log_bounds: LogBounds,
    violations: Mutex<Vec<String>>,
    me: Weak<World>,
}

impl World {
    /// A world without machines.
    pub fn new(mut random: Random) -> Arc<Self> {
        let calm = Weather { delay_min_us: 100, delay_max_us: 1_500, loss_percent: 0, twice_percent: 0 };
        Arc::new_cyclic(|me| World {
            links: Links::new(random.fork(), calm),
            hosts: Mutex::default(),
            book: Mutex::default(),
            outside: Mutex::default(),
            log_bounds: log_bounds(&mut random),
            random: Mutex::new(random),
            healed: Mutex::default(),
            leaving: Mutex::default(),
            violations: Mutex::default(),
            me: me.clone(),
        })
    }

    /// Something that must not be.
    pub fn violation(&self, what: String) {
        executor::current().note(&what);
        let mut all = self.violations.lock();
        if all.len() < 20 {
            all.push(what);
        }
    }

    /// What must not have been.
    pub fn violations(&self) -> Vec<String> {
        self.violations.lock().clone()
    }

    /// Adds a blank machine and starts it.
    pub fn add(&self, machine: Machine, join: Option<Join>) {
        let host = Host::new(machine, join, self.log_bounds, &mut self.random.lock());
        self.hosts.lock().insert(machine, host);
        self.links.machine_comes();
        self.start(machine);
    }

    /// Starts a node that could not join again, with another invitation.
    pub fn invite(&self, machine: Machine, join: Join) {
        if let Some(host) = self.hosts.lock().get_mut(&machine) {
            host.invite(join);
        }
        self.crash(machine);
        self.start(machine);
    }

    /// Switches a machine off for good.
    pub fn retire(&self, machine: Machine) {
        self.crash(machine);
        let gone = self.hosts.lock().remove(&machine);
        drop(gone);
    }

    /// Lets a machine stand still, and go on after a while. Nothing happens to what is in its memory.
    pub fn pause(self: &Arc<Self>, machine: Machine, length: Duration) {
        let Some(owner) = self.life(machine).map(|life| life.owner) else { return };
        self.links.pause(machine);
        executor::current().pause(owner);
        let world = self.clone();
        let going_on = async move {
            sleep(length).await;
            if world.life(machine).is_some_and(|life| life.owner == owner) {
                world.links.resume(machine);
            }
            executor::current().resume(owner);
        };
        executor::current().spawn_for(executor::WORLD, Box::pin(going_on));
    }

    /// Switches a machine on.
    pub fn start(&self, machine: Machine) {
        let mut hosts = self.hosts.lock();
        let Some(host) = hosts.get_mut(&machine).filter(|host| host.life().is_none()) else { return };
        let started = host.start(&self.links, SHARDS);
        let (life, clock) = (host.life().cloned(), host.clock());
        drop(hosts);
        if let (Some(life), Some(world)) = (life, self.me.upgrade()) {
            let running = life.cluster;
            let tending = async move {
                let cluster = loop {
                    let started = running.lock().clone();
                    match started {
                        Started::Running(cluster) => break cluster,
                        Started::Starting => sleep(LOOK).await,
                        Started::Failed(_) => return,
                    }
                };
                queue::tend(&world, machine, &cluster, &clock);
            };
            executor::current().spawn_for(life.owner, Box::pin(tending));
        }
        if let Err(reason) = started {
            self.violation(reason);
        }
    }

    /// Takes the power from a machine.
    pub fn crash(&self, machine: Machine) {
        // Tasks are dropped here, and what they drop may look for the machine.
        let host = self.hosts.lock().remove(&machine);
        let Some(mut host) = host else { return };
        host.crash(&self.links);
        self.hosts.lock().insert(machine, host);
    }

    /// Stops a node as an operator would, and switches the machine off.
    pub async fn stop(&self, machine: Machine) {
        let Some(life) = self.life(machine) else { return };
        let (told, stopped) = oneshot::channel();
        let stop = async move {
            let running = life.cluster.lock().clone();
            if let Started::Running(cluster) = running {
                cluster.shutdown().await;
                *life.cluster.lock() = Started::Starting;
            }
            drop(told.send(life.store.close()));
        };
        let Some(owner) = self.life(machine).map(|life| life.owner) else { return };
        executor::current().spawn_for(owner, Box::pin(stop));
        if let Ok(Err(error)) = stopped.await {
            self.violation(format!("machine {machine}: the store does not close: {error}"));
        }
        self.crash(machine);
    }

    /// What runs on a machine.
    pub fn life(&self, machine: Machine) -> Option<Life> {
        self.hosts.lock().get(&machine)?.life().cloned()
    }

    /// The node of a machine, when it has started.
    pub fn cluster(&self, machine: Machine) -> Option<Cluster> {
        let life = self.life(machine)?;
        let started = life.cluster.lock().clone();
        let is_coming = self.hosts.lock().get_mut(&machine).is_some_and(|host| {
            if matches!(started, Started::Running(_)) {
                host.runs();
            }
            host.is_coming()
        });
        match started {
            Started::Running(cluster) => Some(cluster),
            Started::Starting => None,
            Started::Failed(reason) => {
                if !is_coming {
                    self.violation(format!("machine {machine}: the node does not start: {reason}"));
                }
                None
            }
        }
    }

    /// Whether a machine's node has given up joining.
    pub fn was_not_let_in(&self, machine: Machine) -> bool {
        let started = self.life(machine).map(|life| life.cluster.lock().clone());
        matches!(started, Some(Started::Failed(_))) && self.hosts.lock().get(&machine).is_some_and(Host::is_coming)
    }

    /// All machines.
    pub fn machines(&self) -> Vec<Machine> {
        self.hosts.lock().keys().copied().collect()
    }

    /// Lets a node do something; `None` when it does not run, or is gone before it has answered.
    pub async fn ask<T, F>(&self, machine: Machine, what: impl FnOnce(Cluster) -> F) -> Option<T>
    where
        T: Send + 'static,
        F: Future<Output = T> + Send + 'static,
    {
        let cluster = self.cluster(machine)?;
        let owner = self.life(machine)?.owner;
        let (told, answer) = oneshot::channel();
        let asked = what(cluster);
        executor::current().spawn_for(owner, Box::pin(async move { drop(told.send(asked.await)) }));
        answer.await.ok()
    }

    /// Waits until something is so, at most so long.
    pub async fn until(&self, patience: Duration, mut is_so: impl FnMut() -> bool) -> bool {
        let deadline = Instant::now() + patience;
        while !is_so() {
            if Instant::now() >= deadline {
                return false;
            }
            sleep(LOOK).await;
        }
        true
    }

    /// A fault or change happened.
    pub fn happened(&self, name: &'static str) {
        *self.book.lock().faults.entry(name).or_default() += 1;
        executor::current().note(name);
    }

    /// The machines whose node belongs to the cluster and was not asked to leave.
    pub fn staying(&self) -> Vec<Machine> {
        let leaving = self.leaving.lock();
        let hosts = self.hosts.lock();
        hosts
            .values()
            .filter(|host| !host.is_coming())
            .map(|host| host.machine)
            .filter(|machine| !leaving.contains(machine))
            .collect()
    }

    /// A machine is to be taken out; false when that was begun before.
    pub fn begins_to_leave(&self, machine: Machine) -> bool {
        self.leaving.lock().insert(machine)
    }

    /// Sets every clock before or behind the time.
    pub fn set_clocks(&self, skew_ms: i64) {
        self.hosts.lock().values().for_each(|host| host.set_clock(skew_ms));
    }

    /// How many machines were asked to leave so far.
    pub fn leaving(&self) -> usize {
        self.leaving.lock().len()
    }

    /// A machine drawn by chance.
    pub fn any_machine(&self) -> Machine {
        let machines = self.machines();
        self.random.lock().pick(&machines).copied().unwrap_or(1)
    }
}

/// As short as a run of seconds needs, so that who was away, or is new, must be given a snapshot now and then.
fn log_bounds(random: &mut Random) -> LogBounds {
    let size = |entries| LogSize { entries, bytes: u64::MAX / 4 };
    let normal = random.range(8, 120);
    LogBounds { normal: size(normal), away: size(normal * random.range(1, 4)) }
}

/// The shard an account lives in.
pub fn shard_of(account: AccountId) -> GroupId {
    GroupId(1 + (account.0 % u64::from(SHARDS)) as u32)
}

/// Every group of a simulated cluster.
pub fn groups() -> impl Iterator<Item = GroupId> {
    (0..=SHARDS).map(GroupId)
}
