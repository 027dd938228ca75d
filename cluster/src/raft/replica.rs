//! One running replica of one group: an openraft instance and what surrounds it. It runs until it is stopped or fails;
//! whoever holds it decides what happens then.

use crate::error::{ProposeError, StartError};
use crate::limits::{ELECTION_TIMEOUT_MAX, LEADER_SILENCE_MAX, RECOVERY_TIMEOUT};
use crate::raft::config;
use crate::raft::log::Log;
use crate::raft::machine::Machine;
use crate::raft::network::Network;
use crate::raft::parts::{Origin, Parts};
use crate::raft::types::{Answer, Proposal, TypeConfig};
use crate::runtime::{Instant, sleep_until, timeout_at};
use crate::status::{GroupStatus, ReplicaStatus, Role};
use faults::Fault;
use model::queue::QueueCommand;
use model::{Command, GroupId, NodeId, Reply};
use openraft::async_runtime::WatchReceiver;
use openraft::errors::{ClientWriteError, ForwardReason, ForwardToLeader, RaftError};
use openraft::{Raft, RaftMetrics, ServerState};
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::sync::{Arc, Weak};

type Metrics = RaftMetrics<TypeConfig>;
type MetricsWatch = openraft::alias::WatchReceiverOf<TypeConfig, Metrics>;

/// A running replica. Clones are handles of the same one.
#[derive(Clone)]
pub struct Replica {
    inner: Arc<Inner>,
}

struct Inner {
    raft: Raft<TypeConfig, Machine>,
    metrics: MetricsWatch,
    parts: Parts,
    /// When the leader was last heard.
    heard: Mutex<Option<Instant>>,
}

impl Replica {
    /// Starts the replica. One that is alone waits until it leads and has applied what was committed; among others it
    /// runs at once, and a leader or an election tells it more.
    pub async fn start(parts: &Parts, origin: Origin) -> Result<Self, StartError> {
        let log = Log::open(parts.log.clone(), parts.bell.clone()).await.map_err(|error| parts.failed(error))?;
        let is_empty = log.last().is_none() && parts.state.applied().is_none();
        if is_empty && origin == Origin::Known {
            return Err(StartError::ReplicaLost { group: parts.group, replica: parts.replica });
        }
        if log.voted_for_another(parts.replica) {
            // Before it was stopped it may have let that leader count on its vote for so long. openraft forgets that.
            sleep_until(parts.opened + ELECTION_TIMEOUT_MAX).await;
        }
        let config = Arc::new(config::replica().map_err(|error| parts.failed(error))?);
        let network = Network::new(parts.group, parts.wire.clone());
        let raft = Raft::new(parts.replica, config, network, log, Machine::new(parts)).await;
        let raft = raft.map_err(|error| parts.failed(error))?;
        let replica = Replica {
            inner: Arc::new(Inner { metrics: raft.metrics(), raft, parts: parts.clone(), heard: Mutex::default() }),
        };
        if let Err(error) = replica.make_ready(is_empty && origin == Origin::Founder).await {
            replica.stop().await;
            return Err(error);
        }
        parts.wire.pulse.add(&replica);
        Ok(replica)
    }

    async fn make_ready(&self, founds: bool) -> Result<(), StartError> {
        let Inner { raft, metrics, parts, .. } = &*self.inner;
        if founds {
            let members = BTreeMap::from([(parts.replica, parts.member.clone())]);
            raft.initialize(members).await.map_err(|error| parts.failed(error))?;
        }
        // The task answers once it has read what is on disk; until then the metrics know no members.
        raft.with_raft_state(|_| ()).await.map_err(|error| parts.failed(error))?;
        if founds || only_voter(&metrics.borrow_watched(), parts.replica) {
            // Nobody else can lead, so there is nothing to wait for. In a larger group the election timers decide.
            raft.trigger().elect(false).await.map_err(|error| parts.failed(error))?;
            let ready = |metrics: &Metrics| {
                let applied = metrics.last_applied.map(|log_id| log_id.index);
                metrics.state == ServerState::Leader && applied.is_some() && applied >= metrics.last_log_index
            };
            let wait = raft.wait(Some(RECOVERY_TIMEOUT)).metrics(ready, "recovery").await;
            wait.map_err(|_| self.failure().map_or(StartError::Slow { group: parts.group }, |why| parts.failed(why)))?;
        }
        self.set_timers();
        Ok(())
    }

