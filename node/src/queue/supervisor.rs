//! Starts the queue of every shard and starts one again, after a pause, when it fails. Stops them all in good order.

use super::shard::{ShardMessage, ShardQueue, ShardStart};
use super::worker::Worker;
use crate::limits::{DELIVERIES_MAX, QUEUE_STOP_TIMEOUT, QUEUE_TROUBLE_WAIT};
use model::GroupId;
use ractor::{Actor, ActorId, ActorProcessingErr, ActorRef, SupervisionEvent};
use std::collections::HashMap;
use std::sync::Arc;
use tokio::sync::Semaphore;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// The running queue.
pub struct Queue {
    supervisor: ActorRef<Restart>,
    handle: ractor::concurrency::JoinHandle<()>,
    attempts: TaskTracker,
    stop: CancellationToken,
    cut: CancellationToken,
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
        let (supervisor, handle) = Supervisor::spawn(None, Supervisor, starts).await?;
        Ok(Queue { supervisor, handle, attempts, stop, cut })
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

/// Start this one again.
struct Restart(Box<ShardStart>);

type Children = HashMap<ActorId, ShardStart>;

impl Actor for Supervisor {
    type Msg = Restart;
    type State = Children;
    type Arguments = Vec<ShardStart>;

    async fn pre_start(
        &self,
        myself: ActorRef<Restart>,
        starts: Vec<ShardStart>,
    ) -> Result<Children, ActorProcessingErr> {
        let mut children = Children::new();
        for start in starts {
            spawn(&myself, start, &mut children).await?;
        }
        Ok(children)
    }

    async fn handle(
        &self,
        myself: ActorRef<Restart>,
        Restart(start): Restart,
        children: &mut Children,
    ) -> Result<(), ActorProcessingErr> {
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
        myself: ActorRef<Restart>,
        event: SupervisionEvent,
        children: &mut Children,
    ) -> Result<(), ActorProcessingErr> {
        let (who, reason) = match event {
            SupervisionEvent::ActorFailed(who, error) => (who, error.to_string()),
            SupervisionEvent::ActorTerminated(who, _, reason) => (who, reason.unwrap_or_default()),
            _ => return Ok(()),
        };
        if let Some(start) = children.remove(&who.get_id())
            && !start.stop.is_cancelled()
        {
            tracing::error!(shard = start.shard.0, reason, "the queue of a shard failed and is started again");
            restart_later(&myself, start);
        }
        Ok(())
    }
}

async fn spawn(
    myself: &ActorRef<Restart>,
    start: ShardStart,
    children: &mut Children,
) -> Result<(), ActorProcessingErr> {
    let (shard, _): (ActorRef<ShardMessage>, _) =
        ShardQueue::spawn_linked(None, ShardQueue, start.clone(), myself.get_cell()).await?;
    children.insert(shard.get_id(), start);
    Ok(())
}

fn restart_later(myself: &ActorRef<Restart>, start: ShardStart) {
    // The timer lives no longer than the supervisor: a message to a stopped actor goes nowhere.
    drop(myself.send_after(QUEUE_TROUBLE_WAIT, move || Restart(Box::new(start))));
}
