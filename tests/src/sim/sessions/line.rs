//! A connection between a client and a session: bytes both ways, late when packets are. It is gone for both when one of them
//! lets go of its end, as a machine does that loses its power; what is on the way then is lost.

use crate::sim::network::{Connection, Links, Machine};
use crate::sim::pipe::{Pipe, Sink, Source};
use bytes::Bytes;
use cluster::transport::{FrameSink, FrameSource};
use std::sync::Arc;
use tokio_util::sync::CancellationToken;

/// Clients stand beside the machines: no link to them is ever cut.
const CLIENT: Machine = 0;

/// One end.
pub struct Line {
    sink: Sink,
    source: Source,
    connection: Arc<Connection>,
}

impl Line {
    /// The client's end and the machine's.
    pub fn between(links: &Arc<Links>, machine: Machine) -> (Line, Line) {
        let connection = Arc::new(Connection { gone: CancellationToken::new() });
        let there = Pipe::new(links.clone(), CLIENT, machine, connection.clone());
        let back = Pipe::new(links.clone(), machine, CLIENT, connection.clone());
        let near =
            Line { sink: Sink::new(there.clone()), source: Source::new(back.clone()), connection: connection.clone() };
        (near, Line { sink: Sink::new(back), source: Source::new(there), connection })
    }

    /// Sends bytes; false when the other end is gone.
    pub async fn send(&mut self, bytes: Vec<u8>) -> bool {
        bytes.is_empty() || self.sink.send(bytes.into()).await.is_ok()
    }

    /// The next bytes; `None` when the other end is gone.
    pub async fn receive(&mut self) -> Option<Bytes> {
        self.source.next().await.ok().flatten()
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        self.connection.gone.cancel();
    }
}
