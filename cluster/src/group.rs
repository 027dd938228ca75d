//! One group on this node, for as long as the node runs: its replica, and what replaces the replica when it fails.
//!
//! A failed replica is stopped, rebuilt from disk after a wait that doubles, and never left dead in silence.

use crate::error::{ProposeError, ReadError, StartError};
use crate::limits::{REBUILD_WAIT_MAX, REBUILD_WAIT_MIN};
use crate::raft::{Origin, Parts, Replica};
use crate::runtime::Instant;
use crate::status::{GroupStatus, Role};
use parking_lot::RwLock;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// A supervised group.
pub struct Group {
    parts: Parts,
    origin: Origin,
    phase: RwLock<Phase>,
}

enum Phase {
    Running(Replica),
    Rebuilding { last: Box<GroupStatus>, reason: String, attempt: u32 },
    Stopped,
}

impl Group {
    /// Starts the replica and waits until it is ready; see [`Replica::start`].
    pub async fn start(parts: Parts, origin: Origin) -> Result<Self, StartError> {
        let replica = Replica::start(&parts, origin).await?;
        // What a founder founded must be there from now on; what a joiner has not been told yet need not be.
        let origin = if origin == Origin::Founder { Origin::Known } else { origin };
        Ok(Group { parts, origin, phase: RwLock::new(Phase::Running(replica)) })
    }

    /// What the group is made of.
    pub fn parts(&self) -> &Parts {
        &self.parts
    }

    /// The replica, when it runs.
    pub fn replica(&self) -> Option<Replica> {
        match &*self.phase.read() {
            Phase::Running(replica) => Some(replica.clone()),
            _ => None,
        }
    }

    /// The replica for a proposal, or why there is none.
    pub fn proposer(&self) -> Result<Replica, ProposeError> {
        match &*self.phase.read() {
            Phase::Running(replica) => Ok(replica.clone()),
            Phase::Rebuilding { .. } => Err(ProposeError::Unavailable),
            Phase::Stopped => Err(ProposeError::Stopped),
        }
    }

    /// The replica for a read, or why there is none.
    pub fn reader(&self) -> Result<Replica, ReadError> {
        match &*self.phase.read() {
            Phase::Running(replica) => Ok(replica.clone()),
            Phase::Rebuilding { .. } => Err(ReadError::Unavailable),
            Phase::Stopped => Err(ReadError::Stopped),
        }
    }

    /// How the group stands.
    pub fn status(&self) -> GroupStatus {
        match &*self.phase.read() {
            Phase::Running(replica) => replica.status(self.parts.group),
            Phase::Rebuilding { last, reason, attempt } => {
                let role = Role::Rebuilding { reason: reason.clone(), attempt: *attempt };
                GroupStatus { role, leader: None, ..(**last).clone() }
            }
            Phase::Stopped => self.empty_status(Role::Stopped),
        }
    }

    fn empty_status(&self, role: Role) -> GroupStatus {
        let size = self.parts.log.size();
        GroupStatus {
            group: self.parts.group,
            replica: self.parts.replica,
            role,
            leader: None,
            term: 0,
            last_log: None,
            applied: None,
            purged: None,
            snapshot: None,
            log_entries: size.entries,
            log_bytes: size.bytes,
            replicas: Vec::new(),
        }
    }

    /// Keeps the group alive until `stopping`; then stops it.
    pub async fn supervise(&self, stopping: CancellationToken) {
        let mut attempt = 0;
        while let Some(replica) = self.replica() {
            let since = Instant::now();
            let reason = tokio::select! {
                biased;
                () = stopping.cancelled() => break,
                reason = replica.ended() => reason,
            };
            if since.elapsed() > REBUILD_WAIT_MAX {
                attempt = 0;
            }
            tracing::error!(group = %self.parts.group, reason, "the group's replica failed and is being rebuilt");
            let last = Box::new(replica.status(self.parts.group));
            self.set(Phase::Rebuilding { last, reason, attempt });
            replica.stop().await;
            tokio::select! {
                biased;
                () = stopping.cancelled() => break,
                rebuilt = self.rebuild(&mut attempt) => self.set(Phase::Running(rebuilt)),
            }
        }
        if let Some(replica) = self.replica() {
            replica.stop().await;
        }
        self.set(Phase::Stopped);
    }

    async fn rebuild(&self, attempt: &mut u32) -> Replica {
        loop {
            crate::runtime::sleep(wait_before(*attempt)).await;
            *attempt += 1;
            self.parts.counters.rebuilds.fetch_add(1, Relaxed);
            match Replica::start(&self.parts, self.origin).await {
                Ok(replica) => {
                    tracing::info!(group = %self.parts.group, attempt = *attempt, "the group's replica is rebuilt");
                    self.parts.changes.publish_all();
                    return replica;
                }
                Err(error) => {
                    tracing::error!(group = %self.parts.group, %error, attempt = *attempt, "rebuilding failed");
                    if let Phase::Rebuilding { reason, attempt: shown, .. } = &mut *self.phase.write() {
                        *reason = error.to_string();
                        *shown = *attempt;
                    }
                }
            }
        }
    }

