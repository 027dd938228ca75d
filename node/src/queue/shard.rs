//! The actor of one shard's queue on its leader: wakes when something is due, claims what there is room for, and hands it
//! to workers. All its knowledge is in the rows; what it keeps itself only spares work.

use super::sorting::first_destination;
use super::worker::{Job, Worker};
use crate::ids;
use crate::limits::{CLAIMED_AT_ONCE_MAX, LEASE_MS, PARKED_MAX, QUEUE_SLEEP_MAX, QUEUE_SLEEP_MIN, QUEUE_TROUBLE_WAIT};
use crate::queue::destinations::Turn;
use crate::services::following::follow;
use cluster::Notice;
use model::queue::row::{Lease, QueueRow};
use model::queue::{QueueCommand, view};
use model::{Change, Command, GroupId, MessageId, NodeId, Read, ReadError, Reply as Applied, UnixMillis};
use parking_lot::Mutex;
use ractor::{Actor, ActorProcessingErr, ActorRef, SupervisionEvent};
use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tokio_util::task::{AbortOnDropHandle, TaskTracker};

/// See the module.
pub struct ShardQueue;

/// What a shard's queue starts from; kept by the supervisor to start it again.
#[derive(Clone)]
pub struct ShardStart {
    /// Its shard.
    pub shard: GroupId,
    /// Carries out attempts.
    pub worker: Arc<Worker>,
    /// The right to run one attempt; shared by all shards of this node.
    pub permits: Arc<Semaphore>,
    /// Attempts under way, of all shards.
    pub attempts: TaskTracker,
    /// Messages of this shard that are being attempted; outlives the actor, so that a new one does not begin them again.
    pub running: Arc<Mutex<HashSet<MessageId>>>,
    /// Cancelled when the node stops: nothing new is begun, and attempts are cut a little later by the owner.
    pub stop: CancellationToken,
    /// Cancelled when attempts are to be cut.
    pub cut: CancellationToken,
}

/// What the actor hears.
pub enum ShardMessage {
    /// Something may be due.
    Look,
    /// A permit that was waited for.
    Permitted(OwnedSemaphorePermit),
    /// A busy destination may have a turn.
    Freed(String),
    /// This node leads the shard now.
    Led,
}

/// What the actor remembers.
pub struct ShardState {
    start: ShardStart,
    /// Due messages whose destination is busy.
    parked: HashMap<String, VecDeque<MessageId>>,
    parked_ids: HashSet<MessageId>,
    /// Messages to look at beside those whose time has come: claimed by an earlier run of this node and never reported,
    /// or parked until now.
    candidates: Vec<MessageId>,
    /// Whether somebody waits for a permit in our name.
    waiting: bool,
    /// Whether a `Look` is on its way.
    woken: Arc<AtomicBool>,
    timer: Option<JoinHandle<Result<(), ractor::MessagingErr<ShardMessage>>>>,
    _watching: AbortOnDropHandle<()>,
}

impl Actor for ShardQueue {
    type Msg = ShardMessage;
    type State = ShardState;
    type Arguments = ShardStart;

    async fn pre_start(
        &self,
        myself: ActorRef<ShardMessage>,
        start: ShardStart,
    ) -> Result<ShardState, ActorProcessingErr> {
        let woken = Arc::new(AtomicBool::new(false));
        let watching = tokio::spawn(watch(myself.clone(), start.clone(), woken.clone()));
        let candidates = orphans(&start).await.unwrap_or_default();
        wake(&myself, &woken);
        Ok(ShardState {
            start,
            parked: HashMap::new(),
            parked_ids: HashSet::new(),
            candidates,
            waiting: false,
            woken,
            timer: None,
            _watching: AbortOnDropHandle::new(watching),
        })
    }

    async fn handle(
        &self,
        myself: ActorRef<ShardMessage>,
        message: ShardMessage,
        state: &mut ShardState,
    ) -> Result<(), ActorProcessingErr> {
        let permit = match message {
            ShardMessage::Look => {
                state.woken.store(false, Ordering::Release);
                None
            }
            ShardMessage::Permitted(permit) => {
                state.waiting = false;
                Some(permit)
            }
            ShardMessage::Freed(destination) => {
                state.unpark(&destination);
                None
            }
            ShardMessage::Led => {
                // What it claimed when it led before, and lost hold of since.
                state.candidates.extend(orphans(&state.start).await.unwrap_or_default());
                None
            }
        };
        if !state.start.stop.is_cancelled() {
            state.begin_what_is_due(&myself, permit).await;
        }
        Ok(())
    }

    async fn handle_supervisor_evt(
        &self,
        _: ActorRef<ShardMessage>,
        _: SupervisionEvent,
        _: &mut ShardState,
    ) -> Result<(), ActorProcessingErr> {
        Ok(())
    }
}

/// A message chosen for an attempt.
struct Chosen {
    message: MessageId,
    row: QueueRow,
    turn: Option<Turn>,
    permit: OwnedSemaphorePermit,
}

