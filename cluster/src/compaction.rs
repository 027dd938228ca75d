//! Keeps the logs short: when one passes its bound, its group takes a snapshot and purges what the snapshot covers.
//! Groups whose logs are too long at the same time do it together, because then they share the sync of their files.

use crate::group::Group;
use crate::members::Holdings;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

/// Runs until `stopping`. `bell` is rung by the groups' logs.
pub async fn run(holdings: Arc<Holdings>, bell: Arc<Notify>, stopping: CancellationToken) {
    let work = async {
        loop {
            bell.notified().await;
            let mut long = holdings.groups();
            long.retain(|group| group.parts().bell.take());
            futures::future::join_all(long.iter().map(|group| shorten(group))).await;
        }
    };
    tokio::select! {
        biased;
        () = stopping.cancelled() => {}
        () = work => {}
    }
}

async fn shorten(group: &Group) {
    let parts = group.parts();
    let Some(replica) = group.replica() else {
        return;
    };
    if replica.compact().await {
        parts.counters.snapshots.fetch_add(1, Relaxed);
    } else {
        // The next entry rings again.
        tracing::warn!(group = %parts.group, "the log is too long and could not be shortened yet");
    }
}
