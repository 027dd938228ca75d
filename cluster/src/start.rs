//! Starting a node: identity, authority, then every group, a few at a time, with progress.

use crate::authority::Authority;
use crate::calls::Calls;
use crate::clock::Clock;
use crate::compaction;
use crate::error::StartError;
use crate::files::Files;
use crate::handle::{Cluster, Inner};
use crate::identity::Identity;
use crate::limits::PROPOSED_BYTES_MAX;
use crate::members::Holdings;
use crate::placement::Placements;
use crate::raft::{Replay, Shared};
use std::sync::Arc;
use std::time::Duration;
use storage::Store;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// How often progress is told while logs are replayed.
const PROGRESS_INTERVAL: Duration = Duration::from_millis(200);

/// Told how many of the entries that wait in the logs are applied: `(done, of)`.
pub type Progress = Arc<dyn Fn(u64, u64) + Send + Sync>;

/// What a node starts with.
pub struct StartOptions {
    /// The open data directory.
    pub store: Store,
    /// This node's name, for status.
    pub node_name: String,
    /// Stamps proposals.
    pub clock: Arc<dyn Clock>,
    /// Hears how far the replay of the logs is; not called when there is nothing to replay.
    pub progress: Progress,
}

impl Cluster {
    /// Starts this node. In a new data directory it makes a cluster of one: the directory group and every shard.
    /// In an old one it recovers every group. Ready when each group that it makes up alone leads and has applied what
    /// was committed.
    pub async fn start(options: StartOptions) -> Result<Cluster, StartError> {
        let (identity, authority) = blocking(&options.store, introduce).await?;
        let (node, shared) = (identity.node, Shared::default());
        let (stopping, tasks) = (CancellationToken::new(), TaskTracker::new());
        let store = options.store.clone();
        let holdings = Holdings::new(store, identity, shared.clone(), stopping.clone(), tasks.clone());
        start_groups(&options, &holdings, &shared).await?;
        tasks.spawn(compaction::run(holdings.clone(), shared.bell, stopping.clone()));
        tasks.close();
        let bodies = options.store.bodies();
        let calls = Calls::new(node, holdings.clone(), shared.wire, bodies, stopping.clone());
        Ok(Cluster::new(Inner {
            node,
            node_name: options.node_name,
            authority,
            store: options.store,
            clock: options.clock,
            holdings,
            calls,
            counters: shared.counters,
            placements: Placements::default(),
            in_flight: Semaphore::new(PROPOSED_BYTES_MAX),
            stopping,
            tasks,
        }))
    }
}

/// Runs what blocks on the disk where it may.
pub async fn blocking<T: Send + 'static>(
    store: &Store,
    work: impl FnOnce(&Store) -> Result<T, StartError> + Send + 'static,
) -> Result<T, StartError> {
    let store = store.clone();
    let worked = tokio::task::spawn_blocking(move || work(&store)).await;
    worked.unwrap_or_else(|error| Err(StartError::Interrupted(error.to_string())))
}

/// Who this node is; decided and written down when it is new.
fn introduce(store: &Store) -> Result<(Identity, Authority), StartError> {
    let files = Files::open(store.disk())?;
    let identity = match Identity::load(store)? {
        Some(identity) => identity,
        None => {
            let identity = Identity::first();
            identity.save(store)?;
            identity
        }
    };
    let authority = Authority::open(&files, identity.node)?;
    Ok((identity, authority))
}

async fn start_groups(options: &StartOptions, holdings: &Holdings, shared: &Shared) -> Result<(), StartError> {
    let (all, pending) = holdings.open().await?;
    tokio::select! {
        started = holdings.start(all) => started,
        never = tell_progress(&options.progress, &shared.replay, pending) => match never {},
    }
}

async fn tell_progress(progress: &Progress, replay: &Replay, of: u64) -> std::convert::Infallible {
    let mut interval = tokio::time::interval(PROGRESS_INTERVAL);
    loop {
        interval.tick().await;
        if of > 0 {
            // Electing a leader adds an entry of its own to each log.
            progress(replay.done().min(of), of);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::SystemClock;
    use crate::raft::waiting_entries;
    use crate::testing;
    use model::GroupId;
    use parking_lot::Mutex;

    const WAITING: u64 = 3_000;

    #[tokio::test(flavor = "multi_thread")]
    async fn a_log_that_was_not_applied_is_replayed_with_progress() {
        let directory = tempfile::tempdir().unwrap();
        let heard = Arc::new(Mutex::new(Vec::new()));
        let start = async || {
            let (store, heard) = (testing::open_store(directory.path()), heard.clone());
            let progress: Progress = Arc::new(move |done, of| heard.lock().push((done, of)));
            let clock = Arc::new(SystemClock);
            Cluster::start(StartOptions { store, node_name: "one".into(), clock, progress }).await.unwrap()
        };
        let node = start().await;
        node.shutdown().await;
        waiting_entries(&node.store().log(GroupId::DIRECTORY).unwrap(), WAITING).await;
        node.store().close().unwrap();
        drop(node);
        assert_eq!(*heard.lock(), [], "nothing is told when nothing waits");
        let node = start().await;
        let heard = std::mem::take(&mut *heard.lock());
        assert!(heard.first().is_some_and(|(_, of)| *of == WAITING), "{heard:?}");
        assert!(heard.is_sorted() && heard.iter().all(|(done, of)| done <= of));
        let rows = node.read_stale(GroupId::DIRECTORY).unwrap();
        let last = format!("n{}", WAITING - 1);
        assert!(model::directory::view::setting(&rows, &last).unwrap().is_some());
    }
}
