//! One simulated machine: a disk and rows that lose what was not synced when the power goes, a clock that may be wrong, and
//! the node that runs on them now.

use super::executor::{self, Owner};
use super::network::{Links, Machine, address_of};
use super::random::Random;
use cluster::runtime::simulation::Simulation;
use cluster::runtime::{sleep, spawn};
use cluster::{Clock, Cluster, Join, LogBounds, StartOptions};
use model::UnixMillis;
use node::services::mailbox::snapshots::Snapshots;
use parking_lot::Mutex;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering::Relaxed};
use std::time::Duration;
use storage::disk::SimDisk;
use storage::rows::SimRows;
use storage::sim::Power;
use storage::{Pace, Store};

/// When the simulated world begins, in milliseconds since 1970.
const BEGINNING_MS: i64 = 1_800_000_000_000;
/// How often a node looks after its files.
const KEEPER: Duration = Duration::from_millis(1000);

/// See the module.
pub struct Host {
    /// Its number.
    pub machine: Machine,
    disk: SimDisk,
    rows: SimRows,
    power: Power,
    clock: Arc<SkewedClock>,
    syncs: Arc<Syncs>,
    lives: u64,
    /// How it came to its cluster.
    join: Option<Join>,
    /// Its node has run: from now on it must start whenever the machine does.
    has_run: bool,
    log_bounds: LogBounds,
    life: Option<Life>,
}

/// What runs since the machine was last switched on.
#[derive(Clone)]
pub struct Life {
    /// Owns its tasks.
    pub owner: Owner,
    /// Its store.
    pub store: Store,
    /// The node, once it has started.
    pub cluster: Arc<Mutex<Started>>,
    /// What its mail sessions share.
    pub snapshots: Snapshots,
}

/// How a node's start went.
#[derive(Clone)]
pub enum Started {
    /// Not yet.
    Starting,
    /// It runs.
    Running(Cluster),
    /// It does not.
    Failed(String),
}

/// A clock that may be wrong.
struct SkewedClock {
    skew_ms: AtomicI64,
}

impl Clock for SkewedClock {
    fn now(&self) -> UnixMillis {
        let since = i64::try_from(executor::current().now().as_millis()).unwrap_or(i64::MAX);
        u64::try_from(BEGINNING_MS + since + self.skew_ms.load(Relaxed)).unwrap_or(0)
    }
}

/// Syncs that take their time.
struct Syncs {
    random: Mutex<Random>,
    longest_us: AtomicU64,
}

impl Pace for Syncs {
    fn sync(&self, then: Box<dyn FnOnce() + Send>) {
        let longest = self.longest_us.load(Relaxed);
        let wait = Duration::from_micros(self.random.lock().range(longest / 20, longest));
        spawn(async move {
            sleep(wait).await;
            then();
        });
    }
}

impl Host {
    /// A blank machine. The first has no `join` and makes a cluster of its own.
    pub fn new(machine: Machine, join: Option<Join>, log_bounds: LogBounds, random: &mut Random) -> Self {
        let power = Power::new(u64::MAX, random.number());
        let syncs = Syncs { random: Mutex::new(random.fork()), longest_us: AtomicU64::new(2_000) };
        Host {
            machine,
            disk: SimDisk::new(power.clone()),
            rows: SimRows::new(power.clone()),
            power,
            clock: Arc::new(SkewedClock { skew_ms: AtomicI64::new(0) }),
            syncs: Arc::new(syncs),
            lives: 0,
            join,
            has_run: false,
            log_bounds,
            life: None,
        }
    }

    /// Gives another invitation to a node that could not make use of its own.
    pub fn invite(&mut self, join: Join) {
        self.join = Some(join);
    }

    /// Whether its node may fail to start: it has not belonged to the cluster yet.
    pub fn is_coming(&self) -> bool {
        self.join.is_some() && !self.has_run
    }

    /// Its node runs.
    pub fn runs(&mut self) {
        self.has_run = true;
    }

    /// Its clock.
    pub fn clock(&self) -> Arc<dyn Clock> {
        self.clock.clone()
    }

    /// What runs on it.
    pub fn life(&self) -> Option<&Life> {
        self.life.as_ref()
    }

    /// From now on its syncs take up to so long.
    pub fn set_sync_time(&self, longest: Duration) {
        self.syncs.longest_us.store(u64::try_from(longest.as_micros()).unwrap_or(u64::MAX), Relaxed);
    }

    /// Sets its clock before or behind the others.
    pub fn set_clock(&self, skew_ms: i64) {
        self.clock.skew_ms.store(skew_ms, Relaxed);
    }

    /// Switches it on and starts its node; of the last life only what the disk kept is there. An error when the disk's
    /// content does not open.
    pub fn start(&mut self, links: &Arc<Links>, shards: u32) -> Result<(), String> {
        self.lives += 1;
        let owner = u64::from(self.machine) * 1_000_000 + self.lives;
        self.power.restore(u64::MAX);
        let (disk, rows) = (Arc::new(self.disk.clone()), Arc::new(self.rows.clone()));
        let store = Store::open_paced(disk, rows, Arc::new(cluster::decode_record), self.syncs.clone());
        let store = store.map_err(|error| format!("machine {}: the store does not open: {error}", self.machine))?;
        let options = StartOptions {
            bind: address_of(self.machine),
            join: self.join.clone(),
            clock: self.clock.clone(),
            shards,
            log_bounds: self.log_bounds,
            network: Some(links.of(self.machine)),
            ..StartOptions::alone(store.clone(), &format!("n{}", self.machine))
        };
        let started = Arc::new(Mutex::new(Started::Starting));
        self.life =
            Some(Life { owner, store: store.clone(), cluster: started.clone(), snapshots: Snapshots::default() });
        let executor = executor::current();
        let start = async move {
            let now = match Cluster::start(options).await {
                Ok(cluster) => Started::Running(cluster),
                Err(error) => Started::Failed(error.to_string()),
            };
            *started.lock() = now;
        };
        executor.spawn_for(owner, Box::pin(start));
        let keeper = async move {
            loop {
                sleep(KEEPER).await;
                if let Err(error) = store.tick() {
                    tracing::error!(%error, "the keeper failed");
                }
            }
        };
        executor.spawn_for(owner, Box::pin(keeper));
        Ok(())
    }

    /// The power goes: everything that ran is gone, and what was not synced is lost, kept or torn.
    pub fn crash(&mut self, links: &Arc<Links>) {
        self.power.restore(0);
        links.power_off(self.machine);
        if let Some(life) = self.life.take() {
            executor::current().kill(life.owner);
            let gone = std::mem::replace(&mut *life.cluster.lock(), Started::Starting);
            drop((gone, life));
        }
        self.disk.recover();
        self.rows.recover();
    }
}
