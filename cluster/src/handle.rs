//! The cluster as the rest of the node sees it: propose, read, watch, status. Cheap to clone.

use crate::authority::Authority;
use crate::calls::{Calls, ReadView};
use crate::clock::Clock;
use crate::error::{ProposeError, ReadError};
use crate::exchange::Push;
use crate::group::Group;
use crate::hex;
use crate::limits::{DRAIN_TIMEOUT, ENTRY_BYTES_MAX, PROPOSE_TIMEOUT, PROPOSED_BYTES_MAX};
use crate::members::{Directory, Holdings, abdicate};
use crate::metrics::{ClusterMetrics, Counters};
use crate::placement::Placements;
use crate::raft::{Proposal, Wire};
use crate::runtime::{self, Instant, timeout, timeout_at};
use crate::status::ClusterStatus;
use crate::transport::{PeerStatus, Transport};
use crate::watch::Subscription;
use model::directory::row::NodeFacts;
use model::{AccountId, Command, Entry, GroupId, NodeId, OperationId, Reply};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;
use storage::{Bodies, BodyHold, Store};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// This node's part of the cluster. Clones are handles of the same one.
#[derive(Clone)]
pub struct Cluster {
    inner: Arc<Inner>,
}

pub(crate) struct Inner {
    pub node: NodeId,
    /// What this node says of itself in the directory.
    pub facts: NodeFacts,
    pub authority: Arc<Authority>,
    pub transport: Transport,
    /// The same way, as the replicas hold it.
    pub wire: Arc<Wire>,
    pub store: Store,
    pub clock: Arc<dyn Clock>,
    pub holdings: Arc<Holdings>,
    pub calls: Arc<Calls>,
    pub directory: Directory,
    pub counters: Arc<Counters>,
    pub placements: Placements,
    /// One permit for each byte of a proposal on its way.
    pub in_flight: Semaphore,
    pub stopping: CancellationToken,
    pub tasks: TaskTracker,
}

impl Cluster {
    pub(crate) fn new(inner: Inner) -> Self {
        Self::from_inner(Arc::new(inner))
    }

    pub(crate) fn from_inner(inner: Arc<Inner>) -> Self {
        Cluster { inner }
    }

    pub(crate) fn inner(&self) -> &Arc<Inner> {
        &self.inner
    }

