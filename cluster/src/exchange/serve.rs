//! Giving bodies to a peer: reads files in pieces and packs them into frames.

use crate::exchange::piece::Piece;
use crate::exchange::rate::Rate;
use crate::limits::{BODIES_PER_REQUEST_MAX, BODY_FRAME_BYTES};
use crate::transport::{CallError, FrameSender};
use bytes::Bytes;
use model::BodyHash;
use serde::{Deserialize, Serialize};
use std::io;
use std::sync::Arc;
use storage::{Bodies, BodyReader};

/// The bodies a peer asks for; the head of a stream of bodies.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Asked(pub Vec<BodyHash>);

impl Asked {
    /// Whether it is within its bound.
    pub fn is_bounded(&self) -> bool {
        self.0.len() <= BODIES_PER_REQUEST_MAX
    }
}

/// Sends every body of `hashes`, in order and no faster than `rate`; one that is not here is said to be absent.
pub async fn serve(
    bodies: &Arc<Bodies>,
    hashes: Vec<BodyHash>,
    rate: &Rate,
    to: &mut FrameSender,
) -> Result<(), CallError> {
    let mut packer = Packer { bodies: bodies.clone(), waiting: hashes.into_iter(), open: None };
    loop {
        // The disk may make a reader wait.
        let read = crate::runtime::blocking(move || packer.next_frame().map(|frame| (packer, frame))).await;
        let read = read.unwrap_or_else(|error| Err(io::Error::other(error)));
        let (again, frame) = read.map_err(|error| CallError::Unknown(error.to_string()))?;
        packer = again;
        match frame {
            Some(frame) => {
                rate.take(frame.len()).await;
                to.send(frame).await?;
            }
            None => return Ok(()),
        }
    }
}

struct Packer {
    bodies: Arc<Bodies>,
    waiting: std::vec::IntoIter<BodyHash>,
    open: Option<(BodyHash, BodyReader, u64)>,
}

impl Packer {
    fn next_frame(&mut self) -> io::Result<Option<Bytes>> {
        let (mut pieces, mut bytes) = (Vec::new(), 0);
        while bytes < BODY_FRAME_BYTES {
            let Some(piece) = self.next_piece(BODY_FRAME_BYTES - bytes)? else { break };
            if let Piece::Part { bytes: part, .. } = &piece {
                bytes += part.len();
            }
            // A piece costs something even when it has no bytes.
            bytes += size_of::<Piece>();
            pieces.push(piece);
        }
        Ok((!pieces.is_empty()).then(|| model::codec::encode(&pieces).into()))
    }

    fn next_piece(&mut self, bytes_max: usize) -> io::Result<Option<Piece>> {
        let (hash, reader, offset) = match self.open.take() {
            Some(open) => open,
            None => {
                let Some(hash) = self.waiting.next() else { return Ok(None) };
                match self.bodies.open_here(&hash) {
                    Ok(reader) => (hash, reader, 0),
                    Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Some(Piece::Absent(hash))),
                    Err(error) => return Err(error),
                }
            }
        };
        let left = usize::try_from(reader.len().saturating_sub(offset)).unwrap_or(usize::MAX);
        let mut part = vec![0; left.min(bytes_max)];
        let mut filled = 0;
        while let Some(rest) = part.get_mut(filled..).filter(|rest| !rest.is_empty()) {
            match reader.read_at(offset + filled as u64, rest)? {
                0 => return Err(io::ErrorKind::UnexpectedEof.into()),
                read => filled += read,
            }
        }
        let next = offset + filled as u64;
        let last = next >= reader.len();
        if !last {
            self.open = Some((hash, reader, next));
        }
        Ok(Some(Piece::Part { hash, bytes: part.into(), last }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{on_virtual_time, open_store, streams};
    use std::time::Duration;

    #[test]
    fn bodies_are_given_no_faster_than_the_rate() {
        const FRAMES: usize = 10;
        let directory = tempfile::tempdir().unwrap();
        let store = open_store(directory.path());
        let mut staged = store.bodies().stage();
        staged.write(&vec![b'x'; FRAMES * BODY_FRAME_BYTES]).unwrap();
        let hash = staged.finish().unwrap().hash;
        let rate = Rate::default();
        rate.set(BODY_FRAME_BYTES as u64);
        let (mut here, mut there) = streams();
        let (served, took) = on_virtual_time(serve(&store.bodies(), vec![hash], &rate, &mut here.sender));
        served.unwrap();
        // The first frame waits for nobody, and a frame holds a little more than its bytes.
        let at_least = Duration::from_secs(FRAMES as u64 - 1);
        assert!((at_least..at_least * 2).contains(&took), "{took:?}");
        here.sender.finish().unwrap();
        let (received, _) = on_virtual_time(async {
            let mut bytes = 0;
            while let Ok(Some(frame)) = there.receiver.next().await {
                bytes += frame.len();
            }
            bytes
        });
        assert!(received >= FRAMES * BODY_FRAME_BYTES);
    }
}
