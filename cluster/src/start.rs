//! Starting a node: identity and authority (its own, or of the cluster it joins), the cluster port, then every group, a
//! few at a time, with progress.

use crate::authority::Authority;
use crate::calls::Calls;
use crate::clock::{Clock, SystemClock};
use crate::compaction;
use crate::error::StartError;
use crate::files::Files;
use crate::handle::{Cluster, Inner};
use crate::identity::Identity;
use crate::limits::{DIRECTORY_WAIT, PROPOSED_BYTES_MAX, RECOVERY_TIMEOUT};
use crate::members::{self, Directory, FORMAT, Front, Holdings, Join, check_format, form, load_peers};
use crate::placement::Placements;
use crate::raft::{LogBounds, Replay, Shared};
use crate::runtime::{self, ticks, timeout};
use crate::transport::{Network, Peer, Transport, TransportError, TransportOptions};
use model::directory::row::NodeFacts;
use model::limits::SHARDS;
use model::{GroupId, NodeId};
use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
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
    /// This node's name; no two nodes of a cluster have the same.
    pub node_name: String,
    /// The name it says in SMTP and IMAP greetings.
    pub hostname: String,
    /// Its release.
    pub release: String,
    /// The address of the cluster port (UDP); with port 0 the kernel chooses one.
    pub bind: SocketAddr,
    /// `host:port` under which the others reach the cluster port; else `bind`, or the host name when that is no address
    /// of its own.
    pub advertise: Option<String>,
    /// Whom to join when the data directory is blank; without it, it becomes a cluster of one.
    pub join: Option<Join>,
    /// Stamps proposals.
    pub clock: Arc<dyn Clock>,
    /// Bytes per second this node gives to others that catch up; `None` is [`crate::limits::CATCH_UP_BYTES_PER_SECOND`].
    pub catch_up_bytes_per_second: Option<u64>,
    /// How many shards a new cluster begins with: all of them, but for a simulation, which has no time for many.
    pub shards: u32,
    /// How long the logs of groups may become.
    pub log_bounds: LogBounds,
    /// What carries traffic between nodes; QUIC when there is none.
    pub network: Option<Arc<dyn Network>>,
    /// Hears how far the replay of the logs is; not called when there is nothing to replay.
    pub progress: Progress,
}

impl StartOptions {
    /// A node that is its own cluster, reached by nobody else than this machine.
    pub fn alone(store: Store, node_name: &str) -> Self {
        StartOptions {
            store,
            node_name: node_name.into(),
            hostname: node_name.into(),
            release: env!("CARGO_PKG_VERSION").into(),
            bind: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            advertise: None,
            join: None,
            clock: Arc::new(SystemClock),
            catch_up_bytes_per_second: None,
            shards: SHARDS,
            log_bounds: LogBounds::default(),
            network: None,
            progress: Arc::new(|_, _| ()),
        }
    }

    /// What this node says of itself when its cluster port is at `bind`; without its key, which it may not have yet.
    fn facts(&self, bind: SocketAddr) -> NodeFacts {
        let own =
            || if bind.ip().is_unspecified() { format!("{}:{}", self.hostname, bind.port()) } else { bind.to_string() };
        NodeFacts {
            name: self.node_name.clone(),
            hostname: self.hostname.clone(),
            version: self.release.clone(),
            address: self.advertise.clone().unwrap_or_else(own),
            key: [0; 32],
            format: FORMAT,
        }
    }
}

impl Cluster {
    /// Starts this node. A new data directory becomes a cluster of one, with the directory group and every shard, or
    /// with [`StartOptions::join`] a node of another cluster. In an old one every group is recovered.
    ///
    /// Ready when each group that this node makes up alone leads and has applied what was committed, and when it knows
    /// the directory; of a cluster of many that may be behind.
    pub async fn start(options: StartOptions) -> Result<Cluster, StartError> {
        blocking(&options.store, check_format).await?;
        let bind = fix_port(options.bind)?;
        let facts = options.facts(bind);
        let (identity, authority) = introduce(&options, &facts).await?;
        let (node, authority, shared) =
            (identity.node, Arc::new(authority), Shared { log_bounds: options.log_bounds, ..Shared::default() });
        if let Some(rate) = options.catch_up_bytes_per_second {
            shared.wire.catch_up.set(rate);
        }
        let facts = NodeFacts { key: authority.node_key_hash(), ..facts };
        let peers = blocking(&options.store, |store| load_peers(&Files::open(store.disk())?)).await?;
        let (stopping, tasks) = (CancellationToken::new(), TaskTracker::new());
        let store = options.store.clone();
        let holdings = Holdings::new(store.clone(), identity, shared.clone(), stopping.clone(), tasks.clone());
        let calls = Calls::new(node, holdings.clone(), shared.wire.clone(), store.bodies(), stopping.clone());
        calls.lend_bodies();
        let front = Front::new(holdings.clone(), calls.clone(), shared.wire.clone(), store.bodies());
        let handler = front.clone();
        let network = options.network.clone();
        let transport = TransportOptions { bind, authority: authority.clone(), node, handler, network };
        let transport = Transport::bind(transport).await?;
        transport.set_peers(peers.clone());
        shared.wire.connect(transport.clone());
        let cluster = Cluster::new(Inner {
            node,
            facts,
            authority,
            transport,
            wire: shared.wire.clone(),
            store,
            clock: options.clock.clone(),
            directory: Directory::new(holdings.clone()),
            holdings,
            calls,
            counters: shared.counters.clone(),
            placements: Placements::default(),
            in_flight: Semaphore::new(PROPOSED_BYTES_MAX),
            stopping,
            tasks,
        });
        front.open(&cluster);
        match cluster.begin(&options.progress, &shared, peers).await {
            Ok(()) => Ok(cluster),
            Err(error) => {
                cluster.shutdown().await;
                Err(error)
            }
        }
    }

