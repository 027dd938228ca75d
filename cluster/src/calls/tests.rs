//! Nodes that hold a shard, and one that does not: all propose, read and hear the same.

use super::*;
use crate::authority::Authority;
use crate::error::{ProposeError, ReadError};
use crate::files::Files;
use crate::identity::{Held, Identity, Stage};
use crate::members::Holdings;
use crate::raft::{Address, Inbound, Member, Proposal, Replica, Replicas, Shared};
use crate::runtime::Instant;
use crate::testing::open_store;
use crate::transport::{Duplex, Handler, Peer, Service, Transport, TransportOptions};
use crate::watch::Notice;
use bytes::Bytes;
use futures::future::BoxFuture;
use model::directory::DirectoryCommand;
use model::directory::members::MemberCommand;
use model::directory::row::NodeNames;
use model::mailbox::{MailboxCommand, NewMessage, view};
use model::{AccountId, Change, Command, Entry, OperationId, Read, Reply, txn};
use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::sync::OnceLock;
use std::time::Duration;
use storage::Store;
use tempfile::TempDir;
use tokio_util::task::TaskTracker;

const SHARD: GroupId = GroupId(3);
const ACCOUNT: AccountId = AccountId(1);

fn later() -> Instant {
    Instant::now() + Duration::from_secs(60)
}

struct Desk {
    holdings: Arc<Holdings>,
    inbound: OnceLock<Inbound>,
    calls: OnceLock<std::sync::Weak<Calls>>,
}

impl Replicas for Desk {
    fn find(&self, address: Address) -> Option<Replica> {
        self.holdings.find(address.group, address.replica)
    }

    fn find_or_make(&self, address: Address) -> BoxFuture<'_, Result<Replica, String>> {
        Box::pin(self.holdings.find_or_make(address.group, address.replica))
    }
}

impl Handler for Desk {
    fn call(&self, from: NodeId, service: Service, request: Bytes) -> BoxFuture<'_, Result<Bytes, String>> {
        Box::pin(async move {
            match Inbound::serves(service) {
                true => self.inbound.get().ok_or("not ready")?.call(service, request).await,
                false => self.calls().ok_or("not ready")?.answer(from, service, request).await,
            }
        })
    }

    fn stream(&self, from: NodeId, service: Service, head: Bytes, duplex: Duplex) -> BoxFuture<'_, ()> {
        Box::pin(async move {
            match (Inbound::serves(service), self.inbound.get(), self.calls()) {
                (true, Some(inbound), _) => inbound.stream(from, service, head, duplex).await,
                (false, _, Some(calls)) => calls.serve(from, service, head, duplex).await,
                _ => {}
            }
        })
    }

    fn stranger(&self, _binding: [u8; 32], _request: Bytes) -> BoxFuture<'_, Result<Bytes, String>> {
        Box::pin(async { Err("nobody joins here".into()) })
    }
}

impl Desk {
    fn calls(&self) -> Option<Arc<Calls>> {
        self.calls.get().and_then(std::sync::Weak::upgrade)
    }
}

struct Node {
    id: NodeId,
    _data: TempDir,
    store: Store,
    holdings: Arc<Holdings>,
    transport: Transport,
    calls: Arc<Calls>,
    peer: Peer,
    stopping: CancellationToken,
    tasks: TaskTracker,
}

