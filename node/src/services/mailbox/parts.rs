//! Large changes of one account, cut into entries that each occupy the shard for a few milliseconds: between two of them
//! the mail of everybody else in the shard gets its turn.
//!
//! STORE, MOVE and EXPUNGE act message by message, so their parts stand alone (RFC 6851 section 3.3). A COPY is all or
//! nothing: its parts are remembered until the last, and undone when one fails ([`model::mailbox::copy_part`]).

use super::proposals::{Owner, Proposer};
use super::reaper;
use crate::limits::{FILES_PER_ENTRY, FLAGS_PER_ENTRY, FORMAT_OF_PARTS};
use model::mailbox::copy_part::{CopyPart, PartOrder};
use model::mailbox::{MailboxCommand, view};
use model::{AccountId, FolderId, OperationId, Read, ReadError, Reply, UidSet};
use protocols::imap::store::{Copied, StoreError};

/// What a part may hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PartOf {
    /// Rows change: STORE.
    Rows,
    /// Files come or go as well: COPY, MOVE, EXPUNGE.
    Files,
}

impl PartOf {
    /// Messages of one part at most.
    pub fn messages_max(self) -> usize {
        match self {
            PartOf::Rows => FLAGS_PER_ENTRY,
            PartOf::Files => FILES_PER_ENTRY,
        }
    }

    /// Whether a set may name so many messages that it must be cut.
    pub fn may_exceed(self, uids: &UidSet) -> bool {
        uids.len() > self.messages_max() as u64
    }
}

/// The messages of `uids` that exist, in sets of at most `messages_max`, ascending; always at least one set.
pub fn cut(
    from: &dyn Read,
    account: AccountId,
    folder: FolderId,
    uids: &UidSet,
    messages_max: usize,
) -> Result<Vec<UidSet>, ReadError> {
    let states = view::states_of(from, account, folder, uids)?;
    let parts = states.chunks(messages_max.max(1)).map(|part| part.iter().map(|state| state.uid).collect());
    let parts: Vec<UidSet> = parts.collect();
    Ok(if parts.is_empty() { vec![UidSet::new()] } else { parts })
}

/// A COPY or MOVE between two folders.
#[derive(Clone, Copy, Debug)]
pub struct Transfer {
    /// From.
    pub source: FolderId,
    /// To.
    pub destination: FolderId,
    /// MOVE.
    pub remove: bool,
}

/// Copies or moves part after part; `change` brings one command into the log.
///
/// # Errors
/// As `change`. A COPY is then undone, by the shard's leader if it cannot be done here.
pub async fn transfer<F: Future<Output = Result<Reply, StoreError>> + Send>(
    proposer: &Proposer,
    owner: &Owner,
    transfer: Transfer,
    parts: Vec<UidSet>,
    change: impl Fn(MailboxCommand) -> F,
) -> Result<Copied, StoreError> {
    let Transfer { source, destination, remove } = transfer;
    let account = owner.account;
    let copy = (!remove && parts.len() > 1).then(|| proposer.operation());
    if copy.is_some() && proposer.cluster.active_format().await < FORMAT_OF_PARTS {
        // A node of the release before does not know parts of a COPY: one entry, as there.
        let uids = UidSet::from_ranges(parts.iter().flat_map(|part| part.ranges().iter().copied()));
        return copied(change(MailboxCommand::Copy { account, source, destination, uids, remove }).await?);
    }
    let last = parts.len().saturating_sub(1);
    let mut all = Copied { uidvalidity: 0, pairs: Vec::new() };
    for (at, uids) in parts.into_iter().enumerate() {
        let command = match copy {
            None => MailboxCommand::Copy { account, source, destination, uids, remove },
            Some(copy) => {
                let part = CopyPart { source, destination, uids, copy, order: order(at, last) };
                MailboxCommand::CopyPart { account, part }
            }
        };
        let done = change(command).await.and_then(copied);
        match (done, copy) {
            (Ok(done), _) => {
                all.uidvalidity = done.uidvalidity;
                all.pairs.extend(done.pairs);
            }
            (Err(error), Some(copy)) => {
                reaper::start_undo(proposer.clone(), owner.shard, account, copy);
                return Err(error);
            }
            (Err(error), None) => return Err(error),
        }
    }
    Ok(all)
}

