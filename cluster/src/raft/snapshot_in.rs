//! Receiving a snapshot: rows go under a new generation as they come, bodies that are not here are asked for and staged,
//! then consensus decides whether it is put in force. Whatever ends it early leaves the group as it was, and the bodies
//! that came already need not come again.

use crate::exchange::{Arrivals, FetchError};
use crate::limits::{BODIES_PER_REQUEST_MAX, MANIFEST_NAMES_MAX};
use crate::raft::codec;
use crate::raft::replica::Replica;
use crate::raft::snapshot::{Received, SnapshotData};
use crate::raft::wire::{SnapshotAnswer, SnapshotHead, SnapshotPart};
use crate::transport::{CallError, Duplex, FrameReceiver, FrameSender};
use bytes::Bytes;
use model::BodyHash;
use openraft::storage::Snapshot;
use std::io;
use std::sync::Arc;
use storage::{Bodies, Install, Manifest};

/// Takes the snapshot that `duplex` brings and answers with the vote after it.
pub async fn receive(replica: &Replica, head: SnapshotHead, duplex: Duplex) -> Result<(), FetchError> {
    let parts = replica.parts();
    let _alone = parts.installing.lock().await;
    let Duplex { mut sender, mut receiver } = duplex;
    let state = parts.state.clone();
    let install = blocking(move || state.install()).await?;
    let (install, names) = take_rows(install, &mut receiver).await?;
    let hold = parts.bodies.hold(&names);
    let (install, missing) = blocking(move || {
        let missing = install.missing(&Manifest { bodies: names })?;
        Ok((install, missing))
    })
    .await?;
    tracing::info!(group = %head.to.group, missing = missing.len(), "a snapshot's rows are here; taking its bodies");
    take_bodies(&parts.bodies, missing, &mut sender, &mut receiver).await?;
    let snapshot = Snapshot { meta: head.meta, snapshot: SnapshotData::Received(Received { install, hold }) };
    let installed = replica.raft().install_full_snapshot(head.vote, snapshot).await;
    let vote = installed.map_err(|fatal| CallError::Unknown(fatal.to_string()))?.vote;
    sender.send(codec::encode(&SnapshotAnswer::Installed(vote))).await?;
    sender.finish()?;
    Ok(())
}

async fn take_rows(install: Install, receiver: &mut FrameReceiver) -> Result<(Install, Vec<BodyHash>), FetchError> {
    let (mut install, mut names) = (install, Vec::new());
    loop {
        match codec::decode(&next(receiver).await?).map_err(io::Error::from)? {
            SnapshotPart::Rows(chunk) => install = blocking(move || install.write(&chunk).map(|()| install)).await?,
            SnapshotPart::Bodies(some) => names.extend(some),
            SnapshotPart::End => return Ok((install, names)),
        }
        if names.len() > MANIFEST_NAMES_MAX {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "a snapshot names too many bodies").into());
        }
    }
}

/// Asks for the next bodies while the last ones are still coming, so that the peer never waits to be asked.
async fn take_bodies(
    bodies: &Arc<Bodies>,
    missing: Vec<BodyHash>,
    sender: &mut FrameSender,
    receiver: &mut FrameReceiver,
) -> Result<(), FetchError> {
    let mut asked = missing.chunks(BODIES_PER_REQUEST_MAX);
    let coming = missing.chunks(BODIES_PER_REQUEST_MAX);
    ask(asked.next(), sender).await?;
    for some in coming {
        ask(asked.next(), sender).await?;
        let mut arrivals = Arrivals::new(bodies.clone(), some.iter().copied().collect());
        while arrivals.waits() {
            arrivals = arrivals.take(next(receiver).await?).await?;
        }
        if let Some(absent) = arrivals.absent().first() {
            return Err(FetchError::Absent(*absent));
        }
    }
    Ok(())
}

async fn ask(hashes: Option<&[BodyHash]>, sender: &mut FrameSender) -> Result<(), CallError> {
    match hashes {
        Some(hashes) => sender.send(codec::encode(&SnapshotAnswer::Missing(hashes.to_vec()))).await,
        None => Ok(()),
    }
}

async fn next(receiver: &mut FrameReceiver) -> Result<Bytes, CallError> {
    receiver.next().await?.ok_or_else(|| CallError::Unknown("the snapshot ended too soon".into()))
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> io::Result<T> + Send + 'static) -> io::Result<T> {
    crate::runtime::blocking(work).await?
}