impl Node {
    async fn start(id: u64, founder: Option<&Node>) -> Node {
        let (id, data) = (NodeId(id), tempfile::tempdir().unwrap());
        let store = open_store(data.path());
        let files = Files::open(store.disk()).unwrap();
        let authority = match founder {
            Some(founder) => {
                let other = Files::open(founder.store.disk()).unwrap();
                let (key, certificate) = Authority::open(&other, founder.id).unwrap().export().unwrap();
                Authority::adopt(&files, &key, &certificate, id)
            }
            None => Authority::open(&files, id),
        };
        let authority = Arc::new(authority.unwrap());
        let mut identity = Identity::admitted(id);
        if founder.is_none() {
            for (group, replica) in [(GroupId::DIRECTORY, 1), (SHARD, 10)] {
                identity.replicas.insert(group, Held { replica, stage: Stage::Founding });
            }
        }
        let (shared, stopping, tasks) = (Shared::default(), CancellationToken::new(), TaskTracker::new());
        let holdings = Holdings::new(store.clone(), identity, shared.clone(), stopping.clone(), tasks.clone());
        let (parts, _) = holdings.open().await.unwrap();
        holdings.start(parts).await.unwrap();
        let (inbound, calls) = (OnceLock::new(), OnceLock::new());
        let desk = Arc::new(Desk { holdings: holdings.clone(), inbound, calls });
        let _ = desk.inbound.set(Inbound::new(shared.wire.clone(), store.bodies(), desk.clone()));
        let calls = Calls::new(id, holdings.clone(), shared.wire.clone(), store.bodies(), stopping.clone());
        let _ = desk.calls.set(Arc::downgrade(&calls));
        calls.lend_bodies();
        let key = authority.node_key_hash();
        let options =
            TransportOptions { bind: ([127, 0, 0, 1], 0).into(), authority, node: id, handler: desk, network: None };
        let transport = Transport::bind(options).await.unwrap();
        shared.wire.connect(transport.clone());
        let peer = Peer { address: transport.local_address().to_string(), key };
        Node { id, _data: data, store, holdings, transport, calls, peer, stopping, tasks }
    }

    async fn kill(self) {
        self.stopping.cancel();
        self.transport.shutdown().await;
        self.tasks.close();
        self.tasks.wait().await;
        self.store.close().unwrap();
    }

    async fn propose(&self, number: u16, command: MailboxCommand) -> Result<Reply, ProposeError> {
        self.calls.propose(SHARD, proposal(number, Command::Mailbox(command)), later()).await
    }

    async fn rows(&self) -> ReadView {
        self.calls.read(SHARD).await.unwrap().0
    }
}

fn proposal(number: u16, command: Command) -> Proposal {
    let mut random = [0; 10];
    random[..2].copy_from_slice(&number.to_be_bytes());
    Proposal::new(Entry { operation: OperationId::new(1, random), proposed_at: 1_000 * u64::from(number), command })
}

fn create_account(account: u64) -> MailboxCommand {
    MailboxCommand::CreateAccount { account: AccountId(account), address: format!("user{account}@example.org") }
}

fn accounts(rows: &dyn Read, ids: &[u16]) -> usize {
    ids.iter().filter(|account| inbox_of(rows, AccountId(u64::from(**account))).is_some()).count()
}

fn inbox_of(rows: &dyn Read, account: AccountId) -> Option<model::FolderId> {
    view::folder_by_name(rows, account, "INBOX").unwrap().map(|folder| folder.id)
}

fn append(store: &Store, rows: &dyn Read, bytes: &[u8]) -> MailboxCommand {
    let mut staged = store.bodies().stage();
    staged.write(bytes).unwrap();
    let body = staged.finish().unwrap();
    let message = NewMessage { body, flags: 0, keywords: Vec::new(), internal_date: None, internal_zone: 0 };
    let folder = inbox_of(rows, ACCOUNT).unwrap();
    MailboxCommand::Append { account: ACCOUNT, folder, messages: vec![message] }
}

/// Nodes 1 to 3 vote in the shard; node 4 only has the directory, as a learner, which says where the shard is.
async fn four() -> Vec<Node> {
    let mut nodes = vec![Node::start(1, None).await];
    for id in 2..=4 {
        nodes.push(Node::start(id, Some(&nodes[0])).await);
    }
    let peers: BTreeMap<_, _> = nodes.iter().map(|node| (node.id, node.peer.clone())).collect();
    nodes.iter().for_each(|node| node.transport.set_peers(peers.clone()));
    let member = |node| Member { node: NodeId(node), address: String::new() };
    let directory = nodes[0].holdings.find(GroupId::DIRECTORY, 1).unwrap();
    directory.add_learner(4, member(4), later()).await.unwrap();
    place(&nodes[0]).await;
    let shard = nodes[0].holdings.find(SHARD, 10).unwrap();
    for node in [2, 3] {
        shard.add_learner(10 * node, member(node), later()).await.unwrap();
    }
    shard.set_voters([10, 20, 30].into(), later()).await.unwrap();
    while nodes[..3].iter().any(|node| node.calls.replica(SHARD).is_none()) {
        tokio::task::yield_now().await;
    }
    while nodes[3].calls.nodes_of(SHARD).await.len() < 3 {
        tokio::task::yield_now().await;
    }
    nodes
}

