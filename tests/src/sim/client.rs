//! Simulated clients. They do through a node's cluster handle what its SMTP and IMAP sessions do: each tries a command
//! under one operation id on whatever node it reaches until it is answered, as RFC 5321 lets a sender do.

use super::checks::{exactly_once, minority, uids};
use super::executor;
use super::network::Machine;
use super::random::Random;
use super::world::{LOOK, World, shard_of};
use cluster::runtime::{sleep, timeout};
use cluster::{Cluster, ProposeError, ReadError};
use model::mailbox::row::{FolderRow, MessageState};
use model::mailbox::{LocalRecipient, MailboxCommand, NewMessage, StoreMode, view};
use model::queue::row::{Content, DsnEnvelope, Notify, Progress, QueueRecipient, QueueRow};
use model::queue::{NewQueued, QueueCommand};
use model::{AccountId, BodyHash, BodyRef, Command, FolderId, GroupId, MessageId, OperationId, Reply, Uid, UidSet};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// How long a client waits for what it reads before it goes elsewhere.
const READ_PATIENCE: Duration = Duration::from_secs(6);

/// One client: where it is connected now, and its dice.
pub struct Client {
    world: Arc<World>,
    /// Its name in operation ids and bodies.
    pub number: u64,
    random: Random,
    machine: Machine,
    drawn: u64,
}

/// A folder as it was read.
pub struct Seen {
    /// Its id.
    pub folder: FolderId,
    /// Its row.
    pub row: FolderRow,
    /// Its messages.
    pub messages: BTreeMap<Uid, (MessageState, BodyHash)>,
}

impl Client {
    /// A client that connects to any machine.
    pub fn new(world: &Arc<World>, number: u64) -> Self {
        let random = world.random.lock().fork();
        Client { world: world.clone(), number, random, machine: world.any_machine(), drawn: 0 }
    }

    /// Its dice.
    pub fn random(&mut self) -> &mut Random {
        &mut self.random
    }

    /// The world it lives in.
    pub fn world(&self) -> &Arc<World> {
        &self.world
    }

    /// A new operation id.
    pub fn operation(&mut self) -> OperationId {
        self.drawn += 1;
        let mut bytes = [0; 10];
        bytes[..2].copy_from_slice(&(self.number as u16).to_be_bytes());
        bytes[2..].copy_from_slice(&self.drawn.to_be_bytes());
        OperationId::new(1_800_000_000_000, bytes)
    }

    /// The bytes of a new message; some are too large to ride in an entry.
    pub fn write(&mut self) -> Vec<u8> {
        self.drawn += 1;
        let text = format!("Subject: {} of {}\r\n\r\n", self.drawn, self.number);
        let copies = if self.random.chance(10) { 1_700 } else { 1 };
        text.into_bytes().repeat(copies)
    }

    async fn reconnect(&mut self) {
        self.machine = self.world.any_machine();
        let wait = Duration::from_millis(self.random.range(5, 200));
        sleep(wait).await;
    }

    /// Has a command carried out, however often it must be tried. The reply is the one that counts.
    pub async fn carry_out(
        &mut self,
        group: GroupId,
        make: impl Fn(&Cluster) -> Result<Command, String> + Clone + Send + 'static,
    ) -> Reply {
        let operation = self.operation();
        loop {
            if self.random.chance(10) {
                self.reconnect().await;
            }
            let machine = self.machine;
            let before = minority::Alone::now(&self.world, machine);
            let make = make.clone();
            let patience = Duration::from_millis(self.random.range(300, 5_000));
            let asked = self.world.ask(machine, move |cluster| async move {
                let command = make(&cluster)?;
                Ok::<_, String>(cluster.propose_within(group, operation, command, patience).await)
            });
            // A machine that stands still answers nobody; its clients go elsewhere.
            let asked = timeout(patience + Duration::from_millis(500), asked);
            match asked.await.unwrap_or(None) {
                Some(Ok(Ok(reply))) => {
                    before.check_acknowledged(&self.world, &reply);
                    self.world.book.lock().done += 1;
                    executor::current().note("done");
                    return reply;
                }
                Some(Ok(Err(ProposeError::TooLarge { bytes }))) => {
                    self.world.violation(format!("an entry of {bytes} bytes is too large"));
                    return Reply::Done;
                }
                Some(Ok(Err(ProposeError::Unknown))) | None => self.world.book.lock().unknown += 1,
                Some(Ok(Err(_))) | Some(Err(_)) => {}
            }
            self.reconnect().await;
        }
    }

    /// Carries out a mailbox command without new bodies.
    pub async fn command(&mut self, account: AccountId, command: MailboxCommand) -> Reply {
        self.carry_out(shard_of(account), move |_| Ok(Command::Mailbox(command.clone()))).await
    }

    /// Delivers a message to accounts of one shard, as LMTP and SMTP do.
    pub async fn deliver(&mut self, accounts: Vec<AccountId>, bytes: Vec<u8>) -> Reply {
        let message = self.operation();
        let Some(first) = accounts.first().copied() else { return Reply::Done };
        let make = move |cluster: &Cluster| {
            let recipients = accounts.iter().map(|account| LocalRecipient { account: *account, folder: None });
            let (body, recipients) = (stage(cluster, &bytes)?, recipients.collect());
            Ok(Command::Mailbox(MailboxCommand::Deliver { message, body, recipients }))
        };
        self.carry_out(shard_of(first), make).await
    }

