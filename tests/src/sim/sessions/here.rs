//! What a session has of the machine it runs on: the product's own way to change and to read, through the cluster's handle.

use crate::sim::sessions::name_of;
use crate::sim::world::shard_of;
use cluster::runtime::blocking;
use cluster::{Clock, Cluster, ReadView};
use model::mailbox::MailboxCommand;
use model::{AccountId, GroupId, Read, ReadError, Reply};
use node::services::mailbox::Owner;
use node::services::mailbox::proposals::Proposer;
use node::services::mailbox::snapshots::Snapshots;
use node::services::reading::read_until;
use protocols::imap::store::StoreError;
use std::sync::Arc;
use std::time::Duration;

/// See the module.
pub struct Here {
    /// The cluster.
    pub cluster: Cluster,
    /// Carries out changes, by the machine's clock, which may be wrong.
    pub proposer: Proposer,
    /// Of the machine.
    pub snapshots: Snapshots,
}

impl Here {
    /// Of a machine.
    pub fn new(cluster: Cluster, clock: Arc<dyn Clock>, snapshots: Snapshots) -> Self {
        Here { proposer: Proposer { cluster: cluster.clone(), clock }, cluster, snapshots }
    }

    /// A change of an account under an operation id of its own; the account is made when its shard does not know it.
    pub async fn change(&self, account: AccountId, command: MailboxCommand) -> Result<Reply, StoreError> {
        self.proposer.carry_out(&owner(account), self.proposer.operation(), command).await
    }

    /// Makes an account in its shard; one that is there is left as it is.
    pub async fn create_account(&self, account: AccountId) -> Result<(), StoreError> {
        self.proposer.create_account(&owner(account)).await
    }

    /// The rows of a shard behind a read barrier, asked for again until `patience` ends while nobody leads.
    pub async fn view(&self, shard: GroupId, patience: Duration) -> Result<ReadView, StoreError> {
        read_until(&self.cluster, shard, patience).await.map_err(|error| match error {
            cluster::ReadError::Broken(_) => StoreError::Internal,
            _ => StoreError::Unavailable,
        })
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

fn owner(account: AccountId) -> Owner {
    Owner { account, shard: shard_of(account), address: format!("{}@example.org", name_of(account)) }
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
