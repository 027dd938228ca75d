//! The node's heart: makes all its leaders send their heartbeats at the same moment, so that those to one peer share a
//! frame. Replicas enter when they are built and are dropped when they have stopped.

use crate::limits::HEARTBEAT_INTERVAL;
use crate::raft::machine::Machine;
use crate::raft::types::TypeConfig;
use futures::future::join_all;
use openraft::Raft;
use parking_lot::Mutex;
use std::sync::{Arc, OnceLock, Weak};
use tokio::time::{MissedTickBehavior, interval, timeout};

type Instance = Raft<TypeConfig, Machine>;

/// The replicas of a node that may lead.
#[derive(Default)]
pub struct Pulse {
    replicas: Arc<Mutex<Vec<Weak<Instance>>>>,
    running: OnceLock<()>,
}

impl Pulse {
    /// Adds a replica, for as long as somebody else holds it.
    pub fn add(&self, replica: &Arc<Instance>) {
        let mut replicas = self.replicas.lock();
        replicas.retain(|known| known.strong_count() > 0);
        replicas.push(Arc::downgrade(replica));
    }

    /// Beats until the node ends.
    pub fn start(&self) {
        if self.running.set(()).is_ok() {
            let replicas = Arc::downgrade(&self.replicas);
            tokio::spawn(run(replicas));
        }
    }
}

async fn run(replicas: Weak<Mutex<Vec<Weak<Instance>>>>) {
    let mut ticks = interval(HEARTBEAT_INTERVAL);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let Some(replicas) = replicas.upgrade() else { return };
        let all: Vec<Arc<Instance>> = replicas.lock().iter().filter_map(Weak::upgrade).collect();
        let leaders = all.iter().filter(|replica| replica.is_leader());
        let beaten = join_all(leaders.map(|leader| async move { leader.trigger().heartbeat().await.is_ok() }));
        // A group whose task is stuck must not hold up the others' next beat.
        let _ = timeout(HEARTBEAT_INTERVAL, beaten).await;
    }
}
