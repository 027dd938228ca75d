//! Sending a snapshot to a replica that the log no longer reaches: rows, the names of their bodies, then the bodies it
//! lacks. The pinned state holds the log and the bodies until it is dropped.

use crate::exchange::{self, Rate};
use crate::limits::{MANIFEST_NAMES_PER_FRAME, STREAM_OPEN_TIMEOUT};
use crate::raft::codec;
use crate::raft::snapshot::{Pinned, SnapshotData};
use crate::raft::types::{TypeConfig, Vote};
use crate::raft::wire::{Address, SnapshotAnswer, SnapshotHead, SnapshotPart, Wire};
use crate::runtime::Instant;
use crate::transport::{CallError, Duplex, FrameReceiver, FrameSender, Service};
use model::NodeId;
use openraft::alias::SnapshotOf;
use std::io;
use storage::snapshot::Cursor;

/// Sends `snapshot` and waits until it is in force there; the vote that replica has then.
pub async fn send(
    wire: &Wire,
    node: NodeId,
    to: Address,
    vote: Vote,
    snapshot: SnapshotOf<TypeConfig, SnapshotData>,
) -> Result<Vote, CallError> {
    let SnapshotData::Pinned(pinned) = snapshot.snapshot else {
        return Err(CallError::Unreachable("there is nothing to send yet".into()));
    };
    let transport = wire.transport()?;
    let turn = wire.sending.acquire().await;
    let head = codec::encode(&SnapshotHead { to, vote, meta: snapshot.meta });
    let deadline = Instant::now() + STREAM_OPEN_TIMEOUT;
    let Duplex { mut sender, receiver } = transport.open(node, Service::Snapshot, head, deadline).await?;
    let pinned = send_rows(pinned, &wire.catch_up, &mut sender).await?;
    let pinned = send_names(pinned, &mut sender).await?;
    let vote = send_bodies(&pinned, &wire.catch_up, sender, receiver).await?;
    drop(turn);
    Ok(vote)
}

async fn send_rows(pinned: Pinned, rate: &Rate, sender: &mut FrameSender) -> Result<Pinned, CallError> {
    let (mut pinned, mut cursor) = (pinned, Cursor::default());
    loop {
        let read = blocking(move || pinned.snapshot().read(&mut cursor).map(|chunk| (pinned, cursor, chunk))).await?;
        (pinned, cursor) = (read.0, read.1);
        match read.2 {
            Some(chunk) => {
                rate.take(chunk.len()).await;
                sender.send(codec::encode(&SnapshotPart::Rows(chunk))).await?;
            }
            None => return Ok(pinned),
        }
    }
}

async fn send_names(pinned: Pinned, sender: &mut FrameSender) -> Result<Pinned, CallError> {
    let (pinned, manifest) = blocking(move || pinned.snapshot().manifest().map(|manifest| (pinned, manifest))).await?;
    for some in manifest.bodies.chunks(MANIFEST_NAMES_PER_FRAME) {
        sender.send(codec::encode(&SnapshotPart::Bodies(some.to_vec()))).await?;
    }
    sender.send(codec::encode(&SnapshotPart::End)).await?;
    Ok(pinned)
}

async fn send_bodies(
    pinned: &Pinned,
    rate: &Rate,
    mut sender: FrameSender,
    mut receiver: FrameReceiver,
) -> Result<Vote, CallError> {
    while let Some(frame) = receiver.next().await? {
        match codec::decode(&frame).map_err(|error| CallError::Unknown(error.to_string()))? {
            SnapshotAnswer::Missing(hashes) => exchange::serve(pinned.bodies(), hashes, rate, &mut sender).await?,
            SnapshotAnswer::Installed(vote) => return Ok(vote),
        }
    }
    Err(CallError::Unknown("the peer gave up on the snapshot".into()))
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> io::Result<T> + Send + 'static) -> Result<T, CallError> {
    let worked = crate::runtime::blocking(work).await.unwrap_or_else(|error| Err(io::Error::other(error)));
    worked.map_err(|error| CallError::Unknown(error.to_string()))
}
