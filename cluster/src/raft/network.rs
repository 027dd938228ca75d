//! The seam to other machines: openraft asks [`Network`] for a [`Link`] to a replica elsewhere.
//!
//! A node that is alone has no peers, so every link answers "unreachable": nothing is granted, acknowledged or faked.
//! Every method is written out, because openraft's defaults are not neutral: an absent `pre_vote` would be a grant.

use crate::raft::snapshot::SnapshotData;
use crate::raft::types::{Member, TypeConfig, Vote};
use futures::Stream;
use model::{GroupId, NodeId};
use openraft::base::{BoxFuture, BoxStream};
use openraft::errors::{RPCError, ReplicationClosed, StreamingError, Unreachable};
use openraft::network::{RPCOption, RaftNetworkFactory, RaftNetworkV2};
use openraft::raft::{
    AppendEntriesRequest, AppendEntriesResponse, SnapshotResponse, StreamAppendResult, TransferLeaderRequest,
    TransferLeaderResponse, VoteRequest, VoteResponse,
};
use openraft::{OptionalSend, alias::SnapshotOf};
use std::future::Future;

/// Makes links for one group.
#[derive(Clone, Debug)]
pub struct Network {
    group: GroupId,
}

impl Network {
    /// The network of `group`.
    pub fn new(group: GroupId) -> Self {
        Network { group }
    }
}

/// The way to one replica on another machine.
#[derive(Debug)]
pub struct Link {
    group: GroupId,
    replica: u64,
    node: NodeId,
}

impl Link {
    fn unreachable(&self) -> Unreachable<TypeConfig> {
        let Link { group, replica, node } = self;
        Unreachable::from_string(format!("{group}: replica {replica} is on node {}, which is no known peer", node.0))
    }
}

impl RaftNetworkFactory<TypeConfig> for Network {
    type Network = Link;

    async fn new_client(&mut self, target: u64, member: &Member) -> Link {
        Link { group: self.group, replica: target, node: member.node }
    }
}

type Answer<T> = Result<T, RPCError<TypeConfig>>;

impl RaftNetworkV2<TypeConfig> for Link {
    type SnapshotData = SnapshotData;

    async fn append_entries(
        &mut self,
        _request: AppendEntriesRequest<TypeConfig>,
        _option: RPCOption,
    ) -> Answer<AppendEntriesResponse<TypeConfig>> {
        Err(self.unreachable().into())
    }

    fn stream_append<'s, S>(
        &'s mut self,
        _requests: S,
        _option: RPCOption,
    ) -> BoxFuture<'s, Answer<BoxStream<'s, Answer<StreamAppendResult<TypeConfig>>>>>
    where
        S: Stream<Item = AppendEntriesRequest<TypeConfig>> + OptionalSend + Unpin + 'static,
    {
        let error = self.unreachable();
        Box::pin(async move { Err(error.into()) })
    }

    async fn vote(
        &mut self,
        _request: VoteRequest<TypeConfig>,
        _option: RPCOption,
    ) -> Answer<VoteResponse<TypeConfig>> {
        Err(self.unreachable().into())
    }

    async fn pre_vote(
        &mut self,
        _request: VoteRequest<TypeConfig>,
        _option: RPCOption,
    ) -> Answer<VoteResponse<TypeConfig>> {
        Err(self.unreachable().into())
    }

    async fn full_snapshot(
        &mut self,
        _vote: Vote,
        _snapshot: SnapshotOf<TypeConfig, SnapshotData>,
        _cancel: impl Future<Output = ReplicationClosed> + OptionalSend + 'static,
        _option: RPCOption,
    ) -> Result<SnapshotResponse<TypeConfig>, StreamingError<TypeConfig>> {
        Err(self.unreachable().into())
    }

    async fn transfer_leader(
        &mut self,
        _request: TransferLeaderRequest<TypeConfig>,
        _option: RPCOption,
    ) -> Answer<TransferLeaderResponse<TypeConfig>> {
        Err(self.unreachable().into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::stream;
    use openraft::raft::{AppendEntriesRequest, TransferLeaderRequest, VoteRequest};
    use std::time::Duration;

    #[tokio::test]
    async fn an_unknown_peer_is_unreachable_whatever_it_is_asked() {
        let mut link = Network::new(GroupId(1)).new_client(2, &Member::default()).await;
        let option = || RPCOption::new(Duration::from_secs(1));
        let vote = Vote::new(1, 1);
        let append = || AppendEntriesRequest { vote, prev_log_id: None, entries: Vec::new(), leader_commit: None };
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
    }
}
