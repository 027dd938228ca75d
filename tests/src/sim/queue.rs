//! Mail to elsewhere: each machine tends the queues of the shards it leads, as the actors of a node do, over the product's
//! own rules of the queue (`model::queue`): look, claim under a lease, send, renew meanwhile, report. There is no DNS and no
//! SMTP here: what is sent arrives at [`Outside`], which counts.

use super::executor;
use super::network::Machine;
use super::random::Random;
use super::world::{SHARDS, World};
use cluster::runtime::{Instant, sleep, spawn};
use cluster::{Clock, Cluster, ProposeError};
use model::queue::row::{Lease, Progress};
use model::queue::{Attempt, QueueCommand, view};
use model::{Command, GroupId, MessageId, OperationId, Reply};
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

/// A claim is good for so long; in a node it is minutes, here a run lasts seconds.
const LEASE: Duration = Duration::from_secs(4);
/// After so long a claim is renewed.
const RENEWAL: Duration = Duration::from_secs(1);
/// With less than this left of its claim a worker stops.
const MARGIN: Duration = Duration::from_secs(1);
/// When what could not be sent is tried again.
const AGAIN: Duration = Duration::from_millis(700);
/// How long a report is proposed again.
const REPORT_PATIENCE: Duration = Duration::from_secs(20);
/// Messages claimed in one go.
const CLAIMED_AT_ONCE: usize = 4;

/// Everything beyond this cluster, and what is known of what goes there.
#[derive(Default)]
pub struct Outside {
    /// Messages that were acknowledged, with their shards.
    pub accepted: BTreeMap<MessageId, GroupId>,
    /// How often each message arrived.
    pub arrived: BTreeMap<MessageId, u64>,
    /// Each attempt that was begun: the claim it was begun under.
    pub begun: Vec<(GroupId, OperationId, MessageId, Machine)>,
    /// Messages that are being sent, by whom, and until when their claims hold as their senders know.
    sending: BTreeMap<(MessageId, Machine), Instant>,
}

/// One machine's hand on one shard's queue.
struct Tender {
    world: Arc<World>,
    machine: Machine,
    cluster: Cluster,
    clock: Arc<dyn Clock>,
    shard: GroupId,
    random: Mutex<Random>,
    running: Mutex<BTreeSet<MessageId>>,
}

/// Tends the queues of every shard on a machine for as long as its node lives. Must run as a task of that node.
pub fn tend(world: &Arc<World>, machine: Machine, cluster: &Cluster, clock: &Arc<dyn Clock>) {
    for shard in (1..=SHARDS).map(GroupId) {
        let random = Mutex::new(world.random.lock().fork());
        let (world, cluster, clock) = (world.clone(), cluster.clone(), clock.clone());
        let tender = Tender { world, machine, cluster, clock, shard, random, running: Mutex::default() };
        spawn(Arc::new(tender).run());
    }
}

impl Tender {
    async fn run(self: Arc<Self>) {
        loop {
            let wait = self.random.lock().range(20, 400);
            sleep(Duration::from_millis(wait)).await;
            if self.cluster.leads(self.shard) {
                self.clone().begin_what_is_due().await;
            }
        }
    }

    /// What is due, and what an earlier life of this machine claimed and never reported.
    fn due(&self) -> Option<Vec<MessageId>> {
        let (now, holder) = (self.clock.now(), self.cluster.node());
        let rows = self.cluster.read_stale(self.shard).ok()?;
        let all = view::list(&rows, None, 64).ok()?;
        let running = self.running.lock();
        let ours = |lease: &Lease| lease.holder == holder;
        let due = all.into_iter().filter(|(message, row)| {
            !running.contains(message) && (row.due_at() <= now || row.lease.as_ref().is_some_and(ours))
        });
        Some(due.map(|(message, _)| message).take(CLAIMED_AT_ONCE).collect())
    }

    async fn begin_what_is_due(self: Arc<Self>) {
        let Some(due) = self.due().filter(|due| !due.is_empty()) else { return };
        let Some((claim, claimed, until)) = self.claim(due).await else { return };
        for message in claimed {
            self.running.lock().insert(message);
            let this = self.clone();
            spawn(async move {
                this.attempt(message, claim, until).await;
                this.running.lock().remove(&message);
            });
        }
    }

    fn operation(&self) -> OperationId {
        let mut bytes = [0; 10];
        bytes[..8].copy_from_slice(&self.random.lock().number().to_be_bytes());
        bytes[8] = 0xdd;
        bytes[9] = self.machine;
        OperationId::new(1_800_000_000_003, bytes)
    }

