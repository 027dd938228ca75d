//! What the tests of replicas on several nodes share: nodes of one process, each with a store and a transport of its own.

use crate::authority::Authority;
use crate::files::Files;
use crate::raft::inbound::{Inbound, Replicas};
use crate::raft::membership::Leadership;
use crate::raft::parts::{Origin, Parts, Shared};
use crate::raft::replica::Replica;
use crate::raft::types::{Member, Proposal};
use crate::raft::wire::Address;
use crate::runtime::Instant;
use crate::testing;
use crate::transport::{Duplex, Handler, Peer, Service, Transport, TransportOptions};
use bytes::Bytes;
use futures::future::BoxFuture;
use model::mailbox::{MailboxCommand, NewMessage, maildir, view};
use model::{AccountId, BodyRef, Command, Entry, FolderId, GroupId, NodeId, OperationId, Reply, txn};
use parking_lot::Mutex;
use std::collections::{BTreeMap, HashMap};
use std::net::SocketAddr;
use std::ops::ControlFlow;
use std::sync::{Arc, OnceLock};
use std::time::Duration;
use storage::{ReadView, Store};
use tempfile::TempDir;

pub const SHARD: GroupId = GroupId(3);
pub const ACCOUNT: AccountId = AccountId(1);

/// How long a test waits for what must happen.
pub fn patience() -> Instant {
    Instant::now() + Duration::from_secs(60)
}

/// A running node with at most one replica.
pub struct Node {
    pub id: NodeId,
    pub store: Store,
    pub parts: Parts,
    pub transport: Transport,
    pub seen: Arc<Seen>,
    held: Arc<Held>,
    shared: Shared,
}

/// The replica of a node, made when it is spoken to.
struct Held {
    parts: Parts,
    replica: Mutex<Option<Replica>>,
    making: tokio::sync::Mutex<()>,
}

/// How often each service was asked for.
#[derive(Default)]
pub struct Seen {
    services: Mutex<HashMap<Service, usize>>,
    inbound: OnceLock<Inbound>,
}

impl Seen {
    pub fn count(&self, service: Service) -> usize {
        self.services.lock().get(&service).copied().unwrap_or_default()
    }
}

impl Replicas for Held {
    fn find(&self, address: Address) -> Option<Replica> {
        self.replica.lock().clone().filter(|_| address.replica == self.parts.replica && address.group == SHARD)
    }

    fn find_or_make(&self, address: Address) -> BoxFuture<'_, Result<Replica, String>> {
        Box::pin(async move {
            let _alone = self.making.lock().await;
            if address.replica != self.parts.replica {
                return Err("not here".into());
            }
            if let Some(there) = self.find(address) {
                return Ok(there);
            }
            let made = Replica::start(&self.parts, Origin::Joiner).await.map_err(|error| error.to_string())?;
            *self.replica.lock() = Some(made.clone());
            Ok(made)
        })
    }
}

impl Handler for Seen {
    fn call(&self, _from: NodeId, service: Service, request: Bytes) -> BoxFuture<'_, Result<Bytes, String>> {
        *self.services.lock().entry(service).or_default() += 1;
        Box::pin(async move { self.inbound.get().ok_or("not ready")?.call(service, request).await })
    }

    fn stream(&self, from: NodeId, service: Service, head: Bytes, duplex: Duplex) -> BoxFuture<'_, ()> {
        *self.services.lock().entry(service).or_default() += 1;
        Box::pin(async move {
            if let Some(inbound) = self.inbound.get() {
                inbound.stream(from, service, head, duplex).await;
            }
        })
    }

    fn stranger(&self, _binding: [u8; 32], _request: Bytes) -> BoxFuture<'_, Result<Bytes, String>> {
        Box::pin(async { Err("nobody joins here".into()) })
    }
}

/// The nodes of a test, some of which may be down.
pub struct World {
    directories: BTreeMap<u64, TempDir>,
    addresses: BTreeMap<u64, Peer>,
    pub nodes: BTreeMap<u64, Node>,
}

pub fn replica_on(node: u64) -> u64 {
    node * 10
}

impl World {
    /// Three nodes with data directories of one cluster. The first founds the shard, the others hold nothing.
    pub async fn three() -> World {
        let directories: BTreeMap<u64, TempDir> = (1..=3).map(|node| (node, tempfile::tempdir().unwrap())).collect();
        let mut world = World { directories, addresses: BTreeMap::new(), nodes: BTreeMap::new() };
        for node in 1..=3 {
            world.start(node).await;
        }
        let founder = world.nodes.get(&1).unwrap();
        let replica = Replica::start(&founder.parts, Origin::Founder).await.unwrap();
        *founder.held.replica.lock() = Some(replica);
        world
    }