    /// Appends a message, as IMAP does.
    pub async fn append(&mut self, account: AccountId, folder: FolderId, bytes: Vec<u8>) -> Reply {
        let make = move |cluster: &Cluster| {
            let body = stage(cluster, &bytes)?;
            let message = NewMessage { body, flags: 0, keywords: Vec::new(), internal_date: None, internal_zone: 0 };
            Ok(Command::Mailbox(MailboxCommand::Append { account, folder, messages: vec![message] }))
        };
        self.carry_out(shard_of(account), make).await
    }

    /// Gives a message for elsewhere to a shard's queue; its id, once it is accepted.
    pub async fn send_out(&mut self, shard: GroupId, bytes: Vec<u8>) -> MessageId {
        let message = self.operation();
        let make = move |cluster: &Cluster| {
            let recipient = QueueRecipient {
                address: "somebody@example.net".into(),
                original: None,
                notify: Notify::default(),
                progress: Progress::Pending,
                last_text: String::new(),
            };
            let row = QueueRow {
                sender: "a@example.org".into(),
                dsn: DsnEnvelope::default(),
                content: Content::default(),
                accepted_at: 1_800_000_000_000,
                expires_at: u64::MAX,
                next_attempt_at: 0,
                attempts: 0,
                delay_told: false,
                hash: BodyHash([0; 32]),
                size: 0,
                lease: None,
                recipients: vec![recipient],
            };
            let new = NewQueued { message, body: stage(cluster, &bytes)?, row };
            Ok(Command::Queue(QueueCommand::Enqueue(vec![new])))
        };
        match self.carry_out(shard, make).await {
            Reply::Done => drop(self.world.outside.lock().accepted.insert(message, shard)),
            reply => self.world.violation(format!("a message was queued and the answer was {reply:?}")),
        }
        message
    }

    /// Sets or clears flags.
    pub async fn store(&mut self, place: (AccountId, FolderId), uids: UidSet, mode: StoreMode, flags: u64) -> Reply {
        let (account, folder) = place;
        let keywords = Vec::new();
        let command = MailboxCommand::Store { account, folder, uids, mode, flags, keywords, unchanged_since: None };
        self.command(account, command).await
    }

    /// Reads a folder on any node until one answers, and checks what every reading must show.
    pub async fn read(&mut self, account: AccountId, name: &'static str) -> Option<Seen> {
        loop {
            if self.random.chance(30) {
                self.machine = self.world.any_machine();
            }
            let must = exactly_once::Must::now(&self.world, account);
            let marks = uids::Floor::now(&self.world, account, name);
            let group = shard_of(account);
            let asked = self.world.ask(self.machine, move |cluster| async move {
                let rows = cluster.read(group).await?;
                let broken = |error: model::ReadError| ReadError::Broken(error.to_string());
                // Blocking is waiting for other tasks here, so rows that are elsewhere are read as they are in a node.
                let read = cluster::runtime::blocking(move || look(&rows, account, name));
                read.await.map_err(|error| ReadError::Broken(error.to_string()))?.map_err(broken)
            });
            if let Ok(Some(Ok(seen))) = timeout(READ_PATIENCE, asked).await {
                if let Some(seen) = &seen {
                    self.world.book.lock().reads += 1;
                    marks.check(&self.world, self.machine, seen);
                    must.check(&self.world, self.machine, name, seen);
                }
                return seen;
            }
            sleep(LOOK).await;
            self.reconnect().await;
        }
    }
}

fn look(rows: &dyn model::Read, account: AccountId, name: &str) -> Result<Option<Seen>, model::ReadError> {
    let Some(found) = view::folder_by_name(rows, account, name)? else { return Ok(None) };
    let states = view::states(rows, account, found.id)?;
    let mut messages = BTreeMap::new();
    let uids = UidSet::from_ranges(states.iter().map(|state| (state.uid, state.uid)));
    let mut hashes = BTreeMap::new();
    view::messages_of(rows, account, found.id, &uids, &mut |uid, row| {
        hashes.insert(uid, row.hash);
        Ok(())
    })?;
    for state in states {
        let hash = hashes.get(&state.uid).copied();
        let missing = || model::ReadError(format!("message {} has a state and no row", state.uid));
        messages.insert(state.uid, (state, hash.ok_or_else(missing)?));
    }
    Ok(Some(Seen { folder: found.id, row: found.row, messages }))
}

/// Stages a body on the node that is about to name it.
fn stage(cluster: &Cluster, bytes: &[u8]) -> Result<BodyRef, String> {
    let mut staged = cluster.bodies().stage();
    staged.write(bytes).map_err(|error| error.to_string())?;
    staged.finish().map_err(|error| error.to_string())
}

/// The hash of a message's bytes.
pub fn hash_of(bytes: &[u8]) -> BodyHash {
    BodyHash(*blake3::hash(bytes).as_bytes())
}
