//! Entries that a leader sends to a replica here. Each request waits until the bodies its entries name are staged (C3),
//! which holds up this group's stream and nothing else: heartbeats take another way.
//!
//! A leader keeps a body until the entry that names it is applied, and after that only while rows name it. So what it has
//! not any more is named by entries that are committed and need no copy here to be safe: such a body is let go. A leader
//! may not know yet what leaders before it have committed, but it took none of their entries without its body unless it was.
//! Were the message still there, the leader would have lost the body, and apply here notes it as missing (I2).

use crate::exchange::{self, FetchError};
use crate::limits::APPEND_REFUSED_PAUSE;
use crate::raft::codec;
use crate::raft::replica::Replica;
use crate::raft::types::{LogEntry, TypeConfig};
use crate::raft::wire::{Append, Wire};
use crate::transport::{CallError, Duplex, FrameReceiver};
use futures::StreamExt;
use model::{BodyHash, NodeId};
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
                let parts = arriving.replica.parts();
                tracing::debug!(group = %parts.group, from = arriving.from.0, %error, "entries from a peer were not taken");
                // The leader sends them again as soon as the stream has ended.
                crate::runtime::sleep(APPEND_REFUSED_PAUSE).await;
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
        let mut hold = if named.is_empty() { None } else { Some(self.bodies.hold(&named)) };
        let missing = exchange::missing(&self.bodies, named).await?;
        if !missing.is_empty() {
            let gone = self.fetch(missing).await?;
            needed_no_more(&request, &gone)?;
            hold.iter_mut().for_each(|hold| hold.let_go(&gone));
        }
        // Fails only when the stream has ended, and then nobody waits.
        let _ = self.holds.send(hold);
        Ok(Some(request))
    }

    /// Stages bodies here; returns those that are gone.
    async fn fetch(&self, missing: Vec<BodyHash>) -> Result<Vec<BodyHash>, FetchError> {
        let here = self.replica.parts().member.node;
        let others = self.replica.members().nodes.into_values().filter(|node| *node != self.from && *node != here);
        exchange::fetch_named(&self.wire.transport()?, self.from, others, &self.bodies, missing).await
    }
}

/// An entry that is not committed counts on a replica only with its bodies. Only this leader's own may be such.
fn needed_no_more(request: &AppendEntriesRequest<TypeConfig>, gone: &[BodyHash]) -> Result<(), FetchError> {
    let own = |entry: &LogEntry| entry.log_id.leader_id.term == request.vote.leader_id.term;
    let open = request.entries.iter().filter(|entry| own(entry) && Some(entry.log_id) > request.leader_commit);
    let needed = open.flat_map(codec::staged_bodies).find(|hash| gone.contains(hash));
    needed.map_or(Ok(()), |hash| Err(FetchError::Absent(hash)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::raft::types::{LogId, Proposal, Vote};
    use crate::raft::world::append_to;
    use model::{BodyRef, Command, Entry, FolderId, OperationId};
    use openraft::entry::RaftEntry;
    use openraft::vote::RaftLeaderId;

    #[test]
    fn only_a_committed_entry_may_come_without_its_body() {
        let hash = BodyHash([1; 32]);
        let body = BodyRef { hash, size: 100_000, inline: None };
        let command = Command::Mailbox(append_to(FolderId(1), body, 0));
        let entry = Entry { operation: OperationId::new(1, [0; 10]), proposed_at: 1, command };
        let log_id = |index| LogId::new(openraft::alias::LeaderIdOf::<TypeConfig>::new(3, 10), index);
        let entries = vec![LogEntry::new_normal(log_id(5), Proposal::new(entry))];
        let mut request =
            AppendEntriesRequest { vote: Vote::new(3, 10), prev_log_id: None, entries, leader_commit: None };
        for (commit, taken) in [(None, false), (Some(4), false), (Some(5), true), (Some(6), true)] {
            request.leader_commit = commit.map(log_id);
            assert_eq!(needed_no_more(&request, &[hash]).is_ok(), taken, "committed up to {commit:?}");
            assert!(needed_no_more(&request, &[]).is_ok());
        }
        request.leader_commit = None;
        request.vote = Vote::new(4, 20);
        assert!(needed_no_more(&request, &[hash]).is_ok(), "a later leader has it from one that had committed it");
    }
}
