//! Any node serves any group: proposals and reads go to whoever can carry them out, over the transport when that is
//! another node.
//!
//! In come a group and a deadline, out come the same answers as from a replica here. It decides nothing about what is
//! replicated, and never answers for a leader.
//!
//! ```text
//! propose  leader here → its replica | elsewhere → Service::Propose, then wait until the replica here has applied it
//! read     replica here → the leader's ReadIndex, then wait | none here → rows pinned on another node (Service::View)
//! watch    replica here → its changes | none here → Service::Watch
//! ```

mod answer;
mod borrow;
mod follow;
mod message;
mod place;
mod propose;
mod questions;
mod read;
#[cfg(test)]
mod tests;
mod view;
mod views;

pub use view::ReadView;

use crate::group::Group;
use crate::raft::Wire;
use model::{GroupId, NodeId};
use place::Places;
use questions::Questions;
use std::sync::Arc;
use storage::Bodies;
use tokio_util::sync::CancellationToken;
use views::Served;

/// The groups this node holds a replica of.
pub trait Groups: Send + Sync + 'static {
    /// A group, when a replica of it is here.
    fn group(&self, group: GroupId) -> Option<Arc<Group>>;
}

/// The way to every group, from this node.
pub struct Calls {
    node: NodeId,
    groups: Arc<dyn Groups>,
    wire: Arc<Wire>,
    bodies: Arc<Bodies>,
    places: Places,
    questions: Questions,
    views: Served,
    stopping: CancellationToken,
}

impl Calls {
    /// The calls of `node`, which holds `groups` and keeps `bodies`, until `stopping`.
    pub fn new(
        node: NodeId,
        groups: Arc<dyn Groups>,
        wire: Arc<Wire>,
        bodies: Arc<Bodies>,
        stopping: CancellationToken,
    ) -> Arc<Self> {
        let (places, questions, views) = (Places::default(), Questions::default(), Served::default());
        Arc::new(Calls { node, groups, wire, bodies, places, questions, views, stopping })
    }
}
