//! Starting a node: identity, authority, then every group, a few at a time, with progress.

use crate::authority::Authority;
use crate::clock::Clock;
use crate::compaction;
use crate::error::StartError;
use crate::files::Files;
use crate::group::Group;
use crate::handle::{Cluster, Inner};
use crate::identity::Identity;
use crate::limits::{PROPOSED_BYTES_MAX, STARTING_GROUPS_MAX};
use crate::metrics::Counters;
use crate::placement::Placements;
use crate::raft::size::Bell;
use crate::raft::{Member, Parts, Replay};
use crate::watch::Changes;
use futures::{StreamExt, TryStreamExt};
use model::GroupId;
use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;
use std::time::Duration;
use storage::Store;
use tokio::sync::{Notify, Semaphore};
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
    /// In an old one it recovers every group. Ready when each group leads and has applied what was committed.
    pub async fn start(options: StartOptions) -> Result<Cluster, StartError> {
        let files = Files::open(options.store.disk())?;
        let mut identity = match Identity::load(&files)? {
            Some(identity) => identity,
            None => Identity::first(),
        };
        if !identity.formed {
            identity.save(&files)?;
        }
        let authority = Authority::open(&files, identity.node)?;
        let (bell, counters) = (Arc::new(Notify::new()), Arc::new(Counters::default()));
        let groups = start_groups(&options, &identity, &bell, &counters).await?;
        if !identity.formed {
            identity.formed = true;
            identity.save(&files)?;
        }
        let (stopping, tasks) = (CancellationToken::new(), TaskTracker::new());
        for group in groups.values().cloned() {
            let stopping = stopping.clone();
            tasks.spawn(async move { group.supervise(stopping).await });
        }
        tasks.spawn(compaction::run(groups.values().cloned().collect(), bell, stopping.clone()));
        tasks.close();
        Ok(Cluster::new(Inner {
            node: identity.node,
            node_name: options.node_name,
            authority,
            store: options.store,
            clock: options.clock,
            groups,
            counters,
            placements: Placements::default(),
            in_flight: Semaphore::new(PROPOSED_BYTES_MAX),
            stopping,
            tasks,
        }))
    }
}

async fn start_groups(
    options: &StartOptions,
    identity: &Identity,
    bell: &Arc<Notify>,
    counters: &Arc<Counters>,
) -> Result<BTreeMap<GroupId, Arc<Group>>, StartError> {
    let replay = Arc::new(Replay::default());
    let mut all = Vec::new();
    for (group, replica) in &identity.replicas {
        let broken = |error: io::Error| StartError::Group { group: *group, reason: error.to_string() };
        all.push(Parts {
            group: *group,
            replica: *replica,
            member: Member { node: identity.node, address: String::new() },
            log: options.store.log(*group).map_err(broken)?,
            state: options.store.state(*group).map_err(broken)?,
            bodies: options.store.bodies(),
            changes: Changes::new(),
            bell: Arc::new(Bell::new(bell.clone())),
            counters: counters.clone(),
            replay: replay.clone(),
            turn: Arc::default(),
        });
    }
    let (all, pending) = count_pending(all).await?;
    let formed = identity.formed;
    let starting = futures::stream::iter(all.into_iter().map(|parts| async move {
        let group = parts.group;
        Group::start(parts, formed).await.map(|started| (group, Arc::new(started)))
    }));
    let started = starting.buffer_unordered(STARTING_GROUPS_MAX).try_collect();
    tokio::select! {
        started = started => started,
        never = tell_progress(&options.progress, &replay, pending) => match never {},
    }
}

async fn count_pending(all: Vec<Parts>) -> Result<(Vec<Parts>, u64), StartError> {
    let counting = tokio::task::spawn_blocking(move || {
        let mut pending = 0;
        for parts in &all {
            let broken = |error: io::Error| StartError::Group { group: parts.group, reason: error.to_string() };
            pending += parts.pending().map_err(broken)?;
        }
        Ok((all, pending))
    });
    counting.await.unwrap_or_else(|error| Err(StartError::Group { group: GroupId::DIRECTORY, reason: error.to_string() }))
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
