//! Rows in memory: for tests, simulation and comparing replicas.

use crate::txn::{Read, ReadError, Txn, Visit};
use std::collections::BTreeMap;
use std::ops::{Bound, Range};

/// An ordered map that is a transaction; equality compares every row.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MemoryTxn {
    rows: BTreeMap<Vec<u8>, Vec<u8>>,
}

impl MemoryTxn {
    /// An empty state.
    pub fn new() -> Self {
        Self::default()
    }

    /// All rows, ascending by key.
    pub fn rows(&self) -> &BTreeMap<Vec<u8>, Vec<u8>> {
        &self.rows
    }
}

impl Read for MemoryTxn {
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, ReadError> {
        Ok(self.rows.get(key).cloned())
    }

    fn scan(&self, range: Range<&[u8]>, visit: &mut Visit<'_>) -> Result<(), ReadError> {
        if range.start < range.end {
            for (key, value) in self.rows.range::<[u8], _>((Bound::Included(range.start), Bound::Excluded(range.end))) {
                if visit(key, value).is_break() {
                    break;
                }
            }
        }
        Ok(())
    }
}

impl Txn for MemoryTxn {
    fn put(&mut self, key: &[u8], value: &[u8]) {
        self.rows.insert(key.to_vec(), value.to_vec());
    }

    fn delete(&mut self, key: &[u8]) {
        self.rows.remove(key);
    }
}
