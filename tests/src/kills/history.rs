//! What clients attempted and what was acknowledged.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Mutex;

/// The folder that copies go to.
pub const COPIES: &str = "Copies";

/// Everything known about one run; shared by the clients.
#[derive(Default)]
pub struct History {
    inner: Mutex<Inner>,
}

/// The facts.
#[derive(Default)]
pub struct Inner {
    /// Message ids sent or appended, whatever came back; the user each was for.
    pub attempted: BTreeMap<u64, usize>,
    /// Message ids acknowledged.
    pub acknowledged: BTreeSet<u64>,
    /// Message ids whose `\Flagged` was acknowledged.
    pub flagged: BTreeSet<u64>,
    /// Message ids somebody tried to flag.
    pub flag_attempted: BTreeSet<u64>,
    /// Message ids whose copy into [`COPIES`] was acknowledged.
    pub copied: BTreeSet<u64>,
    /// Folders acknowledged, per user.
    pub folders: BTreeSet<(usize, String)>,
    /// The UID and UIDVALIDITY each message was first seen under.
    pub uids: BTreeMap<u64, (u32, u32)>,
    next_id: u64,
}

impl History {
    /// Works on the facts.
    pub fn with<T>(&self, work: impl FnOnce(&mut Inner) -> T) -> T {
        // A client that panicked has failed the run already; the facts are still facts.
        work(&mut self.inner.lock().unwrap_or_else(|poisoned| poisoned.into_inner()))
    }
}

impl Inner {
    /// A new message for `user`, noted as attempted.
    pub fn attempt(&mut self, user: usize) -> u64 {
        self.next_id += 1;
        self.attempted.insert(self.next_id, user);
        self.next_id
    }
}
