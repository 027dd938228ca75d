//! Sending a body to the replicas of its group while it arrives here, so that they have it before an entry names it.
//!
//! A help, never a duty: a replica that does not keep up is left out and fetches the body later, and so does everybody
//! when too much is under way. What a body is for is not known here.

use crate::exchange::staging::{StagePart, Taken};
use crate::limits::{
    PUSH_ANSWER_TIMEOUT, PUSH_AVOIDED, PUSH_HELD_MAX, PUSH_PIECES_QUEUED_MAX, PUSH_STRAGGLER_TIMEOUT_MAX,
    PUSH_STRAGGLER_TIMEOUT_MIN, PUSHES_MAX, STREAM_OPEN_TIMEOUT,
};
use crate::runtime::{Instant, timeout_at};
use crate::transport::{CallError, Duplex, Service, Transport};
use bytes::Bytes;
use futures::StreamExt;
use futures::stream::FuturesUnordered;
use model::{BodyHash, NodeId, codec};
use parking_lot::Mutex;
use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot};

/// What all pushes of a node share.
#[derive(Clone)]
pub struct Pushes {
    /// One permit for each body on its way.
    turns: Arc<Semaphore>,
    /// Nodes that did not keep up, and until when nothing is pushed to them.
    avoided: Arc<Mutex<HashMap<NodeId, Instant>>>,
}

impl Default for Pushes {
    fn default() -> Self {
        Pushes { turns: Arc::new(Semaphore::new(PUSHES_MAX)), avoided: Arc::default() }
    }
}

impl Pushes {
    /// Begins to push a body to `nodes`; to none of them when [`PUSHES_MAX`] are under way.
    pub fn begin(&self, transport: &Transport, nodes: &BTreeSet<NodeId>) -> Push {
        let Ok(turn) = self.turns.clone().try_acquire_owned() else { return Push::to_nobody() };
        let turn = Arc::new(turn);
        let link = |node: &NodeId| self.link(transport.clone(), *node, turn.clone());
        let links = nodes.iter().filter(|node| !self.is_avoided(**node)).map(link).collect();
        Push { links, nodes: nodes.len(), began: Instant::now(), pushes: self.clone() }
    }

    fn link(&self, transport: Transport, node: NodeId, turn: Arc<OwnedSemaphorePermit>) -> Link {
        let (pieces, queued) = mpsc::channel(PUSH_PIECES_QUEUED_MAX);
        let (told, taken) = oneshot::channel();
        let pushes = self.clone();
        crate::runtime::spawn(async move {
            let sent = send(&transport, node, queued).await;
            if let Err(error) = &sent {
                tracing::debug!(node = node.0, %error, "a body was not pushed; the node fetches it");
                pushes.avoid(node);
            }
            // Whoever pushed may have given up waiting.
            let _ = told.send(sent.unwrap_or(false));
            drop(turn);
        });
        Link { node, pieces, taken, held_left: PUSH_HELD_MAX }
    }

    /// Whether nothing is pushed to a node for now.
    pub fn is_avoided(&self, node: NodeId) -> bool {
        self.avoided.lock().get(&node).is_some_and(|until| Instant::now() < *until)
    }

    fn avoid(&self, node: NodeId) {
        self.avoided.lock().insert(node, Instant::now() + PUSH_AVOIDED);
    }
}

/// A body on its way to replicas elsewhere. Dropped before [`Self::finish`] it leaves nothing there.
pub struct Push {
    links: Vec<Link>,
    /// How many it was begun for.
    nodes: usize,
    began: Instant,
    pushes: Pushes,
}

struct Link {
    node: NodeId,
    pieces: mpsc::Sender<Bytes>,
    taken: oneshot::Receiver<bool>,
    /// How long it may yet hold up the body.
    held_left: Duration,
}

impl Push {
    /// A push that goes nowhere.
    pub fn to_nobody() -> Self {
        Push { links: Vec::new(), nodes: 0, began: Instant::now(), pushes: Pushes::default() }
    }

    /// Whether anybody still takes it.
    pub fn is_idle(&self) -> bool {
        self.links.is_empty()
    }

    /// Sends the next bytes. Waits while a replica does not keep up, [`PUSH_HELD_MAX`] over the whole body; then goes on
    /// without that replica.
    pub async fn write(&mut self, bytes: &Bytes) {
        if !self.is_idle() && !bytes.is_empty() {
            self.send(&StagePart::Bytes(bytes.clone())).await;
        }
    }

    /// The body is complete and has this name. Waits until enough replicas have it for a majority, and a moment for the
    /// others. Tells how many have it.
    pub async fn finish(mut self, hash: BodyHash) -> usize {
        if self.is_idle() {
            return 0;
        }
        self.send(&StagePart::End(hash)).await;
        // With the copy here these make a majority.
        let enough = self.nodes.div_ceil(2);
        let moment = (self.began.elapsed() / 4).clamp(PUSH_STRAGGLER_TIMEOUT_MIN, PUSH_STRAGGLER_TIMEOUT_MAX);
        let mut answers: FuturesUnordered<_> = self.links.into_iter().map(|link| link.taken).collect();
        let (mut has_it, mut deadline) = (0, Instant::now() + PUSH_ANSWER_TIMEOUT);
        while let Ok(Some(taken)) = timeout_at(deadline, answers.next()).await {
            has_it += usize::from(taken.unwrap_or(false));
            if has_it == enough {
                deadline = deadline.min(Instant::now() + moment);
            }
        }
        has_it
    }

