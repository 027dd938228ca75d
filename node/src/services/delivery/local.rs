//! Delivery into mailboxes of this cluster: one `Deliver` per shard, each mailbox at most once per message id (I7).

use super::{Delivery, refusal, unavailable};
use crate::ids;
use crate::limits::ACCEPT_PATIENCE;
use crate::services::propose::propose_until;
use model::directory::view::Target;
use model::mailbox::{LocalRecipient, MailboxCommand};
use model::reply::Delivered;
use model::{AccountId, BodyRef, Command, GroupId, MessageId, OperationId, Reply as Applied};
use protocols::address::Address;
use protocols::smtp::{EnhancedCode, Reply};
use std::collections::BTreeMap;

/// A mailbox to deliver to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LocalTarget {
    /// Whose.
    pub account: AccountId,
    /// The account's own address, which names its Maildir.
    pub address: String,
    /// The folder its sub-address names.
    pub folder: Option<String>,
}

/// The mailboxes among `targets`, each account once, the first folder named for it; `None` when one leads outside.
pub fn local_targets<'a>(targets: impl Iterator<Item = &'a Target>) -> Option<Vec<LocalTarget>> {
    let mut unique: Vec<LocalTarget> = Vec::new();
    for target in targets {
        match target {
            Target::Outside(_) => return None,
            Target::Account { account, .. } if unique.iter().any(|known| known.account == *account) => {}
            Target::Account { account, address, folder } => {
                unique.push(LocalTarget { account: *account, address: address.clone(), folder: folder.clone() });
            }
        }
    }
    Some(unique)
}

/// The targets of an address with the folder's name as it was written: the directory folds the case of local parts, the
/// names of folders keep theirs.
pub fn as_written(address: &Address, targets: &[Target]) -> Vec<Target> {
    let (_, written) = address.sub_address();
    let restore = |target: &Target| match (target, written) {
        (Target::Account { account, address, folder: Some(folder) }, Some(written))
            if written.to_lowercase() == *folder =>
        {
            Target::Account { account: *account, address: address.clone(), folder: Some(written.to_owned()) }
        }
        _ => target.clone(),
    };
    targets.iter().map(restore).collect()
}

impl Delivery {
    /// Delivers a queued message; answers for every target in order. Again is no error: nothing is delivered twice.
    pub async fn deliver_queued(
        &self,
        message: MessageId,
        body: &BodyRef,
        targets: &[LocalTarget],
    ) -> Vec<Result<(), Reply>> {
        let mut results = vec![Err(unavailable()); targets.len()];
        let mut by_shard: BTreeMap<GroupId, Vec<usize>> = BTreeMap::new();
        for (place, target) in targets.iter().enumerate() {
            match self.shard_of(target).await {
                Ok(shard) => by_shard.entry(shard).or_default().push(place),
                Err(reply) => set(&mut results, place, Err(reply)),
            }
        }
        for (shard, places) in by_shard {
            let there: Vec<_> = places.iter().filter_map(|place| targets.get(*place).cloned()).collect();
            let operation = ids::operation(self.clock.now());
            match self.deliver_in(shard, operation, message, body, &there).await {
                Ok(outcome) => places.into_iter().zip(outcome).for_each(|(at, one)| set(&mut results, at, one)),
                Err(reply) => places.into_iter().for_each(|at| set(&mut results, at, Err(reply.clone()))),
            }
        }
        results
    }

    /// The shard of a mailbox.
    pub(super) async fn shard_of(&self, target: &LocalTarget) -> Result<GroupId, Reply> {
        match self.cluster.placement(target.account).await {
            Ok(Some(shard)) => Ok(shard),
            Ok(None) => Err(gone()),
            Err(_) => Err(unavailable()),
        }
    }

