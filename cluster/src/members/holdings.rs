//! The replicas this node holds. They come when a leader speaks to one that is not here yet and go when they are erased;
//! the identity record is written before either, so that a crash leaves nothing half known.

use crate::calls::Groups;
use crate::error::StartError;
use crate::group::Group;
use crate::identity::{Held, Identity, Stage};
use crate::limits::STARTING_GROUPS_MAX;
use crate::raft::{Origin, Parts, Replica, Shared};
use crate::runtime::{self, JoinHandle};
use crate::start::blocking;
use futures::{StreamExt, TryStreamExt};
use model::{GroupId, NodeId};
use parking_lot::RwLock;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::{Acquire, Release};
use storage::Store;
use tokio::sync::Mutex;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// The replicas of one node.
pub struct Holdings {
    node: NodeId,
    store: Store,
    shared: Shared,
    running: RwLock<BTreeMap<GroupId, Running>>,
    /// As it is on disk. Held while a replica is made or erased: one at a time.
    identity: Mutex<Identity>,
    /// The replicas that shall be here run. Until then none is made: it may be one of them.
    has_started: AtomicBool,
    stopping: CancellationToken,
    tasks: TaskTracker,
}

struct Running {
    group: Arc<Group>,
    stop: CancellationToken,
    supervisor: JoinHandle<()>,
}

impl Holdings {
    /// No replica runs yet. `stopping` ends all of them, `tasks` tells when they have ended.
    pub fn new(
        store: Store,
        identity: Identity,
        shared: Shared,
        stopping: CancellationToken,
        tasks: TaskTracker,
    ) -> Arc<Self> {
        let node = identity.node;
        let (running, identity, has_started) = (RwLock::default(), Mutex::new(identity), AtomicBool::new(false));
        Arc::new(Holdings { node, store, shared, running, identity, has_started, stopping, tasks })
    }

    /// Opens the parts of every replica that shall be here; what was being erased is erased first. Also counts the
    /// entries that wait in their logs.
    pub async fn open(&self) -> Result<(Vec<(Parts, Origin)>, u64), StartError> {
        let mut identity = self.identity.lock().await;
        let (mut known, node, shared) = (identity.clone(), self.node, self.shared.clone());
        let opened = blocking(&self.store, move |store| {
            finish_erasing(store, &mut known)?;
            let parts = open_all(store, node, &known, &shared)?;
            Ok((known, parts))
        });
        let (known, parts) = opened.await?;
        *identity = known;
        Ok(parts)
    }

    /// Starts replicas, a few at a time; afterwards each founder is known.
    pub async fn start(&self, all: Vec<(Parts, Origin)>) -> Result<(), StartError> {
        let starting = futures::stream::iter(all.into_iter().map(|(parts, origin)| Group::start(parts, origin)));
        let started: Vec<Group> = starting.buffer_unordered(STARTING_GROUPS_MAX).try_collect().await?;
        started.into_iter().for_each(|group| drop(self.run(Arc::new(group))));
        let mut identity = self.identity.lock().await;
        let founded: Vec<_> = held_in(&identity, Stage::Founding);
        self.set_stages(&mut identity, founded, Stage::Formed).await?;
        self.has_started.store(true, Release);
        Ok(())
    }

    fn run(&self, group: Arc<Group>) -> Arc<Group> {
        let stop = self.stopping.child_token();
        let (supervised, until) = (group.clone(), stop.clone());
        let supervised = async move { supervised.supervise(until).await };
        let supervisor = runtime::spawn(self.tasks.track_future(supervised));
        let id = group.parts().group;
        self.running.write().insert(id, Running { group: group.clone(), stop, supervisor });
        group
    }

    /// A group, when a replica of it is here.
    pub fn group(&self, group: GroupId) -> Option<Arc<Group>> {
        self.running.read().get(&group).map(|running| running.group.clone())
    }

    /// Whether a replica of the group runs here that neither leads nor has heard a leader just now.
    pub fn hears_nobody(&self, group: GroupId) -> bool {
        self.group(group).and_then(|group| group.replica()).is_some_and(|replica| replica.hears_nobody())
    }

    /// Every group with a replica here, the directory first.
    pub fn groups(&self) -> Vec<Arc<Group>> {
        self.running.read().values().map(|running| running.group.clone()).collect()
    }

    /// A replica, when exactly this one is here and runs.
    pub fn find(&self, group: GroupId, replica: u64) -> Option<Replica> {
        self.group(group).filter(|group| group.parts().replica == replica)?.replica()
    }

