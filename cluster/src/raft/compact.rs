//! How short a replica's log may be made. One that is alone keeps little; among others it keeps half of its bound, and a
//! leader keeps what a replica that is away will need when it comes back, up to a larger bound.

use crate::limits::{LOG_ENTRIES_KEPT, READ_TIMEOUT, RECOVERY_TIMEOUT};
use crate::raft::replica::Replica;
use crate::raft::types::{LogId, TypeConfig};
use openraft::RaftMetrics;
use openraft::async_runtime::WatchReceiver;
use storage::LogSize;

type Metrics = RaftMetrics<TypeConfig>;

impl Replica {
    /// Takes a snapshot and purges the log before it, but for what [`last_to_purge`] keeps. Says whether that was done.
    pub async fn compact(&self) -> bool {
        let parts = self.parts();
        let upto = last_to_purge(&self.metrics().borrow_watched(), parts.log.size(), parts.bell.bounds().away);
        let done = match upto {
            Some(upto) => self.purge(upto).await,
            None => true,
        };
        if done {
            parts.bell.rest(parts.log.size());
        }
        done
    }

    /// Takes a snapshot and purges the log up to and with `upto`, which must be applied.
    pub(in crate::raft) async fn purge(&self, upto: u64) -> bool {
        let covered = |log_id: Option<LogId>, index: u64| log_id.is_some_and(|log_id| log_id.index >= index);
        if self.raft().trigger().snapshot().await.is_err() {
            return false;
        }
        let built = move |metrics: &Metrics| covered(metrics.snapshot, upto);
        if self.raft().wait(Some(RECOVERY_TIMEOUT)).metrics(built, "snapshot").await.is_err() {
            return false;
        }
        if self.raft().trigger().purge_log(upto).await.is_err() {
            return false;
        }
        let purged = move |metrics: &Metrics| covered(metrics.purged, upto);
        self.raft().wait(Some(READ_TIMEOUT)).metrics(purged, "purge").await.is_ok()
    }
}

/// The last entry that nobody is expected to ask for; `None` when nothing may go.
fn last_to_purge(metrics: &Metrics, size: LogSize, away: LogSize) -> Option<u64> {
    let is_alone = metrics.membership_config.membership().nodes().count() <= 1;
    let kept = if is_alone { LOG_ENTRIES_KEPT.min(size.entries / 8) } else { size.entries / 2 };
    let mut upto = metrics.last_applied?.index.checked_sub(kept)?;
    let is_bounded = size.entries <= away.entries && size.bytes <= away.bytes;
    if let Some(replication) = metrics.replication.as_ref().filter(|_| is_bounded) {
        for matched in replication.values() {
            upto = upto.min(matched.as_ref()?.index);
        }
    }
    (Some(upto) > metrics.purged.map(|purged| purged.index)).then_some(upto)
}