    /// Runs a task until it ends or the node stops.
    pub(crate) fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        let stopping = self.inner.stopping.clone();
        let running = async move {
            tokio::select! {
                biased;
                () = stopping.cancelled() => {}
                () = task => {}
            }
        };
        runtime::spawn(self.inner.tasks.track_future(running));
    }

    /// Proposes a command and waits until it is durable on a majority (I1) and applied here, at most
    /// [`PROPOSE_TIMEOUT`]. The same operation id acts once, however often it is proposed (I8). Dropping the future
    /// leaves the outcome unknown.
    pub async fn propose(
        &self,
        group: GroupId,
        operation: OperationId,
        command: Command,
    ) -> Result<Reply, ProposeError> {
        self.propose_within(group, operation, command, PROPOSE_TIMEOUT).await
    }

    /// As [`Self::propose`], with another patience.
    pub async fn propose_within(
        &self,
        group: GroupId,
        operation: OperationId,
        command: Command,
        patience: Duration,
    ) -> Result<Reply, ProposeError> {
        let started = Instant::now();
        let entry = Entry { operation, proposed_at: self.inner.clock.now(), command };
        let result = self.propose_entry(group, entry, started + patience).await;
        let counters = &self.inner.counters;
        match &result {
            Ok(_) => {
                let micros = u64::try_from(started.elapsed().as_micros()).unwrap_or(u64::MAX);
                counters.proposal_micros.fetch_add(micros, Relaxed);
                counters.proposals.fetch_add(1, Relaxed)
            }
            Err(ProposeError::Unknown) => counters.proposals_unknown.fetch_add(1, Relaxed),
            Err(_) => counters.proposals_failed.fetch_add(1, Relaxed),
        };
        result
    }

    pub(crate) async fn propose_entry(
        &self,
        group: GroupId,
        entry: Entry,
        deadline: Instant,
    ) -> Result<Reply, ProposeError> {
        let proposal = Proposal::new(entry);
        let bytes = proposal.encoded().len();
        let permits = u32::try_from(bytes).ok().filter(|_| bytes <= ENTRY_BYTES_MAX);
        let permits = permits.ok_or(ProposeError::TooLarge { bytes })?;
        let permit = match timeout_at(deadline, self.inner.in_flight.acquire_many(permits)).await {
            Ok(Ok(permit)) => permit,
            Ok(Err(_)) => return Err(ProposeError::Stopped),
            Err(_) => return Err(ProposeError::Unavailable),
        };
        self.inner.counters.proposed_bytes.fetch_add(u64::from(permits), Relaxed);
        let reply = self.inner.calls.propose(group, proposal, deadline).await;
        drop(permit);
        reply
    }

    /// The rows of a group with everything in them that was acknowledged before the call. Reading rows may block on the
    /// disk: iterate on a blocking thread.
    pub async fn read(&self, group: GroupId) -> Result<ReadView, ReadError> {
        let (rows, asked) = self.inner.calls.read(group).await?;
        self.inner.counters.reads.fetch_add(1, Relaxed);
        self.inner.counters.reads_by_message.fetch_add(u64::from(asked), Relaxed);
        Ok(rows)
    }

    /// The rows of a group as they are here, which may be behind what was acknowledged elsewhere (I10).
    pub fn read_stale(&self, group: GroupId) -> Result<ReadView, ReadError> {
        open_view(&*self.group(group).ok_or(ReadError::NotLeader { hint: None })?).map(ReadView::from)
    }

    /// Hears of changes in a group from now on, whether or not this node holds a replica of it.
    pub fn watch(&self, group: GroupId) -> Option<Subscription> {
        Some(self.inner.calls.watch(group))
    }

    /// The shard an account lives in, as the directory says here; `None` for an unknown account.
    pub async fn placement(&self, account: AccountId) -> Result<Option<GroupId>, ReadError> {
        let directory = self.group(GroupId::DIRECTORY).ok_or(ReadError::Unavailable)?;
        let version = directory.parts().changes.version();
        if let Some(shard) = self.inner.placements.get(version, account) {
            return Ok(Some(shard));
        }
        let rows = open_view(&directory)?;
        let looked_up = crate::runtime::blocking(move || model::directory::view::account(&rows, account)).await;
        let row = match looked_up {
            Ok(row) => row.map_err(|error| ReadError::Broken(error.to_string()))?,
            Err(error) => return Err(ReadError::Broken(error.to_string())),
        };
        let shard = row.map(|row| row.shard);
        if let Some(shard) = shard {
            self.inner.placements.put(version, account, shard);
        }
        Ok(shard)
    }

    /// The bodies on this node: stage one before proposing an entry that names it.
    pub fn bodies(&self) -> Arc<Bodies> {
        self.inner.store.bodies()
    }

    /// Keeps the bodies a command names here while it may be proposed again: an entry that refuses it takes them away.
    pub fn hold(&self, command: &Command) -> BodyHold {
        self.bodies().hold(&command.staged_bodies())
    }

    /// Begins to send a body to the replicas of `group` on other nodes while it arrives here, so that they need not fetch
    /// it when an entry of that group names it. A body that nothing names is swept there as it is here.
    pub async fn push(&self, group: GroupId) -> Push {
        let Ok(transport) = self.inner.wire.transport() else { return Push::to_nobody() };
        let others = self.inner.calls.others_of(group).await;
        if others.is_empty() { Push::to_nobody() } else { self.inner.wire.pushes.begin(&transport, &others) }
    }

    /// Waits until it is certain that another process runs as this node, on a copy of its data directory, and the other
    /// nodes keep to that one. This process must not serve any more; says why.
    pub async fn displaced(&self) -> String {
        self.inner.transport.displaced().await
    }

    /// The node's store, for what is local to it.
    pub fn store(&self) -> &Store {
        &self.inner.store
    }

    /// This node.
    pub fn node(&self) -> NodeId {
        self.inner.node
    }

    /// Where this node's cluster port is.
    pub fn cluster_address(&self) -> SocketAddr {
        self.inner.transport.local_address()
    }

    /// How the connections to the other nodes stand.
    pub fn peers(&self) -> Vec<PeerStatus> {
        self.inner.transport.peers()
    }

    /// Every group this node holds a replica of, the directory first.
    pub fn groups(&self) -> impl Iterator<Item = GroupId> {
        self.inner.holdings.groups().into_iter().map(|group| group.parts().group)
    }

    /// Whether this node leads a group now.
    pub fn leads(&self, group: GroupId) -> bool {
        self.group(group).and_then(|group| group.replica()).is_some_and(|replica| replica.leads())
    }

    /// How the cluster stands.
    pub fn status(&self) -> ClusterStatus {
        ClusterStatus {
            node: self.inner.node,
            node_name: self.inner.facts.name.clone(),
            ca_fingerprint: hex::encode(&self.inner.authority.fingerprint()),
            groups: self.inner.holdings.groups().iter().map(|group| group.status()).collect(),
        }
    }

    /// What was counted since the start.
    pub fn metrics(&self) -> ClusterMetrics {
        self.inner.counters.read()
    }

    /// SHA-256 of the cluster authority's public key; names the cluster.
    pub fn ca_fingerprint(&self) -> [u8; 32] {
        self.inner.authority.fingerprint()
    }

    /// The keys and certificates of this node for traffic between nodes.
    pub fn authority(&self) -> &Arc<Authority> {
        &self.inner.authority
    }

    /// Takes no more proposals, waits for those on their way, then stops every group. Everything acknowledged is
    /// durable before and after. The store stays open: its owner closes it.
    pub async fn shutdown(&self) {
        let all = u32::try_from(PROPOSED_BYTES_MAX).unwrap_or(u32::MAX);
        // Whoever asks from now on queues behind this and is turned away by `close`.
        match timeout(DRAIN_TIMEOUT, self.inner.in_flight.acquire_many(all)).await {
            Ok(Ok(permit)) => permit.forget(),
            Ok(Err(_)) => {}
            Err(_) => tracing::warn!("some proposals did not end in time; their outcome is unknown"),
        }
        self.inner.in_flight.close();
        abdicate(self).await;
        self.inner.stopping.cancel();
        self.inner.holdings.settle().await;
        // A start that failed has not closed it yet, and an open tracker is waited for without end.
        self.inner.tasks.close();
        self.inner.tasks.wait().await;
        self.inner.transport.shutdown().await;
        self.inner.wire.disconnect();
        self.inner.holdings.close();
    }

    fn group(&self, group: GroupId) -> Option<Arc<Group>> {
        self.inner.holdings.group(group)
    }
}

fn open_view(group: &Group) -> Result<storage::ReadView, ReadError> {
    group.parts().state.read().map_err(|error| ReadError::Broken(error.to_string()))
}
