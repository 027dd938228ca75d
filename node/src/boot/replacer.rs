//! Proposes our own credentials in the place of a foreign hash.

use crate::ids;
use crate::limits::ADMIN_PROPOSE_TIMEOUT;
use crate::services::passwords::Replacer;
use crate::services::propose::propose_until;
use cluster::{Clock, Cluster};
use futures::FutureExt;
use futures::future::BoxFuture;
use model::directory::DirectoryCommand;
use model::directory::row::Credentials;
use model::{Command, GroupId, Refusal, Reply};
use std::sync::Arc;

/// Proposes to the directory.
pub struct ByProposal {
    /// Where.
    pub cluster: Cluster,
    /// The time.
    pub clock: Arc<dyn Clock>,
}

impl Replacer for ByProposal {
    fn replace(
        &self,
        address: String,
        expected: String,
        credentials: Credentials,
    ) -> BoxFuture<'static, Result<bool, String>> {
        let (cluster, operation) = (self.cluster.clone(), ids::operation(self.clock.now()));
        async move {
            let command = Command::Directory(DirectoryCommand::ReplaceHash { address, expected, credentials });
            match propose_until(&cluster, GroupId::DIRECTORY, operation, command, ADMIN_PROPOSE_TIMEOUT).await {
                Ok(Reply::Done) => Ok(true),
                Ok(Reply::Refused(Refusal::Stale | Refusal::NotFound)) => Ok(false),
                Ok(reply) => Err(format!("an unexpected reply: {reply:?}")),
                Err(error) => Err(error.to_string()),
            }
        }
        .boxed()
    }
}
