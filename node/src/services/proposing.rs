//! Proposing until the outcome is known: a timeout is "unknown", not "failed" (I8), so the same operation id is proposed
//! again until a deadline.

use crate::limits::{PROPOSE_AGAIN_WAIT, PROPOSE_ATTEMPT_TIMEOUT};
use cluster::{Cluster, ProposeError};
use model::{Command, GroupId, OperationId, Reply};
use std::time::Duration;
use tokio::time::Instant;

/// Proposes under one operation id until there is a reply, the outcome is certain, or `patience` is over.
///
/// # Errors
/// `Unknown` when the outcome was not learnt in time; the others as [`Cluster::propose`] gives them, where nothing
/// was carried out.
pub async fn propose_until_known(
    cluster: &Cluster,
    group: GroupId,
    operation: OperationId,
    command: Command,
    patience: Duration,
) -> Result<Reply, ProposeError> {
    let deadline = Instant::now() + patience;
    let mut unknown = false;
    loop {
        let left = deadline.saturating_duration_since(Instant::now()).min(PROPOSE_ATTEMPT_TIMEOUT);
        let error = match cluster.propose_within(group, operation, command.clone(), left).await {
            Ok(reply) => return Ok(reply),
            Err(error) => error,
        };
        unknown |= error == ProposeError::Unknown;
        let again = matches!(error, ProposeError::Unknown | ProposeError::Unavailable);
        if !again || Instant::now() + PROPOSE_AGAIN_WAIT >= deadline {
            // An earlier attempt may have been carried out, whatever the last one says.
            return Err(if unknown { ProposeError::Unknown } else { error });
        }
        tokio::time::sleep(PROPOSE_AGAIN_WAIT).await;
    }
}
