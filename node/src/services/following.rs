//! Hearing of changes in a group for as long as one wants to, also while the replica of this node comes, goes or is rebuilt.

use crate::limits::WATCH_AGAIN_WAIT;
use cluster::{Cluster, Notice};
use model::GroupId;
use std::convert::Infallible;

/// Tells `hear` of every change; of [`Notice::Lagged`] first and whenever changes may have been missed. Never ends:
/// cancel it by dropping.
pub async fn follow(cluster: &Cluster, group: GroupId, mut hear: impl FnMut(Notice)) -> Infallible {
    loop {
        if let Some(mut changes) = cluster.watch(group) {
            hear(Notice::Lagged);
            while let Some(notice) = changes.next().await {
                hear(notice);
            }
        }
        tokio::time::sleep(WATCH_AGAIN_WAIT).await;
    }
}
