//! A node's queue on a real store, without listeners: a domain, two accounts, a resolver and hosts of the test's making.

use cluster::{Clock, Cluster, StartOptions, SystemClock};
use model::directory::DirectoryCommand;
use model::directory::view::Target;
use model::mailbox::view;
use model::queue::QueueCommand;
use model::queue::row::Lease;
use model::{AccountId, BodyRef, Command, GroupId, ReadError, Reply};
use node::ids;
use node::queue::connection::Connector;
use node::queue::destinations::Destinations;
use node::queue::dns::Dns;
use node::queue::route::{Relay, Router};
use node::queue::sender::Sender;
use node::queue::{Queue, Retry, Worker};
use node::services::delivery::{Answers, Delivery, Message, Resolved};
use node::services::directory::{Directory, DirectorySource};
use node::services::passwords::Passwords;
use protocols::address::Address;
use protocols::smtp::{Mail, Notify, Recipient};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

/// The local accounts, both in different shards.
pub const ANN: (&str, u32) = ("ann@example.org", 1);
pub const BEN: (&str, u32) = ("ben@example.org", 2);

/// The password of both.
pub const PASSWORD: &str = "correct horse";

pub struct World {
    pub cluster: Cluster,
    pub delivery: Delivery,
    pub directory: Directory,
    pub accounts: Vec<(AccountId, GroupId)>,
    plan: Plan,
    queue: Option<Queue>,
    _data: tempfile::TempDir,
}

/// What a world is made of.
pub struct Plan {
    pub dns: Option<SocketAddr>,
    pub relay: Option<SocketAddr>,
    /// Where the hosts named by the resolver listen.
    pub port: u16,
    pub own_ports: Vec<u16>,
    pub retry: Retry,
}

/// Tries again at once, so that no test waits for minutes.
pub fn quick() -> Retry {
    Retry { first_ms: 1, longest_ms: 1, ..Retry::default() }
}

impl Plan {
    pub fn relay(address: SocketAddr) -> Plan {
        Plan { dns: None, relay: Some(address), port: 25, own_ports: Vec::new(), retry: quick() }
    }

    pub fn dns(server: SocketAddr, port: u16) -> Plan {
        Plan { dns: Some(server), relay: None, port, own_ports: Vec::new(), retry: quick() }
    }
}

struct Rows(Cluster);

impl DirectorySource for Rows {
    fn rows(&self) -> Result<Box<dyn model::Read + '_>, ReadError> {
        let view = self.0.read_stale(GroupId::DIRECTORY).map_err(|error| ReadError(error.to_string()))?;
        Ok(Box::new(view))
    }
}

impl World {
    pub async fn start(plan: Plan) -> World {
        let data = tempfile::tempdir().unwrap();
        let store = storage::Store::open(storage::Options {
            data: data.path().to_owned(),
            decode: Arc::new(|record: &[u8]| cluster::decode_record(record)),
            progress: Box::new(|_, _| {}),
            block_cache_bytes: None,
        });
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let options = StartOptions { clock: clock.clone(), ..StartOptions::alone(store.unwrap(), "one") };
        let cluster = Cluster::start(options).await.unwrap();
        let accounts = vec![add(&cluster, ANN).await, add(&cluster, BEN).await];
        let directory = Directory::new(Rows(cluster.clone()));
        let delivery = Delivery::new(cluster.clone(), clock, plan.retry, Arc::default());
        let mut world = World { cluster, delivery, directory, accounts, plan, queue: None, _data: data };
        world.start_queue().await;
        world
    }

    pub async fn start_queue(&mut self) {
        let plan = &self.plan;
        let dns = plan.dns.map_or_else(Dns::system, Dns::at).unwrap();
        let relay = plan.relay.map(|relay| Relay { host: relay.ip().to_string(), port: relay.port() });
        let worker = Worker {
            cluster: self.cluster.clone(),
            directory: self.directory.clone(),
            delivery: self.delivery.clone(),
            sender: Sender {
                router: Router::new(dns, relay, "node.example.org", plan.port),
                connector: Connector::new(&plan.own_ports).unwrap(),
                hostname: "node.example.org".into(),
            },
            destinations: Destinations::default(),
            clock: Arc::new(SystemClock),
            retry: plan.retry,
            metrics: Arc::default(),
        };
        self.queue = Some(Queue::start(worker).await.unwrap());
    }

    pub async fn stop_queue(&mut self) {
        if let Some(queue) = self.queue.take() {
            queue.stop().await;
        }
    }