    fn set(&self, phase: Phase) {
        *self.phase.write() = phase;
    }
}

fn wait_before(attempt: u32) -> Duration {
    REBUILD_WAIT_MIN.saturating_mul(1 << attempt.min(16)).min(REBUILD_WAIT_MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::raft::{Proposal, Shared, completed};
    use crate::testing;
    use model::directory::DirectoryCommand;
    use model::{Command, Entry, GroupId, NodeId, OperationId, Reply};
    use std::sync::Arc;

    #[test]
    fn the_wait_doubles_up_to_its_bound() {
        assert_eq!(wait_before(0), REBUILD_WAIT_MIN);
        assert_eq!(wait_before(2), REBUILD_WAIT_MIN * 4);
        assert_eq!(wait_before(u32::MAX), REBUILD_WAIT_MAX);
    }

    async fn propose(group: &Group, number: u8) -> Result<Reply, ProposeError> {
        let command = DirectoryCommand::SetSetting { name: format!("n{number}"), value: Some("yes".into()) };
        let operation = OperationId::new(1, [number; 10]);
        let proposal = Proposal::new(Entry { operation, proposed_at: 1, command: Command::Directory(command) });
        group.proposer()?.propose(proposal, Instant::now() + Duration::from_secs(60)).await.map(|(reply, _)| reply)
    }

    /// A group that is supervised until `stopping`.
    async fn supervised(data: &std::path::Path) -> (Arc<Group>, CancellationToken, tokio::task::JoinHandle<()>) {
        let store = testing::open_store(data);
        let parts = Parts::open(&store, NodeId(1), GroupId::DIRECTORY, 1, &Shared::default()).unwrap();
        let group = Arc::new(Group::start(parts, Origin::Founder).await.unwrap());
        let (stopping, supervised) = (CancellationToken::new(), group.clone());
        let until = stopping.clone();
        (group, stopping, tokio::spawn(async move { supervised.supervise(until).await }))
    }

    /// Proposes until it is answered; says whether the group was seen without a replica meanwhile.
    async fn propose_again(group: &Group, number: u8) -> bool {
        let (mut seen_rebuilding, deadline) = (false, Instant::now() + Duration::from_secs(60));
        while Instant::now() < deadline {
            seen_rebuilding |= matches!(group.status().role, Role::Rebuilding { .. });
            if let Ok(reply) = propose(group, number).await {
                assert_eq!(reply, Reply::Done);
                return seen_rebuilding;
            }
            tokio::task::yield_now().await;
        }
        panic!("it does not become whole: {:?}", group.status().role);
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_failed_replica_is_rebuilt_and_the_retry_is_answered() {
        let directory = tempfile::tempdir().unwrap();
        let (group, stopping, supervisor) = supervised(directory.path()).await;
        assert_eq!(propose(&group, 1).await, Ok(Reply::Done));
        group.replica().unwrap().break_down().await;
        assert_eq!(propose(&group, 2).await, Err(ProposeError::Unknown));
        assert!(propose_again(&group, 2).await, "status says that the group is being rebuilt");
        assert_eq!(group.status().role, Role::Leader);
        let rows = group.parts().state.read().unwrap();
        for number in [1, 2] {
            assert!(model::directory::view::setting(&rows, &format!("n{number}")).unwrap().is_some());
        }
        stopping.cancel();
        supervisor.await.unwrap();
        assert_eq!(group.status().role, Role::Stopped);
        assert_eq!(propose(&group, 3).await, Err(ProposeError::Stopped));
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_rebuilt_replica_does_not_count_what_could_not_be_written() {
        let directory = tempfile::tempdir().unwrap();
        let (group, stopping, supervisor) = supervised(directory.path()).await;
        assert_eq!(propose(&group, 1).await, Ok(Reply::Done));
        let log = &group.parts().log;
        let index = log.last_index().unwrap() + 1;
        let nowhere = storage::LogRecord { index, bytes: "lost".into(), bodies: vec![model::BodyHash([7; 32])] };
        completed(|done| log.append(vec![nowhere], done)).await.unwrap_err();
        assert_eq!(log.last_index(), Some(index));
        propose_again(&group, 2).await;
        assert_eq!(log.last_index(), log.durable_index());
        let records = log.read(0..u64::MAX, usize::MAX).unwrap();
        assert!(records.iter().all(|(_, record)| record != "lost"), "it was counted as kept");
        stopping.cancel();
        supervisor.await.unwrap();
    }
}
