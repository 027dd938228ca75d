//! Entries that a leader sends to a replica here. Each request waits until the bodies its entries name are staged (C3),
//! which holds up this group's stream and nothing else: heartbeats take another way.

use crate::exchange::{self, FetchError};
use crate::raft::codec;
use crate::raft::replica::Replica;
use crate::raft::types::TypeConfig;
use crate::raft::wire::{Append, Wire};
use crate::transport::{CallError, Duplex, FrameReceiver};
use futures::StreamExt;
use model::NodeId;
use openraft::raft::AppendEntriesRequest;
use std::io;
use std::sync::Arc;
use storage::{Bodies, BodyHold};
use tokio::sync::mpsc;

/// Feeds what `duplex` brings to `replica` and sends back an answer to each request, until either end has had enough.
pub async fn run(wire: &Arc<Wire>, from: NodeId, replica: &Replica, duplex: Duplex) -> Result<(), CallError> {
    let Duplex { mut sender, receiver } = duplex;
    // One hold per request on its way through consensus, which takes a bounded number of them.
    let (holds, mut held) = mpsc::unbounded_channel();
    let bodies = replica.parts().bodies.clone();
    let arriving = Arriving { wire: wire.clone(), from, replica: replica.clone(), bodies, receiver, holds };
    let requests = futures::stream::unfold(arriving, |mut arriving| async move {
        match arriving.next().await {
            Ok(request) => request.map(|request| (request, arriving)),
            Err(error) => {
                tracing::debug!(%error, "entries from a peer were not taken");
                None
            }
        }
    });
    let mut answers = std::pin::pin!(replica.raft().stream_append(requests));
    while let Some(answer) = answers.next().await {
        // The log knows by now what the entries name.
        drop(held.try_recv());
        let appended = answer.map_err(|fatal| CallError::Unknown(fatal.to_string()))?;
        sender.send(codec::encode(&appended)).await?;
    }
    sender.finish()
}

struct Arriving {
    wire: Arc<Wire>,
    from: NodeId,
    replica: Replica,
    bodies: Arc<Bodies>,
    receiver: FrameReceiver,
    holds: mpsc::UnboundedSender<Option<BodyHold>>,
}

impl Arriving {
    async fn next(&mut self) -> Result<Option<AppendEntriesRequest<TypeConfig>>, FetchError> {
        let Some(frame) = self.receiver.next().await? else { return Ok(None) };
        let request = Append::decode(&frame).map_err(io::Error::from)?;
        let named: Vec<_> = request.entries.iter().flat_map(codec::staged_bodies).collect();
        let hold = if named.is_empty() { None } else { Some(self.bodies.hold(&named)) };
        let missing = exchange::missing(&self.bodies, named).await?;
        if !missing.is_empty() {
            // The leader has what it names; another replica helps when its disk has lost it.
            let others = self.replica.members().nodes.into_values().filter(|node| *node != self.from);
            let nodes = std::iter::once(self.from).chain(others);
            exchange::fetch(&self.wire.transport()?, nodes, &self.bodies, missing).await?;
        }
        // Fails only when the stream has ended, and then nobody waits.
        let _ = self.holds.send(hold);
        Ok(Some(request))
    }
}
