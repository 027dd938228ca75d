//! Reading through an election: asks again for a while when a group has no leader.

use crate::limits::READ_AGAIN_WAIT;
use cluster::runtime::{Instant, sleep};
use cluster::{Cluster, ReadError, ReadView};
use model::GroupId;
use std::time::Duration;

/// The rows of a group behind a read barrier, asked for again until `patience` ends while nobody leads.
///
/// # Errors
/// The last one.
pub async fn read_until(cluster: &Cluster, group: GroupId, patience: Duration) -> Result<ReadView, ReadError> {
    let deadline = Instant::now() + patience;
    loop {
        let error = match cluster.read(group).await {
            Ok(view) => return Ok(view),
            Err(error) => error,
        };
        let again = matches!(error, ReadError::Unavailable | ReadError::NotLeader { .. });
        if !again || Instant::now() + READ_AGAIN_WAIT >= deadline {
            return Err(error);
        }
        sleep(READ_AGAIN_WAIT).await;
    }
}
