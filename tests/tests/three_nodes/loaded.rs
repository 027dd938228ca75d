//! A cluster with clients at work and the record of what was acknowledged to them.

use std::sync::Arc;
use tests::cluster::{Cluster, PASSWORD, PATIENCE};
use tests::kills::{Extent, History, Load, Users, verify};

/// A cluster, its users and their record.
pub struct Loaded {
    pub cluster: Cluster,
    pub users: Users,
    pub history: Arc<History>,
}

impl Loaded {
    /// So many nodes with four users, nobody at work yet.
    pub fn start(nodes: usize) -> Loaded {
        Loaded::on(Cluster::start(nodes))
    }

    /// Four users on a cluster.
    pub fn on(cluster: Cluster) -> Loaded {
        let users = Users { domain: "example.org".into(), password: PASSWORD.into(), count: 4 };
        (0..users.count).for_each(|user| cluster.add_account(&users.address(user)));
        Loaded { cluster, users, history: Arc::default() }
    }

    /// Clients begin to work on the nodes that live.
    pub fn work(&self) -> Load {
        let nodes = self.cluster.living().map(|node| self.cluster.endpoints(node)).collect();
        Load::start(nodes, self.users.clone(), Arc::clone(&self.history))
    }

    /// Messages acknowledged so far.
    pub fn acknowledged(&self) -> usize {
        self.history.with(|history| history.acknowledged.len())
    }

    /// Waits until so many more messages are acknowledged.
    pub fn progress(&self, when: &str, more: usize) {
        let wanted = self.acknowledged() + more;
        self.cluster.wait_until(&format!("progress {when}"), PATIENCE, || self.acknowledged() >= wanted);
    }

    /// Reads everything from each of these nodes and compares it with the record.
    pub fn check(&self, nodes: &[usize]) {
        assert!(self.acknowledged() > 0, "nothing was done");
        for node in nodes {
            let wrong = verify(self.cluster.endpoints(*node), &self.users, &self.history, Extent::All);
            let wrong = wrong.unwrap_or_else(|error| panic!("{}: {error}", self.cluster.name(*node)));
            if wrong.is_empty() {
                continue;
            }
            // Still wrong when asked again is lost; right by then was an answer from the past. Both must not be.
            let again = verify(self.cluster.endpoints(*node), &self.users, &self.history, Extent::All);
            panic!("{}: {wrong:#?}\nasked again: {again:#?}", self.cluster.name(*node));
        }
    }
}