impl ShardState {
    /// Claims and begins as much as there are permits and turns for, then sleeps until there is more.
    async fn begin_what_is_due(&mut self, myself: &ActorRef<ShardMessage>, mut permit: Option<OwnedSemaphorePermit>) {
        loop {
            if !self.start.worker.cluster.leads(self.start.shard) {
                return self.sleep(myself, QUEUE_SLEEP_MAX);
            }
            let Ok(found) = self.look().await else { return self.sleep(myself, QUEUE_TROUBLE_WAIT) };
            let many = found.rows.len();
            let (chosen, room) = self.choose(myself, found.rows, &mut permit);
            let begun = !chosen.is_empty();
            if begun && !self.claim_and_begin(myself, chosen).await {
                return self.sleep(myself, QUEUE_TROUBLE_WAIT);
            }
            if !room {
                return self.wait_for_permit(myself);
            }
            if many == 0 {
                return self.sleep(myself, self.until(found.next));
            }
        }
    }

    /// Reads what is due and neither running nor parked, on a blocking thread.
    async fn look(&mut self) -> Result<Found, ReadError> {
        if self.parked_ids.len() >= PARKED_MAX {
            return Ok(Found { rows: Vec::new(), next: None });
        }
        let now = self.start.worker.clock.now();
        let view =
            self.start.worker.cluster.read_stale(self.start.shard).map_err(|error| ReadError(error.to_string()))?;
        let passed: HashSet<MessageId> = self.start.running.lock().union(&self.parked_ids).copied().collect();
        let first = self.candidates.len().saturating_sub(CLAIMED_AT_ONCE_MAX);
        let asked = Asked {
            now,
            holder: self.start.worker.cluster.node(),
            candidates: self.candidates.split_off(first),
            passed,
        };
        let looked = tokio::task::spawn_blocking(move || due(&view, asked));
        looked.await.map_err(|error| ReadError(error.to_string()))?
    }

    /// Takes a permit and a turn for each; the second result is false when permits ran out.
    fn choose(
        &mut self,
        myself: &ActorRef<ShardMessage>,
        rows: Vec<(MessageId, QueueRow)>,
        permit: &mut Option<OwnedSemaphorePermit>,
    ) -> (Vec<Chosen>, bool) {
        let worker = self.start.worker.clone();
        let mut chosen = Vec::new();
        let mut rows = rows.into_iter();
        while let Some((message, row)) = rows.next() {
            let Some(permit_now) = permit.take().or_else(|| self.start.permits.clone().try_acquire_owned().ok()) else {
                self.candidates.push(message);
                self.candidates.extend(rows.map(|(message, _)| message));
                return (chosen, false);
            };
            let turn = match first_destination(&row, &worker.directory, &worker.sender.router) {
                None => None,
                Some(destination) => match self.take_turn(myself, &destination) {
                    Some(turn) => Some(turn),
                    None => {
                        self.park(destination, message);
                        *permit = Some(permit_now);
                        continue;
                    }
                },
            };
            chosen.push(Chosen { message, row, turn, permit: permit_now });
        }
        (chosen, true)
    }

    fn take_turn(&self, myself: &ActorRef<ShardMessage>, destination: &str) -> Option<Turn> {
        // Others of this shard are waiting already: no overtaking, and one call back is enough.
        if self.parked.contains_key(destination) {
            return None;
        }
        let (myself, freed) = (myself.clone(), destination.to_owned());
        self.start.worker.destinations.take_or_wait(destination, move || {
            // A stopped actor has no use for a turn.
            let _ = myself.cast(ShardMessage::Freed(freed));
        })
    }

    fn park(&mut self, destination: String, message: MessageId) {
        if self.parked_ids.insert(message) {
            self.parked.entry(destination).or_default().push_back(message);
        }
    }

    /// Everything parked for a destination is due again; what finds no turn parks again.
    fn unpark(&mut self, destination: &str) {
        for message in self.parked.remove(destination).unwrap_or_default() {
            self.parked_ids.remove(&message);
            self.candidates.push(message);
        }
    }

    /// Claims in one proposal. False when nothing could be claimed now.
    async fn claim_and_begin(&mut self, myself: &ActorRef<ShardMessage>, chosen: Vec<Chosen>) -> bool {
        let worker = &self.start.worker;
        let now = worker.clock.now();
        let lease = Lease { holder: worker.cluster.node(), until: now + LEASE_MS };
        let messages = chosen.iter().map(|chosen| chosen.message).collect();
        let command = Command::Queue(QueueCommand::Claim { messages, lease: lease.clone() });
        let claimed = match worker.cluster.propose(self.start.shard, ids::operation(now), command).await {
            Ok(Applied::Claimed(claimed)) => claimed,
            other => {
                tracing::warn!(shard = self.start.shard.0, ?other, "queue messages could not be claimed");
                return false;
            }
        };
        for Chosen { message, row, turn, permit } in chosen {
            if claimed.contains(&message) {
                self.start.running.lock().insert(message);
                let job = Job { shard: self.start.shard, message, row, lease_until: lease.until, turn };
                self.begin(myself, job, permit);
            }
        }
        true
    }

