//! The seam to other machines: openraft asks [`Network`] for a [`Link`] to a replica elsewhere.
//!
//! A link speaks to one replica: votes and transfers as calls, heartbeats with those of other groups, entries and
//! snapshots as streams. Who is no peer is unreachable: nothing is granted, acknowledged or faked. Every method is
//! written out, because openraft's defaults are not neutral: an absent `pre_vote` would be a grant.

use crate::limits::{BACKOFF_MAX, BACKOFF_MIN, STREAM_OPEN_TIMEOUT};
use crate::raft::pipeline;
use crate::raft::snapshot::SnapshotData;
use crate::raft::snapshot_out;
use crate::raft::types::{Member, TypeConfig, Vote};
use crate::raft::wire::{Address, Ballot, Beat, Transfer, Transferred, Voted, Wire};
use crate::raft::{attribution, beats, codec};
use crate::runtime::Instant;
use crate::transport::{CallError, Service};
use faults::Fault;
use futures::{Stream, StreamExt};
use model::{GroupId, NodeId};
use openraft::base::{BoxFuture, BoxStream};
use openraft::errors::{NetworkError, RPCError, ReplicationClosed, StreamingError, Unreachable};
use openraft::network::{Backoff, RPCOption, RaftNetworkFactory, RaftNetworkV2};
use openraft::raft::{
    AppendEntriesRequest, AppendEntriesResponse, SnapshotResponse, StreamAppendResult, TransferLeaderRequest,
    VoteRequest,
};
use openraft::{OptionalSend, alias::SnapshotOf};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::future::Future;
use std::iter;
use std::sync::Arc;
use std::time::Duration;

/// Makes links for one group.
#[derive(Clone)]
pub struct Network {
    group: GroupId,
    wire: Arc<Wire>,
}

impl Network {
    /// The network of `group`.
    pub fn new(group: GroupId, wire: Arc<Wire>) -> Self {
        Network { group, wire }
    }
}

/// What a link is used for: heartbeats take another way than entries.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Use {
    Anything,
    Heartbeats,
}

/// The way to one replica on another machine.
pub struct Link {
    to: Address,
    node: NodeId,
    wire: Arc<Wire>,
    used_for: Use,
}

impl RaftNetworkFactory<TypeConfig> for Network {
    type Network = Link;

    async fn new_client(&mut self, target: u64, member: &Member) -> Link {
        let to = Address { group: self.group, replica: target };
        Link { to, node: member.node, wire: self.wire.clone(), used_for: Use::Anything }
    }

    async fn new_heartbeat_client(&mut self, target: u64, member: &Member) -> Link {
        Link { used_for: Use::Heartbeats, ..self.new_client(target, member).await }
    }
}

type Answer<T> = Result<T, RPCError<TypeConfig>>;

impl Link {
    async fn call<A: DeserializeOwned>(
        &self,
        service: Service,
        request: &impl Serialize,
        option: &RPCOption,
    ) -> Answer<A> {
        let deadline = Instant::now() + option.soft_ttl();
        let called = async {
            let answer = self.wire.transport()?.call(self.node, service, codec::encode(request), deadline).await?;
            codec::decode(&answer).map_err(|error| CallError::Unknown(error.to_string()))
        };
        called.await.map_err(failed)
    }
}

/// A failed call in openraft's words: only what may have been heard is worth repeating at once.
pub fn failed(error: CallError) -> RPCError<TypeConfig> {
    match error {
        CallError::Unknown(why) => NetworkError::from_string(why).into(),
        CallError::Unreachable(why) | CallError::Refused(why) => Unreachable::from_string(why).into(),
    }
}

impl RaftNetworkV2<TypeConfig> for Link {
    type SnapshotData = SnapshotData;

    async fn append_entries(
        &mut self,
        request: AppendEntriesRequest<TypeConfig>,
        option: RPCOption,
    ) -> Answer<AppendEntriesResponse<TypeConfig>> {
        let mut answers = self.stream_append(futures::stream::iter([request]), option).await?;
        let answer = answers.next().await;
        answer.ok_or_else(|| failed(CallError::Unknown("no answer to an append".into())))?.map(Into::into)
    }