    /// Proposes an entry and waits until it is applied here; also tells its index.
    pub async fn propose(&self, proposal: Proposal, deadline: Instant) -> Result<(Reply, u64), ProposeError> {
        if let Command::Queue(QueueCommand::Claim { messages, .. }) = &proposal.entry().command
            && faults::planted(Fault::StaleLeaderSends)
            && self.leads()
        {
            return Ok((Reply::Claimed(messages.clone()), 0));
        }
        let written = timeout_at(deadline, self.raft().client_write(proposal)).await;
        match written.map_err(|_| ProposeError::Unknown)? {
            Ok(response) => {
                let (index, Answer(reply)) = (response.log_id.index, response.data);
                reply.map(|reply| (reply, index)).ok_or(ProposeError::Unknown)
            }
            Err(RaftError::APIError(ClientWriteError::ForwardToLeader(forward))) => Err(match leader_of(&forward) {
                Some(hint) => ProposeError::NotLeader { hint },
                None => ProposeError::Unavailable,
            }),
            // The entry may have reached the log, or another leader's log, before this replica stopped or stepped down.
            Err(_) => Err(ProposeError::Unknown),
        }
    }

    /// Whether this replica believes that it leads.
    pub fn leads(&self) -> bool {
        self.metrics().borrow_watched().state == ServerState::Leader
    }

    /// Whether this replica neither believes that it leads nor has heard a leader just now.
    pub fn hears_nobody(&self) -> bool {
        let hears = self.inner.heard.lock().is_some_and(|heard| heard.elapsed() < LEADER_SILENCE_MAX);
        !self.leads() && !hears
    }

    /// How the replica stands.
    pub fn status(&self, group: GroupId) -> GroupStatus {
        let metrics = self.metrics().borrow_watched();
        let membership = metrics.membership_config.membership();
        let voters: Vec<u64> = membership.voter_ids().collect();
        let replicas = membership.nodes().map(|(replica, member)| ReplicaStatus {
            replica: *replica,
            node: member.node,
            voter: voters.contains(replica),
        });
        let size = self.inner.parts.log.size();
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

    /// Waits until the replica has failed or was stopped, and says why. Meanwhile runs its timers as membership asks.
    pub async fn ended(&self) -> String {
        let mut server = self.raft().server_metrics();
        while server.changed().await.is_ok() {
            self.set_timers();
        }
        self.failure().unwrap_or_else(|| "stopped".into())
    }

    /// Stops the replica and waits until it has stopped.
    pub async fn stop(&self) {
        // Fails only when the task was cancelled, which is stopped as well.
        let _ = self.raft().shutdown().await;
    }

    /// What the replica is made of.
    pub fn parts(&self) -> &Parts {
        &self.inner.parts
    }

    /// The instance within.
    pub(in crate::raft) fn raft(&self) -> &Raft<TypeConfig, Machine> {
        &self.inner.raft
    }

    pub(in crate::raft) fn metrics(&self) -> &MetricsWatch {
        &self.inner.metrics
    }

    /// Makes the state machine panic, as a defect would.
    #[cfg(test)]
    pub async fn break_down(&self) {
        let broken = self.raft().with_state_machine(|_| Box::pin(async { panic!("broken for a test") })).await;
        assert!(broken.is_err());
    }

    fn failure(&self) -> Option<String> {
        self.metrics().borrow_watched().running_state.as_ref().err().map(|fatal| fatal.to_string())
    }

    /// Timers run only to notice that the leader is gone: a leader and whoever hears one need none.
    pub(in crate::raft) fn set_timers(&self) {
        self.raft().runtime_config().tick(self.hears_nobody());
    }

    /// The leader's heartbeat was accepted.
    pub(in crate::raft) fn heard(&self) {
        *self.inner.heard.lock() = Some(Instant::now());
    }

    /// Whether this replica leads a group that has others.
    pub(in crate::raft) fn leads_others(&self) -> bool {
        let metrics = self.metrics().borrow_watched();
        metrics.state == ServerState::Leader && metrics.membership_config.membership().nodes().count() > 1
    }

    /// A handle that does not keep the replica.
    pub(in crate::raft) fn downgrade(&self) -> WeakReplica {
        WeakReplica(Arc::downgrade(&self.inner))
    }
}

/// A handle of a replica that may be gone.
pub(in crate::raft) struct WeakReplica(Weak<Inner>);

impl WeakReplica {
    /// The replica, when somebody holds it.
    pub fn upgrade(&self) -> Option<Replica> {
        self.0.upgrade().map(|inner| Replica { inner })
    }
}

pub(in crate::raft) fn only_voter(metrics: &Metrics, replica: u64) -> bool {
    match metrics.membership_config.get_joint_config().as_slice() {
        [voters] => voters.len() == 1 && voters.contains(&replica),
        _ => false,
    }
}

/// `Some` when another node leads or probably leads; `None` when this one leads but has lost its quorum, or nobody does.
pub(in crate::raft) fn leader_of(forward: &ForwardToLeader<TypeConfig>) -> Option<Option<NodeId>> {
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
