//! From a blocking thread that renders to the task that owns the socket: bounded pieces, so that a slow client slows the
//! rendering and nothing is held whole.

use super::source::MessageSource;
use crate::limits::{FETCH_PIECE_BYTES, FETCH_PIECES_WAITING};
use protocols::imap::fetch::Sink;
use std::io;
use std::ops::Range;
use tokio::sync::mpsc;

/// The rendering end.
pub struct PieceSender {
    gathered: Vec<u8>,
    full: mpsc::Sender<Vec<u8>>,
}

/// Both ends.
pub fn pieces() -> (PieceSender, mpsc::Receiver<Vec<u8>>) {
    let (full, receiver) = mpsc::channel(FETCH_PIECES_WAITING);
    (PieceSender { gathered: Vec::new(), full }, receiver)
}

impl PieceSender {
    fn take(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.gathered.extend_from_slice(bytes);
        if self.gathered.len() >= FETCH_PIECE_BYTES { self.send() } else { Ok(()) }
    }

    fn send(&mut self) -> io::Result<()> {
        let piece = std::mem::replace(&mut self.gathered, Vec::with_capacity(FETCH_PIECE_BYTES));
        // Fails when the session has ended: nobody reads any more.
        self.full.blocking_send(piece).map_err(|_| io::ErrorKind::BrokenPipe.into())
    }

    /// What is left, smaller than a piece: it travels with the result and spares a message.
    pub fn rest(self) -> Vec<u8> {
        self.gathered
    }
}

/// Renders one message of a known body into pieces.
pub struct MessageSink<'s, 'b> {
    /// Where the bytes go.
    pub pieces: &'s mut PieceSender,
    /// The message itself.
    pub body: &'s MessageSource<'b>,
}

impl Sink for MessageSink<'_, '_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.pieces.take(bytes)
    }

    fn body_range(&mut self, range: Range<u64>) -> io::Result<()> {
        let pieces = &mut *self.pieces;
        self.body.pieces(range, &mut |piece| pieces.take(piece))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn pieces_arrive_in_order_and_the_rest_behind_them() {
        let (mut sender, mut receiver) = pieces();
        let rendered = tokio::task::spawn_blocking(move || {
            for number in 0..50_000_u32 {
                sender.take(&number.to_be_bytes()).unwrap();
            }
            sender.rest()
        });
        let mut all = Vec::new();
        while let Some(piece) = receiver.recv().await {
            assert!(piece.len() <= FETCH_PIECE_BYTES + 4);
            all.extend(piece);
        }
        all.extend(rendered.await.unwrap());
        let expected: Vec<u8> = (0..50_000_u32).flat_map(u32::to_be_bytes).collect();
        assert_eq!(all, expected);
    }

    #[tokio::test]
    async fn rendering_ends_when_the_session_does() {
        let (mut sender, receiver) = pieces();
        drop(receiver);
        let rendered = tokio::task::spawn_blocking(move || sender.take(&vec![0; 2 * FETCH_PIECE_BYTES]));
        assert_eq!(rendered.await.unwrap().unwrap_err().kind(), io::ErrorKind::BrokenPipe);
    }
}