    fn stream_append<'s, S>(
        &'s mut self,
        mut requests: S,
        option: RPCOption,
    ) -> BoxFuture<'s, Answer<BoxStream<'s, Answer<StreamAppendResult<TypeConfig>>>>>
    where
        S: Stream<Item = AppendEntriesRequest<TypeConfig>> + OptionalSend + Unpin + 'static,
    {
        Box::pin(async move {
            if self.used_for == Use::Heartbeats {
                let Some(request) = requests.next().await else {
                    return Ok(futures::stream::empty().boxed());
                };
                let beat = Beat {
                    to: self.to,
                    vote: request.vote,
                    previous: request.prev_log_id,
                    commit: request.leader_commit,
                };
                let answer = beats::beat(&self.wire, self.node, beat, option.soft_ttl()).await.map_err(failed);
                return Ok(futures::stream::iter([answer]).boxed());
            }
            // openraft waits between tries where it makes the next request: a stream that is opened before that is tried
            // again at once, without end, while the peer cannot be reached.
            let Some(first) = requests.next().await else {
                return Ok(futures::stream::empty().boxed());
            };
            let requests = futures::stream::iter([first]).chain(requests);
            let deadline = Instant::now() + STREAM_OPEN_TIMEOUT;
            let head = codec::encode(&self.to);
            let opened = async { self.wire.transport()?.open(self.node, Service::Append, head, deadline).await };
            let opened = opened.await;
            if opened.is_err() && faults::planted(Fault::UnreachableCounted) {
                return Ok(requests.take(1).map(|request| Ok(Ok(attribution::end_of(&request)))).boxed());
            }
            Ok(pipeline::run(requests, opened.map_err(failed)?).boxed())
        })
    }

    async fn vote(&mut self, request: VoteRequest<TypeConfig>, option: RPCOption) -> Answer<Voted> {
        self.call(Service::Vote, &Ballot { to: self.to, request }, &option).await
    }

    async fn pre_vote(&mut self, request: VoteRequest<TypeConfig>, option: RPCOption) -> Answer<Voted> {
        self.call(Service::PreVote, &Ballot { to: self.to, request }, &option).await
    }

    async fn full_snapshot(
        &mut self,
        vote: Vote,
        snapshot: SnapshotOf<TypeConfig, SnapshotData>,
        cancel: impl Future<Output = ReplicationClosed> + OptionalSend + 'static,
        _option: RPCOption,
    ) -> Result<SnapshotResponse<TypeConfig>, StreamingError<TypeConfig>> {
        let sent = snapshot_out::send(&self.wire, self.node, self.to, vote, snapshot);
        tokio::select! {
            biased;
            closed = cancel => Err(closed.into()),
            sent = sent => sent.map(SnapshotResponse::new).map_err(|error| failed(error).into()),
        }
    }

    async fn transfer_leader(
        &mut self,
        request: TransferLeaderRequest<TypeConfig>,
        option: RPCOption,
    ) -> Answer<Transferred> {
        self.call(Service::Transfer, &Transfer { to: self.to, request }, &option).await
    }

    fn backoff(&self) -> Option<Backoff> {
        let next = |wait: &Duration| Some((*wait * 2).min(BACKOFF_MAX));
        Some(Backoff::new(iter::successors(Some(BACKOFF_MIN), next)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::{FutureExt, stream};
    use openraft::raft::{AppendEntriesRequest, TransferLeaderRequest, VoteRequest};

    #[tokio::test]
    async fn nobody_is_reachable_while_the_node_is_alone() {
        let mut network = Network::new(GroupId(1), Arc::default());
        let option = || RPCOption::new(Duration::from_secs(1));
        let vote = Vote::new(1, 1);
        let append = || AppendEntriesRequest { vote, prev_log_id: None, entries: Vec::new(), leader_commit: None };
        let mut link = network.new_client(2, &Member::default()).await;
        assert!(matches!(link.append_entries(append(), option()).await, Err(RPCError::Unreachable(_))));
        assert!(matches!(link.vote(VoteRequest::new(vote, None), option()).await, Err(RPCError::Unreachable(_))));
        assert!(matches!(link.pre_vote(VoteRequest::new(vote, None), option()).await, Err(RPCError::Unreachable(_))));
        let transfer = TransferLeaderRequest::new(vote, 2, None);
        assert!(matches!(link.transfer_leader(transfer, option()).await, Err(RPCError::Unreachable(_))));
        let snapshot = openraft::storage::Snapshot { meta: Default::default(), snapshot: SnapshotData::Nothing };
        let sent = link.full_snapshot(vote, snapshot, std::future::pending(), option()).await;
        assert!(matches!(sent, Err(StreamingError::Unreachable(_))));
        let requests = stream::iter([append()]);
        assert!(matches!(link.stream_append(requests, option()).await, Err(RPCError::Unreachable(_))));
        let mut beating = network.new_heartbeat_client(2, &Member::default()).await;
        let mut answers = beating.stream_append(stream::iter([append()]), option()).await.unwrap();
        assert!(matches!(answers.next().await, Some(Err(RPCError::Unreachable(_)))));
    }

    #[tokio::test]
    async fn a_stream_is_tried_only_after_the_wait_that_openraft_puts_before_a_request() {
        let mut network = Network::new(GroupId(1), Arc::default());
        let mut link = network.new_client(2, &Member::default()).await;
        let waiting = link.stream_append(stream::pending(), RPCOption::new(Duration::from_secs(1)));
        assert!(waiting.now_or_never().is_none(), "an unreachable peer is tried again and again without a wait");
    }

    #[test]
    fn the_wait_between_tries_grows_to_its_bound() {
        let link = Link {
            to: Address { group: GroupId(1), replica: 1 },
            node: NodeId(1),
            wire: Arc::default(),
            used_for: Use::Anything,
        };
        let waits: Vec<Duration> = link.backoff().unwrap().take(20).collect();
        assert_eq!((waits[0], waits[1], waits[19]), (BACKOFF_MIN, BACKOFF_MIN * 2, BACKOFF_MAX));
    }
}
