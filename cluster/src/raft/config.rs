//! How openraft is set: when a leader counts as gone, and what this crate does itself instead.
//!
//! openraft takes the longest election timeout for the leader's lease. A follower that hears nothing waits for the lease
//! to end and then for its own timeout, which is drawn between the two: a dead leader is replaced after about one to
//! one and a quarter seconds, and a live one may stall for almost a second before anybody stirs.

use crate::limits::{
    ELECTION_TIMEOUT_MAX, ELECTION_TIMEOUT_MIN, GROUP_MESSAGES_QUEUED_MAX, PAYLOAD_ENTRIES_MAX, QUORUM_PROBE_INTERVAL,
    REPLICA_CALL_TIMEOUT,
};
use openraft::{Config, ConfigError, SnapshotPolicy};
use std::time::Duration;

/// The configuration of every replica.
pub fn replica() -> Result<Config, ConfigError> {
    let config = Config {
        cluster_name: "mailnode".into(),
        // Bounds calls and sets how often timers are looked at. The beats themselves come from the node's pulse.
        heartbeat_interval: millis(REPLICA_CALL_TIMEOUT),
        enable_heartbeat: false,
        election_timeout_min: millis(ELECTION_TIMEOUT_MIN),
        election_timeout_max: millis(ELECTION_TIMEOUT_MAX),
        enable_pre_vote: Some(true),
        // A leader that nobody answers falls silent now and then, so that those who hear it but are not heard elect another.
        quorum_loss_probe_interval: Some(millis(QUORUM_PROBE_INTERVAL)),
        // A restarted leader must be elected again: whatever it had in memory is gone.
        enable_leader_restore: Some(false),
        max_payload_entries: PAYLOAD_ENTRIES_MAX,
        // Snapshots and purges are asked for by `Replica::compact` alone, which knows bytes as well as entries.
        snapshot_policy: SnapshotPolicy::Never,
        max_in_snapshot_log_to_keep: u64::MAX,
        api_channel_size: Some(GROUP_MESSAGES_QUEUED_MAX),
        notification_channel_size: Some(GROUP_MESSAGES_QUEUED_MAX),
        ..Config::default()
    };
    config.validate()
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_configuration_is_one_that_openraft_takes() {
        super::replica().unwrap();
    }
}
