//! Taking a body that a peer pushes: staged under a temporary name while it comes, under its hash once that is known and
//! right. Whatever ends it early leaves nothing here.

use crate::exchange::FetchError;
use crate::limits::{PUSH_SILENCE_MAX, PUSHED_BODY_BYTES_MAX};
use crate::runtime::timeout;
use crate::transport::{CallError, Duplex, FrameReceiver};
use bytes::Bytes;
use model::{BodyHash, codec};
use serde::{Deserialize, Serialize};
use std::io;
use std::sync::Arc;
use storage::{Bodies, StagedBody};

/// A frame of a pushed body.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum StagePart {
    /// Its next bytes.
    Bytes(Bytes),
    /// It is complete and has this name; nothing follows.
    End(BodyHash),
}

/// The answer to the end of a body: whether what came has the name it was given. It is not durable yet: the log makes it
/// so when a record names it (C1).
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Taken(pub bool);

/// Stages the body that `duplex` brings; whether it was the one it was said to be.
pub async fn take(bodies: &Arc<Bodies>, duplex: Duplex) -> Result<bool, FetchError> {
    let Duplex { mut sender, mut receiver } = duplex;
    let taken = stage(bodies, &mut receiver).await?;
    sender.send(codec::encode(&Taken(taken)).into()).await?;
    sender.finish()?;
    Ok(taken)
}

async fn stage(bodies: &Arc<Bodies>, receiver: &mut FrameReceiver) -> Result<bool, FetchError> {
    let mut body = Some(bodies.stage());
    let staged = loop {
        match next(receiver).await {
            Ok(StagePart::Bytes(bytes)) => match write(&mut body, bytes).await {
                Ok(()) => {}
                Err(error) => break Err(error.into()),
            },
            Ok(StagePart::End(hash)) => break name(body.take(), hash).await.map_err(FetchError::from),
            Err(error) => break Err(error),
        }
    };
    // Removing what came of a body that will not be whole blocks.
    if let Some(rest) = body {
        crate::runtime::blocking(move || drop(rest)).await.map_err(io::Error::from)?;
    }
    staged
}

async fn next(receiver: &mut FrameReceiver) -> Result<StagePart, FetchError> {
    let late = |_| CallError::Unknown("a pushed body stopped coming".into());
    let frame = timeout(PUSH_SILENCE_MAX, receiver.next()).await.map_err(late)??;
    let frame = frame.ok_or_else(|| CallError::Unknown("a pushed body was given up".into()))?;
    Ok(codec::decode(&frame).map_err(invalid)?)
}

/// Adds bytes; the body is gone when the thread that wrote them failed.
async fn write(body: &mut Option<StagedBody>, bytes: Bytes) -> io::Result<()> {
    let Some(mut writing) = body.take() else { return Err(invalid("a body was lost")) };
    if writing.size() + bytes.len() as u64 > PUSHED_BODY_BYTES_MAX {
        *body = Some(writing);
        return Err(invalid("a pushed body is above the bound"));
    }
    let (written, result) = crate::runtime::blocking(move || {
        let result = writing.write(&bytes);
        (writing, result)
    })
    .await?;
    *body = Some(written);
    result
}

async fn name(body: Option<StagedBody>, hash: BodyHash) -> io::Result<bool> {
    let Some(body) = body else { return Err(invalid("a body was lost")) };
    crate::runtime::blocking(move || body.finish_as(hash)).await?
}

fn invalid(why: impl ToString) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, why.to_string())
}
