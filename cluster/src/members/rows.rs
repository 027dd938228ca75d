//! What the directory says here of nodes and placement. It may be behind; whoever acts on it asks or proposes with what
//! makes an old reading harmless.

use crate::members::Holdings;
use crate::members::planner::voters;
use crate::runtime::{sleep, timeout};
use crate::watch::Subscription;
use model::directory::row::{GroupRow, NodeRow, NodeState};
use model::directory::view;
use model::{GroupId, NodeId, ReadError};
use parking_lot::Mutex;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;
use storage::ReadView;

/// Changes that come this close together are looked at once.
const GATHER: Duration = Duration::from_millis(20);

/// One reading of the directory.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rows {
    /// Every node that ever was.
    pub nodes: BTreeMap<NodeId, NodeRow>,
    /// Where replicas shall be.
    pub groups: BTreeMap<GroupId, GroupRow>,
    /// The highest replica id that was drawn: of replicas above it these rows know nothing.
    pub drawn: u64,
    /// The format in use.
    pub active_format: u32,
}

/// Where the replicas of one group shall be.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Shall {
    /// Each replica and its node.
    pub places: BTreeMap<u64, NodeId>,
    /// Those that vote.
    pub voters: BTreeSet<u64>,
}

impl Rows {
    fn read(view: &ReadView) -> Result<Self, ReadError> {
        let (nodes, groups) = (view::nodes(view)?, view::groups(view)?);
        let (drawn, active_format) = (view::counter(view, "replica")?, view::active_format(view)?);
        Ok(Rows { nodes, groups, drawn, active_format })
    }

    /// Where a group shall be; `None` when it has no row.
    pub fn shall(&self, group: GroupId) -> Option<Shall> {
        let row = self.groups.get(&group)?;
        let places = row.replicas.iter().map(|place| (place.replica, place.node)).collect();
        Some(Shall { places, voters: voters(group, row, &self.nodes) })
    }

    /// Whether the rows are new enough to know a replica and do not list it.
    pub fn has_dropped(&self, group: GroupId, replica: u64) -> bool {
        let lists = |row: &GroupRow| row.replicas.iter().any(|place| place.replica == replica);
        self.drawn >= replica && self.groups.get(&group).is_some_and(|row| !lists(row))
    }

    /// The nodes that belong to the cluster.
    pub fn members(&self) -> impl Iterator<Item = (NodeId, &NodeRow)> {
        self.nodes.iter().filter(|(_, row)| row.is_member()).map(|(node, row)| (*node, row))
    }

    /// What the cluster does with a node.
    pub fn state(&self, node: NodeId) -> Option<NodeState> {
        self.nodes.get(&node).map(|row| row.state)
    }
}

/// Reads the directory, again only when it has changed.
pub struct Directory {
    holdings: Arc<Holdings>,
    last: Mutex<Option<(u64, u64, Arc<Rows>)>>,
}

impl Directory {
    /// The directory in `holdings`.
    pub fn new(holdings: Arc<Holdings>) -> Self {
        Directory { holdings, last: Mutex::new(None) }
    }

    /// What it says now; `None` while this node has no replica of it, or one that was told nothing yet.
    pub async fn rows(&self) -> Option<Arc<Rows>> {
        let group = self.holdings.group(GroupId::DIRECTORY)?;
        let (replica, version) = (group.parts().replica, group.parts().changes.version());
        if let Some((_, _, rows)) = self.last.lock().as_ref().filter(|(of, at, _)| (*of, *at) == (replica, version)) {
            return Some(rows.clone());
        }
        let state = group.parts().state.clone();
        let read = crate::runtime::blocking(move || {
            let view = state.read().map_err(|error| ReadError(error.to_string()))?;
            Rows::read(&view)
        });
        match read.await.ok()? {
            Ok(rows) if rows.nodes.is_empty() && rows.groups.is_empty() => None,
            Ok(rows) => {
                let rows = Arc::new(rows);
                *self.last.lock() = Some((replica, version, rows.clone()));
                Some(rows)
            }
            Err(error) => {
                tracing::error!(%error, "the directory cannot be read");
                None
            }
        }
    }

    /// Hears of changes from now on.
    pub fn watch(&self) -> DirectoryWatch {
        DirectoryWatch { holdings: self.holdings.clone(), subscription: None }
    }
}

/// Waits for changes of the directory.
pub struct DirectoryWatch {
    holdings: Arc<Holdings>,
    subscription: Option<Subscription>,
}

impl DirectoryWatch {
    /// Ends after a change, at the latest after `patience`. Changes since the last call count.
    pub async fn changed(&mut self, patience: Duration) {
        if self.subscription.is_none() {
            let group = self.holdings.group(GroupId::DIRECTORY);
            self.subscription = group.map(|group| group.parts().changes.subscribe());
        }
        let Some(subscription) = &mut self.subscription else { return sleep(patience).await };
        match timeout(patience, subscription.next()).await {
            Ok(Some(_)) => {
                sleep(GATHER).await;
                while let Ok(Some(_)) = timeout(Duration::ZERO, subscription.next()).await {}
            }
            // The replica is gone; another may come.
            Ok(None) => {
                self.subscription = None;
                sleep(patience).await;
            }
            Err(_) => {}
        }
    }
}
