//! Proposals from any node: to the leader wherever it is, again under the same operation id when a leader is lost (I8),
//! until the deadline.

use crate::calls::Calls;
use crate::calls::message::{Propose, Proposed, decode, encode, millis, not_proposed};
use crate::calls::place::{Target, Tries, exists};
use crate::error::ProposeError;
use crate::limits::{BEHIND_MAX, FORWARD_TIMEOUT, PROPOSE_TIMEOUT};
use crate::raft::{Proposal, Replica};
use crate::runtime::Instant;
use crate::transport::Service;
use bytes::Bytes;
use model::{BodyHash, GroupId, NodeId, Reply};
use std::time::Duration;

impl Calls {
    /// Proposes and waits until it is applied: here too when this node holds a replica that keeps up.
    pub async fn propose(&self, group: GroupId, proposal: Proposal, deadline: Instant) -> Result<Reply, ProposeError> {
        exists(group).map_err(|hint| ProposeError::NotLeader { hint })?;
        let mut tries = Tries::new(deadline);
        let mut outcome = ProposeError::Unavailable;
        loop {
            let tried = match self.target(group, &mut tries).await {
                Target::Here(replica) => self.propose_here(&replica, &proposal, deadline).await,
                Target::There(node) => self.propose_at(node, group, &proposal, deadline).await,
                Target::Nobody => self.nobody(group),
            };
            match tried {
                Ok(reply) => return Ok(reply),
                Err(ProposeError::NotLeader { hint }) => tries.learn(hint),
                Err(ProposeError::Unavailable) => {}
                // From now on it may have been proposed, whatever later tries say.
                Err(ProposeError::Unknown) => outcome = ProposeError::Unknown,
                Err(error @ (ProposeError::TooLarge { .. } | ProposeError::Stopped)) => {
                    return Err(if outcome == ProposeError::Unknown { outcome } else { error });
                }
            }
            if !self.pause(group, &mut tries).await {
                return Err(outcome);
            }
        }
    }

    fn nobody(&self, group: GroupId) -> Result<Reply, ProposeError> {
        match self.groups.group(group) {
            Some(group) => Err(group.proposer().err().unwrap_or(ProposeError::Unavailable)),
            None => Err(ProposeError::Unavailable),
        }
    }

    /// A record that names a body that is not here would break the replica (C3). Such a body was taken away with an entry
    /// before that named it and put it nowhere.
    async fn propose_here(
        &self,
        replica: &Replica,
        proposal: &Proposal,
        deadline: Instant,
    ) -> Result<Reply, ProposeError> {
        let named = proposal.entry().command.staged_bodies();
        let _hold = self.bodies.hold(&named);
        if !self.missing(named).await?.is_empty() {
            tracing::warn!("a proposal names a body that is not here any more");
            return Err(ProposeError::Unavailable);
        }
        replica.propose(proposal.clone(), deadline).await.map(|(reply, _)| reply)
    }

    async fn propose_at(
        &self,
        node: NodeId,
        group: GroupId,
        proposal: &Proposal,
        deadline: Instant,
    ) -> Result<Reply, ProposeError> {
        // The leader may ask for them.
        let _hold = self.bodies.hold(&proposal.entry().command.staged_bodies());
        let sent = self.forward(node, group, proposal.encoded().clone(), deadline);
        let (reply, index) = tokio::select! {
            biased;
            sent = sent => sent?,
            // It may have been carried out before its leader was lost.
            () = self.leader_lost(node, group) => return Err(ProposeError::Unknown),
        };
        if let Some(replica) = self.replica(group).filter(|_| !self.places.is_behind(group))
            && replica.wait_applied(index, deadline.min(Instant::now() + BEHIND_MAX)).await.is_err()
        {
            // It is done whether or not the replica here keeps up, and reads see to themselves.
            self.places.fell_behind(group);
        }
        Ok(reply)
    }

    async fn forward(
        &self,
        node: NodeId,
        group: GroupId,
        entry: Bytes,
        deadline: Instant,
    ) -> Result<(Reply, u64), ProposeError> {
        let transport = self.wire.transport().map_err(|error| not_proposed(&error))?;
        let deadline = deadline.min(Instant::now() + FORWARD_TIMEOUT);
        let patience = deadline.saturating_duration_since(Instant::now());
        let request = encode(&Propose { group, patience_ms: millis(patience), entry });
        let answered = transport.call(node, Service::Propose, request, deadline).await;
        let proposed = match answered {
            Ok(answer) => decode(&answer).unwrap_or(Proposed::Unknown),
            Err(error) => {
                self.places.forget(group);
                return Err(not_proposed(&error));
            }
        };
        match &proposed {
            Proposed::Done { .. } => self.places.remember(group, node),
            _ => self.places.forget(group),
        }
        proposed.into()
    }

    /// Ends when the replica here sees another leader than `node`; never without a replica.
    pub(super) async fn leader_lost(&self, node: NodeId, group: GroupId) {
        let Some(replica) = self.replica(group) else { return std::future::pending().await };
        let mut seen = replica.leadership();
        // At first the leader may be one that is only hinted at.
        let mut was_seen = false;
        loop {
            match seen.leader {
                Some((_, leader)) if leader == node => was_seen = true,
                Some(_) if was_seen => return,
                _ => {}
            }
            match replica.leadership_after(seen).await {
                Some(next) => seen = next,
                None => std::future::pending().await,
            }
        }
    }

    /// Carries out a proposal of another node: proposes here and nowhere else.
    pub(super) async fn propose_for(&self, from: NodeId, request: Propose) -> Result<(Reply, u64), ProposeError> {
        let Propose { group, patience_ms, entry } = request;
        let patience = Duration::from_millis(patience_ms.into()).min(PROPOSE_TIMEOUT);
        let deadline = Instant::now() + patience;
        let proposal = Proposal::decode(entry).map_err(|_| ProposeError::Unavailable)?;
        let Some(replica) = self.replica(group) else { return Err(ProposeError::NotLeader { hint: None }) };
        let leadership = replica.leadership();
        if !leadership.here {
            return Err(ProposeError::NotLeader { hint: leadership.leader.map(|(_, node)| node) });
        }
        let named = proposal.entry().command.staged_bodies();
        let _hold = self.bodies.hold(&named);
        self.take_bodies(from, named).await?;
        replica.propose(proposal, deadline).await
    }

    /// Nothing is proposed here before the bodies it names are here (C3).
    async fn take_bodies(&self, from: NodeId, named: Vec<BodyHash>) -> Result<(), ProposeError> {
        let missing = self.missing(named).await?;
        if missing.is_empty() {
            return Ok(());
        }
        let transport = self.wire.transport().map_err(|error| not_proposed(&error))?;
        let taken = crate::exchange::fetch(&transport, [from], &self.bodies, missing).await;
        taken.map_err(|error| {
            tracing::warn!(from = from.0, %error, "the bodies of a proposal did not come");
            ProposeError::Unavailable
        })
    }

    async fn missing(&self, named: Vec<BodyHash>) -> Result<Vec<BodyHash>, ProposeError> {
        crate::exchange::missing(&self.bodies, named).await.map_err(|error| {
            tracing::error!(%error, "bodies cannot be looked up");
            ProposeError::Unavailable
        })
    }
}