    /// Three nodes whose replicas all vote.
    pub async fn of_three_voters() -> World {
        let world = World::three().await;
        world.add_learners().await;
        world.replica(1).set_voters([10, 20, 30].into(), patience()).await.unwrap();
        world
    }

    /// The second and the third node are given the log that the first has.
    pub async fn add_learners(&self) {
        for node in [2, 3] {
            let member = Member { node: NodeId(node), address: String::new() };
            self.replica(1).add_learner(replica_on(node), member, patience()).await.unwrap();
        }
    }

    /// Starts a node on its data directory, and what replica it has.
    pub async fn start(&mut self, node: u64) {
        let data = self.directories.get(&node).unwrap().path().to_path_buf();
        let store = testing::reopen_store(&data).await;
        let files = Files::open(store.disk()).unwrap();
        let authority = match self.nodes.values().next() {
            Some(other) => {
                let (key, certificate) =
                    Authority::open(&Files::open(other.store.disk()).unwrap(), other.id).unwrap().export().unwrap();
                Authority::adopt(&files, &key, &certificate, NodeId(node)).unwrap()
            }
            None => Authority::open(&files, NodeId(node)).unwrap(),
        };
        let key = authority.node_key_hash();
        let shared = Shared::default();
        let parts = Parts::open(&store, NodeId(node), SHARD, replica_on(node), &shared).unwrap();
        let held = Arc::new(Held { parts: parts.clone(), replica: Mutex::default(), making: Default::default() });
        let seen = Arc::new(Seen::default());
        let inbound = Inbound::new(shared.wire.clone(), store.bodies(), held.clone());
        assert!(seen.inbound.set(inbound).is_ok());
        let bind: SocketAddr = ([127, 0, 0, 1], 0).into();
        let options = TransportOptions {
            bind,
            authority: Arc::new(authority),
            node: NodeId(node),
            handler: seen.clone(),
            network: None,
        };
        let transport = Transport::bind(options).await.unwrap();
        shared.wire.connect(transport.clone());
        let address = transport.local_address().to_string();
        self.addresses.insert(node, Peer { address, key });
        if parts.state.applied().is_some() {
            // Before anybody can speak to it, or it would be made a second time.
            *held.replica.lock() = Some(Replica::start(&parts, Origin::Known).await.unwrap());
        }
        self.nodes.insert(node, Node { id: NodeId(node), store, parts, transport, seen, held, shared });
        self.introduce();
    }

    /// Tells everybody where everybody is.
    fn introduce(&self) {
        let peers: BTreeMap<NodeId, Peer> =
            self.addresses.iter().map(|(node, peer)| (NodeId(*node), peer.clone())).collect();
        self.nodes.values().for_each(|node| node.transport.set_peers(peers.clone()));
    }

    /// Cuts a node off and ends it, as far as a test can: nothing it has not synced is saved on the way.
    pub async fn kill(&mut self, node: u64) {
        let Node { transport, held, store, shared, .. } = self.nodes.remove(&node).unwrap();
        transport.shutdown().await;
        let replica = held.replica.lock().take();
        if let Some(replica) = replica {
            replica.stop().await;
        }
        shared.wire.disconnect();
        drop(held);
        crate::runtime::blocking(move || store.close().unwrap()).await.unwrap();
    }

    /// Waits until a node was asked for a service.
    pub async fn asked(&self, node: u64, service: Service) {
        let until = patience();
        while self.node(node).seen.count(service) == 0 {
            assert!(Instant::now() < until, "node {node} is never asked for {service:?}");
            tokio::task::yield_now().await;
        }
    }

    pub fn node(&self, node: u64) -> &Node {
        self.nodes.get(&node).unwrap()
    }

    pub fn replica(&self, node: u64) -> Replica {
        self.node(node).held.replica.lock().clone().unwrap()
    }

    /// The node that leads, once one of those that run does and knows it.
    pub async fn leader(&self) -> u64 {
        // A replica that was not spoken to yet does not lead.
        let run = self.nodes.iter().filter_map(|(node, running)| Some((*node, running.held.replica.lock().clone()?)));
        let run = run.map(|(node, replica)| {
            Box::pin(async move {
                let mut now = replica.leadership();
                while !now.here {
                    now = replica.leadership_after(now).await.unwrap_or(Leadership { here: false, ..now });
                }
                node
            })
        });
        let found = futures::future::select_all(run.collect::<Vec<_>>());
        crate::runtime::timeout_at(patience(), found).await.expect("nobody leads").0
    }

