//! Heartbeats on their way out: those of all groups to one peer within a few milliseconds share one call.

use crate::limits::{BEAT_WINDOW, BEATS_QUEUED_MAX};
use crate::raft::codec;
use crate::raft::wire::{Appended, Beat, Beaten, Wire};
use crate::runtime::{Instant, sleep};
use crate::transport::{CallError, Service};
use model::NodeId;
use parking_lot::Mutex;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::oneshot;

/// Heartbeats that wait for their call, by peer.
#[derive(Default)]
pub struct Beats {
    waiting: Mutex<HashMap<NodeId, Vec<Waiting>>>,
}

struct Waiting {
    beat: Beat,
    answer: oneshot::Sender<Result<Appended, CallError>>,
}

/// Sends a heartbeat to `node` with whatever else goes there, and waits at most `patience` for its answer.
pub async fn beat(wire: &Arc<Wire>, node: NodeId, beat: Beat, patience: Duration) -> Result<Appended, CallError> {
    let (answer, answered) = oneshot::channel();
    {
        let mut waiting = wire.beats.waiting.lock();
        let queue = waiting.entry(node).or_default();
        if queue.len() >= BEATS_QUEUED_MAX {
            return Err(CallError::Unreachable("too many heartbeats wait".into()));
        }
        if queue.is_empty() {
            let wire = wire.clone();
            crate::runtime::spawn(async move { flush(&wire, node, patience).await });
        }
        queue.push(Waiting { beat, answer });
    }
    answered.await.unwrap_or_else(|_| Err(CallError::Unknown("a heartbeat was dropped".into())))
}

/// Gathers for a moment, then sends what has gathered.
async fn flush(wire: &Wire, node: NodeId, patience: Duration) {
    sleep(BEAT_WINDOW).await;
    let gathered = wire.beats.waiting.lock().remove(&node).unwrap_or_default();
    let (beats, answers): (Vec<Beat>, Vec<_>) =
        gathered.into_iter().map(|waiting| (waiting.beat, waiting.answer)).unzip();
    let called = call(wire, node, &beats, patience).await;
    match called {
        Ok(beaten) => {
            let late = || CallError::Unknown("the peer's replica did not answer in time".into());
            for (answer, appended) in answers.into_iter().zip(beaten) {
                // Nobody listens when the group was stopped meanwhile.
                let _ = answer.send(appended.ok_or_else(late));
            }
        }
        Err(error) => answers.into_iter().for_each(|answer| {
            let _ = answer.send(Err(error.clone()));
        }),
    }
}

async fn call(wire: &Wire, node: NodeId, beats: &Vec<Beat>, patience: Duration) -> Result<Beaten, CallError> {
    let deadline = Instant::now() + patience;
    let answer = wire.transport()?.call(node, Service::Heartbeats, codec::encode(beats), deadline).await?;
    codec::decode(&answer).map_err(|error| CallError::Unknown(error.to_string()))
}