    /// Claims what is queued for this node, as a run does that ends before it reports.
    pub async fn claim_everything(&self) {
        for shard in GroupId::shards() {
            let rows = model::queue::view::list(&self.cluster.read_stale(shard).unwrap(), None, 1_000).unwrap();
            let lease = Lease { holder: self.cluster.node(), until: SystemClock.now() + 3_600_000 };
            let messages = rows.into_iter().map(|(message, _)| message).collect();
            propose(&self.cluster, shard, Command::Queue(QueueCommand::Claim { messages, lease })).await;
        }
    }

    /// Accepts a message for outside addresses, as an authenticated session does.
    pub async fn send(&self, sender: Option<&str>, recipients: &[&str]) {
        self.send_with(sender, recipients, None).await;
    }

    pub async fn send_with(&self, sender: Option<&str>, recipients: &[&str], notify: Option<Notify>) {
        let resolved = recipients.iter().map(|address| Resolved {
            recipient: Recipient { notify, ..Recipient::new(Address::parse(address).unwrap()) },
            targets: vec![Target::Outside((*address).to_owned())],
        });
        self.accept(sender, resolved.collect(), b"Subject: greetings\r\n\r\n.hello\r\n").await.unwrap();
    }

    pub async fn accept(&self, sender: Option<&str>, recipients: Vec<Resolved>, bytes: &[u8]) -> Result<(), String> {
        let now = SystemClock.now();
        let body = self.body(bytes);
        let message = Message {
            id: ids::operation(now),
            accepted_at: now,
            mail: Mail { sender: sender.map(|sender| Address::parse(sender).unwrap()), ..Mail::default() },
            recipients,
            local_body: Some(body.clone()),
            outside_body: Some(body),
        };
        let results = self.delivery.accept(&message, Answers::One).await;
        results.into_iter().collect::<Result<(), _>>().map_err(|reply| reply.to_string())
    }

    pub fn body(&self, bytes: &[u8]) -> BodyRef {
        let mut staged = self.cluster.bodies().stage();
        staged.write(bytes).unwrap();
        staged.finish().unwrap()
    }

    /// The messages in an account's INBOX.
    pub fn inbox(&self, account: usize) -> Vec<String> {
        let (account, shard) = self.accounts[account];
        let rows = self.cluster.read_stale(shard).unwrap();
        let Some(folder) = view::folder_by_name(&rows, account, "INBOX").unwrap() else { return Vec::new() };
        let states = view::states(&rows, account, folder.id).unwrap();
        let rows = states
            .iter()
            .map(|state| model::mailbox::row::message(&rows, account, folder.id, state.uid).unwrap().unwrap());
        rows.map(|row| self.read(&row.hash, row.size)).collect()
    }

    fn read(&self, hash: &model::BodyHash, size: u64) -> String {
        let reader = self.cluster.bodies().open_body(hash).unwrap();
        let mut bytes = vec![0; size as usize];
        assert_eq!(reader.read_at(0, &mut bytes).unwrap(), bytes.len());
        String::from_utf8(bytes).unwrap()
    }

    /// Messages queued in all shards.
    pub fn queued(&self) -> usize {
        let count =
            |shard| model::queue::view::list(&self.cluster.read_stale(shard).unwrap(), None, 1_000).unwrap().len();
        GroupId::shards().map(count).sum()
    }

    /// Waits until the queue is empty.
    pub async fn drained(&self) {
        until("the queue is empty", || self.queued() == 0).await;
    }

    pub async fn stop(mut self) {
        self.stop_queue().await;
        self.cluster.shutdown().await;
    }
}

async fn add(cluster: &Cluster, (address, shard): (&str, u32)) -> (AccountId, GroupId) {
    let domain = DirectoryCommand::AddDomain { name: "example.org".into() };
    propose(cluster, GroupId::DIRECTORY, Command::Directory(domain)).await;
    let credentials = Passwords::derive(PASSWORD).unwrap();
    let shard = GroupId(shard);
    let account = DirectoryCommand::AddAccount { address: address.into(), shard, credentials, admin: address == ANN.0 };
    match propose(cluster, GroupId::DIRECTORY, Command::Directory(account)).await {
        Reply::Account(account) => (account, shard),
        other => panic!("{other:?}"),
    }
}

async fn propose(cluster: &Cluster, group: GroupId, command: Command) -> Reply {
    cluster.propose(group, ids::operation(SystemClock.now()), command).await.unwrap()
}

/// Waits for a condition; fails the test when it does not come true within a minute.
pub async fn until(what: &str, condition: impl Fn() -> bool) {
    let wait = async {
        while !condition() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), wait).await.unwrap_or_else(|_| panic!("waited in vain: {what}"));
}