fn order(at: usize, last: usize) -> PartOrder {
    match at {
        0 => PartOrder::First,
        at if at == last => PartOrder::Last,
        _ => PartOrder::Middle,
    }
}

fn copied(reply: Reply) -> Result<Copied, StoreError> {
    match reply {
        Reply::Copied { uidvalidity, from, to, .. } => {
            Ok(Copied { uidvalidity, pairs: from.iter().zip(to.iter()).collect() })
        }
        _ => Err(StoreError::Internal),
    }
}

/// Whether a COPY whose latest part was proposed at `at` (UTC milliseconds) has lost its session.
pub fn is_abandoned(at: u64, now: u64) -> bool {
    now.saturating_sub(at) > crate::limits::COPY_ABANDONED_AFTER.as_millis() as u64
}

/// Abandoned COPYs of a shard.
pub fn abandoned(from: &dyn Read, now: u64) -> Result<Vec<(AccountId, OperationId)>, ReadError> {
    let unfinished = model::mailbox::copy_part::unfinished_copies(from)?;
    Ok(unfinished.into_iter().filter(|(_, _, row)| is_abandoned(row.at, now)).map(|(a, copy, _)| (a, copy)).collect())
}

#[cfg(test)]
mod tests {
    use super::super::sample::Sample;
    use super::*;

    #[test]
    fn a_set_is_cut_by_the_messages_that_exist() {
        let mut sample = Sample::new();
        sample.append("INBOX", &["one", "two", "three", "four", "five"]);
        let folder = super::super::views::folder_id(sample.rows(), sample.account, "INBOX").unwrap().unwrap();
        let cut = |uids, most| cut(sample.rows(), sample.account, folder, &uids, most).unwrap();
        let all = UidSet::from_ranges([(1, u32::MAX)]);
        let ranges: Vec<_> = cut(all.clone(), 2).iter().map(|part| part.ranges().to_vec()).collect();
        assert_eq!(ranges, [vec![(1, 2)], vec![(3, 4)], vec![(5, 5)]]);
        assert_eq!(cut(UidSet::from_ranges([(2, 2), (4, 4)]), 2).len(), 1);
        assert_eq!(cut(UidSet::from_ranges([(7, 9)]), 2), [UidSet::new()]);
        assert!(PartOf::Files.may_exceed(&all) && !PartOf::Files.may_exceed(&UidSet::from_ranges([(1, 250)])));
    }

    #[test]
    fn parts_are_first_middle_and_last() {
        assert_eq!([0, 1, 2].map(|at| order(at, 2)), [PartOrder::First, PartOrder::Middle, PartOrder::Last]);
        assert_eq!([0, 1].map(|at| order(at, 1)), [PartOrder::First, PartOrder::Last]);
    }

    #[test]
    fn a_copy_is_abandoned_when_no_part_comes_for_a_while() {
        let mut sample = Sample::new();
        sample.append("INBOX", &["one", "two"]);
        let folder = |name| super::super::views::folder_id(sample.rows(), sample.account, name).unwrap().unwrap();
        let (source, destination) = (folder("INBOX"), folder("Archive"));
        let (uids, copy) = (UidSet::from_ranges([(1, 1)]), OperationId([3; 16]));
        let part = CopyPart { source, destination, uids, copy, order: PartOrder::First };
        sample.apply(MailboxCommand::CopyPart { account: sample.account, part });
        let rows = model::mailbox::copy_part::unfinished_copies(sample.rows()).unwrap();
        let at = rows[0].2.at;
        assert!(abandoned(sample.rows(), at + 1_000).unwrap().is_empty());
        let later = at + 2 * crate::limits::COPY_ABANDONED_AFTER.as_millis() as u64;
        assert_eq!(abandoned(sample.rows(), later).unwrap(), [(sample.account, copy)]);
    }
}
