//! The nodes of the cluster and what each holds: which replicas are here, who may join, and what the leaders do to make
//! it what the directory says it shall be.
//!
//! ```text
//! join → admit → directory rows → direct (plans, on the directory's leader) → reconcile (on each group's leader)
//!                                 steward, acquaint, sweep (on every node)    balance (leadership)
//! ```

mod acquaint;
mod admit;
mod balance;
mod direct;
mod front;
mod gate;
mod holdings;
mod join;
mod leaders;
mod manage;
mod peers;
mod planner;
#[cfg(test)]
mod planner_tests;
mod reconcile;
mod rows;
mod steward;
mod survey;
mod sweep;
mod token;

pub use balance::abdicate;
pub use front::Front;
pub use gate::check as check_format;
pub use holdings::Holdings;
pub use join::{Join, check_belongs, join};
pub use manage::TokenError;
pub use peers::{load as load_peers, save as save_peers};
pub use planner::Step;
pub use rows::Directory;
pub use steward::form;

use crate::exchange::mend;
use crate::handle::Cluster;
use crate::transport::Peer;
use model::NodeId;
use std::collections::BTreeMap;

/// The highest format of entries and of messages between nodes that this release speaks.
pub const FORMAT: u32 = 3;

/// Starts what this node does for the cluster, until it stops. `peers` are those that are set already.
pub fn start(cluster: &Cluster, peers: BTreeMap<NodeId, Peer>) {
    let cluster = || cluster.clone();
    cluster().spawn(steward::run(cluster(), peers));
    cluster().spawn(steward::announce(cluster()));
    cluster().spawn(sweep::run(cluster()));
    cluster().spawn(reconcile::run(cluster()));
    cluster().spawn(direct::run(cluster()));
    cluster().spawn(balance::run(cluster()));
    cluster().spawn(mend::run(cluster().store().clone(), cluster().inner().transport.clone()));
    cluster().spawn(gate::run(cluster()));
}
