//! What the directory says about this node: while it is active it takes sessions, while it drains or leaves it sends
//! them elsewhere. Also forgets remembered answers when the directory changes.

use crate::context::Services;
use crate::limits::TOUCH_INTERVAL;
use crate::net::Gate;
use crate::services::directory::Directory;
use crate::services::following::follow;
use model::directory::row::NodeState;
use model::directory::view;
use model::{GroupId, NodeId};
use std::sync::atomic::Ordering;

/// Follows the directory. Never ends.
pub async fn watch(services: Services) {
    let node = services.cluster.node();
    let hear = |_| {
        services.directory.forget_answers();
        obey(&services.directory, node, &services.gate);
    };
    match follow(&services.cluster, GroupId::DIRECTORY, hear).await {}
}

/// Asks again and again whether a majority is in reach; a replica by itself cannot tell that the others are gone. Never ends.
pub async fn stay_in_touch(services: Services) {
    loop {
        let in_touch = services.directory.catch_up().await;
        if services.in_touch.swap(in_touch, Ordering::Relaxed) != in_touch {
            match in_touch {
                true => tracing::info!("a majority of the nodes is in reach again"),
                false => tracing::warn!("a majority of the nodes is out of reach: nothing can be acknowledged"),
            }
        }
        tokio::time::sleep(TOUCH_INTERVAL).await;
    }
}

/// Reads one row of the directory, which is in memory.
fn obey(directory: &Directory, node: NodeId, gate: &Gate) {
    let row = match directory.with_rows(|rows| view::node(rows, node)) {
        Ok(row) => row,
        // As on a node that was removed: its gate is closed already.
        Err(error) => return tracing::debug!(%error, "what the directory says about this node cannot be read"),
    };
    let Some(row) = row else { return };
    let name = row.facts.name;
    match row.state {
        NodeState::Active if gate.open() => tracing::info!("sessions are taken again"),
        NodeState::Active => {}
        NodeState::Draining if gate.close() => {
            tracing::warn!("draining: no sessions are taken until: mailnode node undrain {name}");
        }
        NodeState::Leaving if gate.close() => tracing::warn!("leaving the cluster: no sessions are taken"),
        NodeState::Removed if gate.close() => tracing::error!("removed from the cluster: this node can be stopped"),
        NodeState::Draining | NodeState::Leaving | NodeState::Removed => {}
    }
}