    async fn begin(
        &self,
        progress: &Progress,
        shared: &Shared,
        peers: BTreeMap<NodeId, Peer>,
    ) -> Result<(), StartError> {
        let inner = self.inner();
        start_groups(progress, &inner.holdings, shared).await?;
        let shortening = compaction::run(inner.holdings.clone(), shared.bell.clone(), inner.stopping.clone());
        runtime::spawn(inner.tasks.track_future(shortening));
        form(self).await?;
        members::start(self, peers);
        inner.tasks.close();
        self.know_the_directory().await
    }

    /// A node that has just joined waits until it was given the directory: nothing can be answered without it.
    async fn know_the_directory(&self) -> Result<(), StartError> {
        let mut watch = self.inner().directory.watch();
        let known = async {
            let mut told = false;
            while self.inner().directory.rows().await.is_none_or(|rows| !rows.nodes.contains_key(&self.node())) {
                if !told {
                    tracing::info!("waiting for the directory from the other nodes");
                    told = true;
                }
                watch.changed(DIRECTORY_WAIT).await;
            }
        };
        timeout(RECOVERY_TIMEOUT, known).await.map_err(|_| StartError::Slow { group: GroupId::DIRECTORY })
    }
}

/// With port 0 a port that is free now: the node has to say where it is before it can listen there.
fn fix_port(bind: SocketAddr) -> Result<SocketAddr, StartError> {
    if bind.port() != 0 {
        return Ok(bind);
    }
    let probed = UdpSocket::bind(bind).and_then(|socket| socket.local_addr());
    probed.map_err(|error| TransportError::Bind { address: bind, error }.into())
}

/// Runs what blocks on the disk where it may.
pub async fn blocking<T: Send + 'static>(
    store: &Store,
    work: impl FnOnce(&Store) -> Result<T, StartError> + Send + 'static,
) -> Result<T, StartError> {
    let store = store.clone();
    let worked = runtime::blocking(move || work(&store)).await;
    worked.unwrap_or_else(|error| Err(StartError::Interrupted(error.to_string())))
}

/// Who this node is; decided and written down when it is new.
async fn introduce(options: &StartOptions, facts: &NodeFacts) -> Result<(Identity, Authority), StartError> {
    let store = &options.store;
    let known = blocking(store, Identity::load).await?;
    if let (None, Some(join)) = (&known, &options.join) {
        return members::join(store, join, facts.clone(), options.network.as_deref()).await;
    }
    let (invitation, name) = (options.join.clone(), options.node_name.clone());
    let shards = options.shards;
    blocking(store, move |store| {
        let belongs = known.is_some();
        let identity = match known {
            Some(identity) => identity,
            None => {
                let identity = Identity::first(shards);
                identity.save(store)?;
                identity
            }
        };
        let authority = Authority::open(&Files::open(store.disk())?, identity.node)?;
        if let Some(join) = invitation.filter(|_| belongs) {
            members::check_belongs(store, &join, &identity, &authority, &name)?;
            tracing::info!("this data directory belongs to the cluster already; the token is not used");
        }
        Ok((identity, authority))
    })
    .await
}

async fn start_groups(progress: &Progress, holdings: &Holdings, shared: &Shared) -> Result<(), StartError> {
    let (all, pending) = holdings.open().await?;
    tokio::select! {
        biased;
        started = holdings.start(all) => started,
        never = tell_progress(progress, &shared.replay, pending) => match never {},
    }
}

async fn tell_progress(progress: &Progress, replay: &Replay, of: u64) -> std::convert::Infallible {
    let mut ticks = ticks(PROGRESS_INTERVAL);
    loop {
        ticks.tick().await;
        if of > 0 {
            // Electing a leader adds an entry of its own to each log.
            progress(replay.done().min(of), of);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::raft::waiting_entries;
    use crate::testing;
    use parking_lot::Mutex;

    const WAITING: u64 = 3_000;

    #[tokio::test(flavor = "multi_thread")]
    async fn a_log_that_was_not_applied_is_replayed_with_progress() {
        let directory = tempfile::tempdir().unwrap();
        let heard = Arc::new(Mutex::new(Vec::new()));
        let start = async || {
            let (store, heard) = (testing::reopen_store(directory.path()).await, heard.clone());
            let progress: Progress = Arc::new(move |done, of| heard.lock().push((done, of)));
            Cluster::start(StartOptions { progress, ..StartOptions::alone(store, "one") }).await.unwrap()
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
