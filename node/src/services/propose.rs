//! Proposing until the outcome is known (I8): the same operation id again and again, within a bound.
//! Knows nothing of what is proposed.

use crate::limits::PROPOSE_AGAIN_WAIT;
use cluster::runtime::{Instant, sleep};
use cluster::{Cluster, ProposeError};
use model::{Command, GroupId, OperationId, Reply};
use std::time::Duration;

/// Proposes, and proposes again under the same operation id while the outcome is unknown or nobody could take it.
///
/// # Errors
/// `Unknown` when `patience` ended and the command may still be carried out; otherwise it certainly was not.
pub async fn propose_until(
    cluster: &Cluster,
    group: GroupId,
    operation: OperationId,
    command: Command,
    patience: Duration,
) -> Result<Reply, ProposeError> {
    let deadline = Instant::now() + patience;
    let mut perhaps_applied = false;
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        let error = match cluster.propose_within(group, operation, command.clone(), left).await {
            Ok(reply) => return Ok(reply),
            Err(error) => error,
        };
        perhaps_applied |= error == ProposeError::Unknown;
        let again = matches!(error, ProposeError::Unknown | ProposeError::Unavailable | ProposeError::NotLeader { .. });
        if !again || Instant::now() + PROPOSE_AGAIN_WAIT >= deadline {
            return Err(if perhaps_applied { ProposeError::Unknown } else { error });
        }
        sleep(PROPOSE_AGAIN_WAIT).await;
    }
}
