//! Taking bodies from a peer: pieces are staged as they come and checked against their hash.

use crate::exchange::piece::Piece;
use crate::exchange::serve::Asked;
use crate::limits::{BODIES_PER_REQUEST_MAX, BODY_FETCH_TIMEOUT};
use crate::runtime::{Instant, timeout_at};
use crate::transport::{CallError, Duplex, Service, Transport};
use bytes::Bytes;
use model::{BodyHash, NodeId};
use std::collections::HashSet;
use std::io;
use std::sync::Arc;
use storage::{Bodies, StagedBody};

/// Why bodies did not come.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    /// Nobody who was asked has it.
    #[error("no peer has body {}", .0.to_hex())]
    Absent(BodyHash),
    /// The peer cannot be asked, or stopped answering.
    #[error(transparent)]
    Peer(#[from] CallError),
    /// What came is not what was asked for, or the disk failed.
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// Those of `hashes` that are not on this node, each once.
pub async fn missing(bodies: &Arc<Bodies>, hashes: Vec<BodyHash>) -> io::Result<Vec<BodyHash>> {
    if hashes.is_empty() {
        return Ok(hashes);
    }
    let bodies = bodies.clone();
    let look = move || {
        let mut seen = HashSet::new();
        let mut absent = Vec::new();
        for hash in hashes.into_iter().filter(|hash| seen.insert(*hash)) {
            if !bodies.contains(&hash)? {
                absent.push(hash);
            }
        }
        Ok(absent)
    };
    crate::runtime::blocking(look).await?
}

/// Stages `hashes` here from the first of `nodes` that has them. They are not durable yet: the log makes them so when a
/// record names them (C1).
pub async fn fetch(
    transport: &Transport,
    nodes: impl IntoIterator<Item = NodeId>,
    bodies: &Arc<Bodies>,
    hashes: Vec<BodyHash>,
) -> Result<(), FetchError> {
    let (left, failed) = gather(transport, nodes, bodies, hashes).await;
    match (left.first(), failed) {
        (None, _) => Ok(()),
        (Some(_), Some(error)) => Err(error),
        (Some(absent), None) => Err(FetchError::Absent(*absent)),
    }
}

/// The same for what `leader` names: it must answer, `others` help when its disk has lost something. Returns what the
/// leader has not and nobody else gave.
pub async fn fetch_named(
    transport: &Transport,
    leader: NodeId,
    others: impl IntoIterator<Item = NodeId>,
    bodies: &Arc<Bodies>,
    hashes: Vec<BodyHash>,
) -> Result<Vec<BodyHash>, FetchError> {
    let left = fetch_from(transport, leader, bodies, &hashes).await?;
    Ok(gather(transport, others, bodies, left).await.0)
}

/// Stages what `nodes` have of `hashes`; returns what none of them gave, and why the last one failed that did.
async fn gather(
    transport: &Transport,
    nodes: impl IntoIterator<Item = NodeId>,
    bodies: &Arc<Bodies>,
    hashes: Vec<BodyHash>,
) -> (Vec<BodyHash>, Option<FetchError>) {
    let (mut left, mut failed) = (hashes, None);
    for node in nodes {
        if left.is_empty() {
            break;
        }
        match fetch_from(transport, node, bodies, &left).await {
            Ok(absent) => left = absent,
            Err(error) => failed = Some(error),
        }
    }
    (left, failed)
}

/// Stages what `node` has of `hashes`; returns what it has not.
async fn fetch_from(
    transport: &Transport,
    node: NodeId,
    bodies: &Arc<Bodies>,
    hashes: &[BodyHash],
) -> Result<Vec<BodyHash>, FetchError> {
    let mut absent = Vec::new();
    for some in hashes.chunks(BODIES_PER_REQUEST_MAX) {
        let head = model::codec::encode(&Asked(some.to_vec())).into();
        let deadline = Instant::now() + BODY_FETCH_TIMEOUT;
        let Duplex { mut sender, mut receiver } = transport.open(node, Service::Bodies, head, deadline).await?;
        sender.finish()?;
        let mut arrivals = Arrivals::new(bodies.clone(), some.iter().copied().collect());
        while arrivals.waits() {
            let deadline = Instant::now() + BODY_FETCH_TIMEOUT;
            let late = || CallError::Unknown("a body did not come in time".into());
            let frame = timeout_at(deadline, receiver.next()).await.map_err(|_| late())??;
            let frame = frame.ok_or_else(|| CallError::Unknown("the peer stopped in the middle of a body".into()))?;
            arrivals = arrivals.take(frame).await?;
        }
        absent.extend(arrivals.absent);
    }
    Ok(absent)
}

/// Bodies that are arriving.
pub struct Arrivals {
    bodies: Arc<Bodies>,
    wanted: HashSet<BodyHash>,
    open: Option<(BodyHash, StagedBody)>,
    absent: Vec<BodyHash>,
}

impl Arrivals {
    /// Nothing of `wanted` has come.
    pub fn new(bodies: Arc<Bodies>, wanted: HashSet<BodyHash>) -> Self {
        Arrivals { bodies, wanted, open: None, absent: Vec::new() }
    }

    /// Whether something has yet to come.
    pub fn waits(&self) -> bool {
        !self.wanted.is_empty()
    }

    /// What the peer said it has not.
    pub fn absent(&self) -> &[BodyHash] {
        &self.absent
    }

    /// Stages what a frame of [`super::serve`] holds.
    pub async fn take(mut self, frame: Bytes) -> Result<Self, FetchError> {
        let staged = crate::runtime::blocking(move || self.stage(&frame).map(|()| self)).await;
        staged.map_err(|error| FetchError::Io(io::Error::other(error)))?
    }

    fn stage(&mut self, frame: &[u8]) -> Result<(), FetchError> {
        let pieces: Vec<Piece> = model::codec::decode(frame).map_err(invalid)?;
        for piece in pieces {
            match piece {
                Piece::Absent(hash) if self.wanted.remove(&hash) => self.absent.push(hash),
                Piece::Absent(_) => return Err(invalid("a body that was not asked for").into()),
                Piece::Part { hash, bytes, last } => self.part(hash, &bytes, last)?,
            }
        }
        Ok(())
    }

    fn part(&mut self, hash: BodyHash, bytes: &[u8], last: bool) -> Result<(), FetchError> {
        let mut body = match self.open.take() {
            Some((open, body)) if open == hash => body,
            Some(_) => return Err(invalid("bodies are mixed up").into()),
            None if self.wanted.contains(&hash) => self.bodies.stage(),
            None => return Err(invalid("a body that was not asked for").into()),
        };
        body.write(bytes)?;
        if !last {
            self.open = Some((hash, body));
        } else if body.finish_as(hash)? {
            self.wanted.remove(&hash);
        } else {
            return Err(invalid(format!("body {} is rotten", hash.to_hex())).into());
        }
        Ok(())
    }
}

fn invalid(why: impl ToString) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, why.to_string())
}
