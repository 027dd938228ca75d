//! What a session has of the machine it runs on: the cluster's handle, the clock and random numbers. Changes and reads are
//! tried again as `node` tries them (`services/propose.rs`, `services/reading.rs`), within the same bounds.

use crate::sim::random::Random;
use crate::sim::sessions::name_of;
use crate::sim::world::shard_of;
use cluster::runtime::{Instant, blocking, sleep};
use cluster::{Clock, Cluster, ProposeError, ReadView};
use model::mailbox::MailboxCommand;
use model::{AccountId, Command, GroupId, OperationId, Read, ReadError, Refusal, Reply};
use protocols::imap::store::StoreError;
use std::sync::Arc;
use std::time::Duration;

/// How long a change is proposed.
const PROPOSAL_DEADLINE: Duration = Duration::from_secs(8);
/// The wait before it is proposed again.
const PROPOSE_AGAIN_WAIT: Duration = Duration::from_millis(100);
/// How long a read waits for a leader.
pub const READ_PATIENCE: Duration = Duration::from_secs(5);
/// The same when old rows will do.
pub const STALE_READ_PATIENCE: Duration = Duration::from_secs(3);
/// The wait before a read is tried again.
const READ_AGAIN_WAIT: Duration = Duration::from_millis(50);

/// See the module.
pub struct Here {
    /// The cluster.
    pub cluster: Cluster,
    /// The machine's clock, which may be wrong.
    pub clock: Arc<dyn Clock>,
    random: Random,
}

impl Here {
    /// Of a machine.
    pub fn new(cluster: Cluster, clock: Arc<dyn Clock>, random: Random) -> Self {
        Here { cluster, clock, random }
    }

    /// A fresh operation id.
    pub fn operation(&mut self) -> OperationId {
        let mut bytes = [0; 10];
        bytes[..8].copy_from_slice(&self.random.number().to_be_bytes());
        bytes[8] = 0xcc;
        OperationId::new(self.clock.now(), bytes)
    }

    /// Proposes under one operation id until the outcome is known or the deadline has come.
    pub async fn propose_until(
        &self,
        shard: GroupId,
        operation: OperationId,
        command: MailboxCommand,
    ) -> Result<Reply, ProposeError> {
        let deadline = Instant::now() + PROPOSAL_DEADLINE;
        let mut perhaps_applied = false;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let command = Command::Mailbox(command.clone());
            let error = match self.cluster.propose_within(shard, operation, command, left).await {
                Ok(reply) => return Ok(reply),
                Err(error) => error,
            };
            perhaps_applied |= error == ProposeError::Unknown;
            let again =
                matches!(error, ProposeError::Unknown | ProposeError::Unavailable | ProposeError::NotLeader { .. });
            if !again || Instant::now() + PROPOSE_AGAIN_WAIT >= deadline {
                return Err(if perhaps_applied { ProposeError::Unknown } else { error });
            }
            sleep(PROPOSE_AGAIN_WAIT).await;
        }
    }

    /// A change of an account under an operation id of its own; the account is made when its shard does not know it.
    pub async fn change(&mut self, account: AccountId, command: MailboxCommand) -> Result<Reply, StoreError> {
        let operation = self.operation();
        match self.propose(account, operation, command.clone()).await? {
            Reply::Refused(Refusal::NoAccount) => {}
            Reply::Refused(refusal) => return Err(refused(refusal)),
            reply => return Ok(reply),
        }
        self.create_account(account).await?;
        let again = self.operation();
        match self.propose(account, again, command).await? {
            Reply::Refused(refusal) => Err(refused(refusal)),
            reply => Ok(reply),
        }
    }

    /// Makes an account in its shard; one that is there is left as it is.
    pub async fn create_account(&mut self, account: AccountId) -> Result<(), StoreError> {
        let operation = self.operation();
        let address = format!("{}@example.org", name_of(account));
        match self.propose(account, operation, MailboxCommand::CreateAccount { account, address }).await? {
            Reply::Refused(refusal) => Err(refused(refusal)),
            _ => Ok(()),
        }
    }

    async fn propose(
        &self,
        account: AccountId,
        operation: OperationId,
        command: MailboxCommand,
    ) -> Result<Reply, StoreError> {
        let proposed = self.propose_until(shard_of(account), operation, command).await;
        proposed.map_err(|error| match error {
            ProposeError::TooLarge { .. } => StoreError::Limit,
            _ => StoreError::Unavailable,
        })
    }

    /// The rows of a shard behind a read barrier, asked for again until `patience` ends while nobody leads.
    pub async fn view(&self, shard: GroupId, patience: Duration) -> Result<ReadView, StoreError> {
        let deadline = Instant::now() + patience;
        loop {
            let error = match self.cluster.read(shard).await {
                Ok(view) => return Ok(view),
                Err(error) => error,
            };
            let again = matches!(error, cluster::ReadError::Unavailable | cluster::ReadError::NotLeader { .. });
            if !again || Instant::now() + READ_AGAIN_WAIT >= deadline {
                return Err(match error {
                    cluster::ReadError::Broken(_) => StoreError::Internal,
                    _ => StoreError::Unavailable,
                });
            }
            sleep(READ_AGAIN_WAIT).await;
        }
    }

    /// Looks at an account's rows with everything in them that was acknowledged before.
    pub async fn read<T: Send + 'static>(
        &self,
        account: AccountId,
        patience: Duration,
        look: impl FnOnce(&dyn Read) -> Result<T, ReadError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let view = self.view(shard_of(account), patience).await?;
        look_at(view, look).await
    }
}

/// Looks at rows. Those of another node are lost with it; asked again, a third may have them.
pub async fn look_at<T: Send + 'static>(
    view: ReadView,
    look: impl FnOnce(&dyn Read) -> Result<T, ReadError> + Send + 'static,
) -> Result<T, StoreError> {
    let is_elsewhere = view.is_elsewhere();
    match blocking(move || look(&view)).await {
        Ok(Ok(seen)) => Ok(seen),
        Ok(Err(_)) if is_elsewhere => Err(StoreError::Unavailable),
        _ => Err(StoreError::Internal),
    }
}

/// A refusal of the rules as sessions say it.
fn refused(refusal: Refusal) -> StoreError {
    match refusal {
        Refusal::NoFolder | Refusal::NotFound => StoreError::NonExistent,
        Refusal::Exists => StoreError::AlreadyExists,
        Refusal::Invalid | Refusal::Cannot => StoreError::Cannot,
        Refusal::Limit | Refusal::UidsExhausted => StoreError::Limit,
        Refusal::NoAccount => StoreError::NotPermitted,
        _ => StoreError::Internal,
    }
}
