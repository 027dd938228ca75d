//! Derived records of messages, kept beside the rows: not replicated, not synced, gone with their message, safe to lose.

use super::GroupState;
use crate::key;
use crate::rows::{Batch, Column, Sync};
use model::{AccountId, FolderId, Uid};
use std::io;
use std::ops::{ControlFlow, RangeInclusive};

/// Visits one derived record: UID, what it is derived for, bytes.
pub type VisitCache<'a> = dyn FnMut(Uid, u8, &[u8]) -> ControlFlow<()> + 'a;

impl GroupState {
    /// A message's record of a kind the caller numbers.
    pub fn cache_get(&self, account: AccountId, folder: FolderId, uid: Uid, kind: u8) -> io::Result<Option<Vec<u8>>> {
        self.shared.core.rows.get(Column::Cache, &self.cache_key(account, folder, uid, kind))
    }

    /// Sets records of messages of one folder: UID, kind, bytes.
    pub fn cache_put(&self, account: AccountId, folder: FolderId, records: Vec<(Uid, u8, Vec<u8>)>) -> io::Result<()> {
        let mut batch = Batch::default();
        for (uid, kind, bytes) in records {
            batch.put(Column::Cache, self.cache_key(account, folder, uid, kind), bytes);
        }
        self.shared.core.rows.write(batch, Sync::No)
    }

    /// Visits the records of a folder's messages, ascending by UID, then kind.
    pub fn cache_scan(
        &self,
        account: AccountId,
        folder: FolderId,
        uids: RangeInclusive<Uid>,
        visit: &mut VisitCache<'_>,
    ) -> io::Result<()> {
        let generation = self.shared.generation();
        let start = key::cache(self.shared.group, generation, (account, folder, *uids.start()));
        let end = key::under(key::cache(self.shared.group, generation, (account, folder, *uids.end()))).end;
        let at = start.len();
        if start >= end {
            return Ok(());
        }
        self.shared.core.rows.scan(Column::Cache, &start..&end, &mut |key, value| match (
            key::short_at(key, at - 4),
            key.get(at),
        ) {
            (Some(uid), Some(kind)) => visit(uid, *kind, value),
            _ => ControlFlow::Continue(()),
        })
    }

    fn cache_key(&self, account: AccountId, folder: FolderId, uid: Uid, kind: u8) -> Vec<u8> {
        let mut key = key::cache(self.shared.group, self.shared.generation(), (account, folder, uid));
        key.push(kind);
        key
    }
}
