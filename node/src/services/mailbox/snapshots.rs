//! Snapshots that sessions hold, so that many sessions on one folder share one copy until they diverge, and a second
//! SELECT of a large folder need not read it. Holds nothing alive by itself.

use crate::limits::SNAPSHOTS_SWEEP_MIN;
use model::{AccountId, FolderId, ModSeq};
use parking_lot::Mutex;
use protocols::imap::store::MessageState;
use std::collections::HashMap;
use std::sync::{Arc, Weak};

/// The snapshots of a node. Clones share them.
#[derive(Clone, Default)]
pub struct Snapshots {
    held: Arc<Mutex<Held>>,
}

#[derive(Default)]
struct Held {
    by_folder: HashMap<(AccountId, FolderId), Snapshot>,
    /// How many there may be before those that nobody holds are taken out.
    sweep_at: usize,
}

/// HIGHESTMODSEQ and the states at it.
type Snapshot = (ModSeq, Weak<Vec<MessageState>>);

impl Snapshots {
    /// The snapshot of a folder at exactly this HIGHESTMODSEQ, which every change raises (RFC 7162 section 3.1).
    pub fn get(&self, account: AccountId, folder: FolderId, modseq: ModSeq) -> Option<Arc<Vec<MessageState>>> {
        let held = self.held.lock();
        let (at, messages) = held.by_folder.get(&(account, folder))?;
        messages.upgrade().filter(|_| *at == modseq)
    }

    /// Remembers a snapshot for as long as somebody holds it.
    pub fn put(&self, account: AccountId, folder: FolderId, modseq: ModSeq, messages: &Arc<Vec<MessageState>>) {
        let mut held = self.held.lock();
        held.by_folder.insert((account, folder), (modseq, Arc::downgrade(messages)));
        if held.by_folder.len() > held.sweep_at {
            held.by_folder.retain(|_, (_, messages)| messages.strong_count() > 0);
            held.sweep_at = (2 * held.by_folder.len()).max(SNAPSHOTS_SWEEP_MIN);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ANN: AccountId = AccountId(1);

    #[test]
    fn a_snapshot_is_found_while_it_is_held_and_current() {
        let snapshots = Snapshots::default();
        let messages = Arc::new(Vec::new());
        snapshots.put(ANN, FolderId(1), 5, &messages);
        assert!(snapshots.get(ANN, FolderId(1), 5).is_some_and(|found| Arc::ptr_eq(&found, &messages)));
        assert!(snapshots.get(ANN, FolderId(1), 6).is_none());
        assert!(snapshots.get(ANN, FolderId(2), 5).is_none());
        drop(messages);
        assert!(snapshots.get(ANN, FolderId(1), 5).is_none());
    }

    #[test]
    fn what_nobody_holds_is_taken_out() {
        let snapshots = Snapshots::default();
        for folder in 0..10 * SNAPSHOTS_SWEEP_MIN as u64 {
            snapshots.put(ANN, FolderId(folder), 1, &Arc::new(Vec::new()));
        }
        assert!(snapshots.held.lock().by_folder.len() <= SNAPSHOTS_SWEEP_MIN + 1);
    }
}