/// Writes down where the shard is.
async fn place(node: &Node) {
    let replicas = vec![(GroupId::DIRECTORY, 1), (SHARD, 10)];
    let mut commands = vec![DirectoryCommand::Members(MemberCommand::Form { node: NodeId(1), replicas })];
    for id in [2, 3] {
        let text = format!("node{id}");
        let row = NodeNames { name: text.clone(), hostname: text.clone(), version: text };
        commands.push(DirectoryCommand::SetNode { node: NodeId(id), row });
        let place = MemberCommand::Place { group: SHARD, revision: id - 1, add: Some(NodeId(id)), remove: None };
        commands.push(DirectoryCommand::Members(place));
    }
    for (number, command) in (1..).zip(commands) {
        let command = proposal(number, Command::Directory(command));
        let done = node.calls.propose(GroupId::DIRECTORY, command, later()).await;
        assert!(!matches!(done, Ok(Reply::Refused(_)) | Err(_)), "{done:?}");
    }
}

async fn kill_all(nodes: Vec<Node>) {
    for node in nodes {
        node.kill().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_node_proposes_and_every_other_reads_what_was_acknowledged() {
    let nodes = four().await;
    for number in 0..40_u16 {
        let (here, there) = (&nodes[usize::from(number) % 4], &nodes[usize::from(number / 4 + number) % 4]);
        let made = here.propose(number + 1, create_account(u64::from(number))).await;
        assert_eq!(made, Ok(Reply::Done));
        let rows = there.rows().await;
        let found = crate::runtime::blocking(move || inbox_of(&rows, AccountId(number.into())).is_some());
        assert!(found.await.unwrap(), "account {number} made at {:?}, read at {:?}", here.id, there.id);
    }
    let again = nodes[3].propose(1, create_account(77)).await;
    assert_eq!(again, Ok(Reply::Done), "the same operation has the same answer");
    let rows = nodes[1].rows().await;
    assert_eq!(inbox_of(&rows, AccountId(77)), None, "and acts once");
    kill_all(nodes).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_on_another_node_are_those_of_one_moment_and_all_of_them() {
    let nodes = four().await;
    for number in 0..200_u16 {
        nodes[0].propose(number + 1, create_account(u64::from(number))).await.unwrap();
    }
    let (here, there) = (nodes[0].rows().await, nodes[3].rows().await);
    nodes[0].propose(999, create_account(999)).await.unwrap();
    let read = |rows: ReadView| {
        let mut all = BTreeMap::new();
        let mut take = |key: &[u8], value: &[u8]| {
            all.insert(key.to_vec(), value.to_vec());
            ControlFlow::Continue(())
        };
        txn::scan_prefix(&rows, b"", &mut take).unwrap();
        let mut some = 0;
        let mut stop = |_: &[u8], _: &[u8]| {
            some += 1;
            if some == 3 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        };
        txn::scan_prefix(&rows, b"", &mut stop).unwrap();
        (all, some, accounts(&rows, &[0, 100, 199, 200, 999]))
    };
    let here = crate::runtime::blocking(move || read(here)).await.unwrap();
    // On a worker of the runtime, where a look or two is allowed.
    let there = tokio::spawn(async move { read(there) }).await.unwrap();
    assert_eq!((here.1, here.2), (3, 3));
    assert!(here.0.values().map(Vec::len).sum::<usize>() > crate::limits::VIEW_CHUNK_BYTES / 8);
    assert_eq!(here, there);
    kill_all(nodes).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_large_body_reaches_the_leader_before_the_entry_that_names_it() {
    let nodes = four().await;
    nodes[0].propose(1, create_account(ACCOUNT.0)).await.unwrap();
    let large = vec![b'x'; 200_000];
    for (number, node) in [(2, &nodes[1]), (3, &nodes[3])] {
        let rows = node.rows().await;
        let (store, mut bytes) = (node.store.clone(), large.clone());
        bytes.push(number as u8);
        let hash = model::BodyHash(*blake3::hash(&bytes).as_bytes());
        let command = crate::runtime::blocking(move || append(&store, &rows, &bytes)).await.unwrap();
        assert!(matches!(node.propose(number, command).await, Ok(Reply::Appended { .. })));
        for holder in &nodes[..3] {
            let _ = holder.rows().await;
            assert!(holder.store.bodies().contains(&hash).unwrap(), "{:?}", holder.id);
        }
        let (without, other) = (nodes[3].store.bodies(), model::BodyHash([number as u8; 32]));
        let there = crate::runtime::blocking(move || {
            assert_eq!(without.open_body(&other).err().map(|error| error.kind()), Some(std::io::ErrorKind::NotFound));
            without.open_body(&hash).unwrap().len()
        });
        assert_eq!(there.await.unwrap(), 200_001, "a node without the shard reads its bodies");
    }
    kill_all(nodes).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn proposals_go_on_when_their_leader_is_lost_and_stop_in_a_minority() {
    let mut nodes = four().await;
    nodes[1].propose(1, create_account(1)).await.unwrap();
    let calls = [nodes[1].calls.clone(), nodes[3].calls.clone()];
    let proposing = calls.map(|calls| {
        tokio::spawn(async move {
            let from = if calls.node == NodeId(4) { 1_000 } else { 100 };
            for number in from..from + 60 {
                let command = Command::Mailbox(create_account(u64::from(number)));
                let done = calls.propose(SHARD, proposal(number, command), later()).await;
                assert_eq!(done, Ok(Reply::Done));
            }
        })
    });
    nodes.remove(0).kill().await;
    for proposing in proposing {
        proposing.await.unwrap();
    }
    let rows = nodes[1].rows().await;
    let ids: Vec<u16> = (100..160).chain(1_000..1_060).collect();
    assert_eq!(accounts(&rows, &ids), 120);
    drop(rows);
    nodes.remove(1).kill().await;
    let (alone, command) = (&nodes[0], Command::Mailbox(create_account(1_999)));
    let soon = Instant::now() + Duration::from_secs(2);
    let refused = alone.calls.propose(SHARD, proposal(5_000, command), soon).await;
    assert!(matches!(refused, Err(ProposeError::Unavailable | ProposeError::Unknown)), "{refused:?}");
    assert_eq!(alone.calls.read(SHARD).await.map(|_| ()), Err(ReadError::Unavailable));
    kill_all(nodes).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn changes_are_heard_everywhere_and_follow_a_replica_that_goes() {
    let mut nodes = four().await;
    let mut watches: Vec<_> = nodes.iter().map(|node| node.calls.watch(SHARD)).collect();
    assert_eq!(watches[3].next().await, Some(Notice::Lagged), "from now on all is heard");
    nodes[2].propose(1, create_account(1)).await.unwrap();
    for watch in &mut watches {
        while watch.next().await != Some(Notice::Changed(Change::FolderList(AccountId(1)))) {}
    }
    // The replica of node 3 goes away while it is watched.
    let leader = nodes[0].calls.replica(SHARD).unwrap();
    if leader.leadership().here {
        leader.set_voters([10, 20].into(), later()).await.unwrap();
        leader.remove_learners([30].into(), later()).await.unwrap();
        nodes[2].holdings.erase(SHARD, 30).await.unwrap();
        assert_eq!(watches[2].next().await, Some(Notice::Lagged));
        nodes[0].propose(2, create_account(2)).await.unwrap();
        while watches[2].next().await != Some(Notice::Changed(Change::FolderList(AccountId(2)))) {}
    }
    let gone = nodes.pop().unwrap();
    gone.kill().await;
    while watches[3].next().await.is_some() {}
    kill_all(nodes).await;
}