    /// Delivers to mailboxes of one shard; answers for every target in order, or once when nothing is certain.
    pub(super) async fn deliver_in(
        &self,
        shard: GroupId,
        operation: OperationId,
        message: MessageId,
        body: &BodyRef,
        targets: &[LocalTarget],
    ) -> Result<Vec<Result<(), Reply>>, Reply> {
        let recipients = targets
            .iter()
            .map(|target| LocalRecipient { account: target.account, folder: target.folder.clone() })
            .collect();
        let command = Command::Mailbox(MailboxCommand::Deliver { message, body: body.clone(), recipients });
        let _hold = self.cluster.hold(&command);
        let first = self.propose_delivery(shard, operation, command.clone(), targets.len()).await?;
        if !first.contains(&Delivered::NoAccount) {
            return Ok(first.into_iter().map(result).collect());
        }
        // The directory has the account but its shard was not told yet, or not for long enough.
        for (target, outcome) in targets.iter().zip(&first) {
            if *outcome == Delivered::NoAccount {
                self.create_account(shard, target).await?;
            }
        }
        let again = ids::operation(self.clock.now());
        let second = self.propose_delivery(shard, again, command, targets.len()).await?;
        Ok(second.into_iter().map(result).collect())
    }

    async fn propose_delivery(
        &self,
        shard: GroupId,
        operation: OperationId,
        command: Command,
        recipients: usize,
    ) -> Result<Vec<Delivered>, Reply> {
        match propose_until(&self.cluster, shard, operation, command, ACCEPT_PATIENCE).await {
            Ok(Applied::Delivered(outcome)) if outcome.len() == recipients => {
                let copies = outcome.iter().filter(|delivered| matches!(delivered, Delivered::In { .. })).count();
                self.metrics.deliveries_local.add(copies as u64);
                Ok(outcome)
            }
            Ok(_) => Err(unavailable()),
            Err(error) => Err(refusal(&error)),
        }
    }

    async fn create_account(&self, shard: GroupId, target: &LocalTarget) -> Result<(), Reply> {
        let command = MailboxCommand::CreateAccount { account: target.account, address: target.address.clone() };
        let operation = ids::operation(self.clock.now());
        let proposed = propose_until(&self.cluster, shard, operation, Command::Mailbox(command), ACCEPT_PATIENCE).await;
        // A refusal means that the account is being removed; the delivery that follows says so.
        proposed.map(|_| ()).map_err(|error| refusal(&error))
    }
}

fn set(results: &mut [Result<(), Reply>], place: usize, result: Result<(), Reply>) {
    if let Some(slot) = results.get_mut(place) {
        *slot = result;
    }
}

fn result(delivered: Delivered) -> Result<(), Reply> {
    match delivered {
        Delivered::In { .. } => Ok(()),
        Delivered::NoAccount => Err(gone()),
        Delivered::Full => Err(Reply::new(552, EnhancedCode::new(5, 2, 2), "The mailbox is full")),
    }
}

fn gone() -> Reply {
    Reply::new(550, EnhancedCode::new(5, 1, 1), "No such mailbox")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn account(account: u64, folder: Option<&str>) -> Target {
        let address = format!("{account}@example.org");
        Target::Account { account: AccountId(account), address, folder: folder.map(str::to_owned) }
    }

    #[test]
    fn an_account_reached_twice_is_one_target_and_outside_needs_the_queue() {
        let targets = [account(1, Some("lists")), account(2, None), account(1, None)];
        let unique = local_targets(targets.iter()).unwrap();
        assert_eq!(unique.len(), 2);
        assert_eq!(unique[0].folder.as_deref(), Some("lists"));
        let outside = [account(1, None), Target::Outside("bob@example.net".into())];
        assert_eq!(local_targets(outside.iter()), None);
    }

    #[test]
    fn a_folder_keeps_the_case_it_was_written_in() {
        let address = Address::parse("Ann+Lists/Rust@example.org").unwrap();
        let written = as_written(&address, &[account(1, Some("lists/rust")), account(2, None), account(3, Some("x"))]);
        assert_eq!(written, [account(1, Some("Lists/Rust")), account(2, None), account(3, Some("x"))]);
    }
}