    /// Proposes to whoever leads until it is applied.
    pub async fn propose(&self, number: u16, command: MailboxCommand) -> Reply {
        let mut random = [0; 10];
        random[..2].copy_from_slice(&number.to_be_bytes());
        let entry = Entry {
            operation: OperationId::new(1, random),
            proposed_at: 1_000 * u64::from(number),
            command: Command::Mailbox(command),
        };
        let proposal = Proposal::new(entry);
        loop {
            let leader = self.replica(self.leader().await);
            match leader.propose(proposal.clone(), Instant::now() + Duration::from_secs(5)).await {
                Ok((reply, _)) => return reply,
                Err(_) => tokio::task::yield_now().await,
            }
        }
    }

    /// Waits until every node that runs has applied what the leader has.
    pub async fn settle(&self) {
        let index = self.replica(self.leader().await).last_log().unwrap();
        for node in self.nodes.keys() {
            while self.node(*node).held.replica.lock().is_none() {
                tokio::task::yield_now().await;
            }
            let applied = self.replica(*node).wait_applied(index, patience()).await;
            assert_eq!(applied, Ok(()), "node {node} does not reach {index}: {}", self.tell());
        }
    }

    /// How all replicas stand, for a test that fails.
    fn tell(&self) -> String {
        let tell = |node: &u64| {
            let replica = self.replica(*node);
            format!("\n{:?} {:?} {:?}", replica.status(SHARD), replica.matched(), self.node(*node).transport.peers())
        };
        self.nodes.keys().map(tell).collect()
    }

    /// Every node that runs has the same rows, and each message's bytes.
    pub fn assert_same(&self) -> Vec<(u32, Vec<u8>)> {
        let views: Vec<(&Store, ReadView)> =
            self.nodes.values().map(|node| (&node.store, node.parts.state.read().unwrap())).collect();
        let (first_store, first) = &views[0];
        let expected = messages(first_store, first);
        for (store, view) in &views {
            assert_eq!(rows(view), rows(first));
            assert_eq!(messages(store, view), expected);
        }
        expected
    }

    /// Stages a message on one node and nowhere else.
    pub fn message(&self, node: u64, bytes: &[u8]) -> BodyRef {
        let mut staged = self.node(node).store.bodies().stage();
        staged.write(bytes).unwrap();
        staged.finish().unwrap()
    }

    pub fn inbox(&self, node: u64) -> FolderId {
        inbox(&self.node(node).parts.state.read().unwrap())
    }

    pub fn append(&self, node: u64, bytes: &[u8]) -> MailboxCommand {
        inbox_append(self, node, self.message(node, bytes))
    }
}

/// Appends a body to INBOX as `node` knows it.
pub fn inbox_append(world: &World, node: u64, body: BodyRef) -> MailboxCommand {
    append_to(world.inbox(node), body, 0)
}

pub fn append_to(folder: FolderId, body: BodyRef, flags: u64) -> MailboxCommand {
    let message = NewMessage { body, flags, keywords: Vec::new(), internal_date: None, internal_zone: 0 };
    MailboxCommand::Append { account: ACCOUNT, folder, messages: vec![message] }
}

pub fn create_account() -> MailboxCommand {
    MailboxCommand::CreateAccount { account: ACCOUNT, address: "a@example.org".into() }
}

fn rows(view: &ReadView) -> BTreeMap<Vec<u8>, Vec<u8>> {
    let mut rows = BTreeMap::new();
    txn::scan_prefix(view, b"", &mut |key, value| {
        rows.insert(key.to_vec(), value.to_vec());
        ControlFlow::Continue(())
    })
    .unwrap();
    rows
}

/// Every message of INBOX with the bytes its body has in `store`.
fn messages(store: &Store, view: &ReadView) -> Vec<(u32, Vec<u8>)> {
    let folder = inbox(view);
    let read = |uid| {
        let file = maildir::message_file(view, ACCOUNT, folder, uid).unwrap().unwrap();
        let body = store.bodies().open_body(&file.hash).unwrap();
        let mut bytes = vec![0; body.len() as usize];
        let mut filled = 0;
        while filled < bytes.len() {
            filled += body.read_at(filled as u64, &mut bytes[filled..]).unwrap();
        }
        bytes
    };
    view::states(view, ACCOUNT, folder).unwrap().iter().map(|state| (state.uid, read(state.uid))).collect()
}

fn inbox(view: &ReadView) -> FolderId {
    view::folder_by_name(view, ACCOUNT, "INBOX").unwrap().unwrap().id
}