    /// As [`Self::find`]; one that was never here is made empty. An error says why it may not be.
    pub async fn find_or_make(&self, group: GroupId, replica: u64) -> Result<Replica, String> {
        if let Some(found) = self.find(group, replica) {
            return Ok(found);
        }
        if !self.has_started.load(Acquire) {
            return Err("the node is starting".into());
        }
        let mut identity = self.identity.lock().await;
        if let Some(there) = self.group(group) {
            let is_it = there.parts().replica == replica;
            return there.replica().filter(|_| is_it).ok_or_else(|| match is_it {
                true => format!("{group}: replica {replica} is being rebuilt"),
                false => format!("{group}: replica {} is here, not {replica}", there.parts().replica),
            });
        }
        if self.stopping.is_cancelled() {
            return Err("the node is shutting down".into());
        }
        let made = self.make(&mut identity, group, replica).await;
        made.map_err(|error| error.to_string())?.ok_or_else(|| format!("{group}: replica {replica} was here before"))
    }

    async fn make(&self, identity: &mut Identity, group: GroupId, replica: u64) -> Result<Option<Replica>, StartError> {
        let mut next = identity.clone();
        if next.replicas.contains_key(&group) {
            // It was noted before, but could not be opened then.
            if next.replicas.get(&group) != Some(&Held { replica, stage: Stage::Waiting }) {
                return Ok(None);
            }
        } else if !next.take(group, replica) {
            return Ok(None);
        }
        let (noted, node, shared) = (next.clone(), self.node, self.shared.clone());
        let parts = blocking(&self.store, move |store| {
            noted.save(store)?;
            Parts::open(store, node, group, replica, &shared)
        });
        let parts = parts.await;
        *identity = next;
        let group = self.run(Arc::new(Group::start(parts?, Origin::Joiner).await?));
        tracing::info!(group = %group.parts().group, replica, "a replica was made here");
        Ok(group.replica())
    }

    /// Notes which replicas have been given data since: from now on finding none is a loss.
    pub async fn note_formed(&self) -> Result<(), StartError> {
        let mut identity = self.identity.lock().await;
        let mut waiting = held_in(&identity, Stage::Waiting);
        waiting.retain(|group| self.group(*group).is_some_and(|group| group.parts().state.applied().is_some()));
        self.set_stages(&mut identity, waiting, Stage::Formed).await
    }

    async fn set_stages(&self, identity: &mut Identity, groups: Vec<GroupId>, stage: Stage) -> Result<(), StartError> {
        if groups.is_empty() {
            return Ok(());
        }
        let mut next = identity.clone();
        groups.into_iter().for_each(|group| next.set_stage(group, stage));
        let saved = next.clone();
        blocking(&self.store, move |store| saved.save(store)).await?;
        *identity = next;
        Ok(())
    }

    /// The replicas here, by group.
    pub async fn held(&self) -> BTreeMap<GroupId, u64> {
        let identity = self.identity.lock().await;
        identity.replicas.iter().map(|(group, held)| (*group, held.replica)).collect()
    }

    /// Stops a replica and removes all it has on this node. Its group must have let go of it.
    pub async fn erase(&self, group: GroupId, replica: u64) -> Result<(), StartError> {
        let mut identity = self.identity.lock().await;
        if identity.replicas.get(&group).is_none_or(|held| held.replica != replica) {
            return Ok(());
        }
        self.set_stages(&mut identity, vec![group], Stage::Erasing).await?;
        let running = self.running.write().remove(&group);
        if let Some(Running { group, stop, supervisor }) = running {
            stop.cancel();
            // Fails only when it panicked, and then it has ended as well.
            let _ = supervisor.await;
            group.parts().changes.close();
        }
        let mut known = identity.clone();
        let erased = blocking(&self.store, move |store| finish_erasing(store, &mut known).map(|()| known));
        *identity = erased.await?;
        tracing::info!(%group, replica, "a replica was removed from here");
        Ok(())
    }

    /// Waits until no replica is being made or erased; once `stopping` none will be.
    pub async fn settle(&self) {
        drop(self.identity.lock().await);
    }

    /// Ends every subscription; the replicas have stopped.
    pub fn close(&self) {
        self.groups().iter().for_each(|group| group.parts().changes.close());
    }
}

impl Groups for Holdings {
    fn group(&self, group: GroupId) -> Option<Arc<Group>> {
        Holdings::group(self, group)
    }
}

fn held_in(identity: &Identity, stage: Stage) -> Vec<GroupId> {
    identity.replicas.iter().filter(|(_, held)| held.stage == stage).map(|(group, _)| *group).collect()
}