    async fn send(&mut self, part: &StagePart) {
        let frame: Bytes = codec::encode(part).into();
        let mut kept = Vec::with_capacity(self.links.len());
        for mut link in self.links.drain(..) {
            let began = Instant::now();
            match timeout_at(began + link.held_left, link.pieces.send(frame.clone())).await {
                Ok(Ok(())) => {
                    link.held_left = link.held_left.saturating_sub(began.elapsed());
                    kept.push(link);
                }
                // It has said why.
                Ok(Err(_)) => {}
                Err(_) => {
                    tracing::debug!(node = link.node.0, "a node does not keep up with a body; it fetches it");
                    self.pushes.avoid(link.node);
                }
            }
        }
        self.links = kept;
    }
}

/// Sends what is queued; whether the body arrived as the one it was said to be.
async fn send(transport: &Transport, node: NodeId, mut queued: mpsc::Receiver<Bytes>) -> Result<bool, CallError> {
    let deadline = Instant::now() + STREAM_OPEN_TIMEOUT;
    let opened = transport.open(node, Service::Stage, Bytes::new(), deadline).await?;
    let Duplex { mut sender, mut receiver } = opened;
    while let Some(frame) = queued.recv().await {
        sender.send(frame).await?;
    }
    // Given up half-way, the end is missing and the peer forgets what it has.
    sender.finish()?;
    let Some(answer) = receiver.next().await? else { return Ok(false) };
    let Taken(taken) = codec::decode(&answer).map_err(|error| CallError::Unknown(error.to_string()))?;
    Ok(taken)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::on_virtual_time;

    fn link(node: u64) -> (Link, oneshot::Sender<bool>, mpsc::Receiver<Bytes>) {
        let (pieces, queued) = mpsc::channel(PUSH_PIECES_QUEUED_MAX);
        let (told, taken) = oneshot::channel();
        (Link { node: NodeId(node), pieces, taken, held_left: PUSH_HELD_MAX }, told, queued)
    }

    #[test]
    fn a_replica_that_does_not_keep_up_is_left_out_and_avoided() {
        let pushes = Pushes::default();
        let (slow, _told, mut queued) = link(2);
        let piece = Bytes::from_static(b"piece");
        let (has_it, held) = on_virtual_time(async {
            let mut push = Push { links: vec![slow], nodes: 1, began: Instant::now(), pushes: pushes.clone() };
            for _ in 0..PUSH_PIECES_QUEUED_MAX {
                push.write(&piece).await;
            }
            assert!(!push.is_idle() && !pushes.is_avoided(NodeId(2)));
            push.write(&piece).await;
            assert!(push.is_idle() && pushes.is_avoided(NodeId(2)));
            push.finish(BodyHash([1; 32])).await
        });
        assert_eq!((has_it, held), (0, PUSH_HELD_MAX));
        let kept = std::iter::from_fn(|| queued.try_recv().ok()).count();
        assert_eq!(kept, PUSH_PIECES_QUEUED_MAX, "no more was kept for it");
    }

    #[test]
    fn a_replica_may_hold_up_a_body_only_for_so_long_in_all() {
        const HICCUPS: u32 = 4;
        let (slow, _told, mut queued) = link(2);
        on_virtual_time(async {
            let pushes = Pushes::default();
            let mut push = Push { links: vec![slow], nodes: 1, began: Instant::now(), pushes };
            let piece = Bytes::from_static(b"piece");
            // The queue is full from the third piece on: each then waits until one is taken.
            for _ in 0..PUSH_PIECES_QUEUED_MAX {
                push.write(&piece).await;
            }
            for _ in 0..=HICCUPS {
                tokio::join!(push.write(&piece), async {
                    crate::runtime::sleep(PUSH_HELD_MAX / HICCUPS).await;
                    let _ = queued.try_recv();
                });
            }
            assert!(push.is_idle());
        });
    }

    #[test]
    fn a_complete_body_does_not_wait_for_those_who_are_not_needed() {
        let ((second, told, _queue), (third, _never, _queue_too)) = (link(2), link(3));
        told.send(true).unwrap();
        let (has_it, waited) = on_virtual_time(async {
            let links = vec![second, third];
            let push = Push { links, nodes: 2, began: Instant::now(), pushes: Pushes::default() };
            push.finish(BodyHash([1; 32])).await
        });
        assert_eq!((has_it, waited), (1, PUSH_STRAGGLER_TIMEOUT_MIN));
    }

    #[test]
    fn a_body_that_nobody_confirms_is_named_regardless() {
        let (second, _never, _queue) = link(2);
        let (has_it, waited) = on_virtual_time(async {
            let (links, began) = (vec![second], Instant::now());
            Push { links, nodes: 1, began, pushes: Pushes::default() }.finish(BodyHash([1; 32])).await
        });
        assert_eq!((has_it, waited), (0, PUSH_ANSWER_TIMEOUT));
    }
}
