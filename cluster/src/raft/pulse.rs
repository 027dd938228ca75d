//! The node's heart: makes all its leaders send their heartbeats at the same moment, so that those to one peer share a
//! frame, and lets a follower's timers rest while it hears its leader. Replicas enter when they are built and are
//! dropped when they have stopped.

use crate::limits::HEARTBEAT_INTERVAL;
use crate::raft::replica::{Replica, WeakReplica};
use crate::runtime::{self, ticks, timeout};
use futures::future::join_all;
use parking_lot::Mutex;
use std::sync::{Arc, OnceLock, Weak};

/// The replicas of a node.
#[derive(Default)]
pub struct Pulse {
    replicas: Arc<Mutex<Vec<WeakReplica>>>,
    running: OnceLock<()>,
}

impl Pulse {
    /// Adds a replica, for as long as somebody else holds it.
    pub fn add(&self, replica: &Replica) {
        let mut replicas = self.replicas.lock();
        replicas.retain(|known| known.upgrade().is_some());
        replicas.push(replica.downgrade());
    }

    /// Beats until the node ends.
    pub fn start(&self) {
        if self.running.set(()).is_ok() {
            let replicas = Arc::downgrade(&self.replicas);
            runtime::spawn(run(replicas));
        }
    }
}

async fn run(replicas: Weak<Mutex<Vec<WeakReplica>>>) {
    let mut ticks = ticks(HEARTBEAT_INTERVAL);
    loop {
        ticks.tick().await;
        let Some(replicas) = replicas.upgrade() else { return };
        let all: Vec<Replica> = replicas.lock().iter().filter_map(WeakReplica::upgrade).collect();
        drop(replicas);
        all.iter().for_each(Replica::set_timers);
        let leaders = all.iter().filter(|replica| replica.leads_others());
        let beaten = join_all(leaders.map(|leader| async move { leader.raft().trigger().heartbeat().await.is_ok() }));
        // A group whose task is stuck must not hold up the others' next beat.
        let _ = timeout(HEARTBEAT_INTERVAL, beaten).await;
    }
}