    /// Claims messages; those that are ours now, under which claim, and until when by the machine's own clock.
    async fn claim(&self, messages: Vec<MessageId>) -> Option<(OperationId, Vec<MessageId>, u64)> {
        let claim = self.operation();
        let until = self.clock.now() + LEASE.as_millis() as u64;
        let lease = Lease { holder: self.cluster.node(), until };
        let command = Command::Queue(QueueCommand::Claim { messages, lease });
        match self.cluster.propose(self.shard, claim, command).await {
            Ok(Reply::Claimed(claimed)) => Some((claim, claimed, until)),
            _ => None,
        }
    }

    /// Sends once and reports, unless the claim is lost before.
    async fn attempt(&self, message: MessageId, claim: OperationId, until: u64) {
        if !self.may_rely_on(until) {
            // It stood still until its claim was over.
            return;
        }
        self.world.outside.lock().begun.push((self.shard, claim, message, self.machine));
        let sending = Sending::begin(self, message);
        sending.holds_until(until);
        executor::current().note("send");
        let sent = tokio::select! {
            biased;
            sent = self.send(message) => sent,
            () = self.lose_claim(message, until, &sending) => return,
        };
        drop(sending);
        self.report(message, sent).await;
    }

    /// The other side takes it, sooner or later, or says that it does not now.
    async fn send(&self, message: MessageId) -> bool {
        let (takes, length) = {
            let mut random = self.random.lock();
            (random.chance(70), Duration::from_millis(random.range(5, 2_500)))
        };
        sleep(length).await;
        if takes {
            *self.world.outside.lock().arrived.entry(message).or_default() += 1;
            // Its answer is still on the way.
            sleep(length / 8).await;
        }
        takes
    }

    fn may_rely_on(&self, until: u64) -> bool {
        self.clock.now() + (MARGIN.as_millis() as u64) < until
    }

    /// Renews the claim as long as it can; returns when it must not be relied on any more.
    async fn lose_claim(&self, message: MessageId, mut until: u64, sending: &Sending<'_>) {
        while self.may_rely_on(until) {
            sleep(RENEWAL).await;
            match self.claim(vec![message]).await {
                Some((_, claimed, renewed)) if claimed.contains(&message) => {
                    until = renewed;
                    sending.holds_until(until);
                }
                Some(_) => return,
                None => {}
            }
        }
    }

    async fn report(&self, message: MessageId, sent: bool) {
        let progress = if sent { Progress::Delivered } else { Progress::Pending };
        let command = QueueCommand::Report {
            message,
            holder: self.cluster.node(),
            attempts: vec![Attempt { recipient: 0, progress, text: String::new() }],
            next_attempt_at: self.clock.now() + AGAIN.as_millis() as u64,
            delay_told: false,
            notices: Vec::new(),
        };
        let (operation, deadline) = (self.operation(), Instant::now() + REPORT_PATIENCE);
        while Instant::now() < deadline {
            match self.cluster.propose(self.shard, operation, Command::Queue(command.clone())).await {
                Err(ProposeError::Unknown | ProposeError::Unavailable | ProposeError::NotLeader { .. }) => {
                    sleep(Duration::from_millis(100)).await;
                }
                _ => return,
            }
        }
    }
}

/// That a machine sends a message just now; not any more when this goes, as it does with the machine.
struct Sending<'a> {
    tender: &'a Tender,
    message: MessageId,
}

impl<'a> Sending<'a> {
    fn begin(tender: &'a Tender, message: MessageId) -> Self {
        let now = Instant::now();
        let other = {
            let outside = tender.world.outside.lock();
            let mut others = outside.sending.range((message, 0)..=(message, Machine::MAX));
            others.find(|((_, machine), until)| *machine != tender.machine && **until > now).map(|((_, by), _)| *by)
        };
        // A claim ends by the clock of whoever takes the next one: clocks that are wrong make a second sending possible.
        let clocks_were_right = !tender.world.book.lock().faults.contains_key("clock jump");
        if let Some(other) = other.filter(|_| clocks_were_right) {
            let (shard, machine) = (tender.shard, tender.machine);
            tender.world.violation(format!("I7: machines {other} and {machine} send {message} of {shard} at one time"));
        }
        Sending { tender, message }
    }

    /// Its claim holds until then by the machine's clock.
    fn holds_until(&self, until: u64) {
        let left = Duration::from_millis(until.saturating_sub(self.tender.clock.now()));
        let key = (self.message, self.tender.machine);
        self.tender.world.outside.lock().sending.insert(key, Instant::now() + left);
    }
}

impl Drop for Sending<'_> {
    fn drop(&mut self) {
        self.tender.world.outside.lock().sending.remove(&(self.message, self.tender.machine));
    }
}
