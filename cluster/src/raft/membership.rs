//! Who holds a group: looked at anywhere, changed by the leader, one change at a time. Whoever calls decides what the
//! membership shall be; nothing here does.

use crate::raft::replica::Replica;
use crate::raft::types::{LogId, Member, TypeConfig};
use crate::runtime::{Instant, timeout_at};
use model::NodeId;
use openraft::async_runtime::WatchReceiver;
use openraft::errors::{ClientWriteError, RaftError};
use openraft::metrics::RaftServerMetrics;
use openraft::raft::ClientWriteResponse;
use openraft::{ChangeMembers, ServerState};
use std::collections::{BTreeMap, BTreeSet};

/// Who holds a group, as a replica sees it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Members {
    /// Where each replica is, voters and learners.
    pub nodes: BTreeMap<u64, NodeId>,
    /// Those that vote, now or when the change under way is done.
    pub voters: BTreeSet<u64>,
    /// No change is under way: one set of voters, and committed.
    pub settled: bool,
}

/// Who leads a group, as a replica sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Leadership {
    /// The leader's replica and node, when there is one.
    pub leader: Option<(u64, NodeId)>,
    /// Whether it is this replica.
    pub here: bool,
    /// The term.
    pub term: u64,
}

/// Why membership was not changed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ChangeError {
    /// Another replica leads.
    #[error("this replica does not lead its group")]
    NotLeader,
    /// Refused as it stands: another change is under way, or it makes no sense.
    #[error("{0}")]
    Refused(String),
    /// It may be done yet, or not: look again.
    #[error("the change was not seen through in time")]
    Unknown,
}

type Written = Result<ClientWriteResponse<TypeConfig>, RaftError<TypeConfig, ClientWriteError<TypeConfig>>>;

impl Replica {
    /// Who holds the group.
    pub fn members(&self) -> Members {
        let metrics = self.metrics().borrow_watched();
        let membership = metrics.membership_config.membership();
        Members {
            nodes: membership.nodes().map(|(replica, member)| (*replica, member.node)).collect(),
            voters: membership.get_joint_config().last().cloned().unwrap_or_default(),
            settled: membership.get_joint_config().len() == 1
                && metrics.membership_config == metrics.committed_membership_config,
        }
    }

    /// Who leads now.
    pub fn leadership(&self) -> Leadership {
        leadership(&self.raft().server_metrics().borrow_watched())
    }

    /// Waits until leadership is not `seen` any more; `None` when the replica has stopped.
    pub async fn leadership_after(&self, seen: Leadership) -> Option<Leadership> {
        let mut server = self.raft().server_metrics();
        loop {
            let now = leadership(&server.borrow_and_update());
            if now != seen {
                return Some(now);
            }
            server.changed().await.ok()?;
        }
    }

    /// How far each replica's log is known to match the leader's; `None` when this replica does not lead.
    pub fn matched(&self) -> Option<BTreeMap<u64, Option<u64>>> {
        let metrics = self.metrics().borrow_watched();
        let replication = metrics.replication.as_ref()?;
        let index = |log_id: &Option<LogId>| log_id.map(|log_id| log_id.index);
        Some(replication.iter().map(|(replica, matched)| (*replica, index(matched))).collect())
    }

    /// The index of the last entry in the log here.
    pub fn last_log(&self) -> Option<u64> {
        self.metrics().borrow_watched().last_log_index
    }

    /// Adds a replica that receives the log and does not vote. Its replica is made there when the first entries come.
    pub async fn add_learner(&self, replica: u64, member: Member, deadline: Instant) -> Result<(), ChangeError> {
        seen_through(timeout_at(deadline, self.raft().add_learner(replica, member, false)).await)
    }

    /// Makes `voters` the voters, by joint consensus. They must be members; voters that are left out stay as learners.
    pub async fn set_voters(&self, voters: BTreeSet<u64>, deadline: Instant) -> Result<(), ChangeError> {
        seen_through(timeout_at(deadline, self.raft().change_membership(voters, true)).await)
    }

    /// Takes learners out.
    pub async fn remove_learners(&self, replicas: BTreeSet<u64>, deadline: Instant) -> Result<(), ChangeError> {
        let change = ChangeMembers::RemoveNodes(replicas);
        seen_through(timeout_at(deadline, self.raft().change_membership(change, false)).await)
    }

    /// Hands leadership to another voter and waits until this replica does not lead any more.
    pub async fn transfer(&self, to: u64, deadline: Instant) -> Result<(), ChangeError> {
        let seen = self.leadership();
        if !seen.here {
            return Err(ChangeError::NotLeader);
        }
        self.raft().trigger().transfer_leader(to).await.map_err(|fatal| ChangeError::Refused(fatal.to_string()))?;
        let gone = async {
            let mut now = seen;
            while now.here {
                now = self.leadership_after(now).await?;
            }
            Some(())
        };
        match timeout_at(deadline, gone).await {
            Ok(Some(())) => Ok(()),
            Ok(None) | Err(_) => Err(ChangeError::Unknown),
        }
    }
}

fn leadership(metrics: &RaftServerMetrics<TypeConfig>) -> Leadership {
    let membership = metrics.membership_config.membership();
    let node = |leader: u64| membership.get_node(&leader).map(|member| (leader, member.node));
    Leadership {
        leader: metrics.current_leader.and_then(node),
        here: metrics.state == ServerState::Leader,
        term: metrics.vote.leader_id.term,
    }
}

fn seen_through(written: Result<Written, crate::runtime::Elapsed>) -> Result<(), ChangeError> {
    match written {
        Ok(Ok(_)) => Ok(()),
        Ok(Err(RaftError::APIError(ClientWriteError::ForwardToLeader(_)))) => Err(ChangeError::NotLeader),
        Ok(Err(RaftError::APIError(ClientWriteError::ChangeMembershipError(error)))) => {
            Err(ChangeError::Refused(error.to_string()))
        }
        Ok(Err(_)) | Err(_) => Err(ChangeError::Unknown),
    }
}
