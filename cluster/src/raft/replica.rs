//! One running replica of one group: an openraft instance and what surrounds it. It runs until it is stopped or fails;
//! whoever holds it decides what happens then.

use crate::error::{ProposeError, ReadError, StartError};
use crate::limits::{GROUP_MESSAGES_QUEUED_MAX, LOG_ENTRIES_KEPT, READ_TIMEOUT, RECOVERY_TIMEOUT};
use crate::raft::log::Log;
use crate::raft::machine::Machine;
use crate::raft::network::Network;
use crate::raft::parts::{Origin, Parts};
use crate::raft::types::{Answer, LogId, Proposal, TypeConfig};
use crate::status::{GroupStatus, ReplicaStatus, Role};
use model::{GroupId, NodeId, Reply};
use openraft::async_runtime::WatchReceiver;
use openraft::errors::{ClientWriteError, ForwardReason, ForwardToLeader, LinearizableReadError, RaftError};
use openraft::{Config, Raft, RaftMetrics, ReadPolicy, ServerState, SnapshotPolicy};
use std::collections::BTreeMap;
use std::sync::Arc;
use storage::GroupLog;
use tokio::time::{Instant, timeout, timeout_at};

type Metrics = RaftMetrics<TypeConfig>;
type MetricsWatch = openraft::alias::WatchReceiverOf<TypeConfig, Metrics>;

/// A running replica. Clones are handles of the same one.
#[derive(Clone)]
pub struct Replica {
    raft: Raft<TypeConfig, Machine>,
    metrics: MetricsWatch,
    log: GroupLog,
}

impl Replica {
    /// Starts the replica. One that is alone waits until it leads and has applied what was committed; among others it
    /// runs at once, and a leader or an election tells it more.
    pub async fn start(parts: &Parts, origin: Origin) -> Result<Self, StartError> {
        let (replica, is_new) = Self::build(parts, origin).await?;
        if let Err(error) = replica.make_ready(parts, is_new && origin == Origin::Founder).await {
            replica.stop().await;
            return Err(error);
        }
        Ok(replica)
    }

    /// Runs what is on disk; says whether that is nothing.
    async fn build(parts: &Parts, origin: Origin) -> Result<(Self, bool), StartError> {
        let log = Log::open(parts.log.clone(), parts.bell.clone()).await.map_err(|error| parts.failed(error))?;
        let is_new = log.last().is_none() && parts.state.applied().is_none();
        if is_new && origin == Origin::Known {
            return Err(StartError::ReplicaLost { group: parts.group, replica: parts.replica });
        }
        let config = Arc::new(config().map_err(|error| parts.failed(error))?);
        let raft = Raft::new(parts.replica, config, Network::new(parts.group), log, Machine::new(parts)).await;
        let raft = raft.map_err(|error| parts.failed(error))?;
        Ok((Replica { metrics: raft.metrics(), raft, log: parts.log.clone() }, is_new))
    }

    async fn make_ready(&self, parts: &Parts, is_new: bool) -> Result<(), StartError> {
        if is_new {
            let members = BTreeMap::from([(parts.replica, parts.member.clone())]);
            self.raft.initialize(members).await.map_err(|error| parts.failed(error))?;
        }
        // The task answers once it has read what is on disk; until then the metrics know no members.
        self.raft.with_raft_state(|_| ()).await.map_err(|error| parts.failed(error))?;
        if is_new || only_voter(&self.metrics.borrow_watched(), parts.replica) {
            // Nobody else can lead, so there is nothing to wait for. In a larger group the election timers decide.
            self.raft.trigger().elect(false).await.map_err(|error| parts.failed(error))?;
            let ready = |metrics: &Metrics| {
                let applied = metrics.last_applied.map(|log_id| log_id.index);
                metrics.state == ServerState::Leader && applied.is_some() && applied >= metrics.last_log_index
            };
            let wait = self.raft.wait(Some(RECOVERY_TIMEOUT)).metrics(ready, "recovery").await;
            wait.map_err(|_| self.failure().map_or(StartError::Slow { group: parts.group }, |why| parts.failed(why)))?;
        }
        self.set_timers();
        Ok(())
    }

