//! Between the words of the IMAP contract (`protocols::imap::store`) and those of the replicated rules (`model`).
//! Pure; nothing is looked up here.

use model::mailbox::StoreMode;
use model::mailbox::row::{self, FolderRow};
use model::{Refusal, UidSet};
use protocols::imap::store::{Flags, MailboxStatus, MessageState, SpecialUse, StoreAction, StoreError, UidRanges};

/// A message's state as sessions know it.
pub fn state(state: row::MessageState) -> MessageState {
    MessageState { uid: state.uid, modseq: state.modseq, flags: Flags(state.flags) }
}

/// Many states; the order stays.
pub fn states(states: Vec<row::MessageState>) -> Vec<MessageState> {
    states.into_iter().map(state).collect()
}

/// UIDs asked for by a session.
pub fn uid_set(ranges: &UidRanges) -> UidSet {
    UidSet::from_ranges(ranges.ranges().iter().copied())
}

/// UIDs answered to a session.
pub fn uid_ranges(set: &UidSet) -> UidRanges {
    UidRanges::from_ranges(set.ranges().iter().copied())
}

/// How STORE combines.
pub fn store_mode(action: StoreAction) -> StoreMode {
    match action {
        StoreAction::Replace => StoreMode::Replace,
        StoreAction::Add => StoreMode::Add,
        StoreAction::Remove => StoreMode::Remove,
    }
}

/// A folder's use, as sessions know it.
pub fn special_use(kind: row::SpecialUse) -> SpecialUse {
    match kind {
        row::SpecialUse::Archive => SpecialUse::Archive,
        row::SpecialUse::Drafts => SpecialUse::Drafts,
        row::SpecialUse::Junk => SpecialUse::Junk,
        row::SpecialUse::Sent => SpecialUse::Sent,
        row::SpecialUse::Trash => SpecialUse::Trash,
    }
}

/// A use asked for by CREATE; `None` for those that are not kept: `\All` and `\Flagged` would be virtual folders.
pub fn special_use_wanted(kind: SpecialUse) -> Option<row::SpecialUse> {
    match kind {
        SpecialUse::Archive => Some(row::SpecialUse::Archive),
        SpecialUse::Drafts => Some(row::SpecialUse::Drafts),
        SpecialUse::Junk => Some(row::SpecialUse::Junk),
        SpecialUse::Sent => Some(row::SpecialUse::Sent),
        SpecialUse::Trash => Some(row::SpecialUse::Trash),
        SpecialUse::All | SpecialUse::Flagged => None,
    }
}

/// A folder's counts. They are kept in its row, so none of them costs extra.
pub fn status(folder: model::FolderId, row: &FolderRow) -> MailboxStatus {
    let count = |number: u64| u32::try_from(number).unwrap_or(u32::MAX);
    MailboxStatus {
        folder: folder.0,
        messages: count(row.messages),
        uidnext: row.uidnext,
        uidvalidity: row.uidvalidity,
        unseen: count(row.unseen),
        deleted: count(row.deleted),
        size_bytes: row.bytes,
        highest_modseq: row.highest_modseq,
    }
}

/// A refusal of the rules in the words of RFC 5530 section 3.
pub fn refusal(refusal: Refusal) -> StoreError {
    match refusal {
        Refusal::NoFolder | Refusal::NotFound => StoreError::NonExistent,
        Refusal::Exists => StoreError::AlreadyExists,
        Refusal::Invalid | Refusal::Cannot => StoreError::Cannot,
        Refusal::Limit | Refusal::UidsExhausted => StoreError::Limit,
        // The account was removed while the session was open.
        Refusal::NoAccount => StoreError::NotPermitted,
        // Said by the directory alone, about nodes.
        Refusal::WrongGroup | Refusal::Expired | Refusal::Used | Refusal::Stale | Refusal::Outdated => {
            StoreError::Internal
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_have_the_same_bits_on_both_sides() {
        assert_eq!(Flags::SEEN.0, row::flag::SEEN);
        assert_eq!(Flags::ANSWERED.0, row::flag::ANSWERED);
        assert_eq!(Flags::FLAGGED.0, row::flag::FLAGGED);
        assert_eq!(Flags::DELETED.0, row::flag::DELETED);
        assert_eq!(Flags::DRAFT.0, row::flag::DRAFT);
        assert_eq!(Flags::SYSTEM.0, row::flag::SYSTEM);
        assert_eq!(Flags::KEYWORD_SHIFT as usize, row::flag::KEYWORD_SHIFT);
        assert_eq!(Flags::KEYWORDS_MAX, model::limits::KEYWORDS_PER_FOLDER_MAX);
    }

    #[test]
    fn uid_sets_survive_both_ways() {
        let ranges = UidRanges::from_ranges([(1, 3), (7, 7), (9, 20)]);
        assert_eq!(uid_ranges(&uid_set(&ranges)), ranges);
    }
}