/// Erases what is to be erased and notes that. Blocks.
fn finish_erasing(store: &Store, identity: &mut Identity) -> Result<(), StartError> {
    for group in held_in(identity, Stage::Erasing) {
        store.erase(group).map_err(|error| StartError::Group { group, reason: error.to_string() })?;
        identity.replicas.remove(&group);
        identity.save(store)?;
    }
    Ok(())
}

/// Opens the parts of every group and counts the entries that wait in their logs. Blocks.
fn open_all(
    store: &Store,
    node: NodeId,
    identity: &Identity,
    shared: &Shared,
) -> Result<(Vec<(Parts, Origin)>, u64), StartError> {
    let (mut all, mut pending) = (Vec::new(), 0);
    for (group, held) in &identity.replicas {
        let parts = Parts::open(store, node, *group, held.replica, shared)?;
        pending += parts.pending().map_err(|error| parts.failed(error))?;
        let origin = match held.stage {
            Stage::Founding => Origin::Founder,
            Stage::Waiting | Stage::Erasing => Origin::Joiner,
            Stage::Formed => Origin::Known,
        };
        all.push((parts, origin));
    }
    Ok((all, pending))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing;

    const SHARD: GroupId = GroupId(3);

    async fn open(data: &std::path::Path) -> (Arc<Holdings>, Vec<(Parts, Origin)>) {
        let store = testing::open_store(data);
        let identity = Identity::load(&store).unwrap().unwrap_or_else(|| Identity::admitted(NodeId(2)));
        let (stopping, tasks) = (CancellationToken::new(), TaskTracker::new());
        let holdings = Holdings::new(store, identity, Shared::default(), stopping, tasks);
        let (parts, _) = holdings.open().await.unwrap();
        (holdings, parts)
    }

    async fn close(holdings: Arc<Holdings>) {
        holdings.stopping.cancel();
        holdings.tasks.close();
        holdings.tasks.wait().await;
        holdings.store.close().unwrap();
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_replica_is_made_once_and_an_erased_one_never_again() {
        let data = tempfile::tempdir().unwrap();
        let (holdings, parts) = open(data.path()).await;
        assert!(holdings.find_or_make(SHARD, 7).await.is_err(), "not before the node has started");
        holdings.start(parts).await.unwrap();
        assert!(holdings.find(SHARD, 7).is_none());
        holdings.find_or_make(SHARD, 7).await.unwrap();
        holdings.find_or_make(SHARD, 7).await.unwrap();
        assert!(holdings.find(SHARD, 7).is_some());
        assert!(holdings.find_or_make(SHARD, 8).await.is_err(), "one of a group at a time");
        holdings.erase(SHARD, 7).await.unwrap();
        assert!(holdings.find(SHARD, 7).is_none());
        assert!(holdings.find_or_make(SHARD, 7).await.is_err());
        assert!(holdings.find_or_make(SHARD, 6).await.is_err());
        holdings.find_or_make(SHARD, 8).await.unwrap();
        close(holdings).await;
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_replica_that_waits_may_be_empty_after_a_restart_and_an_erased_id_stays_refused() {
        let data = tempfile::tempdir().unwrap();
        let (holdings, parts) = open(data.path()).await;
        holdings.start(parts).await.unwrap();
        holdings.find_or_make(SHARD, 7).await.unwrap();
        holdings.note_formed().await.unwrap();
        close(holdings).await;
        let (holdings, parts) = open(data.path()).await;
        assert_eq!(parts.iter().map(|(_, origin)| *origin).collect::<Vec<_>>(), [Origin::Joiner]);
        holdings.start(parts).await.unwrap();
        assert!(holdings.find(SHARD, 7).is_some());
        holdings.erase(SHARD, 7).await.unwrap();
        close(holdings).await;
        let (holdings, parts) = open(data.path()).await;
        assert!(parts.is_empty());
        holdings.start(parts).await.unwrap();
        assert!(holdings.find_or_make(SHARD, 7).await.is_err());
        close(holdings).await;
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn erasing_that_a_crash_cut_short_is_finished_at_the_start() {
        let data = tempfile::tempdir().unwrap();
        let (holdings, parts) = open(data.path()).await;
        holdings.start(parts).await.unwrap();
        holdings.find_or_make(SHARD, 7).await.unwrap();
        let mut identity = holdings.identity.lock().await.clone();
        identity.set_stage(SHARD, Stage::Erasing);
        identity.save(&holdings.store).unwrap();
        close(holdings).await;
        let (holdings, parts) = open(data.path()).await;
        assert!(parts.is_empty());
        assert_eq!(holdings.held().await, BTreeMap::new());
        close(holdings).await;
    }
}