    fn begin(&self, myself: &ActorRef<ShardMessage>, job: Job, permit: OwnedSemaphorePermit) {
        let (worker, cut) = (self.start.worker.clone(), self.start.cut.clone());
        let (running, woken) = (self.start.running.clone(), self.woken.clone());
        let ended = Ended { running, message: job.message, shard: myself.clone(), woken };
        self.start.attempts.spawn(async move {
            let (_permit, _ended) = (permit, ended);
            tokio::select! {
                () = worker.attempt(job) => {}
                () = cut.cancelled() => {}
            }
        });
    }

    fn wait_for_permit(&mut self, myself: &ActorRef<ShardMessage>) {
        if std::mem::replace(&mut self.waiting, true) {
            return;
        }
        let (myself, permits) = (myself.clone(), self.start.permits.clone());
        tokio::spawn(async move {
            if let Ok(permit) = permits.acquire_owned().await {
                let _ = myself.cast(ShardMessage::Permitted(permit));
            }
        });
    }

    fn until(&self, next: Option<UnixMillis>) -> Duration {
        let now = self.start.worker.clock.now();
        let wait = next.map_or(QUEUE_SLEEP_MAX, |at| Duration::from_millis(at.saturating_sub(now)));
        // Never zero: what is due now and still was not found must not turn this into a spin.
        wait.clamp(QUEUE_SLEEP_MIN, QUEUE_SLEEP_MAX)
    }

    fn sleep(&mut self, myself: &ActorRef<ShardMessage>, how_long: Duration) {
        if let Some(timer) = self.timer.take() {
            timer.abort();
        }
        self.timer = Some(myself.send_after(how_long, || ShardMessage::Look));
    }
}

/// Notes that an attempt ended, also when it panicked or was cut. The report may have been seen, and the message passed
/// over as still running, before this: so it is looked at again.
struct Ended {
    running: Arc<Mutex<HashSet<MessageId>>>,
    message: MessageId,
    shard: ActorRef<ShardMessage>,
    woken: Arc<AtomicBool>,
}

impl Drop for Ended {
    fn drop(&mut self) {
        self.running.lock().remove(&self.message);
        wake(&self.shard, &self.woken);
    }
}

/// What a look at the rows found.
struct Found {
    rows: Vec<(MessageId, QueueRow)>,
    /// When the next one is due, when none of the found ones is left over.
    next: Option<UnixMillis>,
}

/// What a look at the rows is for.
struct Asked {
    now: UnixMillis,
    /// This node.
    holder: NodeId,
    /// Beside those that are due.
    candidates: Vec<MessageId>,
    /// Not these.
    passed: HashSet<MessageId>,
}

fn due(rows: &dyn Read, asked: Asked) -> Result<Found, ReadError> {
    let Asked { now, holder, candidates, passed } = asked;
    let (ids, next) = view::due(rows, now, passed.len() + CLAIMED_AT_ONCE_MAX)?;
    let mut found = Found { rows: Vec::new(), next };
    let mut seen = passed;
    for message in candidates.into_iter().chain(ids).filter(|message| seen.insert(*message)) {
        let row = view::message(rows, message)?;
        let ours = |row: &QueueRow| row.lease.as_ref().is_some_and(|lease| lease.holder == holder);
        found.rows.extend(row.filter(|row| row.due_at() <= now || ours(row)).map(|row| (message, row)));
    }
    Ok(found)
}

/// What this node claimed in an earlier run; nobody works on it, and its claim would hold it back for minutes.
async fn orphans(start: &ShardStart) -> Option<Vec<MessageId>> {
    let (cluster, shard) = (start.worker.cluster.clone(), start.shard);
    let rows = cluster.read_stale(shard).ok()?;
    let holder = cluster.node();
    tokio::task::spawn_blocking(move || claimed_by(&rows, holder)).await.ok()?.ok()
}

fn claimed_by(rows: &dyn Read, holder: NodeId) -> Result<Vec<MessageId>, ReadError> {
    let (mut claimed, mut after) = (Vec::new(), None);
    loop {
        let page = view::list(rows, after, ROWS_PER_PAGE)?;
        let held = page.iter().filter(|(_, row)| row.lease.as_ref().is_some_and(|lease| lease.holder == holder));
        claimed.extend(held.map(|(message, _)| *message));
        match page.last() {
            Some((last, _)) if claimed.len() < PARKED_MAX => after = Some(*last),
            _ => return Ok(claimed),
        }
    }
}

/// Rows read at a time when a shard's queue starts.
const ROWS_PER_PAGE: usize = 256;

/// Turns the changes of a shard into one `Look` at a time.
async fn watch(myself: ActorRef<ShardMessage>, start: ShardStart, woken: Arc<AtomicBool>) {
    let hear = |notice| {
        if matches!(notice, Notice::Lagged | Notice::Changed(Change::Queue)) {
            wake(&myself, &woken);
        }
    };
    match follow(&start.worker.cluster, start.shard, hear).await {}
}

fn wake(myself: &ActorRef<ShardMessage>, woken: &AtomicBool) {
    if !woken.swap(true, Ordering::AcqRel) {
        let _ = myself.cast(ShardMessage::Look);
    }
}
