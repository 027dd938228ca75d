//! Turning one stopped node into a cluster of one, when a quorum is lost for good. Everything this node has stays; what was
//! acknowledged by the others without it is lost. The directory forgets the others at the next start.

use crate::error::StartError;
use crate::identity::{Identity, Stage};
use crate::raft::{Parts, Rescue, Shared};
use crate::start::blocking;
use model::directory::{DirectoryCommand, view};
use model::{Command, Entry, GroupId, NodeId, OperationId, UnixMillis};
use std::collections::{BTreeMap, BTreeSet};
use storage::Store;

/// The setting that says which node was made a cluster of one, until the directory has forgotten the others.
pub const RECOVERED_SETTING: &str = "recovered-as-one";

/// What would become of a stopped node.
pub struct Recovery {
    node: NodeId,
    names: BTreeMap<NodeId, String>,
    groups: BTreeMap<GroupId, Rescue>,
}

/// What an operator should know before.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Prospect {
    /// The other nodes, by name: they must never run again.
    pub others: Vec<String>,
    /// Groups that are here, and shards of which nothing is here: their mail is lost.
    pub groups: usize,
    /// See `groups`.
    pub missing: Vec<GroupId>,
    /// When the newest change on this node was made; what was acknowledged later is not here.
    pub newest: Option<UnixMillis>,
}

impl Recovery {
    /// Looks at the data directory of a stopped node. Changes nothing.
    ///
    /// # Errors
    /// When it belongs to no cluster or cannot be read.
    pub async fn look(store: &Store) -> Result<Recovery, StartError> {
        let identity = blocking(store, Identity::load).await?;
        let damaged = || StartError::Damaged { path: "identity".into(), reason: "it belongs to no cluster yet".into() };
        let identity = identity.ok_or_else(damaged)?;
        let shared = Shared::default();
        let mut groups = BTreeMap::new();
        for (group, held) in &identity.replicas {
            if held.stage == Stage::Erasing {
                continue;
            }
            let (node, group, replica, shared) = (identity.node, *group, held.replica, shared.clone());
            let parts = blocking(store, move |store| Parts::open(store, node, group, replica, &shared)).await?;
            let rescue = Rescue::open(parts).await?;
            if rescue.has_data() {
                groups.insert(group, rescue);
            }
        }
        let names = blocking(store, names).await?;
        Ok(Recovery { node: identity.node, names, groups })
    }

    /// What an operator should know before it is done.
    pub fn prospect(&self) -> Prospect {
        let others: BTreeSet<NodeId> = self.groups.values().flat_map(Rescue::others).collect();
        let name = |node: &NodeId| self.names.get(node).cloned().unwrap_or_else(|| format!("node {}", node.0));
        let all = std::iter::once(GroupId::DIRECTORY).chain(GroupId::shards());
        Prospect {
            others: others.iter().map(name).collect(),
            groups: self.groups.len(),
            missing: all.filter(|group| !self.groups.contains_key(group)).collect(),
            newest: self.groups.values().filter_map(Rescue::newest).max(),
        }
    }

    /// Does it, durably. May be repeated. `operation` and `now` stamp the note in the directory.
    ///
    /// # Errors
    /// When a log cannot be written; it can be done again.
    pub async fn carry_out(self, operation: OperationId, now: UnixMillis) -> Result<(), StartError> {
        let value = Some(self.node.0.to_string());
        let note = DirectoryCommand::SetSetting { name: RECOVERED_SETTING.into(), value };
        let note = Entry { operation, proposed_at: now, command: Command::Directory(note) };
        for (group, rescue) in self.groups {
            rescue.make_alone(group.is_directory().then(|| note.clone())).await?;
        }
        Ok(())
    }
}

fn names(store: &Store) -> Result<BTreeMap<NodeId, String>, StartError> {
    let broken = |reason: String| StartError::Group { group: GroupId::DIRECTORY, reason };
    let rows =
        store.state(GroupId::DIRECTORY).and_then(|state| state.read()).map_err(|error| broken(error.to_string()))?;
    let nodes = view::nodes(&rows).map_err(|error| broken(error.to_string()))?;
    Ok(nodes.into_iter().map(|(node, row)| (node, row.facts.name)).collect())
}
