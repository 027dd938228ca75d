//! Which groups this node began to lead: work that belongs to a leader begins there at once. It ends by itself, since each
//! piece of such work asks whether this node still leads.

use crate::limits::LEADERSHIP_LOOK_INTERVAL;
use cluster::Cluster;
use model::GroupId;
use std::collections::BTreeSet;

/// Tells of groups whose leader this node becomes.
pub struct Gains {
    cluster: Cluster,
    known: BTreeSet<GroupId>,
}

impl Gains {
    /// Nothing is known yet: the first answer names every group that is led now.
    pub fn new(cluster: Cluster) -> Gains {
        Gains { cluster, known: BTreeSet::new() }
    }

    /// Waits until this node leads groups that it did not lead at the last look. Cancel-safe.
    pub async fn next(&mut self) -> BTreeSet<GroupId> {
        loop {
            let led: BTreeSet<GroupId> = self.cluster.groups().filter(|group| self.cluster.leads(*group)).collect();
            let gained: BTreeSet<GroupId> = led.difference(&self.known).copied().collect();
            self.known = led;
            if !gained.is_empty() {
                return gained;
            }
            tokio::time::sleep(LEADERSHIP_LOOK_INTERVAL).await;
        }
    }
}
