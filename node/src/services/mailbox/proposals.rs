//! Brings one decision into the log of an account's shard and waits until it is carried out. An unknown outcome is asked
//! for again under the same operation id (I8) until the deadline; then the client hears that it is unknown.

use super::convert;
use crate::ids;
use crate::limits::PROPOSAL_DEADLINE;
use crate::services::propose::propose_until;
use cluster::{Clock, Cluster, ProposeError};
use model::mailbox::MailboxCommand;
use model::{AccountId, Command, GroupId, OperationId, Refusal, Reply};
use protocols::imap::store::StoreError;
use std::sync::Arc;

/// Where an account's mailboxes are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Owner {
    /// Which account.
    pub account: AccountId,
    /// The shard it lives in.
    pub shard: GroupId,
    /// Names its Maildir when the shard does not know it yet.
    pub address: String,
}

/// Proposes on behalf of accounts.
#[derive(Clone)]
pub struct Proposer {
    /// Takes the proposals.
    pub cluster: Cluster,
    /// For operation ids.
    pub clock: Arc<dyn Clock>,
}

impl Proposer {
    /// A fresh operation id.
    pub fn operation(&self) -> OperationId {
        ids::operation(self.clock.now())
    }

    /// Proposes `command` under `operation`. When the shard does not know the account yet, it is made there first.
    ///
    /// # Errors
    /// What the rules refused, `Unavailable` when the outcome is unknown or there is no quorum (I10), `Limit` when the
    /// entry is too large.
    pub async fn carry_out(
        &self,
        owner: &Owner,
        operation: OperationId,
        command: MailboxCommand,
    ) -> Result<Reply, StoreError> {
        let command = Command::Mailbox(command);
        let _hold = self.cluster.hold(&command);
        match self.propose(owner.shard, operation, command.clone()).await? {
            Reply::Refused(Refusal::NoAccount) => {}
            Reply::Refused(refusal) => return Err(convert::refusal(refusal)),
            reply => return Ok(reply),
        }
        self.create_account(owner).await?;
        // The refusal is remembered under the old operation id.
        match self.propose(owner.shard, self.operation(), command).await? {
            Reply::Refused(refusal) => Err(convert::refusal(refusal)),
            reply => Ok(reply),
        }
    }

    /// Makes the account in its shard; one that is there is left as it is.
    ///
    /// # Errors
    /// As [`Self::carry_out`]; `NotPermitted` when the account is being removed.
    pub async fn create_account(&self, owner: &Owner) -> Result<(), StoreError> {
        let command = MailboxCommand::CreateAccount { account: owner.account, address: owner.address.clone() };
        match self.propose(owner.shard, self.operation(), Command::Mailbox(command)).await? {
            Reply::Refused(refusal) => Err(convert::refusal(refusal)),
            _ => Ok(()),
        }
    }

    async fn propose(&self, shard: GroupId, operation: OperationId, command: Command) -> Result<Reply, StoreError> {
        let proposed = propose_until(&self.cluster, shard, operation, command, PROPOSAL_DEADLINE).await;
        proposed.map_err(|error| match error {
            ProposeError::TooLarge { .. } => StoreError::Limit,
            error => {
                tracing::warn!(%operation, %shard, %error, "a mailbox change was given up");
                StoreError::Unavailable
            }
        })
    }
}
