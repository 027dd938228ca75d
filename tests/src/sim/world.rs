//! The simulated world: machines, the links between them, what clients were told, and what went wrong.

use super::book::Book;
use super::executor;
use super::host::{Host, Life, Started};
use super::network::{Links, Machine, Weather};
use super::random::Random;
use cluster::runtime::{Instant, sleep};
use cluster::{Cluster, Join};
use model::{AccountId, GroupId};
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
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
    /// For whoever draws something.
    pub random: Mutex<Random>,
    /// When the last fault was over; no more come.
    pub healed: Mutex<Option<Instant>>,
    violations: Mutex<Vec<String>>,
}

impl World {
    /// A world without machines.
    pub fn new(mut random: Random) -> Arc<Self> {
        let calm = Weather { delay_min_us: 100, delay_max_us: 1_500, loss_percent: 0 };
        Arc::new(World {
            links: Links::new(random.fork(), calm),
            hosts: Mutex::default(),
            book: Mutex::default(),
            random: Mutex::new(random),
            healed: Mutex::default(),
            violations: Mutex::default(),
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
        let host = Host::new(machine, join, &mut self.random.lock());
        self.hosts.lock().insert(machine, host);
        self.start(machine);
    }

    /// Switches a machine on.
    pub fn start(&self, machine: Machine) {
        let mut hosts = self.hosts.lock();
        let Some(host) = hosts.get_mut(&machine).filter(|host| host.life().is_none()) else { return };
        let started = host.start(&self.links, SHARDS);
        drop(hosts);
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
        match started {
            Started::Running(cluster) => Some(cluster),
            Started::Starting => None,
            Started::Failed(reason) => {
                self.violation(format!("machine {machine}: the node does not start: {reason}"));
                None
            }
        }
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

    /// A machine drawn by chance.
    pub fn any_machine(&self) -> Machine {
        let machines = self.machines();
        self.random.lock().pick(&machines).copied().unwrap_or(1)
    }
}

/// The shard an account lives in.
pub fn shard_of(account: AccountId) -> GroupId {
    GroupId(1 + (account.0 % u64::from(SHARDS)) as u32)
}

/// Every group of a simulated cluster.
pub fn groups() -> impl Iterator<Item = GroupId> {
    (0..=SHARDS).map(GroupId)
}
