//! What every node does for itself: says how it stands, talks to whom the directory lists, notes what it was given.

use crate::error::{ProposeError, StartError};
use crate::files::Files;
use crate::handle::Cluster;
use crate::limits::{ANNOUNCE_WAIT_MAX, ANNOUNCE_WAIT_MIN, STEWARD_INTERVAL};
use crate::members::acquaint::acquaint;
use crate::members::peers;
use crate::runtime::{self, sleep};
use crate::start::blocking;
use crate::transport::Peer;
use model::directory::members::MemberCommand;
use model::directory::row::{NodeFacts, NodeState};
use model::directory::view;
use model::{GroupId, NodeId, Refusal, Reply};
use std::collections::BTreeMap;

/// Runs until it is dropped. `peers` are those that are set already.
pub async fn run(cluster: Cluster, mut peers: BTreeMap<NodeId, Peer>) {
    let mut watch = cluster.inner().directory.watch();
    let mut was_removed = false;
    loop {
        let rows = cluster.inner().directory.rows().await;
        let known = rows.as_ref().map_or_else(|| peers.clone(), |rows| peers::after(rows, &peers));
        let now = acquaint(&cluster, rows.as_deref(), known).await;
        if now != peers {
            cluster.inner().transport.set_peers(now.clone());
            keep(&cluster, now.clone()).await;
            peers = now;
        }
        if let Some(rows) = rows {
            let removed = rows.state(cluster.node()) == Some(NodeState::Removed);
            if removed && !was_removed {
                tracing::error!("this node was removed from the cluster; nothing it holds counts any more");
            }
            was_removed = removed;
        }
        if let Err(error) = cluster.inner().holdings.note_formed().await {
            tracing::error!(%error, "the identity record could not be written; trying again");
        }
        watch.changed(STEWARD_INTERVAL).await;
    }
}

async fn keep(cluster: &Cluster, peers: BTreeMap<NodeId, Peer>) {
    let store = cluster.store();
    let kept = blocking(store, move |store| peers::save(&Files::open(store.disk())?, &peers)).await;
    if let Err(error) = kept {
        tracing::error!(%error, "the list of peers could not be written");
    }
}

/// Tells the directory how this node stands, until that is known there.
pub async fn announce(cluster: Cluster) {
    let mut wait = ANNOUNCE_WAIT_MIN;
    loop {
        let (node, facts) = (cluster.node(), cluster.inner().facts.clone());
        if is_known(&cluster, node, &facts).await {
            return;
        }
        match cluster.change_members(MemberCommand::Announce { node, facts }).await {
            Ok(Reply::Done) => return,
            Ok(Reply::Refused(Refusal::Exists)) => {
                tracing::error!("another node has this node's name; the cluster goes on with the old one");
                return;
            }
            Ok(Reply::Refused(Refusal::Outdated)) => {
                tracing::error!("this release is older than what the cluster uses: install that of the other nodes");
                return;
            }
            Ok(Reply::Refused(refusal)) => {
                tracing::error!(?refusal, "the cluster does not take what this node says of itself");
                return;
            }
            Ok(reply) => tracing::error!(?reply, "an unexpected answer"),
            Err(ProposeError::Stopped) => return,
            Err(error) => tracing::debug!(%error, "this node could not announce itself yet"),
        }
        sleep(wait).await;
        wait = (wait * 2).min(ANNOUNCE_WAIT_MAX);
    }
}

/// Whether the directory lists `facts`; asked of whoever knows, because the copy here may be from before another start of
/// this node under other facts.
async fn is_known(cluster: &Cluster, node: NodeId, facts: &NodeFacts) -> bool {
    let Ok(rows) = cluster.read(GroupId::DIRECTORY).await else { return false };
    let row = runtime::blocking(move || view::node(&rows, node)).await;
    matches!(row, Ok(Ok(Some(row))) if row.facts == *facts)
}

/// Writes down where the replicas of a cluster of one are, when that was never done.
pub async fn form(cluster: &Cluster) -> Result<(), StartError> {
    let inner = cluster.inner();
    let Some(directory) = inner.holdings.group(GroupId::DIRECTORY).and_then(|group| group.replica()) else {
        return Ok(());
    };
    let alone = directory.leadership().here && directory.members().nodes.len() == 1;
    let known = inner.directory.rows().await.is_some_and(|rows| !rows.groups.is_empty());
    if !alone || known {
        return Ok(());
    }
    let replicas = inner.holdings.held().await.into_iter().collect();
    let formed = cluster.change_members(MemberCommand::Form { node: inner.node, replicas }).await;
    let failed = |reason: String| StartError::Group { group: GroupId::DIRECTORY, reason };
    match formed {
        Ok(Reply::Done) => Ok(()),
        Ok(reply) => Err(failed(format!("{reply:?}"))),
        Err(error) => Err(failed(error.to_string())),
    }
}
