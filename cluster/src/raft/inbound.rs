//! What other nodes' replicas say to those of this node: finds the replica a message is for, lets nothing into its log
//! before the bodies it names are here (C3), and answers.

use crate::exchange::{self, Asked, FetchError};
use crate::limits::{BEAT_ANSWER_TIMEOUT, BODY_STREAMS_MAX, PUSHES_TAKEN_MAX};
use crate::raft::append_in;
use crate::raft::codec;
use crate::raft::replica::Replica;
use crate::raft::snapshot_in;
use crate::raft::wire::{Address, Appended, Ballot, Beat, Beaten, SnapshotHead, Transfer, Wire};
use crate::runtime::timeout;
use crate::transport::{CallError, Duplex, Service};
use bytes::Bytes;
use futures::future::{BoxFuture, join_all};
use model::NodeId;
use openraft::raft::StreamAppendError;
use serde::Serialize;
use std::sync::Arc;
use storage::Bodies;
use tokio::sync::Semaphore;

/// The replicas of this node.
pub trait Replicas: Send + Sync + 'static {
    /// The replica at an address, when it is here and runs.
    fn find(&self, address: Address) -> Option<Replica>;

    /// The same, but a replica that was never here is made empty and runs when this returns. An error says why it may
    /// not be: its id is not higher than that of one which was here before (C10), or the disk failed.
    fn find_or_make(&self, address: Address) -> BoxFuture<'_, Result<Replica, String>>;
}

/// Answers what consensus asks over the transport.
pub struct Inbound {
    wire: Arc<Wire>,
    bodies: Arc<Bodies>,
    replicas: Arc<dyn Replicas>,
    serving: Semaphore,
    taking: Semaphore,
}

impl Inbound {
    /// Answers for `replicas`. `bodies` are those of this node.
    pub fn new(wire: Arc<Wire>, bodies: Arc<Bodies>, replicas: Arc<dyn Replicas>) -> Self {
        let (serving, taking) = (Semaphore::new(BODY_STREAMS_MAX), Semaphore::new(PUSHES_TAKEN_MAX));
        Inbound { wire, bodies, replicas, serving, taking }
    }

    /// Whether requests for `service` are answered here.
    pub fn serves(service: Service) -> bool {
        use Service::{Append, Bodies, Heartbeats, PreVote, Snapshot, Stage, Transfer, Vote};
        matches!(service, Vote | PreVote | Append | Heartbeats | Transfer | Snapshot | Bodies | Stage)
    }

    /// Answers a call; an error says why there is no answer.
    pub async fn call(&self, service: Service, request: Bytes) -> Result<Bytes, String> {
        match service {
            Service::Vote => {
                let Ballot { to, request } = codec::decode(&request).map_err(text)?;
                answer(self.find(to)?.raft().vote(request).await)
            }
            Service::PreVote => {
                let Ballot { to, request } = codec::decode(&request).map_err(text)?;
                answer(self.find(to)?.raft().pre_vote(request).await)
            }
            Service::Transfer => {
                let Transfer { to, request } = codec::decode(&request).map_err(text)?;
                answer(self.find(to)?.raft().handle_transfer_leader(request).await)
            }
            Service::Heartbeats => {
                let beats: Vec<Beat> = codec::decode(&request).map_err(text)?;
                let beaten: Beaten = join_all(beats.into_iter().map(|beat| self.beat(beat))).await;
                Ok(codec::encode(&beaten))
            }
            _ => Err(format!("{service:?} is no call of consensus")),
        }
    }

    async fn beat(&self, beat: Beat) -> Option<Appended> {
        let replica = self.replicas.find(beat.to)?;
        // One group that is slow must not hold up the answers of the others.
        let answered = timeout(BEAT_ANSWER_TIMEOUT, replica.raft().append_entries(beat.request())).await;
        let response = answered.ok()?.ok()?;
        if response.is_conflict() && beat.previous.is_none() {
            return None;
        }
        let appended = response.into_stream_result(beat.previous, beat.previous);
        if !matches!(appended, Err(StreamAppendError::HigherVote(_))) {
            replica.heard();
        }
        Some(appended)
    }

    fn find(&self, to: Address) -> Result<Replica, String> {
        self.replicas.find(to).ok_or_else(|| format!("{}: replica {} is not here", to.group, to.replica))
    }

    /// Serves a stream until it ends.
    pub async fn stream(&self, from: NodeId, service: Service, head: Bytes, duplex: Duplex) {
        let served = match service {
            Service::Append => self.append(from, &head, duplex).await,
            Service::Snapshot => self.snapshot(&head, duplex).await,
            Service::Bodies => self.give_bodies(&head, duplex).await,
            Service::Stage => self.take_body(duplex).await,
            _ => Err(format!("{service:?} is no stream of consensus")),
        };
        if let Err(error) = served {
            tracing::debug!(from = from.0, ?service, error, "a stream from a peer ended early");
        }
    }

    async fn append(&self, from: NodeId, head: &[u8], duplex: Duplex) -> Result<(), String> {
        let replica = self.replicas.find_or_make(codec::decode(head).map_err(text)?).await?;
        append_in::run(&self.wire, from, &replica, duplex).await.map_err(text)
    }

    async fn snapshot(&self, head: &[u8], duplex: Duplex) -> Result<(), String> {
        let head: SnapshotHead = codec::decode(head).map_err(text)?;
        let _turn = self.wire.receiving.acquire().await.map_err(text)?;
        let replica = self.replicas.find_or_make(head.to).await?;
        snapshot_in::receive(&replica, head, duplex).await.map_err(text)
    }

    async fn give_bodies(&self, head: &[u8], duplex: Duplex) -> Result<(), String> {
        let asked: Asked = codec::decode(head).map_err(text)?;
        if !asked.is_bounded() {
            return Err("too many bodies were asked for".into());
        }
        let _turn = self.serving.acquire().await.map_err(text)?;
        let mut sender = duplex.sender;
        let served = async {
            exchange::serve(&self.bodies, asked.0, &self.wire.catch_up, &mut sender).await?;
            sender.finish()
        };
        served.await.map_err(|error: CallError| text(FetchError::from(error)))
    }

    async fn take_body(&self, duplex: Duplex) -> Result<(), String> {
        // Whoever pushes does not wait for a turn: it may as well be asked for the body later.
        let _turn = self.taking.try_acquire().map_err(|_| "too many bodies are pushed")?;
        match exchange::take(&self.bodies, duplex).await.map_err(text)? {
            true => Ok(()),
            false => Err("a pushed body is not the one it was said to be".into()),
        }
    }
}

fn answer<T: Serialize, E: ToString>(answered: Result<T, E>) -> Result<Bytes, String> {
    answered.map(|answer| codec::encode(&answer)).map_err(text)
}

fn text(error: impl ToString) -> String {
    error.to_string()
}
