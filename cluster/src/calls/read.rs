//! Read barriers from any node that holds a replica: the leader tells how far the replica here must have applied.
//!
//! Reads that come while a question is on its way share the next one: many sessions of a follower cost its leader one
//! question at a time.

use crate::calls::Calls;
use crate::calls::message::{Indexed, ReadIndex, decode, encode};
use crate::calls::place::{Target, Tries};
use crate::error::ReadError;
use crate::group::Group;
use crate::limits::{BEHIND_MAX, READ_INDEX_TIMEOUT, READ_TIMEOUT};
use crate::raft::Replica;
use crate::runtime::Instant;
use crate::transport::Service;
use model::{GroupId, NodeId};
use std::sync::Arc;

/// What came of a barrier.
pub enum Passed {
    /// The rows here show it all.
    Here {
        /// Whose rows.
        held: Arc<Group>,
        /// Whether anybody had to be asked.
        asked: bool,
    },
    /// The replica here does not keep up: it is new, or was away. Others show it.
    Behind,
}

impl Calls {
    /// Waits until the replica here shows everything that was acknowledged before, as far as it keeps up.
    pub(super) async fn barrier(self: &Arc<Self>, group: GroupId) -> Result<Passed, ReadError> {
        let deadline = Instant::now() + READ_TIMEOUT;
        let mut tries = Tries::new(deadline);
        loop {
            let held = self.groups.group(group).ok_or(ReadError::NotLeader { hint: None })?;
            let replica = held.reader()?;
            let passed = match self.target(group, &mut tries).await {
                // It is another one when a replica went and a new one came just now.
                Target::Here(leader) if leader.parts().replica != held.parts().replica => Err(ReadError::Unavailable),
                Target::Here(leader) => leader.barrier().await.map(Some),
                Target::There(node) => self.catch_up(node, group, &replica).await,
                Target::Nobody => Err(ReadError::Unavailable),
            };
            match passed {
                Ok(Some(asked)) => return Ok(Passed::Here { held, asked }),
                Ok(None) => return Ok(Passed::Behind),
                Err(ReadError::NotLeader { hint }) => tries.learn(hint),
                Err(ReadError::Unavailable) => {}
                Err(error) => return Err(error),
            }
            if !self.pause(group, &mut tries).await {
                return Err(ReadError::Unavailable);
            }
        }
    }

    /// Waits until the replica here has applied what its leader says; `None` when it does not keep up.
    async fn catch_up(
        self: &Arc<Self>,
        node: NodeId,
        group: GroupId,
        replica: &Replica,
    ) -> Result<Option<bool>, ReadError> {
        let calls = self.clone();
        let index = self.questions.ask(group, move || async move { calls.read_index_at(node, group).await }).await?;
        if replica.wait_applied(index, Instant::now() + BEHIND_MAX).await.is_ok() {
            return Ok(Some(true));
        }
        self.places.fell_behind(group);
        Ok(None)
    }

    async fn read_index_at(&self, node: NodeId, group: GroupId) -> Result<u64, ReadError> {
        let transport = self.wire.transport().map_err(|_| ReadError::Unavailable)?;
        let deadline = Instant::now() + READ_INDEX_TIMEOUT;
        let asked = transport.call(node, Service::ReadIndex, encode(&ReadIndex { group }), deadline);
        let answer = tokio::select! {
            biased;
            answer = asked => answer.map_err(|_| ReadError::Unavailable)?,
            () = self.leader_lost(node, group) => return Err(ReadError::Unavailable),
        };
        decode::<Indexed>(&answer).map_err(|_| ReadError::Unavailable)?.into()
    }

    /// Answers how far a replica elsewhere must have applied.
    pub(super) async fn read_index_for(&self, request: ReadIndex) -> Result<u64, ReadError> {
        let Some(replica) = self.replica(request.group) else { return Err(ReadError::NotLeader { hint: None }) };
        let leadership = replica.leadership();
        if !leadership.here {
            return Err(ReadError::NotLeader { hint: leadership.leader.map(|(_, node)| node) });
        }
        replica.read_index().await
    }
}
