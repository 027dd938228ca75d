//! The entrance to the rules: one committed entry in, rows changed, and what the edge must do about it out.

use crate::command::{Command, Entry};
use crate::ids::{AccountId, FolderId, GroupId, MessageId, ModSeq, Uid};
use crate::reply::{Refusal, Reply};
use crate::txn::{ReadError, Txn};
use crate::{dedupe, directory, mailbox, queue};
use faults::Fault;
use serde::{Deserialize, Serialize};

/// What one entry did.
#[derive(Debug, Default, PartialEq)]
pub struct Outcome {
    /// The answer to the proposer; the same on every replica.
    pub reply: Reply,
    /// Files that must be brought in line with the rows this entry wrote. Storage does so before the rows are visible (I2).
    pub touched: Vec<Touch>,
    /// Whom to tell once the rows are visible.
    pub changes: Vec<Change>,
}

/// Something with a projection on disk whose row changed. The row says what must be there; an absent row says nothing may be.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Touch {
    /// An account's Maildir: [`mailbox::maildir::account_directory`].
    Account(AccountId),
    /// A folder's directory: [`mailbox::maildir::folder_directory`].
    Folder(AccountId, FolderId),
    /// A message's file: [`mailbox::maildir::message_file`].
    Message(AccountId, FolderId, Uid),
    /// As `Message`, but only its flags changed: the rename may be done behind the acknowledgement.
    Flags(AccountId, FolderId, Uid),
    /// A queue message's hold on its body: [`queue::body_of`].
    Queue(MessageId),
}

/// A change that watchers want to hear of. Carries no content: they read the rows.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Change {
    /// Messages of a folder came, went or changed flags.
    Folder {
        /// Owner.
        account: AccountId,
        /// Which.
        folder: FolderId,
        /// The folder's HIGHESTMODSEQ now.
        modseq: ModSeq,
    },
    /// The list of an account's folders or subscriptions changed.
    FolderList(AccountId),
    /// The queue of this shard has work it did not have.
    Queue,
    /// The directory changed.
    Directory,
}

/// Carries out one entry. `index` is its place in the group's log.
///
/// Errors only when a row cannot be read; then nothing of the transaction may be kept.
pub fn apply(txn: &mut dyn Txn, group: GroupId, index: u64, entry: &Entry) -> Result<Outcome, ReadError> {
    let mut outcome = Outcome::default();
    if let Some(reply) = dedupe::recall(txn, entry)? {
        outcome.reply = reply;
        return Ok(outcome);
    }
    outcome.reply = match &entry.command {
        Command::Directory(command) if group.is_directory() => {
            directory::apply(txn, entry.proposed_at, command, &mut outcome)?
        }
        Command::Mailbox(command) if !group.is_directory() => {
            let local = faults::planted(Fault::ApplyReadsClock);
            let now = if local { u64::from(faults::local_counter()) * 1_000 } else { entry.proposed_at };
            mailbox::apply(txn, mailbox::Place { group, index, now }, command, &mut outcome)?
        }
        Command::Queue(command) if !group.is_directory() => {
            queue::apply(txn, entry.proposed_at, command, &mut outcome)?
        }
        _ => Reply::Refused(Refusal::WrongGroup),
    };
    dedupe::remember(txn, entry, &outcome.reply)?;
    Ok(outcome)
}
