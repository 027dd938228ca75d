//! Which shard an account lives in. The directory says so; answers are remembered until the directory changes.

use crate::limits::PLACEMENTS_REMEMBERED_MAX;
use model::{AccountId, GroupId};
use parking_lot::Mutex;
use std::collections::HashMap;

/// Placements seen since the directory last changed.
#[derive(Default)]
pub struct Placements {
    remembered: Mutex<Remembered>,
}

#[derive(Default)]
struct Remembered {
    version: u64,
    shards: HashMap<AccountId, GroupId>,
}

impl Placements {
    /// The shard of `account`, if it was seen in this version of the directory.
    pub fn get(&self, version: u64, account: AccountId) -> Option<GroupId> {
        let remembered = self.remembered.lock();
        if remembered.version == version { remembered.shards.get(&account).copied() } else { None }
    }

    /// Remembers what was read when the directory had at least this version.
    pub fn put(&self, version: u64, account: AccountId, shard: GroupId) {
        let mut remembered = self.remembered.lock();
        if remembered.version < version || remembered.shards.len() >= PLACEMENTS_REMEMBERED_MAX {
            remembered.shards.clear();
            remembered.version = remembered.version.max(version);
        }
        if remembered.version == version {
            remembered.shards.insert(account, shard);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_of_the_directory_empties_the_memory() {
        let placements = Placements::default();
        placements.put(1, AccountId(1), GroupId(5));
        assert_eq!(placements.get(1, AccountId(1)), Some(GroupId(5)));
        assert_eq!(placements.get(2, AccountId(1)), None);
        placements.put(2, AccountId(2), GroupId(6));
        placements.put(1, AccountId(1), GroupId(5));
        assert_eq!((placements.get(2, AccountId(1)), placements.get(2, AccountId(2))), (None, Some(GroupId(6))));
    }

    #[test]
    fn the_memory_is_bounded() {
        let placements = Placements::default();
        (0..3 * PLACEMENTS_REMEMBERED_MAX as u64).for_each(|account| placements.put(1, AccountId(account), GroupId(1)));
        assert!(placements.remembered.lock().shards.len() <= PLACEMENTS_REMEMBERED_MAX);
    }
}
