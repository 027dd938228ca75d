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
    let taken = stage(bodies, &mut receiver, PUSHED_BODY_BYTES_MAX).await?;
    sender.send(codec::encode(&Taken(taken)).into()).await?;
    sender.finish()?;
    Ok(taken)
}

async fn stage(bodies: &Arc<Bodies>, receiver: &mut FrameReceiver, bytes_max: u64) -> Result<bool, FetchError> {
    let mut body = Some(bodies.stage());
    let staged = loop {
        match next(receiver).await {
            Ok(StagePart::Bytes(bytes)) => match write(&mut body, bytes, bytes_max).await {
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
async fn write(body: &mut Option<StagedBody>, bytes: Bytes, bytes_max: u64) -> io::Result<()> {
    let Some(mut writing) = body.take() else { return Err(invalid("a body was lost")) };
    if writing.size() + bytes.len() as u64 > bytes_max {
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{on_virtual_time, open_store, streams};
    use storage::Store;
    use tempfile::TempDir;

    /// More than stays in memory.
    const PIECE: &[u8] = &[b'x'; 100_000];

    fn store() -> (TempDir, Store) {
        let directory = tempfile::tempdir().unwrap();
        let store = open_store(directory.path());
        (directory, store)
    }

    async fn send(end: &mut Duplex, part: StagePart) {
        end.sender.send(codec::encode(&part).into()).await.unwrap();
    }

    #[test]
    fn a_body_above_the_bound_is_refused_and_leaves_nothing() {
        let (_directory, store) = store();
        let bytes = PIECE.repeat(2);
        let hash = BodyHash(*blake3::hash(&bytes).as_bytes());
        let staged_within = |bytes_max: usize| {
            let staging = async {
                let (mut here, mut there) = streams();
                send(&mut here, StagePart::Bytes(PIECE.into())).await;
                send(&mut here, StagePart::Bytes(PIECE.into())).await;
                send(&mut here, StagePart::End(hash)).await;
                stage(&store.bodies(), &mut there.receiver, bytes_max as u64).await
            };
            on_virtual_time(staging).0
        };
        let refused = staged_within(bytes.len() - 1);
        assert!(matches!(&refused, Err(FetchError::Io(error)) if error.to_string().contains("bound")), "{refused:?}");
        assert_eq!(store.disk().list("staging").unwrap(), Vec::<String>::new());
        assert!(matches!(staged_within(bytes.len()), Ok(true)));
        assert!(store.bodies().contains(&hash).unwrap());
    }

    #[test]
    fn a_body_that_stands_still_is_given_up_and_leaves_nothing() {
        let (_directory, store) = store();
        let (given_up, waited) = on_virtual_time(async {
            let (mut here, there) = streams();
            send(&mut here, StagePart::Bytes(PIECE.into())).await;
            take(&store.bodies(), there).await
        });
        assert!(matches!(given_up, Err(FetchError::Peer(_))), "{given_up:?}");
        assert_eq!(waited, PUSH_SILENCE_MAX);
        assert_eq!(store.disk().list("staging").unwrap(), Vec::<String>::new());
    }

    #[test]
    fn a_stream_that_ends_without_a_name_is_no_body() {
        let (_directory, store) = store();
        let (given_up, _) = on_virtual_time(async {
            let (mut here, there) = streams();
            send(&mut here, StagePart::Bytes(PIECE.into())).await;
            here.sender.finish().unwrap();
            take(&store.bodies(), there).await
        });
        assert!(matches!(given_up, Err(FetchError::Peer(_))), "{given_up:?}");
        assert_eq!(store.disk().list("staging").unwrap(), Vec::<String>::new());
    }
}
