//! Read barriers: what must be applied here before rows show everything that was acknowledged before the question.

use crate::error::ReadError;
use crate::limits::READ_TIMEOUT;
use crate::raft::replica::{Replica, leader_of, only_voter};
use crate::raft::types::TypeConfig;
use crate::runtime::{Instant, timeout, timeout_at};
use faults::Fault;
use openraft::ServerState;
use openraft::async_runtime::WatchReceiver;
use openraft::errors::{LinearizableReadError, RaftError};
use openraft::raft::linearizable_read::{Linearizer, LinearizerOption};

impl Replica {
    /// Passes when everything acknowledged before is in the rows here. Says whether the consensus task was asked.
    /// Only a leader can tell; elsewhere its [`Self::read_index`] and [`Self::wait_applied`] here do the same.
    pub async fn barrier(&self) -> Result<bool, ReadError> {
        if self.leads_alone() || (self.leads() && faults::planted(Fault::StaleLeaderServes)) {
            // No other replica can have acknowledged anything, and this one acknowledges what is in its rows.
            return Ok(false);
        }
        let read = async {
            let ready = self.linearizer().await?.await_ready(self.raft()).await;
            ready.map(|_| true).map_err(|_| ReadError::Unavailable)
        };
        timeout(READ_TIMEOUT, read).await.unwrap_or(Err(ReadError::Unavailable))
    }

    /// The index that a replica must have applied to show everything acknowledged before. Only a leader knows it.
    pub async fn read_index(&self) -> Result<u64, ReadError> {
        let asked = timeout(READ_TIMEOUT, self.linearizer()).await.unwrap_or(Err(ReadError::Unavailable));
        asked.map(|linearizer| linearizer.read_log_id().index())
    }

    /// Waits until the entry at `index` is applied here.
    pub async fn wait_applied(&self, index: u64, deadline: Instant) -> Result<(), ReadError> {
        let mut metrics = self.metrics().clone();
        let applied = async {
            loop {
                let applied = metrics.borrow_and_update().last_applied;
                if applied.is_some_and(|applied| applied.index >= index) {
                    return Ok(());
                }
                if metrics.changed().await.is_err() {
                    return Err(ReadError::Unavailable);
                }
            }
        };
        timeout_at(deadline, applied).await.unwrap_or(Err(ReadError::Unavailable))
    }

    /// Under the leader's lease at once; when it has run out, once a quorum has answered another heartbeat.
    async fn linearizer(&self) -> Result<Linearizer<TypeConfig>, ReadError> {
        let option = LinearizerOption::new(None, true).with_wait_timeout(READ_TIMEOUT);
        match self.raft().get_read_linearizer(option).await {
            Ok(linearizer) => Ok(linearizer),
            Err(RaftError::APIError(LinearizableReadError::ForwardToLeader(forward))) => {
                Err(leader_of(&forward).map_or(ReadError::Unavailable, |hint| ReadError::NotLeader { hint }))
            }
            Err(_) => Err(ReadError::Unavailable),
        }
    }

    fn leads_alone(&self) -> bool {
        let metrics = self.metrics().borrow_watched();
        metrics.state == ServerState::Leader && only_voter(&metrics, metrics.id)
    }
}
