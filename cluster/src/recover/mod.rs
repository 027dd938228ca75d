//! Going on with one node of a cluster that lost its quorum for good. Works on the data directory of a stopped node: first
//! [`examine`] says what there is and what may be lost, then [`recover`] makes this node a cluster of one.
//!
//! Every replica here takes its group over under a new id, groups without a copy here begin empty, and the directory's log
//! gets an entry that removes all other nodes. What the other nodes still say is for replicas that are no more.
//!
//! ```text
//! identity says what shall be done → groups erased or taken over → peers forgotten → identity of a cluster of one
//! ```
//! Until the last step the node does not start, and the same command goes on where it was cut short.

mod decide;
mod marker;
mod report;
#[cfg(test)]
mod tests;

pub use report::{Copy, GroupReport, LostNode, Report};

use crate::error::{ReadError, StartError};
use crate::files::Files;
use crate::handle::Cluster;
use crate::identity::Identity;
use crate::members::save_peers;
use crate::raft::recover::take_over;
use decide::decide;
use marker::Marker;
use model::directory::view;
use model::{GroupId, NodeId, UnixMillis};
use std::collections::BTreeMap;
use std::io;
use storage::Store;

/// Why a node cannot go on alone.
#[derive(Debug, thiserror::Error)]
pub enum RecoverError {
    /// There is nothing to recover.
    #[error("this data directory belongs to no node yet: it holds nothing to recover")]
    Blank,
    /// Without the directory nobody can be told what the rest belongs to.
    #[error("this node has no copy of the cluster's directory; recover another node that is left")]
    NoDirectory,
    /// A file or group cannot be read or written.
    #[error(transparent)]
    Start(#[from] StartError),
}

/// What this node has, and what of the cluster would be lost with the others. Changes nothing. Blocks.
pub fn examine(store: &Store) -> Result<Report, RecoverError> {
    let mut report = match Marker::load(store)? {
        Some(marker) => Report { is_begun: true, ..marker.report },
        None => decide(store, &identity(store)?, 0)?.report,
    };
    name_accounts(store, &mut report)?;
    Ok(report)
}

/// Makes this node a cluster of one, or finishes that where it was cut short. `now` is the time of the entry that says so.
/// Durable when this returns; the store is to be closed then. Blocks.
pub fn recover(store: &Store, now: UnixMillis) -> Result<Report, RecoverError> {
    let mut report = carry_out(store, now, usize::MAX)?;
    name_accounts(store, &mut report)?;
    Ok(report)
}

/// Carries out at most so many steps.
fn carry_out(store: &Store, now: UnixMillis, steps_max: usize) -> Result<Report, RecoverError> {
    let marker = match Marker::load(store)? {
        Some(marker) => marker,
        None => decide(store, &identity(store)?, now)?,
    };
    for step in marker.steps().take(steps_max) {
        step_once(store, &marker, step)?;
    }
    Ok(marker.report)
}

/// One step; doing it again changes nothing.
#[derive(Clone, Copy, Debug)]
enum Step {
    Begin,
    Erase(GroupId),
    TakeOver(GroupId),
    ForgetPeers,
    Finish,
}

fn step_once(store: &Store, marker: &Marker, step: Step) -> Result<(), StartError> {
    match step {
        Step::Begin => marker.save(store),
        Step::Erase(group) if store.groups().contains(&group) => {
            store.erase(group).map_err(|error| failed(group, error))
        }
        Step::Erase(_) => Ok(()),
        Step::TakeOver(group) => {
            let Some(takeover) = marker.takeovers.get(&group) else { return Ok(()) };
            let log = store.log(group).map_err(|error| failed(group, error))?;
            let entry = group.is_directory().then(|| marker.entry.clone());
            take_over(&log, takeover, marker.after.node, entry).map_err(|error| failed(group, error))
        }
        Step::ForgetPeers => forget_peers(store),
        Step::Finish => marker.after.save(store),
    }
}

impl Marker {
    fn steps(&self) -> impl Iterator<Item = Step> {
        let erased = self.erased.iter().map(|group| Step::Erase(*group));
        let taken = self.takeovers.keys().map(|group| Step::TakeOver(*group));
        std::iter::once(Step::Begin).chain(erased).chain(taken).chain([Step::ForgetPeers, Step::Finish])
    }
}

fn forget_peers(store: &Store) -> Result<(), StartError> {
    save_peers(&Files::open(store.disk())?, &BTreeMap::new())
}

fn identity(store: &Store) -> Result<Identity, RecoverError> {
    Identity::load(store)?.ok_or(RecoverError::Blank)
}

fn name_accounts(store: &Store, report: &mut Report) -> Result<(), RecoverError> {
    if report.groups.iter().all(|group| group.here.is_some()) {
        return Ok(());
    }
    let broken = |reason: String| StartError::Group { group: GroupId::DIRECTORY, reason };
    let rows = store.state(GroupId::DIRECTORY).and_then(|state| state.read());
    let rows = rows.map_err(|error| broken(error.to_string()))?;
    let accounts = view::accounts(&rows).map_err(|error| broken(error.to_string()))?;
    for group in report.groups.iter_mut().filter(|group| group.here.is_none()) {
        let of = accounts.iter().filter(|(_, row)| row.shard == group.group);
        group.accounts = of.map(|(_, row)| row.address.clone()).collect();
    }
    Ok(())
}

/// That the cluster went on with one node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recovered {
    /// When it last did.
    pub at: UnixMillis,
    /// With which node.
    pub node: NodeId,
    /// Accounts that lost their mail, and when, by address.
    pub accounts: Vec<(String, UnixMillis)>,
}

impl Cluster {
    /// What became of the cluster when it lost its quorum for good; `None` when it never did. As the directory here says.
    pub async fn recovered(&self) -> Result<Option<Recovered>, ReadError> {
        let rows = self.read_stale(GroupId::DIRECTORY)?;
        let read = move || {
            let Some(row) = view::recovery(&rows)? else { return Ok(None) };
            let accounts = view::accounts_that_lost_mail(&rows)?;
            Ok(Some(Recovered { at: row.at, node: row.node, accounts }))
        };
        let broken = |reason: String| ReadError::Broken(reason);
        let looked_up = crate::runtime::blocking(read).await.map_err(|error| broken(error.to_string()))?;
        looked_up.map_err(|error: model::ReadError| broken(error.to_string()))
    }
}

fn failed(group: GroupId, error: io::Error) -> StartError {
    StartError::Group { group, reason: error.to_string() }
}
