//! Starts the queue of every shard and starts one again, after a pause, when it fails. Stops them all in good order.

use super::shard::{ShardMessage, ShardQueue, ShardStart};
use super::worker::Worker;
use crate::children::{Children, remind};
use crate::limits::{DELIVERIES_MAX, QUEUE_STOP_TIMEOUT, QUEUE_TROUBLE_WAIT};
use crate::services::leadership::Gains;
use model::GroupId;
use ractor::{Actor, ActorProcessingErr, ActorRef, SupervisionEvent};
use std::collections::BTreeSet;
use std::sync::Arc;
use tokio::sync::Semaphore;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tokio_util::task::{AbortOnDropHandle, TaskTracker};

/// The running queue.
pub struct Queue {
    supervisor: ActorRef<Message>,
    handle: ractor::concurrency::JoinHandle<()>,
    attempts: TaskTracker,
    stop: CancellationToken,
    cut: CancellationToken,
    /// Tells the supervisor of elections.
    _telling: AbortOnDropHandle<()>,
}

impl Queue {
    /// Starts the queues of all shards.
    ///
    /// # Errors
    /// When an actor cannot be started.
    pub async fn start(worker: Worker) -> Result<Queue, ractor::SpawnErr> {
        let (attempts, stop, cut) = (TaskTracker::new(), CancellationToken::new(), CancellationToken::new());
        let first = ShardStart {
            shard: GroupId::DIRECTORY,
            worker: Arc::new(worker),
            permits: Arc::new(Semaphore::new(DELIVERIES_MAX)),
            attempts: attempts.clone(),
            running: Arc::default(),
            stop: stop.clone(),
            cut: cut.clone(),
        };
        let starts =
            GroupId::shards().map(|shard| ShardStart { shard, running: Arc::default(), ..first.clone() }).collect();
        let mut gains = Gains::new(first.worker.cluster.clone());
        let (supervisor, handle) = Supervisor::spawn(None, Supervisor, starts).await?;
        let told = supervisor.clone();
        let telling = tokio::spawn(async move { while told.cast(Message::Led(gains.next().await)).is_ok() {} });
        Ok(Queue { supervisor, handle, attempts, stop, cut, _telling: AbortOnDropHandle::new(telling) })
    }

    /// Begins nothing new, gives attempts under way a bounded time, then cuts them. What was cut is tried again by the
    /// next start.
    pub async fn stop(self) {
        self.stop.cancel();
        self.attempts.close();
        if timeout(QUEUE_STOP_TIMEOUT, self.attempts.wait()).await.is_err() {
            tracing::info!(attempts = self.attempts.len(), "deliveries under way are cut and tried again later");
            self.cut.cancel();
            self.attempts.wait().await;
        }
        self.supervisor.stop(None);
        // The handle fails only when the supervisor panicked, which its runtime has reported.
        let _ = self.handle.await;
    }
}

struct Supervisor;

enum Message {
    /// Start this one again.
    Restart(Box<ShardStart>),
    /// This node leads these groups now.
    Led(BTreeSet<GroupId>),
}

struct Child {
    actor: ActorRef<ShardMessage>,
    start: ShardStart,
}

impl Actor for Supervisor {
    type Msg = Message;
    type State = Children<Child>;
    type Arguments = Vec<ShardStart>;

    async fn pre_start(
        &self,
        myself: ActorRef<Message>,
        starts: Vec<ShardStart>,
    ) -> Result<Children<Child>, ActorProcessingErr> {
        let mut children = Children::default();
        for start in starts {
            spawn(&myself, start, &mut children).await?;
        }
        Ok(children)
    }

    async fn handle(
        &self,
        myself: ActorRef<Message>,
        message: Message,
        children: &mut Children<Child>,
    ) -> Result<(), ActorProcessingErr> {
        let start = match message {
            Message::Restart(start) => start,
            Message::Led(groups) => {
                for child in children.iter().filter(|child| groups.contains(&child.start.shard)) {
                    // A queue that has just failed looks around when it is started again.
                    let _ = child.actor.cast(ShardMessage::Led);
                }
                return Ok(());
            }
        };
        let shard = start.shard.0;
        if let Err(error) = spawn(&myself, (*start).clone(), children).await {
            tracing::error!(shard, %error, "the queue of a shard could not be started again");
            restart_later(&myself, *start);
        }
        Ok(())
    }

    /// One for one: a shard's queue that fails concerns no other.
    async fn handle_supervisor_evt(
        &self,
        myself: ActorRef<Message>,
        event: SupervisionEvent,
        children: &mut Children<Child>,
    ) -> Result<(), ActorProcessingErr> {
        if let Some((Child { start, .. }, reason)) = children.ended(event)
            && !start.stop.is_cancelled()
        {
            tracing::error!(shard = start.shard.0, reason, "the queue of a shard failed and is started again");
            restart_later(&myself, start);
        }
        Ok(())
    }
}

async fn spawn(
    myself: &ActorRef<Message>,
    start: ShardStart,
    children: &mut Children<Child>,
) -> Result<(), ActorProcessingErr> {
    let (actor, _) = ShardQueue::spawn_linked(None, ShardQueue, start.clone(), myself.get_cell()).await?;
    children.insert(actor.get_id(), Child { actor, start });
    Ok(())
}

fn restart_later(myself: &ActorRef<Message>, start: ShardStart) {
    remind(myself, QUEUE_TROUBLE_WAIT, move || Message::Restart(Box::new(start)));
}