    /// Proposes an entry and waits until it is applied here.
    pub async fn propose(&self, proposal: Proposal, deadline: Instant) -> Result<Reply, ProposeError> {
        let written = timeout_at(deadline, self.raft.client_write(proposal)).await;
        match written.map_err(|_| ProposeError::Unknown)? {
            Ok(response) => {
                let Answer(reply) = response.data;
                reply.ok_or(ProposeError::Unknown)
            }
            Err(RaftError::APIError(ClientWriteError::ForwardToLeader(forward))) => Err(match leader_of(&forward) {
                Some(hint) => ProposeError::NotLeader { hint },
                None => ProposeError::Unavailable,
            }),
            // The entry may have reached the log, or another leader's log, before this replica stopped or stepped down.
            Err(_) => Err(ProposeError::Unknown),
        }
    }

    /// Passes when everything acknowledged before is in the rows here. Says whether the consensus task was asked.
    pub async fn barrier(&self) -> Result<bool, ReadError> {
        if self.leads_alone() {
            // No other replica can have acknowledged anything, and this one acknowledges what is in its rows.
            return Ok(false);
        }
        let read = async {
            let linearizer = self.raft.get_read_linearizer(ReadPolicy::LeaseRead).await?;
            linearizer.await_ready(&self.raft).await.map_err(RaftError::Fatal)
        };
        match timeout(READ_TIMEOUT, read).await {
            Ok(Ok(_)) => Ok(true),
            Ok(Err(RaftError::APIError(LinearizableReadError::ForwardToLeader(forward)))) => {
                Err(leader_of(&forward).map_or(ReadError::Unavailable, |hint| ReadError::NotLeader { hint }))
            }
            Ok(Err(_)) | Err(_) => Err(ReadError::Unavailable),
        }
    }

    /// Whether this replica believes that it leads.
    pub fn leads(&self) -> bool {
        self.metrics.borrow_watched().state == ServerState::Leader
    }

    fn leads_alone(&self) -> bool {
        let metrics = self.metrics.borrow_watched();
        metrics.state == ServerState::Leader && only_voter(&metrics, metrics.id)
    }

    /// How the replica stands.
    pub fn status(&self, group: GroupId) -> GroupStatus {
        let metrics = self.metrics.borrow_watched();
        let membership = metrics.membership_config.membership();
        let voters: Vec<u64> = membership.voter_ids().collect();
        let replicas = membership.nodes().map(|(replica, member)| ReplicaStatus {
            replica: *replica,
            node: member.node,
            voter: voters.contains(replica),
        });
        let size = self.log.size();
        GroupStatus {
            group,
            replica: metrics.id,
            role: role(metrics.state),
            leader: metrics.current_leader.and_then(|leader| membership.get_node(&leader)).map(|member| member.node),
            term: metrics.current_term,
            last_log: metrics.last_log_index,
            applied: metrics.last_applied.map(|log_id| log_id.index),
            purged: metrics.purged.map(|log_id| log_id.index),
            snapshot: metrics.snapshot.map(|log_id| log_id.index),
            log_entries: size.entries,
            log_bytes: size.bytes,
            replicas: replicas.collect(),
        }
    }

    /// Takes a snapshot and purges the log before it, but for the newest entries. Says whether both were done.
    pub async fn compact(&self) -> bool {
        let kept = LOG_ENTRIES_KEPT.min(self.log.size().entries / 8);
        let Some(applied) = self.metrics.borrow_watched().last_applied else {
            return false;
        };
        let covered = |log_id: Option<LogId>, index: u64| log_id.is_some_and(|log_id| log_id.index >= index);
        if self.raft.trigger().snapshot().await.is_err() {
            return false;
        }
        let built = move |metrics: &Metrics| covered(metrics.snapshot, applied.index);
        if self.raft.wait(Some(RECOVERY_TIMEOUT)).metrics(built, "snapshot").await.is_err() {
            return false;
        }
        let upto = applied.index.saturating_sub(kept);
        if self.raft.trigger().purge_log(upto).await.is_err() {
            return false;
        }
        let purged = move |metrics: &Metrics| covered(metrics.purged, upto);
        self.raft.wait(Some(READ_TIMEOUT)).metrics(purged, "purge").await.is_ok()
    }

    /// Waits until the replica has failed or was stopped, and says why. Meanwhile runs its timers as membership asks.
    pub async fn ended(&self) -> String {
        let mut server = self.raft.server_metrics();
        while server.changed().await.is_ok() {
            self.set_timers();
        }
        self.failure().unwrap_or_else(|| "stopped".into())
    }

    /// Stops the replica and waits until it has stopped.
    pub async fn stop(&self) {
        // Fails only when the task was cancelled, which is stopped as well.
        let _ = self.raft.shutdown().await;
    }

    /// Runs a replica that waits for a leader to tell it what it holds.
    #[cfg(test)]
    pub async fn open(parts: &Parts) -> Result<Self, StartError> {
        Self::build(parts, Origin::Joiner).await.map(|(replica, _)| replica)
    }

    /// The instance within.
    #[cfg(test)]
    pub fn raft(&self) -> &Raft<TypeConfig, Machine> {
        &self.raft
    }

    /// Makes the state machine panic, as a defect would.
    #[cfg(test)]
    pub async fn break_down(&self) {
        let broken = self.raft.with_state_machine(|_| Box::pin(async { panic!("broken for a test") })).await;
        assert!(broken.is_err());
    }

    fn failure(&self) -> Option<String> {
        self.metrics.borrow_watched().running_state.as_ref().err().map(|fatal| fatal.to_string())
    }

    /// A leader without any other replica needs no heartbeat and no election timer.
    fn set_timers(&self) {
        let metrics = self.metrics.borrow_watched();
        let alone = only_voter(&metrics, metrics.id) && metrics.membership_config.nodes().count() == 1;
        self.raft.runtime_config().tick(!(alone && metrics.state == ServerState::Leader));
    }
}

fn only_voter(metrics: &Metrics, replica: u64) -> bool {
    match metrics.membership_config.get_joint_config().as_slice() {
        [voters] => voters.len() == 1 && voters.contains(&replica),
        _ => false,
    }
}

/// `Some` when another node leads or probably leads; `None` when this one leads but has lost its quorum, or nobody does.
fn leader_of(forward: &ForwardToLeader<TypeConfig>) -> Option<Option<NodeId>> {
    match forward.reason {
        ForwardReason::LeaseExpired => None,
        _ => forward.leader_id.map(|_| forward.leader_node.as_ref().map(|member| member.node)),
    }
}

fn role(state: ServerState) -> Role {
    match state {
        ServerState::Leader => Role::Leader,
        ServerState::Follower => Role::Follower,
        ServerState::Learner => Role::Learner,
        ServerState::Candidate => Role::Candidate,
        ServerState::Shutdown => Role::Stopped,
    }
}

fn config() -> Result<Config, openraft::ConfigError> {
    let config = Config {
        cluster_name: "mailnode".into(),
        heartbeat_interval: 250,
        election_timeout_min: 1500,
        election_timeout_max: 3000,
        enable_pre_vote: Some(true),
        // A restarted leader must be elected again: whatever it had in memory is gone.
        enable_leader_restore: Some(false),
        // Snapshots and purges are asked for by [`Replica::compact`] alone, which knows bytes as well as entries.
        snapshot_policy: SnapshotPolicy::Never,
        max_in_snapshot_log_to_keep: u64::MAX,
        api_channel_size: Some(GROUP_MESSAGES_QUEUED_MAX),
        notification_channel_size: Some(GROUP_MESSAGES_QUEUED_MAX),
        ..Config::default()
    };
    config.validate()
}
